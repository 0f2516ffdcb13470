#!/usr/bin/env bash
# Super-resolution: pictures four times as high and wide, with SRResNet and SRGAN.
#
#   ./run.sh                            download everything, train both, score, report
#   ./run.sh --corpus DIR --test set5   with pictures that are already there
#   ./run.sh --system srresnet,srgan_features    without VGG19, whose weights are fetched (548 MB)
#   ./run.sh --stage 3 --stop-stage 4   generate and score alone
#
# Stages: 0 download  1 data  2 train  3 generate  4 score  5 report
#
# Options, with their defaults
#   --stage 0 --stop-stage 5
#   --system srresnet,srgan
#                         one or several of srresnet, srgan (from srresnet's weights, as in the
#                         paper) and srgan_features (the same, but for its content loss),
#                         separated by commas; the last two train srresnet first.
#                         bicubic, which is always there: that alone
#   --corpus DIR          a folder with train/ and a folder for the test, large pictures in each;
#                         without it stage 0 downloads BSDS300 (22 MB), whose test set is the
#                         paper's BSD100
#   --test test           the folder for the test
#   --quote NAME          quote the paper's scores on set5, set14 or bsd100 beside those measured
#   --mirror URL          where to download the corpus from instead
#   --scale 4             how many times larger; or 2
#   --size 96             side of the large pictures cut out in training
#   --data data --exp exp where the pictures and the results go
#   --steps N             length of the training of srresnet in steps, in place of the paper's 1e6
#   --gan-steps N         the same of those that start from it, in place of 2e5
#   --batch-size N
#   --validate 5000       look at some of the test pictures every so many steps (0: never)
#   --device auto --precision auto
#   --train-options "..." further settings for gan-train, as trainer.workers=8
#   --score-options "..." further options for image-gan-evaluate, as --metrics psnr_y,lpips
#   --tiny false          tiny networks, to see that everything runs
#   --cmd FILE            where jobs run (default: cmd.sh)
#
# A stage that is done is skipped, one that was cut short is redone; a training goes on where it
# was. The results are exp/report.html and exp/RESULTS.md. Beside the systems they have bicubic, what
# MATLAB's imresize makes of the small pictures. Scores leave out a border of as many pixels as the
# scale is, as in the paper.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")"

stage=0
stop_stage=5
system=srresnet,srgan
corpus=
test=test
quote=
mirror=
scale=4
size=96
data=data
exp=exp
steps=
gan_steps=
batch_size=
validate=5000
device=auto
precision=auto
train_options=
score_options=
tiny=false
cmd=

title="Super-resolution"

. ../ladder.sh
. ../pictures.sh
parse_options "$@"
absolute corpus data exp cmd
. ./path.sh
. "${cmd:-./cmd.sh}"
if [ "$system" = bicubic ]; then
  systems=
else
  check_systems "; or bicubic alone" srresnet srgan srgan_features
fi
one_of scale "" 2 4
[[ $size =~ ^[1-9][0-9]*$ ]] && ((size % scale == 0)) || die "--size $size: no multiple of --scale $scale"
if [ -n "$quote" ]; then one_of quote "" set5 set14 bsd100; fi
check_corpus
published=${quote:+conf/$quote.tsv}

data_settings=(data=downscaled "data.folder=$data/train/target" "game.generator.scale=$scale")
view=("data.size=$size")
sheet_settings=(validation=enlarged "validation.data.folder=$data/test/target"
  "trainer.every.validate=$validate")

if [ -z "$corpus" ]; then
  corpus=$PWD/corpus/BSDS300/images
  if begin 0 "download" corpus/.done "$mirror"; then
    python ../local/download.py conf/archives.tsv corpus --unpack ${mirror:+--url "$mirror"} \
      --page https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds
    finish
  fi
fi

if begin 1 "data" "$data/.done" "$corpus $test $scale"; then
  python ../local/picture_data.py enlarging "$corpus" "$data" --test "$test" --scale "$scale"
  finish
fi

if [ -n "$systems" ]; then train srresnet srresnet; fi
for one in $systems; do
  if [ "$one" != srresnet ]; then
    stop_if_older "$one" "$exp/srresnet/.trained"
    steps=$gan_steps train "$one" "$one" "init.generator=$exp/srresnet/generator.safetensors"
  fi
done

if begin 3 "enlarge bicubically" "$exp/bicubic/.generated" "" "$data/.done"; then
  rm -rf "$exp/bicubic/generated"
  python ../local/picture_data.py bicubic "$data/test/source" "$exp/bicubic/generated" --scale "$scale"
  finish
fi
for one in $systems; do
  if begin 3 "generate with $one" "$exp/$one/.generated" "" "$exp/$one/.trained" "$data/.done"; then
    translate "$exp/$one/generator.safetensors" "$data/test/source" "$exp/$one/generated" \
      --target "$data/test/target" --grid "$exp/$one/sheet.png"
    finish
  fi
done

for one in bicubic $systems; do
  made=$exp/$one/.generated
  if begin 4 "score $one" "$exp/$one/.scored" "$score_options" "$made" "$data/.done"; then
    score "$one" "$exp/$one/generated" --target "$data/test/target" --border "$scale" $score_options
    finish
  fi
done

report "$exp" "$title" "$data/test" bicubic srresnet srgan_features srgan
