#!/usr/bin/env bash
# horse2zebra: from horses to zebras and back, without pairs, with CycleGAN or DiscoGAN.
#
#   ./run.sh                            download everything, train CycleGAN, score, report
#   ./run.sh --corpus DIR               with a copy that is already there, or any two domains
#   ./run.sh --size 128 --steps 4000    small and short, for a machine without a GPU
#   ./run.sh --size 64 --system cyclegan,discogan
#   ./run.sh --stage 3 --stop-stage 4   generate and score alone
#
# Stages: 0 download  1 data  2 train  3 generate  4 score  5 report
#
# Options, with their defaults
#   --stage 0 --stop-stage 5
#   --system cyclegan     or discogan (which is for --size 64); both: separated by a comma
#   --corpus DIR          a folder with trainA/ and trainB/ and, if there are any, testA/ and
#                         testB/; else the last tenth of the training pictures is held out.
#                         Without it stage 0 downloads it (117 MB)
#   --mirror URL          where to download it from instead
#   --size 256            side of the pictures, or 128, 64
#   --data data --exp exp where the pictures and the results go
#   --steps N             length of the training in steps, in place of the paper's 200 epochs
#   --batch-size N
#   --validate 2000       look at some of the test pictures every so many steps (0: never)
#   --device auto --precision auto
#   --train-options "..." further settings for gan-train, as game.generator.channels=32
#   --judge-options "..." the same for the classifiers that score
#   --score-options "..." further options for image-gan-evaluate
#   --tiny false          tiny networks, to see that everything runs
#   --cmd FILE            where jobs run (default: cmd.sh)
#
# A stage that is done is skipped, one that was cut short is redone; a training goes on where it
# was. The results are exp/report.html and exp/RESULTS.md, and of the way back exp/back/report.html
# and exp/back/RESULTS.md. Beside the systems they have copy, the sources as they are, and real,
# what the classifier says of real pictures of the domain translated to.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")"

stage=0
stop_stage=5
system=cyclegan
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

title="horse2zebra"

. ../ladder.sh
. ../pictures.sh
parse_options "$@"
absolute corpus data exp cmd
. ./path.sh
. "${cmd:-./cmd.sh}"
check_systems "" cyclegan discogan
check_pictures

train=$data/train
data_settings=(data=unpaired_pictures "data.source=$train/source" "data.target=$train/target")
sheet_settings=(validation=pictures data@validation.data=unpaired_pictures
  "validation.data.source=$data/test/source" "validation.data.target=$data/test/target"
  "trainer.every.validate=$validate")

if [ -z "$corpus" ]; then
  corpus=$PWD/corpus/horse2zebra
  if begin 0 "download" corpus/.done "$mirror"; then
    python ../local/download.py conf/archives.tsv corpus --unpack ${mirror:+--url "$mirror"} \
      --page http://efrosgans.eecs.berkeley.edu/cyclegan/datasets
    finish
  fi
fi

if begin 1 "data" "$data/.done" "$corpus $size"; then
  python ../local/picture_data.py domains "$corpus" "$data" --size "$size"
  copy_pictures "$data/test/target" "$data/back/source"  # the test of the way back
  copy_pictures "$data/test/source" "$data/back/target"
  finish
fi

for one in $systems; do
  case $one in
    cyclegan) if [ "$size" = 256 ]; then blocks=9; else blocks=6; fi
              train "$one" "$one" "game.generator.blocks=$blocks" ;;
    discogan) train "$one" "$one" ;;
  esac
done
train_judge classifier classifier data=domains "data.source=$train/source" \
  "data.target=$train/target"
train_judge classifier_back classifier data=domains "data.source=$train/target" \
  "data.target=$train/source"

# generate_way SUFFIX TEST FORTH BACK: stage 3, through one network and back through the other.
generate_way() {
  local suffix=$1 test=$2 forth=$3 back=$4 one name made
  if begin 3 "copy the sources of $test" "$exp/copy$suffix/.generated" "" "$data/.done"; then
    copy_pictures "$test/source" "$exp/copy$suffix/generated"
    finish
  fi
  for one in $systems; do
    name=$one$suffix made=$exp/$one/.trained
    if begin 3 "generate with $name" "$exp/$name/.generated" "" "$made" "$data/.done"; then
      translate "$exp/$one/$forth.safetensors" "$test/source" "$exp/$name/generated" \
        --grid "$exp/$name/sheet.png"
      translate "$exp/$one/$back.safetensors" "$exp/$name/generated" "$exp/$name/cycled"
      finish
    fi
  done
}

# score_way SUFFIX TEST: stage 4.
score_way() {
  local suffix=$1 test=$2 one name judge cycled
  judge=$exp/classifier$suffix
  set -- --classifier "$judge/generator.safetensors"
  for one in copy $systems; do
    name=$one$suffix made=$exp/$one$suffix/.generated
    if begin 4 "score $name" "$exp/$name/.scored" "$score_options" "$made" "$judge/.trained"; then
      cycled=()
      if [ "$one" != copy ]; then cycled=(--source "$test/source" --cycled "$exp/$name/cycled"); fi
      score "$name" "$exp/$name/generated" "$@" --real "$test/target" \
        --features "$judge/generator.safetensors" ${cycled[@]+"${cycled[@]}"} $score_options
      finish
    fi
  done
  if begin 4 "score the pictures of $test" "$exp/real$suffix/.scored" "" "$judge/.trained"; then
    score "real$suffix" "$test/target" "$@"
    finish
  fi
}

generate_way "" "$data/test" generator inverse
generate_way _back "$data/back" inverse generator
score_way "" "$data/test"
score_way _back "$data/back"
report "$exp" "$title" "$data/test" copy discogan cyclegan real
report "$exp/back" "$title: the way back" "$data/back" copy_back discogan_back cyclegan_back real_back
