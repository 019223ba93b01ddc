#!/usr/bin/env bash
# CMU-MOSEI from its official layout to a result table: ./run.sh --corpus-dir DIR; ./run.sh --help lists all options.
# Sentiment instead of emotion: --prepare-args "--task sentiment3" or sentiment2 (see README.md).
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus cmu_mosei -- "$@"
