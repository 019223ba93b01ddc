#!/usr/bin/env bash
# Compare systems of one recipe on the same data, folds, features, recognised text and seeds. From the recipe's folder:
#   ../TEMPLATE/compare.sh --seeds "1 2 3"
# trains and scores each configuration with ./run.sh and writes one table with paired significance against a chosen row:
# exp/comparison.md, .csv, .json, .png; what the objectives learned stands in exp/comparison_objectives.md. What is done
# already is not done again, so the same command goes on where it was stopped, and a run folder that was deleted is made
# again, alone.
set -euo pipefail

template=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=options.sh
. "$template/options.sh"

# --- options
configs=all                       # [text] systems: names as in conf/train_NAME.yaml, or all on dumped features
text_ref=                         # [text] systems to run with reference text as well
reference=m4ser                   # [text] row that the others are compared with
seeds="1 2 3"                     # [ints] random seeds
folds=                            # [text] folds; default: all
at_once=1                         # [int] systems to train at the same time, each with --nj jobs
table=comparison                  # [text] name of the table in exp/
readme=                           # [path] page to put the tables in, between its markers "results TABLE"
run_args=                         # [text] further options of ./run.sh, in one word
exp=exp                           # [text] folder of the experiments
data=data                         # [text] folder of the data directories
dump=dump                         # [text] folder of audio, features, recognised text
# --- end of options

typed_words "$@"
M4SER_COMMAND=${M4SER_COMMAND:-"../TEMPLATE/compare.sh${typed[*]:+ $(quote "${typed[@]}")}"}
export M4SER_COMMAND
parse_options "${BASH_SOURCE[0]}" "$@"
[ -x ./run.sh ] || option_fail "there is no run.sh here; call this from the folder of a recipe, such as egs/mini"
[ "$at_once" -ge 1 ] || option_fail "--at-once must be 1 or more"
# shellcheck source=path.sh
. "$template/path.sh"

if [ "$configs" = all ]; then
    configs=
    for file in conf/train_*.yaml; do
        [ -f "$file" ] || option_fail "conf/train_*.yaml: there are no configurations"
        # Those with a speech encoder of their own inside do not read the dumped features; some need a GPU.
        if grep -E '^speech_encoder:' "$file" | grep -qv precomputed; then
            continue
        fi
        file=$(basename "$file" .yaml)
        configs+=" ${file#train_}"
    done
fi
split_words --run-args "$run_args"
more=("${words[@]}")

# system TAG STAGE STOP_STAGE OPTION...: ./run.sh for one row of the table
system() {
    local tag=$1 first=$2 last=$3
    shift 3
    ./run.sh --stage "$first" --stop-stage "$last" --tag "$tag" --seeds "$seeds" --folds "$folds" \
        --exp "$exp" --data "$data" --dump "$dump" "$@" "${more[@]}"
}

rows=() names=() tags=() options=() sources=()
for config in $configs; do
    [ -f "conf/train_$config.yaml" ] || option_fail "conf/train_$config.yaml: there is no such configuration"
    rows+=("$exp/$config") names+=("$config") tags+=("$config") options+=("conf/train_$config.yaml") sources+=("")
done
for config in $text_ref; do
    [ -f "conf/train_$config.yaml" ] || option_fail "conf/train_$config.yaml: there is no such configuration"
    rows+=("$exp/${config}_text-ref") names+=("$config, reference text") tags+=("${config}_text-ref")
    options+=("conf/train_$config.yaml") sources+=("ref")
done
[[ " ${tags[*]} " == *" $reference "* ]] || option_fail "--reference $reference: is none of ${tags[*]}"

# row INDEX STAGE STOP_STAGE
row() {
    local -a source=()
    [ -z "${sources[$1]}" ] || source=(--text-source "${sources[$1]}")
    system "${tags[$1]}" "$2" "$3" --train-config "${options[$1]}" "${source[@]}"
}

if [ "$at_once" = 1 ]; then
    for index in "${!rows[@]}"; do
        row "$index" 0 5
    done
else
    for index in "${!rows[@]}"; do # the dumps first, in turn: systems share them
        row "$index" 0 3
    done
    mkdir -p "$exp/log"
    trap 'jobs -p | xargs -r kill 2>/dev/null || true' EXIT # an interruption does not reach jobs in the background
    declare -A running=() # process: tag
    failed=()
    # finish_one: wait until one of the systems at work has ended
    finish_one() {
        local process tag
        while true; do
            for process in "${!running[@]}"; do
                ! kill -0 "$process" 2>/dev/null || continue
                tag=${running[$process]}
                unset "running[$process]"
                if wait "$process"; then
                    echo "$tag: done"
                else
                    failed+=("$tag")
                    tail -n 5 "$exp/log/$tag.compare.log" >&2
                fi
                return 0
            done
            wait -n || true # its status is asked for above
        done
    }
    for index in "${!rows[@]}"; do
        [ ${#running[@]} -lt "$at_once" ] || finish_one
        row "$index" 4 5 >"$exp/log/${tags[$index]}.compare.log" 2>&1 &
        running[$!]=${tags[$index]}
    done
    while [ ${#running[@]} -gt 0 ]; do
        finish_one
    done
    [ ${#failed[@]} = 0 ] || option_fail "failed: ${failed[*]}; see $exp/log/*.compare.log"
fi

which=()
[ -z "$folds" ] || which=(--folds "$folds")
python -m m4ser.bin.compare --exp "${rows[@]}" --names "${names[@]}" --reference "$exp/$reference" --data "$data" \
    --audio-dir "$dump/audio" --seeds "$seeds" "${which[@]}" --out "$exp/$table"
python -m m4ser.bin.objective_table --exp "${rows[@]}" --names "${names[@]}" --seeds "$seeds" \
    "${which[@]}" --out "$exp/${table}_objectives"
if [ -n "$readme" ]; then
    python -m m4ser.bin.results_block --readme "$readme" --name "$table" --from "$exp/$table.json"
    if [ -f "$exp/${table}_objectives.json" ] && grep -q "begin results ${table}_objectives" "$readme"; then
        python -m m4ser.bin.results_block --readme "$readme" --name "${table}_objectives" \
            --from "$exp/${table}_objectives.json"
    fi
fi
