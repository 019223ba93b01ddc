#!/usr/bin/env bash
# Compare M4SER with what it is made of: its ablations, its predecessor, one modality, plain concatenation, reference
# text. From the recipe's folder: ../TEMPLATE/run_ablation.sh --seeds "1 2 3". The options are those of compare.sh; the
# table is exp/ablation.md, .csv, .json, .png.
set -euo pipefail

template=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=options.sh
. "$template/options.sh"
M4SER_COMMAND="../TEMPLATE/run_ablation.sh${*:+ $(quote "$@")}"
export M4SER_COMMAND
configs=
for file in conf/train_m4ser{,_no_*}.yaml conf/train_{mf_aed_aec,concat,speech,text}.yaml; do
    [ ! -f "$file" ] || configs+=" $(basename "${file#conf/train_}" .yaml)"
done
exec "$template/compare.sh" --configs "${configs# }" --text-ref m4ser --table ablation "$@"
