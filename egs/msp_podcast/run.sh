#!/usr/bin/env bash
# MSP-Podcast from its official layout to a result table: ./run.sh --corpus-dir DIR; ./run.sh --help lists all options.
# Other classes or test set: --prepare-args "--classes 4 --test Test2" (see README.md).
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus msp_podcast -- "$@"
