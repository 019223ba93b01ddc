#!/usr/bin/env bash
# How many labelled utterances of a new corpus the models of the others need: tables and a figure, put into their pages.
# After README.md's commands for ravdess, emodb and nemo, openSMILE's features too:
#   ./adaptation.sh
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
template=../TEMPLATE
# shellcheck source=../TEMPLATE/path.sh
. "$template/path.sh"

docs=../../docs
corpora=(../nemo ../emodb ../ravdess)
python local/adaptation.py "${corpora[@]}" --out "$docs/results/adaptation" --figure "$docs/results/adaptation.png"
rm "$docs"/results/adaptation.{md,csv} # the page shows the table
python -m m4ser.bin.table insert --readme "$docs/adapting.md" --name adaptation --from "$docs/results/adaptation.json"
python local/adaptation.py "${corpora[@]}" --every-label --out results/adaptation_labels
python -m m4ser.bin.table insert --readme RESULTS.md --name adaptation_labels --from results/adaptation_labels.json
