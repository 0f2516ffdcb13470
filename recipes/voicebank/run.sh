#!/usr/bin/env bash
# VoiceBank-DEMAND: from the raw corpus to the table of the SEGAN paper.
#
#   ./run.sh                                  download everything, train SEGAN, score, report
#   ./run.sh --corpus DIR --system default    with a copy of the corpus that is already there
#   ./run.sh --system segan,segan_plus,default,embedded
#   ./run.sh --stage 3 --stop-stage 4         enhance and score alone
#
# Stages: 0 download  1 data directories  2 train  3 enhance  4 score  5 report
#
# Options, with their defaults
#   --stage 0 --stop-stage 5
#   --system segan        one or several of segan, segan_plus, default (trained here from the
#                         start) and embedded (the weights in the package), separated by commas
#   --corpus DIR          the four archives or the folders inside them, at 48 or 16 kHz, with
#                         logfiles.zip; without it stage 0 downloads them (5.6 GB) into corpus/
#   --mirror URL          where to download them from instead
#   --data data --exp exp where the data directories and the results go
#   --dev p226,p287       training speakers held out
#   --steps N             length of the training in steps, in place of the papers' epochs; of each
#                         of the default's two runs
#   --batch-size N
#   --validate 2000       score some of dev every so many steps (0: never)
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

stage=0
stop_stage=5
system=segan
corpus=
mirror=
data=data
exp=exp
dev=p226,p287
steps=
batch_size=
validate=2000
device=auto
precision=auto
train_options=
tiny=false
jobs=
cmd=

title="VoiceBank-DEMAND"
published=conf/published.tsv

. ../ladder.sh
. ../speech.sh
parse_options "$@"
absolute corpus data exp cmd
. ./path.sh
. "${cmd:-./cmd.sh}"
jobs=${jobs:-$(cores)}
systems=${system//,/ }
for one in $systems; do
  case $one in
    segan | segan_plus | default | embedded) ;;
    *) die "--system $one: one of segan, segan_plus, default, embedded" ;;
  esac
done
[ -z "$corpus" ] || [ -d "$corpus" ] || die "--corpus $corpus: no such folder"

data_settings=(data=pairs "data.folder=$data/train")

if [ -z "$corpus" ]; then
  corpus=$PWD/corpus
  if begin 0 "download" corpus/.done "$mirror"; then
    python ../local/download.py conf/archives.tsv corpus ${mirror:+--url "$mirror"} \
      --page https://doi.org/10.7488/ds/2117
    finish
  fi
fi

if begin 1 "data directories" "$data/.done" "$corpus $dev"; then
  python local/prepare.py "$corpus" "$data" --dev "$dev" --jobs "$jobs"
  for part in train dev test; do segan-data validate "$data/$part" --no-sound; done
  finish
fi

settings="$steps $batch_size $validate $device $precision $tiny $train_options"
for one in $systems; do
  if [ "$one" = embedded ]; then continue; fi
  stop_if_older "$one"
  if begin 2 "train $one" "$exp/$one/.trained" "$settings"; then
    case $one in
      default) train_default data.frames=48000 ;;
      *) train "$one" "$one" ;;
    esac
    finish
  fi
done

compare $systems
