#!/usr/bin/env bash
# nEMO from its official layout to a result table: ./run.sh --corpus-dir DIR; ./run.sh --help lists all options.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
# The corpus is Polish and the recogniser that is installed knows English only, so the reference text is used; with a
# multilingual model at hand: --text-source asr --asr-model large-v3.
exec ../TEMPLATE/ser.sh --corpus nemo --text-source ref --asr-conf language=pl --normaliser basic -- "$@"
