#!/usr/bin/env bash
# Systems with each kind of text: exp/study.md, .csv, .json, .png. First the dumps, once:
#   ../ravdess/run.sh --stop-stage 2 --corpus-dir DIR --speed-perturb ""
#   ../meld_tts/run_study.sh --prepare-only true --conditions "clean babble0" --corpus-dir DIR \
#       --train-lines 0 --data data/9988 --dump dump/9988 --run-args "--speech-encoder none"
# then ./run_study.sh. What is done already is not done again; rows and systems can be added later.
# shellcheck disable=SC2034,SC2154  # the options are read by m4ser.stages
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
# shellcheck source=../TEMPLATE/options.sh
. ../TEMPLATE/options.sh
# shellcheck source=../TEMPLATE/study.sh
. ../TEMPLATE/study.sh

# --- options
conditions="reference clean babble0"  # [text] rows: reference, or a data folder in --words: clean, babble5 ...
words=../meld_tts/data/9988       # [text] folder with the data folders of the words
configs="text speech concat late gated mf_aed_aec m4ser m4ser_mended m4ser_x m4ser_no_invariant m4ser_no_specific m4ser_no_aed_aec m4ser_no_adversarial m4ser_no_contrastive"  # [text] systems: names as in conf/train_NAME.yaml
baseline=concat                   # [text] system that the others are compared with
seeds="1"                         # [ints] random seeds
folds=                            # [text] folds; default: all
lines_per_clip=4                  # [int] lines of a clip, each in train, dev and test
at_once=1                         # [int] systems to train at the same time, see ../TEMPLATE/compare.sh
results=                          # [path] folder to keep each row's comparison in; rows kept there before are shown, too
readme=                           # [path] page to put the table in, between its markers "results study"
run_args=                         # [text] further options of ./run.sh, in one word
exp=exp                           # [text] folder of the experiments, one folder in it for each row
data=data                         # [text] folder of the data directories, likewise
dump=dump                         # [text] folder of the joined lists, likewise
# --- end of options

rows=$conditions # all of them
declare -a more=() # --run-args, word by word
ask options --script ./run_study.sh --words -- "$@"
export M4SER_COMMAND
for condition in $conditions; do # all of them before the first is begun
    [[ $condition =~ ^(reference|clean|(white|babble)[0-9]+)$ ]] ||
        option_fail "--conditions: $condition is none of reference, clean, white10, babble5 ..."
done

for condition in $conditions; do
    place=$condition
    arguments=(--lines-per-clip "$lines_per_clip")
    if [ "$condition" = reference ]; then
        place=clean # the same pairs in every row
        arguments+=(--text-source ref)
    fi
    arguments+=(--words "$words/$place" "${more[@]}")
    printf '\n=== %s\n' "$(name_of "$condition")"
    ../TEMPLATE/compare.sh --configs "$configs" --reference "$baseline" --seeds "$seeds" --folds "$folds" \
        --at-once "$at_once" --exp "$exp/$condition" --data "$data/$place" --dump "$dump/$place" \
        --run-args "${arguments[*]@Q}"
    keep_comparison "$condition"
done

study_table
