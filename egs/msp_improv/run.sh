#!/usr/bin/env bash
# MSP-IMPROV from its official layout to a result table: ./run.sh --corpus-dir DIR; ./run.sh --help lists all options.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus msp_improv -- "$@"
