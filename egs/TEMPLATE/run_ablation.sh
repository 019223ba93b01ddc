#!/usr/bin/env bash
# Compare M4SER with what it is made of: its ablations, its predecessor, one modality, plain concatenation, reference
# text. From the recipe's folder: ../TEMPLATE/run_ablation.sh --seeds "1 2 3". The options are those of compare.sh; the
# table is exp/ablation.md, .csv, .json, .png.
set -euo pipefail

template=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
export M4SER_COMMAND="../TEMPLATE/run_ablation.sh${*:+ ${*@Q}}"
exec "$template/compare.sh" --configs ablation --text-ref m4ser --table ablation "$@"
