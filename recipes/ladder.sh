# The ladder that every run.sh climbs: options, stages, markers. Source it below the defaults.
#
# Every variable that is set there is an option, as in Kaldi: --stop-stage 3 sets stop_stage.
# A stage that is done leaves a marker with the settings it was done with. It is skipped as long as
# these are the same and what it was made from is not newer; one that was cut short is redone.

die() { echo "$(basename "$(dirname "$0")")/run.sh: $*" >&2; exit 2; }

usage() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$1"; }

parse_options() {
  local name value  # which are set, and no options
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) usage "$(basename "$0")"; exit 0 ;;
      --*=*) name=${1%%=*}; value=${1#*=}; shift ;;
      --*) [ $# -ge 2 ] || die "$1: needs a value; --help lists the options"
           name=$1; value=$2; shift 2 ;;
      *) die "$1: options begin with --; --help lists them" ;;
    esac
    name=${name#--}; name=${name//-/_}
    [[ $name =~ ^[a-z_]+$ && ! $name =~ ^(name|value|called_from)$ && -n ${!name+set} ]] ||
      die "--${name//_/-}: no such option; --help lists them"
    case ${!name} in
      true | false) [[ $value =~ ^(true|false)$ ]] || die "--${name//_/-} $value: true or false" ;;
    esac
    printf -v "$name" %s "$value"
  done
  [[ $stage =~ ^[0-9]+$ && $stop_stage =~ ^[0-9]+$ ]] || die "--stage, --stop-stage: whole numbers"
}

# absolute NAME...: make the path in each variable absolute, as seen from where run.sh was called.
absolute() {
  local name
  for name in "$@"; do
    case ${!name} in
      '' | /* | [A-Za-z]:*) ;;
      *) printf -v "$name" %s "$called_from/${!name}" ;;
    esac
  done
}

# begin NUMBER TITLE MARKER SETTINGS [SOURCE...]: succeed where this stage is to be done now.
begin() {
  local number=$1 title=$2 source
  marker=$3 settings=$4
  shift 4
  if (( number < stage || number > stop_stage )); then return 1; fi
  if [ -f "$marker" ] && [ "$(cat "$marker")" = "$settings" ]; then
    for source in "$@"; do
      if [ "$source" -nt "$marker" ]; then break; fi
      source=
    done
    if [ -z "${source-}" ]; then echo "Stage $number: $title: done before"; return 1; fi
  fi
  rm -f "$marker"
  echo "Stage $number: $title"
}

# finish: leave the marker of the stage that has begun.
finish() {
  mkdir -p "$(dirname "$marker")"
  printf '%s\n' "$settings" > "$marker.part"
  mv "$marker.part" "$marker"
}

# is_scored NAME: succeed where a system has scores, and of the data that are there now.
is_scored() {
  [ -f "$exp/$1/.scored" ] || return 1
  if [ "$data/.done" -nt "$exp/$1/.scored" ]; then
    echo "$exp/$1: scored on other data, so it is not in the report" >&2
    return 1
  fi
}

# stop_if_older NAME [START]: refuse to go on with a training, or its first run NAME_start, begun
# on other data, or from the weights of another run than the one that left START.
stop_if_older() {
  local began start=${2-}
  for began in "$exp/$1/config.yaml" "$exp/$1_start/config.yaml"; do
    if [ -f "$began" ] && [ "$data/.done" -nt "$began" ]; then
      die "${began%/*} was trained on other data: remove it, or give another folder with --exp"
    fi
    if [ -f "$began" ] && [ -n "$start" ] && [ "$start" -nt "$began" ]; then
      die "${began%/*} began before ${start%/*} was trained: remove it, or give another --exp"
    fi
  done
}

cores() { getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2; }
