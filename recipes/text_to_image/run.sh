#!/usr/bin/env bash
# Text to image: pictures of what a caption says, with StackGAN, and whether they show it.
#
#   ./run.sh --corpus DIR                      a folder with a captions.jsonl and its pictures
#   ./run.sh --corpus DIR --attributes '(?P<hair>.+) hair (?P<eyes>.+) eyes' --system all
#   ./run.sh --corpus DIR --layout cub --captions DIR --quote cub    birds, as in the paper
#   ./run.sh --layout flowers --captions DIR   download Oxford-102; its captions are elsewhere
#   ./run.sh --stage 3 --stop-stage 4          generate and score alone
#
# Stages: 0 download  1 data  2 train  3 generate  4 score  5 report
#
# Options, with their defaults
#   --stage 0 --stop-stage 5
#   --system stackgan     one or several, separated by commas, of stackgan (stage I, matching-aware),
#                         stackgan_unaware (the same without mismatched pairs) and conditional_gan
#                         (which words a caption has, as ones among zeros); all: the three
#   --corpus DIR          pictures with captions; without it stage 0 downloads the pictures of
#                         Oxford-102 (345 MB)
#   --mirror URL          where to download them from instead
#   --layout jsonl        of the corpus: jsonl, cub, flowers or coco;
#                         python ../local/caption_data.py --help says what each is
#   --captions DIR        captions outside of the corpus, of cub and flowers: those of Reed et al.,
#                         which no place keeps for good
#   --split DIR           where train/filenames.pickle and test/filenames.pickle are
#   --test-share 0.1      held out where nothing says what is for the test
#   --attributes PATTERN  a regular expression whose named groups are what captions tell: then a
#                         classifier says whether pictures show it
#   --quote NAME          quote published scores on cub, flowers or coco beside those measured
#   --encoder gru         of the text, trained first: gru, bag (the mean of the words), char (the
#                         char-CNN-RNN), or a model of sentence-transformers by name
#   --size 64             side of the pictures of stage I, a power of two
#   --large 256           of those of stage II, which goes on from stackgan; 0: no stage II
#   --samples 8           pictures of each caption of the test
#   --data data --exp exp where the captions and the results go
#   --steps N             length of the training of stage I in steps, in place of 600 epochs
#   --large-steps N       the same of stage II
#   --batch-size N
#   --validate 5000       look at some of the test captions every so many steps (0: never)
#   --device auto --precision auto
#   --train-options "..." further settings for gan-train, as trainer.workers=8
#   --encoder-options "..." the same for the text encoder, as trainer.steps=20000
#   --judge-options "..." the same for the classifier of attributes
#   --score-options "..." further options for image-gan-evaluate, as --features inception
#   --tiny false          tiny networks, to see that everything runs
#   --cmd FILE            where jobs run (default: cmd.sh)
#
# A stage that is done is skipped, one that was cut short is redone; a training goes on where it
# was. The results are exp/report.html and exp/RESULTS.md. Beside the systems they have real, the
# pictures of the test, which say what the judges are worth. All are scored at the size of stage I:
# those of stage II are made smaller first.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")"

stage=0
stop_stage=5
system=stackgan
corpus=
mirror=
layout=jsonl
captions=
split=
test_share=0.1
attributes=
quote=
encoder=gru
size=64
large=256
samples=8
data=data
exp=exp
steps=
large_steps=
batch_size=
validate=5000
device=auto
precision=auto
train_options=
encoder_options=
judge_options=
score_options=
tiny=false
cmd=

title="Text to image"

. ../ladder.sh
. ../pictures.sh
parse_options "$@"
absolute corpus captions split data exp cmd
. ./path.sh
. "${cmd:-./cmd.sh}"
if [ "$system" = all ]; then system=stackgan,stackgan_unaware,conditional_gan; fi
check_systems "; or all" stackgan stackgan_unaware conditional_gan
check_corpus
one_of layout "" jsonl cub flowers coco
one_of size "" 8 16 32 64 128 256
one_of large "" 0 16 32 64 128 256 512
((large == 0 || large > size)) || die "--large $large: not larger than --size $size; 0: no stage II"
[[ $samples =~ ^[1-9][0-9]*$ ]] || die "--samples $samples: how many pictures of each caption"
for one in captions split; do
  [ -z "${!one}" ] || [ -d "${!one}" ] || die "--$one ${!one}: no such folder"
done
if [ -n "$quote" ]; then one_of quote "" cub flowers coco; fi
if [ -z "$corpus" ] && { [ "$layout" != flowers ] || [ -z "$captions" ]; }; then
  die "--corpus DIR is needed; or --layout flowers --captions DIR, whose pictures are downloaded"
fi
published=${quote:+conf/$quote.tsv}
case " $systems " in
  *" stackgan "*) if [ "$large" != 0 ]; then systems="$systems stackgan_large"; fi ;;
esac

