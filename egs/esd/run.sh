#!/usr/bin/env bash
# ESD from its official layout to a result table: ./run.sh --corpus-dir DIR; ./run.sh --help lists all options.
# Mandarin: ./run.sh --language zh --data data_zh --dump dump_zh --exp exp_zh (text: see README.md).
# shellcheck disable=SC2034  # the options are read by ser.sh
set -euo pipefail
# --- options
language=  # [en|zh|all] speakers to take; default: en
split=     # [speakers|official] the official one is by sentences and shares all speakers; default: speakers
# --- end of options
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus esd -- "$@"
