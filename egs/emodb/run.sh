#!/usr/bin/env bash
# EmoDB from its official layout to a result table: ./run.sh --corpus-dir DIR; ./run.sh --help lists all options.
# shellcheck disable=SC2034  # the options are read by ser.sh
set -euo pipefail
# --- options
emobox_dir=  # [path] clone of EmoBox, to use its split instead of ours: it shares all speakers between train and test
# --- end of options
CDPATH='' cd -- "$(dirname -- "$0")"
# Voice alone: the words say nothing about the emotion, and the text encoder that is installed knows English only.
exec ../TEMPLATE/ser.sh --corpus emodb --speech-language de --train-config conf/train_speech.yaml -- "$@"