data_settings=(data=captioned "data.path=$data/train")
view=("data.size=$size")
sheet_settings=(validation=drawings "validation.path=$data/test" "trainer.every.validate=$validate")
kind=game.encoder._target_=image_gan.encoders
case $encoder in
  gru) encoder_options="$kind.GRU $encoder_options" ;;
  bag) encoder_options="$kind.BagOfWords ~game.encoder.channels $encoder_options" ;;
  char) encoder_options="$kind.CharCNNRNN $encoder_options" ;;
  *) encoder_options="$kind.SentenceEncoder +game.encoder.name=$encoder game.encoder.size=384
       ~game.encoder.vocabulary ~game.encoder.channels $encoder_options" ;;
esac

if [ -z "$corpus" ]; then
  corpus=$PWD/corpus
  if begin 0 "download" corpus/.done "$mirror"; then
    python ../local/download.py conf/archives.tsv corpus --unpack ${mirror:+--url "$mirror"} \
      --page https://www.robots.ox.ac.uk/~vgg/data/flowers/102
    finish
  fi
fi

if begin 1 "data" "$data/.done" "$layout $corpus $captions $split $test_share $attributes $size"; then
  python ../local/caption_data.py "$layout" "$corpus" "$data" --test-share "$test_share" \
    ${captions:+--captions "$captions"} ${split:+--split "$split"} \
    ${attributes:+--attributes "$attributes"}
  finish
fi
told=false
if [ -f "$data/train/captions.jsonl" ] && grep -q '"attributes"' "$data/train/captions.jsonl"; then
  told=true
fi

# train_stage NAME SYSTEM FROM [SETTING...]: stage 2, what makes pictures, from what FROM trained.
train_stage() {
  local name=$1 config=$2 from=$3
  shift 3
  if [ -n "$from" ]; then stop_if_older "$name" "$exp/$from/.trained"; fi
  train "$name" "$config" "$@"
}

text=text_encoder
if [ "$encoder" = char ]; then text=text_encoder_char; fi
judge_options=$encoder_options train_judge encoder "$text" "${data_settings[@]}"
if [ "$told" = true ]; then
  train_judge classifier attribute_classifier data=attributes "data.path=$data/train"
fi
stage_one=("game.generator.first.size=$size" "encoder=$exp/encoder/encoder.safetensors")
for one in $systems; do
  case $one in
    stackgan) train_stage "$one" stackgan encoder "${stage_one[@]}" ;;
    stackgan_unaware)
      train_stage "$one" stackgan encoder "${stage_one[@]}" game.matching_aware=false ;;
    conditional_gan) train_stage "$one" "$one" "" "game.generator.first.size=$size" ;;
    stackgan_large)
      view=("data.size=$large") steps=$large_steps
      train_options="game.generator.second.size=$large $train_options"
      train_stage "$one" "$one" stackgan "stage_one=$exp/stackgan/generator.safetensors" ;;
  esac
done

if begin 3 "cut out the real pictures" "$exp/real/.generated" "$size" "$data/.done"; then
  python ../local/caption_pictures.py "$data/test" "$exp/real/generated" --size "$size" --crop
  finish
fi
for one in $systems; do
  made=$exp/$one/generated
  if begin 3 "generate with $one" "$exp/$one/.generated" "$samples" "$exp/$one/.trained" "$data/.done"; then
    rm -rf "$made"
    if ! $score_cmd image-gan-generate --quiet --force --device "$device" -n "$samples" \
      --model "$exp/$one/generator.safetensors" --captions "$data/test/captions.jsonl" \
      -o "$made" --grid "$exp/$one/sheet.png"; then
      [ -f "$made/captions.jsonl" ] || die "stage 3: $one made nothing"
      echo "Captions that $one can't read, named above, are left out of its scores" >&2
    fi
    if [ "$one" = stackgan_large ]; then
      python ../local/caption_pictures.py "$made" "$exp/$one/smaller" --size "$size"
    fi
    finish
  fi
done

encoders=("$exp/encoder/encoder.safetensors" "$exp/encoder/pictures.safetensors")
judges=(--encoder "${encoders[0]}" --pictures "${encoders[1]}")
trained=("$exp/encoder/.trained" "$data/.done")
if [ "$told" = true ]; then
  classifier=$exp/classifier/generator.safetensors
  judges+=(--attributes "$classifier" --features "$classifier")
  judges_of_real=("${judges[@]}")
  trained+=("$exp/classifier/.trained")
else  # the picture encoder tells no classes: no Inception score
  judges_of_real=("${judges[@]}")
  judges+=(--features "${encoders[1]}" --metrics caption_precision,diversity,fid,kid)
fi
real=$exp/real/generated
for one in $systems; do
  pictures=$exp/$one/generated
  if [ "$one" = stackgan_large ]; then pictures=$exp/$one/smaller; fi
  if begin 4 "score $one" "$exp/$one/.scored" "$score_options" "$exp/$one/.generated" \
    "$exp/real/.generated" "${trained[@]}"; then
    score "$one" "$pictures" "${judges[@]}" --real "$real" $score_options
    finish
  fi
done
if begin 4 "score the real pictures" "$exp/real/.scored" "$score_options" "$exp/real/.generated" \
  "${trained[@]}"; then
  score real "$real" "${judges_of_real[@]}" $score_options
  finish
fi

report "$exp" "$title" "$exp/real/generated" conditional_gan stackgan_unaware stackgan stackgan_large real
