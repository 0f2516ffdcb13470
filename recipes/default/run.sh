#!/usr/bin/env bash
# How the weights in the package are made: from folders of speech and noise to exp/MODEL.safetensors
# and its scores, MODEL being default, quality and streaming. segan/weights/model_card.md says what
# was done otherwise for those that are there.
#
#   ./run.sh --speech DIR --noise DIR --dev DIR
#
# Stages: 1 data directories  2 train default  3 grow and train quality and streaming
#         4 half precision  5 score
#
# Options, with their defaults
#   --stage 1 --stop-stage 5
#   --speech DIR          a folder for each corpus, files named SPEAKER_*.EXT at any rate
#   --noise DIR           any tree of recordings
#   --dev DIR             clean/ and noisy/ with the same names, for the scores
#   --data data --exp exp where the data directories and the results go
#   --device auto --precision bf16
#   --train-options "..." further settings for gan-train
#   --jobs N              processes that enhance and score (default: the cores)
#   --cmd FILE            where jobs run (default: cmd.sh)
#
# A stage that is done is skipped, one that was cut short is redone; a training goes on where it
# was.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")"

stage=1
stop_stage=5
speech=
noise=
dev=
data=data
exp=exp
device=auto
precision=bf16
train_options=
jobs=
cmd=

. ../ladder.sh
parse_options "$@"
absolute speech noise dev data exp cmd
. ./path.sh
. "${cmd:-./cmd.sh}"
jobs=${jobs:-$(cores)}
for folder in "$speech" "$noise" "$dev"; do
  [ -z "$folder" ] || [ -d "$folder" ] || die "$folder: no such folder"
done

train() {
  local name=$1
  shift
  $train_cmd gan-train "system=$name" "name=$name" "folder=$exp/$name" \
    data=mixtures "data.speech=$data/speech" "data.noise=$data/noise" data.seconds=2 \
    "data.snr=[-5,45]" "trainer.device=$device" "trainer.precision=$precision" "$@" $train_options
}

if begin 1 "16 kHz, and what is clean enough to learn from" "$data/.done" "$speech $noise"; then
  [ -n "$speech" ] && [ -n "$noise" ] || die "--speech and --noise: both are needed"
  python local/prepare.py speech "$speech" "$data/speech" --weights conf/weights.tsv
  python local/prepare.py noise "$noise" "$data/noise"
  finish
fi

for model in default quality streaming; do stop_if_older "$model"; done
settings="$device $precision $train_options"
if begin 2 "the generator alone" "$exp/.default" "$settings" "$data/.done"; then
  train default_start trainer.steps=24000
  finish
fi

grow() {
  local name=$1
  shift
  python local/grow.py "$exp/default_start/generator.safetensors" "$exp/$name.init.safetensors" "$@"
}

if begin 3 "from it, a larger one and a causal one" "$exp/.grown" "$settings" "$exp/.default"; then
  grow quality channels=96 narrow=16 "dilations=[1,2,4,8,16,1,2,4,8,16,32,1]"
  train quality_start trainer.seed=1 trainer.steps=14000 "init.generator=$exp/quality.init.safetensors"
  grow streaming causal=true
  train streaming trainer.seed=2 "init.generator=$exp/streaming.init.safetensors"
  finish
fi

if begin 4 "half precision, for the package" "$exp/.embedded" "" "$exp/.grown"; then
  for pair in default_start:default quality_start:quality streaming:streaming; do
    python local/embed.py "$exp/${pair%:*}/generator.safetensors" "$exp/${pair#*:}.safetensors"
  done
  finish
fi

if begin 5 "scores" "$exp/.scored" "$dev" "$exp/.embedded"; then
  [ -n "$dev" ] || die "--dev: needed for the scores"
  for model in default quality streaming; do
    $score_cmd segan-enhance --model "$exp/$model.safetensors" "$dev/noisy" \
      -o "$exp/enhanced/$model" --force --jobs "$jobs"
    $score_cmd segan-evaluate "$dev/clean" "$exp/enhanced/$model" --noisy "$dev/noisy" \
      --out "$exp/scores/$model" --force --jobs "$jobs"
    python local/examine.py "$exp/$model.safetensors" "$dev" | tee "$exp/scores/$model/examined.md"
  done
  finish
fi
