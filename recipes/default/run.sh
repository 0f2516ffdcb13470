#!/usr/bin/env bash
# How the weights in the package were made: from folders of speech and noise to
# segan/weights/default.safetensors and its scores.
#
#   ./run.sh --speech DIR --noise DIR --dev DIR
#
# --speech: a folder for each corpus, files named SPEAKER_*.EXT at any rate; --noise: any tree of
# recordings; --dev: clean/ and noisy/ with the same names, for the scores. Killed and run again, a
# training goes on where it was.
set -euo pipefail
cd "$(dirname "$0")"

stage=1
stop_stage=4
speech=
noise=
dev=
device=auto
precision=bf16

while [[ $# -gt 0 ]]; do
  name=${1#--}; name=${name//-/_}
  if [[ $1 != --* || $# -lt 2 || ! -v $name ]]; then
    echo "run.sh: unknown option or no value: $1 (see the head of this file)" >&2; exit 2
  fi
  printf -v "$name" %s "$2"; shift 2
done

mixtures="data=mixtures data.speech=data/speech data.noise=data/noise"
options="trainer.device=$device trainer.precision=$precision"

if (( stage <= 1 && stop_stage >= 1 )); then
  echo "Stage 1: 16 kHz, and what is clean enough to learn from"
  python local/prepare.py speech "$speech" data/speech --weights conf/weights.tsv
  python local/prepare.py noise "$noise" data/noise
fi

if (( stage <= 2 && stop_stage >= 2 )); then
  echo "Stage 2: the generator alone, then with its discriminator"
  gan-train system=default_start $mixtures $options
  gan-train system=default $mixtures $options trainer.seed=1 \
    init.generator=exp/default_start/generator.safetensors
fi

if (( stage <= 3 && stop_stage >= 3 )); then
  echo "Stage 3: half precision, for the package"
  python local/embed.py exp/default/generator.safetensors exp/default.safetensors
fi

if (( stage <= 4 && stop_stage >= 4 )); then
  echo "Stage 4: scores"
  segan-enhance --model exp/default.safetensors "$dev/noisy" -o exp/enhanced --force --jobs 2
  segan-evaluate "$dev/clean" exp/enhanced --noisy "$dev/noisy" --out exp/scores --force
fi
