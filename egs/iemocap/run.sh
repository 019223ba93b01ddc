#!/usr/bin/env bash
# IEMOCAP from its official layout to a result table: ./run.sh --corpus-dir DIR; ./run.sh --help lists all options.
# Other classes and folds: --prepare-args "--classes 4-no-exc --folds speaker" (see README.md).
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus iemocap -- "$@"
