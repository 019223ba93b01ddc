#!/usr/bin/env bash
# A folder of audio files and a table of them, to a result table: ./run.sh --csv my.csv --audio-dir DIR (README.md)
# shellcheck disable=SC2034  # the options are read by ser.sh
set -euo pipefail
# --- options
csv=              # [path] table with the columns file, emotion, speaker; optional: text, gender, language, split, id
num_folds=        # [int] groups of speakers that test in turn; default: 5, or one per speaker if there are fewer
labels=           # [text] emotions to keep, in this order; default: all, sorted
shared_speakers=  # [bool] accept a split with speakers both in train and test; default: false
# --- end of options
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus csv -- "${@/#--audio[-_]dir/--corpus-dir}"
