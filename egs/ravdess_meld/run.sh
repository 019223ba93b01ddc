#!/usr/bin/env bash
# Pairs of a RAVDESS recording and a MELD line of the same emotion, from the dumps of egs/ravdess and egs/meld_tts to a
# result table: ./run.sh. All noises and systems: ./run_study.sh
# shellcheck disable=SC2034  # the options are read by ser.sh
set -euo pipefail
# --- options
voices=         # [recipes] folder of the recipe of the voices, run to stage 2; default: ../ravdess
words=          # [recipes] of the words, or one of its data folders such as ../meld_tts/data/babble0; default: ../meld_tts
lines_per_clip= # [int] lines of a clip, each in train, dev and test; default: 4
pair_seed=      # [int] seed of the drawing of the pairs; default: 1
# --- end of options
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus ravdess_meld --corpus-dir .. --join-dumps true --voices ../ravdess --words ../meld_tts -- "$@"
