#!/usr/bin/env bash
# A small synthetic corpus, kept in this folder, from audio to a result table in a few minutes: ./run.sh
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus mini --corpus-dir corpus -- "$@"
