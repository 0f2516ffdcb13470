#!/usr/bin/env bash
# How the weights in the package were made: from folders of speech and noise to
# segan/weights/default.safetensors and its scores.
#
#   ./run.sh --speech DIR --noise DIR --dev DIR
#
# Stages: 1 data directories  2 train  3 half precision  4 score
#
# Options, with their defaults
#   --stage 1 --stop-stage 4
#   --speech DIR          a folder for each corpus, files named SPEAKER_*.EXT at any rate
#   --noise DIR           any tree of recordings
#   --dev DIR             clean/ and noisy/ with the same names, for the scores
#   --device auto --precision bf16
#   --train-options "..." further settings for gan-train
#   --jobs N              processes that enhance and score (default: the cores)
#
# A stage that is done is skipped, one that was cut short is redone; a training goes on where it
# was.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")"

stage=1
stop_stage=4
speech=
noise=
dev=
device=auto
precision=bf16
train_options=
jobs=

. ../ladder.sh
parse_options "$@"
absolute speech noise dev
. ../path.sh
jobs=${jobs:-$(cores)}
for folder in "$speech" "$noise" "$dev"; do
  [ -z "$folder" ] || [ -d "$folder" ] || die "$folder: no such folder"
done

train() {
  local name=$1
  shift
  gan-train "system=$name" data=mixtures data.speech=data/speech data.noise=data/noise \
    data.seconds=2 "trainer.device=$device" "trainer.precision=$precision" $train_options "$@"
}

if begin 1 "16 kHz, and what is clean enough to learn from" data/.done "$speech $noise"; then
  [ -n "$speech" ] && [ -n "$noise" ] || die "--speech and --noise: both are needed"
  python local/prepare.py speech "$speech" data/speech --weights conf/weights.tsv
  python local/prepare.py noise "$noise" data/noise
  finish
fi

settings="$device $precision $train_options"
if begin 2 "the generator alone, then with its discriminator" exp/.trained "$settings"; then
  train default_start
  train default trainer.seed=1 "data.snr=[-5,30]" \
    init.generator=exp/default_start/generator.safetensors
  finish
fi

if begin 3 "half precision, for the package" exp/.embedded "" exp/.trained; then
  python local/embed.py exp/default/generator.safetensors exp/default.safetensors
  finish
fi

if begin 4 "scores" exp/.scored "$dev" exp/.embedded; then
  [ -n "$dev" ] || die "--dev: needed for the scores"
  segan-enhance --model exp/default.safetensors "$dev/noisy" -o exp/enhanced --force --jobs "$jobs"
  segan-evaluate "$dev/clean" exp/enhanced --noisy "$dev/noisy" --out exp/scores --force
  finish
fi
