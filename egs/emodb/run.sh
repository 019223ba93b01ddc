#!/usr/bin/env bash
# EmoDB from its official layout to a result table: ./run.sh --corpus-dir DIR; ./run.sh --help lists all options.
# shellcheck disable=SC2034  # the options are read by ser.sh
set -euo pipefail
# --- options
emobox_dir=  # [path] clone of EmoBox, to use its split instead of ours: it shares all speakers between train and test
# --- end of options
CDPATH='' cd -- "$(dirname -- "$0")"
# The corpus is German and the recogniser that is installed knows English only, so the reference text is used; with a
# multilingual model at hand: --text-source asr --asr-model large-v3.
exec ../TEMPLATE/ser.sh --corpus emodb --text-source ref --asr-conf language=de --normaliser basic -- "$@"
