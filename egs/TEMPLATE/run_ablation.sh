#!/usr/bin/env bash
# Compare configurations of one recipe on the same features, text, folds and seeds. From the recipe's folder:
#   ../TEMPLATE/run_ablation.sh --seeds "1 2 3"
# trains and scores each configuration with ./run.sh (what is done already is not done again) and writes one table
# with paired significance against a chosen row: exp/ablation.md, .csv, .json, .png.
set -euo pipefail

template=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=options.sh
. "$template/options.sh"

# --- options
configs=all                       # [text] configurations: names as in conf/train_NAME.yaml, or all
text_ref=m4ser                    # [text] configurations to run with reference text as well; may be empty
reference=m4ser                   # [text] row that the others are compared with
seeds="1 2 3"                     # [ints] random seeds
folds=                            # [text] folds; default: all
name=ablation                     # [text] name of the table in exp/
readme=                           # [path] page to put the table in, between its markers "results NAME"
run_args=                         # [text] further options of ./run.sh, in one word
exp=exp                           # [text] folder of the experiments
data=data                         # [text] folder of the data directories
dump=dump                         # [text] folder of audio, features, recognised text
# --- end of options

typed_words "$@"
M4SER_COMMAND="../TEMPLATE/run_ablation.sh${typed[*]:+ $(quote "${typed[@]}")}"
export M4SER_COMMAND
parse_options "${BASH_SOURCE[0]}" "$@"
[ -x ./run.sh ] || option_fail "there is no run.sh here; call this from the folder of a recipe, such as egs/mini"
# shellcheck source=path.sh
. "$template/path.sh"

if [ "$configs" = all ]; then
    configs=
    for file in conf/train_*.yaml; do
        [ -f "$file" ] || option_fail "conf/train_*.yaml: there are no configurations"
        file=$(basename "$file" .yaml)
        configs+=" ${file#train_}"
    done
fi
mapfile -d '' -t more < <(python -c 'import shlex, sys
for word in shlex.split(sys.argv[1]): print(word, end="\0")' "$run_args")

rows=() names=()
# row TAG LABEL OPTION...: one line of the table
row() {
    local tag=$1 label=$2
    shift 2
    ./run.sh --stage 0 --stop-stage 5 --tag "$tag" --seeds "$seeds" --folds "$folds" \
        --exp "$exp" --data "$data" --dump "$dump" "$@" ${more[@]+"${more[@]}"}
    rows+=("$exp/$tag")
    names+=("$label")
}
for config in $configs; do
    [ -f "conf/train_$config.yaml" ] || option_fail "conf/train_$config.yaml: there is no such configuration"
    row "$config" "$config" --train-config "conf/train_$config.yaml"
done
for config in $text_ref; do
    row "${config}_text-ref" "$config, reference text" --train-config "conf/train_$config.yaml" --text-source ref
done

which=()
[ -z "$folds" ] || which=(--folds "$folds")
python -m m4ser.bin.compare --exp "${rows[@]}" --names "${names[@]}" --reference "$exp/$reference" --data "$data" \
    --audio-dir "$dump/audio" --seeds "$seeds" "${which[@]}" --out "$exp/$name"
if [ -n "$readme" ]; then
    python -m m4ser.bin.results_block --readme "$readme" --name "$name" --from "$exp/$name.json"
fi
