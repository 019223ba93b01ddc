#!/usr/bin/env bash
# CREMA-D from its official layout to a result table: ./run.sh --corpus-dir DIR; ./run.sh --help lists all options.
# shellcheck disable=SC2034  # the options are read by ser.sh
set -euo pipefail
# --- options
emobox_dir=  # [path] clone of EmoBox, to use its split instead of ours: it shares all actors between train and test
# --- end of options
CDPATH='' cd -- "$(dirname -- "$0")"
# One recording of the corpus is silent (1076_MTI_SAD_XX); what is left out is listed in dump/audio/all/skipped.tsv.
exec ../TEMPLATE/ser.sh --corpus crema_d --skip-bad-audio true --max-duration 10 -- "$@"
