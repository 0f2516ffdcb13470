#!/usr/bin/env bash
# CMP Facades: from maps of labels to photos of houses, with pix2pix and its ablation.
#
#   ./run.sh                            download everything, train pix2pix, score, report
#   ./run.sh --corpus DIR --system all  with a copy that is already there: the paper's ablation
#   ./run.sh --size 128 --steps 4000    small and short, for a machine without a GPU
#   ./run.sh --stage 3 --stop-stage 4   generate and score alone
#
# Stages: 0 download  1 data  2 train  3 generate  4 score  5 report
#
# Options, with their defaults
#   --stage 0 --stop-stage 5
#   --system pix2pix      one or several of pix2pix, l1 (without the adversary) and adversary
#                         (without L1), separated by commas; all: the three
#   --corpus DIR          a folder with train/ and val/, pictures whose left half is the photo and
#                         whose right half the labels; without it stage 0 downloads it (30 MB)
#   --mirror URL          where to download it from instead
#   --size 256            side of the pictures, or 128, 64
#   --data data --exp exp where the pictures and the results go
#   --steps N             length of the training in steps, in place of the paper's 200 epochs
#   --batch-size N
#   --validate 2000       look at some of the test pictures every so many steps (0: never)
#   --device auto --precision auto
#   --train-options "..." further settings for gan-train
#   --judge-options "..." the same for the segmenter that scores
#   --score-options "..." further options for image-gan-evaluate, as --features inception
#   --tiny false          tiny networks, to see that everything runs
#   --cmd FILE            where jobs run (default: cmd.sh)
#
# A stage that is done is skipped, one that was cut short is redone; a training goes on where it
# was. The results are exp/report.html and exp/RESULTS.md. Beside the systems they have what costs
# nothing: copy, the labels as they are; mean, the mean of the training photos; and real, the
# photos themselves, which say what the segmenter is worth.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")"

stage=0
stop_stage=5
system=pix2pix
corpus=
mirror=
size=256
data=data
exp=exp
steps=
batch_size=
validate=2000
device=auto
precision=auto
train_options=
judge_options=
score_options=
tiny=false
cmd=

title="CMP Facades"
palette=conf/palette.tsv

. ../ladder.sh
. ../pictures.sh
parse_options "$@"
absolute corpus data exp cmd
. ./path.sh
. "${cmd:-./cmd.sh}"
if [ "$system" = all ]; then system=pix2pix,l1,adversary; fi
check_systems "; or all" pix2pix l1 adversary
check_pictures

test=$data/test
labels=$data/train/source photos=$data/train/target
data_settings=(data=paired_pictures "data.source=$labels" "data.target=$photos")
sheet_settings=(validation=pictures data@validation.data=paired_pictures
  "validation.data.source=$test/source" "validation.data.target=$test/target"
  "trainer.every.validate=$validate")
case $size in 256) levels=8 ;; 128) levels=7 ;; 64) levels=6 ;; esac
levels=game.generator.levels=$levels

if [ -z "$corpus" ]; then
  corpus=$PWD/corpus/facades
  if begin 0 "download" corpus/.done "$mirror"; then
    python ../local/download.py conf/archives.tsv corpus --unpack ${mirror:+--url "$mirror"} \
      --page http://efrosgans.eecs.berkeley.edu/pix2pix/datasets
    finish
  fi
fi

if begin 1 "data" "$data/.done" "$corpus $size"; then
  python ../local/picture_data.py pairs "$corpus" "$data" --size "$size" --palette "$palette"
  finish
fi

for one in $systems; do
  case $one in
    pix2pix) train pix2pix pix2pix "$levels" ;;
    l1) train l1 pix2pix "$levels" '~game.discriminator' '~players.discriminator' ;;
    adversary) train adversary pix2pix "$levels" players.generator.weights.l1=0 ;;
  esac
done
train_judge segmenter segmenter data=labelled "data.source=$photos" "data.target=$labels" \
  "data.palette=$PWD/$palette"

if begin 3 "copy the labels" "$exp/copy/.generated" "" "$data/.done"; then
  copy_pictures "$test/source" "$exp/copy/generated"
  finish
fi
if begin 3 "mean of the photos" "$exp/mean/.generated" "" "$data/.done"; then
  rm -rf "$exp/mean/generated"
  python ../local/picture_data.py mean "$photos" "$test/source" "$exp/mean/generated" --size "$size"
  finish
fi
for one in $systems; do
  if begin 3 "generate with $one" "$exp/$one/.generated" "" "$exp/$one/.trained" "$data/.done"; then
    translate "$exp/$one/generator.safetensors" "$test/source" "$exp/$one/generated" \
      --target "$test/target" --grid "$exp/$one/sheet.png"
    finish
  fi
done

judge=("$exp/segmenter/.trained" "$data/.done")
segmented=(--segmenter "$exp/segmenter/generator.safetensors" --labels "$test/labels"
  --palette "$palette")
for one in copy mean $systems; do
  made=$exp/$one/.generated
  if begin 4 "score $one" "$exp/$one/.scored" "$score_options" "$made" "${judge[@]}"; then
    score "$one" "$exp/$one/generated" --target "$test/target" "${segmented[@]}" $score_options
    finish
  fi
done
if begin 4 "score the photos" "$exp/real/.scored" "" "${judge[@]}"; then
  score real "$test/target" "${segmented[@]}"
  finish
fi

report "$exp" "$title" "$test" copy mean l1 adversary pix2pix real
