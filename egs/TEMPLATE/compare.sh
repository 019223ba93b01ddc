#!/usr/bin/env bash
# Compare systems of one recipe on the same data, folds, features, recognised text and seeds. From the recipe's folder:
#   ../TEMPLATE/compare.sh --seeds "1 2 3"
# trains and scores each configuration with ./run.sh and writes one table with paired significance against a chosen row:
# exp/comparison.md, .csv, .json, .png; what the objectives learned stands in exp/comparison_objectives.md. What is done
# already is not done again, so the same command goes on where it was stopped, and a run folder that was deleted is made
# again, alone.
# shellcheck disable=SC2034,SC2154  # the options are read by m4ser.stages, which sets the rows
set -euo pipefail

template=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=options.sh
. "$template/options.sh"

# --- options
configs=all                       # [text] systems, by name; all: every one on dumped features; ablation: M4SER and what it is made of
text_ref=                         # [text] systems to run with reference text as well
reference=m4ser                   # [text] row that the others are compared with
seeds="1 2 3"                     # [ints] random seeds
folds=                            # [text] folds; default: all
at_once=1                         # [int] systems to train at the same time, each with --nj jobs
row=                              # [int] train and score this row alone, without its dumps and the table
table=comparison                  # [text] name of the table in exp/
readme=                           # [path] page to put the tables in, between its markers "results TABLE"
run_args=                         # [text] further options of ./run.sh, in one word
exp=exp                           # [text] folder of the experiments
data=data                         # [text] folder of the data directories
dump=dump                         # [text] folder of audio, features, recognised text
# --- end of options

declare -a names=() tags=() configurations=() sources=() more=() # rows, and --run-args word by word
ask compare --script "${BASH_SOURCE[0]}" --words "$@"
export M4SER_COMMAND

# system INDEX STAGE STOP_STAGE: ./run.sh for one row of the table
system() {
    ./run.sh --stage "$2" --stop-stage "$3" --tag "${tags[$1]}" --train-config "${configurations[$1]}" \
        ${sources[$1]:+--text-source "${sources[$1]}"} --seeds "$seeds" --folds "$folds" \
        --exp "$exp" --data "$data" --dump "$dump" "${more[@]}"
}

if [ -n "$row" ]; then
    unset M4SER_LAUNCHED # its progress is that of several steps
    system "$((row - 1))" 4 5
    exit
fi

rows=("${tags[@]/#/$exp/}")
if [ "$at_once" = 1 ]; then
    for index in "${!rows[@]}"; do
        system "$index" 0 5
    done
else
    for index in "${!rows[@]}"; do # the dumps first, in turn: systems share them
        system "$index" 0 3
    done
    export M4SER_MAIN_PID=$$
    status=0 failed=()
    python -m m4ser.launch.local --name systems --keep-going --max-jobs-run "$at_once" "JOB=1:${#rows[@]}" \
        "$exp/log/JOB.compare.log" "$template/compare.sh" "$@" --row JOB || status=$?
    [ "$status" -le 1 ] || exit "$status" # stopped
    for index in "${!rows[@]}"; do
        if grep -q '^# ended: .*exit code 0,' "$exp/log/$((index + 1)).compare.log"; then
            echo "${tags[index]}: done"
        else
            failed+=("${tags[index]}")
        fi
    done
    [ ${#failed[@]} = 0 ] || option_fail "failed: ${failed[*]}; see $exp/log/*.compare.log"
fi

which=()
[ -z "$folds" ] || which=(--folds "$folds")
python -m m4ser.bin.table comparison --exp "${rows[@]}" --names "${names[@]}" --reference "$exp/$reference" --data "$data" \
    --audio-dir "$dump/audio" --seeds "$seeds" "${which[@]}" --out "$exp/$table"
python -m m4ser.bin.table objectives --exp "${rows[@]}" --names "${names[@]}" --seeds "$seeds" \
    "${which[@]}" --out "$exp/${table}_objectives"
if [ -n "$readme" ]; then
    python -m m4ser.bin.table insert --readme "$readme" --name "$table" --from "$exp/$table.json"
    if [ -f "$exp/${table}_objectives.json" ] && grep -q "begin results ${table}_objectives" "$readme"; then
        python -m m4ser.bin.table insert --readme "$readme" --name "${table}_objectives" \
            --from "$exp/${table}_objectives.json"
    fi
fi
