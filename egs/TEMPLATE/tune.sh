#!/usr/bin/env bash
# Try settings of systems on the dev part: the same number of trainings for each, test is never predicted. From the
# recipe's folder: ../TEMPLATE/tune.sh --configs "concat m4ser" --folds "1 2"
# writes exp/tune/NAME.md and .json for each system; put the best settings into conf/recipe.yaml by hand. One table of
# several systems: m4ser table tuning exp/tune/*.json
# shellcheck disable=SC2034,SC2154  # the options are read by m4ser.stages
set -euo pipefail

template=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=options.sh
. "$template/options.sh"

# --- options
configs=m4ser                     # [text] systems: names as in conf/train_NAME.yaml
grid=../TEMPLATE/tune.yaml        # [path] values to try, by system
budget=8                          # [int] points for each system, its own settings included
seeds="1"                         # [ints] random seeds
folds=                            # [text] folds; default: all
run_args=                         # [text] further options of ./run.sh, in one word
exp=exp/tune                      # [text] folder of the points
data=data                         # [text] folder of the data directories
dump=dump                         # [text] folder of audio, features, recognised text
# --- end of options

declare -a systems=() configurations=() tags=() settings=() # points
declare -a more=()                                          # --run-args, word by word, but for training options
ask tune --script "${BASH_SOURCE[0]}" --words "$@"
export M4SER_COMMAND

which=(--data "$data" --seeds "$seeds" ${folds:+--folds "$folds"})
for config in $configs; do
    for index in "${!tags[@]}"; do
        [ "${systems[index]}" = "$config" ] || continue
        tag=${tags[index]}
        ./run.sh --stage 0 --stop-stage 4 --tag "$tag" --train-config "${configurations[index]}" \
            --train-args "${settings[index]}" --seeds "$seeds" --folds "$folds" \
            --exp "$exp" --data "$data" --dump "$dump" "${more[@]}"
        ask count "${which[@]}"
        for ((job = 1; job <= count; job++)); do
            python -m m4ser.bin.infer --parts dev --job "$job" "${which[@]}" --exp "$exp/$tag" --audio "$dump/audio"
        done
    done
    python -m m4ser.bin.tune --system "$config" --grid "$grid" --budget "$budget" --exp "$exp" "${which[@]}"
done
