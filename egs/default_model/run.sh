#!/usr/bin/env bash
# The model that comes with the package, and what it is worth on corpora that it was not trained on: see README.md.
# shellcheck disable=SC2034  # the options are read by ser.sh
set -euo pipefail
# --- options
corpora=    # [recipes] to train on, run to stage 1; each is left out once; default: "ravdess emodb nemo"
unheard=    # [recipes] further ones that every model is tested on and none is trained on
label_map=  # [path] table with the columns corpus, label, class, for other classes than the usual four
# --- end of options
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus default_model --corpus-dir .. --join-dumps true --text-source none \
    --train-config conf/train_voice.yaml --altered-copies 1 -- "$@"
