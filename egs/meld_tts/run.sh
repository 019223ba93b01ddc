#!/usr/bin/env bash
# MELD's lines spoken by espeak-ng, from the official CSV files to a result table: ./run.sh --corpus-dir DIR;
# ./run.sh --help lists all options. The whole study of noises, recognisers and systems: ./run_study.sh
# shellcheck disable=SC2034  # the options are read by ser.sh
set -euo pipefail
# --- options
noise=  # [none|white|babble] noise that is added to all speech; default: none
snr=  # [int] its signal-to-noise ratio in dB
speech_dir=  # [path] folder that keeps the speech; default: speech
train_lines=  # [int] training lines, 0 for all; default: 3000
dev_lines=  # [int] development lines, 0 for all; default: 0
test_lines=  # [int] test lines, 0 for all; default: 0
# --- end of options
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus meld -- "$@"
