#!/usr/bin/env bash
# The robustness study: do error detection and correction pay off when the recogniser errs? Every system is trained and
# tested with each kind of text; one table and one figure say what became of it: exp/study.md, .csv, .json, .png.
#   ./run_study.sh --corpus-dir DIR
# What is done already is not done again, so it can be stopped at any time; rows and systems can be added later.
# shellcheck disable=SC2034,SC2154  # the options are read by m4ser.stages
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
# shellcheck source=../TEMPLATE/options.sh
. ../TEMPLATE/options.sh
# shellcheck source=../TEMPLATE/study.sh
. ../TEMPLATE/study.sh

# --- options
corpus_dir=                       # [path] folder of MELD's three CSV files; default: MELD in db.local.sh
conditions="reference clean babble10 babble0"  # [text] rows: reference, clean, pocketsphinx, white10, babble5 ...
configs="text speech concat mf_aed_aec m4ser m4ser_mended m4ser_x m4ser_no_invariant m4ser_no_specific"  # [text] systems: names as in conf/train_NAME.yaml
baseline=concat                   # [text] system that the others are compared with
seeds="1 2 3"                     # [ints] random seeds
train_lines=3000                  # [int] training lines, 0 for all
dev_lines=0                       # [int] development lines, 0 for all
test_lines=0                      # [int] test lines, 0 for all
at_once=1                         # [int] systems to train at the same time, see ../TEMPLATE/compare.sh
prepare_only=false                # [bool] make speech, features and text of all rows, train nothing
results=                          # [path] folder to keep each row's comparison in; rows kept there before are shown, too
readme=                           # [path] page to put the table in, between its markers "results study"
run_args=                         # [text] further options of ./run.sh, in one word
exp=exp                           # [text] folder of the experiments, one folder in it for each row
data=data                         # [text] folder of the data directories, likewise
dump=dump                         # [text] folder of audio, features, recognised text, likewise
# --- end of options

rows=$conditions # all of them
declare -a more=() # --run-args, word by word
ask options --script ./run_study.sh --words -- "$@"
export M4SER_COMMAND
for condition in $conditions; do # all of them before the first is begun
    [[ $condition =~ ^(reference|clean|pocketsphinx|(white|babble)[0-9]+)$ ]] ||
        option_fail "--conditions: $condition is none of reference, clean, pocketsphinx, white10, babble5 ..."
done

for condition in $conditions; do
    place=clean
    arguments=(--train-lines "$train_lines" --dev-lines "$dev_lines" --test-lines "$test_lines")
    case $condition in
        reference) arguments+=(--text-source ref) ;;
        clean) ;;
        pocketsphinx) arguments+=(--asr pocketsphinx) ;;
        *)
            place=$condition
            arguments+=(--noise "${condition%%[0-9]*}" --snr "${condition##*[a-z]}")
            ;;
    esac
    [ -z "$corpus_dir" ] || arguments+=(--corpus-dir "$corpus_dir")
    arguments+=("${more[@]}")
    printf '\n=== %s\n' "$(name_of "$condition")"
    if [ "$prepare_only" = true ]; then
        ./run.sh --stage 0 --stop-stage 3 --data "$data/$place" --dump "$dump/$place" "${arguments[@]}"
        continue
    fi
    ../TEMPLATE/compare.sh --configs "$configs" --reference "$baseline" --seeds "$seeds" --at-once "$at_once" \
        --exp "$exp/$condition" --data "$data/$place" --dump "$dump/$place" --run-args "${arguments[*]@Q}"
    keep_comparison "$condition"
done
[ "$prepare_only" = false ] || exit 0

study_table
