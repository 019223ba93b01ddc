#!/usr/bin/env bash
# From trained models to the model in the package: tables in results/, the archive and its card in m4ser/box. From anywhere:
#   ./run.sh --seeds "1 2 3" && ./run.sh --train-config conf/train_egemaps_svm.yaml --altered-copies 0 --tag egemaps_svm && ./box.sh
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
template=../TEMPLATE
# shellcheck source=../TEMPLATE/path.sh
. "$template/path.sh"

run=${1:-exp/voice/foldall/seed1} # the model that goes into the package
unheard=${2:-}                    # recipes that nothing was trained on, at stage 1, e.g. ../tess
box=../../m4ser/box
python -m m4ser.bin.table left_out --exp exp/voice exp/egemaps_svm --names voice "openSMILE + SVM" --out results/left_out
python -m m4ser.bin.table insert --readme RESULTS.md --name left_out --from results/left_out.json
temperature=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["about"]["temperature"])' results/left_out.json)
packed=exp/voice.m4ser.zip
python -m m4ser.bin.pack "$run" --weights onnx-int8 --temperature "$temperature" --out "$packed"
python local/measure.py "$packed" --run "$run" --out results/archive # what rounding the weights costs
pages=(results/archive.md)
if [ -n "$unheard" ]; then
    python local/measure.py "$packed" --unheard "$unheard" --out results/unheard
    pages+=(results/unheard.md)
fi
for table in archive ${unheard:+unheard}; do
    python -m m4ser.bin.table insert --readme RESULTS.md --name "$table" --from "results/$table.json"
done
python -m m4ser.bin.pack "$run" --weights onnx-int8 --temperature "$temperature" --licence "$box/LICENSE" \
    --left-out results/left_out.json --pages "${pages[@]}" --out "$box/default.m4ser.zip"
python -c 'import sys, zipfile; sys.stdout.write(zipfile.ZipFile(sys.argv[1]).read("README.md").decode())' \
    "$box/default.m4ser.zip" >"$box/README.md"
