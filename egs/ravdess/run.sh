#!/usr/bin/env bash
# RAVDESS speech from its official layout to a result table: ./run.sh --corpus-dir DIR
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus ravdess --speed-perturb "0.9 1.1" -- "$@"
