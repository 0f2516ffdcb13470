# What the speech recipes have in common: stages 2 to 5. They read the variables of run.sh.

# train NAME SYSTEM [SETTING...]: train a system into $exp/NAME, on what data_settings says.
train() {
  local name=$1 config=$2
  shift 2
  set -- "system=$config" "name=$name" "folder=$exp/$name" "${data_settings[@]}" \
    "trainer.device=$device" "trainer.precision=$precision" "$@" $train_options
  if [ -n "$steps" ]; then set -- "trainer.steps=$steps" trainer.epochs=null "$@"; fi
  if [ -n "$batch_size" ]; then
    set -- "trainer.batch_size=$batch_size" trainer.accumulate=1 "$@"
  fi
  if [ "$validate" != 0 ]; then
    set -- validation=speech "validation.folder=$data/dev" trainer.best=null \
      "trainer.every.validate=$validate" "$@"
  fi
  if [ "$tiny" = true ]; then set -- --config-dir ../conf "+tiny=$config" "$@"; fi
  $train_cmd gan-train "$@"
}

# train_default [SETTING...]: the default's two runs, the generator alone and then with its
# discriminator.
train_default() {
  train default_start default_start "$@"
  train default default "init.generator=$exp/default_start/generator.safetensors" \
    trainer.seed=1 "$@"
}

# model_of NAME: print the weights of a system, as segan-enhance --model takes them.
model_of() {
  case $1 in
    wiener) echo wiener ;;
    embedded) echo default ;;
    *) echo "$exp/$1/generator.safetensors" ;;
  esac
}

# compare SYSTEM...: enhance data/test with the Wiener filter and the systems, score them and the
# noisy input, and write the report of all that is scored.
compare() {
  local one made enhanced scored=()
  for one in wiener "$@"; do
    made=$exp/$one/.trained
    [ -f "$made" ] || made=$data/.done
    if begin 3 "enhance with $one" "$exp/$one/.enhanced" "" "$made" "$data/.done"; then
      $score_cmd segan-enhance --quiet --model "$(model_of "$one")" --wav-scp "$data/test/wav.scp" \
        -o "$exp/$one/enhanced" --force --jobs "$jobs"
      finish
    fi
  done
  for one in noisy wiener "$@"; do
    enhanced=$exp/$one/enhanced made=$exp/$one/.enhanced
    if [ "$one" = noisy ]; then enhanced=$data/test made=$data/.done; fi
    if begin 4 "score $one" "$exp/$one/.scored" "" "$made"; then
      $score_cmd segan-evaluate "$data/test" "$enhanced" --out "$exp/$one/scores" --force \
        --jobs "$jobs"
      finish
    fi
  done
  for one in noisy wiener segan segan_plus default tuned embedded; do
    if is_scored "$one"; then scored+=("$exp/$one"); fi
  done
  if [ ${#scored[@]} = 0 ]; then return; fi
  if begin 5 "report" "$exp/.reported" "${scored[*]}" "${scored[@]/%//.scored}"; then
    segan-report "${scored[@]}" --data "$data/test" -o "$exp" --title "$title" --force \
      ${published:+--quoted "$published"}
    finish
  fi
}
