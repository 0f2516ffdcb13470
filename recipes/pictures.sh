# What the recipes for pictures have in common: stages 2 to 5. They read the variables of run.sh.

# one_of OPTION MORE NAME...: die where an option is none of these; MORE ends the line.
one_of() {
  local option=$1 more=$2 value=${!1} name list
  shift 2
  for name; do if [ "$name" = "$value" ]; then return; fi; done
  list=$(printf ', %s' "$@")
  die "--${option//_/-} $value: one of ${list:2}$more"
}

# check_systems MORE NAME...: set systems to those in --system, separated by commas.
check_systems() {
  local whole=$system more=$1
  shift
  systems=${system//,/ }
  for system in $systems; do one_of system "$more" "$@"; done
  system=$whole
}

# check_corpus: die where a corpus was named that isn't there.
check_corpus() { [ -z "$corpus" ] || [ -d "$corpus" ] || die "--corpus $corpus: no such folder"; }

# check_pictures: die where an option that recipes of translation share makes no sense.
check_pictures() {
  one_of size "" 256 128 64
  check_corpus
  view=("data.size=$size" "data.resize=$(((size * 286 + 128) / 256))")  # 286 for 256
}

# run_training NAME SYSTEM [SETTING...]: train a system into $exp/NAME.
run_training() {
  local name=$1 config=$2
  shift 2
  set -- "system=$config" "name=$name" "folder=$exp/$name" "trainer.device=$device" "$@"
  if [ "$tiny" = true ]; then set -- --config-dir ../conf "+tiny=$config" "$@"; fi
  $train_cmd gan-train "$@"
}

# train NAME SYSTEM [SETTING...]: stage 2, a system that translates, on what data_settings says.
train() {
  local name=$1 config=$2
  local settings="$steps $batch_size $validate $precision $tiny $train_options"
  shift 2
  stop_if_older "$name"
  if ! begin 2 "train $name" "$exp/$name/.trained" "$settings"; then return; fi
  set -- "${data_settings[@]}" "${view[@]}" "trainer.precision=$precision" "$@" $train_options
  if [ -n "$steps" ]; then set -- "trainer.steps=$steps" trainer.epochs=null "$@"; fi
  if [ -n "$batch_size" ]; then set -- "trainer.batch_size=$batch_size" "$@"; fi
  if [ "$validate" != 0 ]; then set -- "${sheet_settings[@]}" "$@"; fi
  run_training "$name" "$config" "$@"
  finish
}

# train_judge NAME SYSTEM [SETTING...]: stage 2, a network that scores what others make.
train_judge() {
  local name=$1 config=$2
  shift 2
  stop_if_older "$name"
  if begin 2 "train $name" "$exp/$name/.trained" "$tiny $judge_options"; then
    run_training "$name" "$config" "${view[@]}" "$@" $judge_options
    finish
  fi
}

# translate MODEL FOLDER OUTPUT [OPTION...]: the pictures in a folder, through a network.
translate() {
  local model=$1 folder=$2 output=$3
  shift 3
  rm -rf "$output"
  $score_cmd image-gan-generate --quiet --force --device "$device" --model "$model" "$folder" \
    -o "$output" "$@"
}

# copy_pictures FOLDER OUTPUT: the baseline that does nothing.
copy_pictures() {
  rm -rf "$2"
  mkdir -p "$2"
  cp "$1"/*.png "$2"
}

# score NAME PICTURES [OPTION...]: stage 4.
score() {
  local name=$1 pictures=$2
  shift 2
  $score_cmd image-gan-evaluate "$pictures" -o "$exp/$name/scores" --force "$@"
}

# report FOLDER TITLE DATA NAME...: stage 5, of those that have scores; quotes what is published.
report() {
  local folder=$1 title=$2 test=$3 one scored=()
  shift 3
  for one; do
    if is_scored "$one"; then scored+=("$exp/$one"); fi
  done
  if [ ${#scored[@]} = 0 ]; then return; fi
  if begin 5 "report" "$folder/.reported" "${scored[*]}${published:+ $published}" \
    "${scored[@]/%//.scored}"; then
    image-gan-report "${scored[@]}" --data "$test" -o "$folder" --title "$title" --force \
      ${published:+--quoted "$published"}
    finish
  fi
}
