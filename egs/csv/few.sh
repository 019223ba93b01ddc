#!/usr/bin/env bash
# What few labelled recordings of a corpus are enough for: for each draw a table of some recordings of each emotion, a model
# adapted to them (m4ser adapt), one trained on them from scratch (run.sh), and their scores on others: RESULTS/few.md
#   ./few.sh --audio-dir DIR --table DIR/data.tsv --model exp/voice
# What is done already is not done again.
# shellcheck disable=SC2034,SC2154  # the options are read by m4ser.stages
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
# shellcheck source=../TEMPLATE/options.sh
. ../TEMPLATE/options.sh

# --- options
table=                        # [path] table with a line for each recording
columns="file emotion speaker"  # [text] its columns with file, emotion and speaker
folder=                       # [text] put before the names of files
audio_dir=                    # [path] folder that files are relative to
model=                        # [path] model to adapt; default: the one in the package
fold=                         # [text] fold of an experiment's model
count=10                      # [int] recordings of each emotion to learn from
tests=50                      # [int] of each emotion to test with
draws="1 2 3 4 5"             # [ints] numbers of draws
train_config=conf/train_speech.yaml  # [path] what is trained from scratch
data=data/few                 # [path] folder of tables, models and data directories
dump=dump/few                 # [path] of features
exp=exp/few                   # [path] of experiments
results=results/few           # [path] RESULTS.md, .csv, .json
# --- end of options

ask options --script ./few.sh --words -- "$@"
export M4SER_COMMAND
[ -n "$table" ] || option_fail "which corpus? give --table and --audio-dir"
models=() experiments=()
for draw in $draws; do
    list=$data/$draw.csv
    # shellcheck disable=SC2086  # three names
    [ -s "$list" ] || python local/few.py draw "$table" --columns $columns --folder "$folder" \
        --count "$count" --tests "$tests" --draw "$draw" --out "$list"
    models+=("$data/$draw.m4ser.zip") experiments+=("$exp/$draw/scratch")
    [ -s "${models[-1]}" ] || python -m m4ser.bin.adapt ${model:+"$model"} ${fold:+--fold "$fold"} --labels "$list" \
        --audio-dir "$audio_dir" --out "${models[-1]}"
    [ -s "${experiments[-1]}/metrics.json" ] || ./run.sh --csv "$list" --audio-dir "$audio_dir" --text-source none \
        --train-config "$train_config" --speed-perturb "" --stop-stage 5 --tag scratch \
        --data "$data/$draw" --dump "$dump/$draw" --exp "$exp/$draw"
done
python local/few.py compare --adapted "${models[@]}" --scratch "${experiments[@]}" --out "$results"
