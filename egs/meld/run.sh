#!/usr/bin/env bash
# MELD from its official layout to a result table: ./run.sh --corpus-dir DIR; ./run.sh --help lists all options.
# Sentiment instead of emotion: --prepare-args "--task sentiment". Two test clips last minutes: see README.md.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus meld --max-duration 60 -- "$@"
