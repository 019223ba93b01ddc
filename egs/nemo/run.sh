#!/usr/bin/env bash
# nEMO from its official layout to a result table: ./run.sh --corpus-dir DIR; ./run.sh --help lists all options.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
# Voice alone: the words say nothing about the emotion, and the text encoder that is installed knows English only.
exec ../TEMPLATE/ser.sh --corpus nemo --speech-language pl --train-config conf/train_speech.yaml -- "$@"
