#!/usr/bin/env bash
# Your own speech and noise: from two folders of recordings to a model of your own and its scores.
#
#   ./run.sh --speech DIR --noise DIR                  train the default's networks from the start
#   ./run.sh --speech DIR --noise DIR --init default   fine-tune the weights in the package
#   segan-enhance noisy.wav --model exp/default/generator.safetensors
#
# Recordings of any format, rate and number of channels, speech as clean as it can be had: what
# hisses in it, the model will leave in. Training mixes speech and noise anew all the time; dev and
# test are fixed mixtures of speakers and noises that training never hears.
#
# Stages: 1 data directories  2 train  3 enhance  4 score  5 report
#
# Options, with their defaults
#   --stage 1 --stop-stage 5
#   --speech DIR --noise DIR
#   --speaker folder      how speakers are told: by subfolder; prefix: by the file name's part
#                         before the first _ or -; none: each recording by itself (for one voice);
#                         or a regular expression, see segan-data import --help
#   --test-speakers 2 --dev-speakers 1     held out
#   --test-noises 4 --dev-noises 2         held out
#   --mixtures N          in dev and in test each (default: each utterance once)
#   --snr 2.5,7.5,12.5,17.5                of these mixtures, dB over active speech
#   --seed 0              of what is held out and mixed
#   --system default      or segan, segan_plus
#   --init FILE           weights of the default's generator to go on from; default: the package's.
#                         The result is called tuned
#   --data data --exp exp where the data directories and the results go
#   --steps N             length of the training in steps, in place of the papers' (with --init
#                         2000); of each of the default's two runs
#   --batch-size N
#   --validate 1000       score some of dev every so many steps (0: never)
#   --device auto --precision auto
#   --train-options "..." further settings for gan-train
#   --tiny false          tiny networks, to see that everything runs
#   --jobs N              processes that read, enhance and score (default: the cores)
#   --cmd FILE            where jobs run (default: cmd.sh)
#
# A stage that is done is skipped, one that was cut short is redone; a training goes on where it
# was. The results are exp/report.html and exp/RESULTS.md.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")"

stage=1
stop_stage=5
speech=
noise=
speaker=folder
test_speakers=2
dev_speakers=1
test_noises=4
dev_noises=2
mixtures=
snr=2.5,7.5,12.5,17.5
seed=0
system=default
init=
data=data
exp=exp
steps=
batch_size=
validate=1000
device=auto
precision=auto
train_options=
tiny=false
jobs=
cmd=

title="Own corpus"
published=

. ../ladder.sh
. ../speech.sh
parse_options "$@"
absolute speech noise data exp cmd
. ./path.sh
. "${cmd:-./cmd.sh}"
jobs=${jobs:-$(cores)}
case $system in
  default | segan | segan_plus) ;;
  *) die "--system $system: one of default, segan, segan_plus" ;;
esac
for folder in "$speech" "$noise"; do
  [ -z "$folder" ] || [ -d "$folder" ] || die "$folder: no such folder"
done
name=$system
if [ -n "$init" ]; then
  [ "$system" = default ] || die "--init goes with --system default, not $system"
  name=tuned
  steps=${steps:-2000}
  if [ "$init" = default ]; then
    init=$(python -c 'import segan; print(*segan.__path__)')/weights/default.safetensors
  fi
  absolute init
fi

# hold_out KIND DEV TEST: cut data/KIND/all into train, dev and test.
hold_out() {
  segan-data split "$data/$1/all" "$data/$1/rest" "$data/$1/test" --speakers "$3" --seed "$seed" --force
  segan-data split "$data/$1/rest" "$data/$1/train" "$data/$1/dev" --speakers "$2" --seed "$seed" --force
}

options="$speech $noise $speaker $test_speakers $dev_speakers $test_noises $dev_noises"
if begin 1 "data directories" "$data/.done" "$options $mixtures $snr $seed"; then
  [ -n "$speech" ] && [ -n "$noise" ] || die "--speech and --noise: both are needed"
  segan-data import "$speech" "$data/speech/all" --speaker "$speaker" --jobs "$jobs" --force
  segan-data import "$noise" "$data/noise/all" --speaker none --jobs "$jobs" --force
  hold_out speech "$dev_speakers" "$test_speakers"
  hold_out noise "$dev_noises" "$test_noises"
  for part in dev test; do
    segan-data mix --speech "$data/speech/$part" --noise "$data/noise/$part" "$data/$part" \
      --snr="$snr" ${mixtures:+--count "$mixtures"} --seed "$seed" --jobs "$jobs" --force
  done
  finish
fi

data_settings=(data=mixtures "data.speech=$data/speech/train" "data.noise=$data/noise/train")
stop_if_older "$name"
settings="$init $steps $batch_size $validate $device $precision $tiny $train_options"
if begin 2 "train $name" "$exp/$name/.trained" "$settings"; then
  case $name in
    tuned) train tuned default "init.generator=$init" players.generator.optimizer.lr=2.0e-4 ;;
    default) train_default ;;
    *) train "$name" "$name" data.seconds=1.024 ;;
  esac
  finish
fi

compare "$name" embedded
