#!/usr/bin/env bash
# SAVEE from its official layout to a result table: ./run.sh --corpus-dir DIR; ./run.sh --help lists all options.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
# Speech alone: ten of the fifteen sentences of an emotion are spoken in that emotion only, by all four speakers, so
# that any text, recognised or not, tells the answer (README.md).
exec ../TEMPLATE/ser.sh --corpus savee --text-source none --train-config conf/train_speech.yaml -- "$@"
