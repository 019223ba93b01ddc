#!/usr/bin/env bash
# shellcheck disable=SC2034  # Train on some corpora, test on others, see README.md; the options are read by ser.sh
set -euo pipefail
# --- options
corpora=    # [recipes] folders of recipes that have been run to stage 2, e.g. "ravdess ../esd/data_zh"
train=      # [text] what to train on, one model family each, A+B for both together; default: each corpus
test=       # [text] corpora to test on; default: all
joint=      # [bool] train on all corpora together, too; default: false
leave_one_out=  # [bool] train on all corpora but each, too, which is tested; default: false
whole=      # [bool] one model for each of these, of all speakers of its corpora, which tests the other corpora alone; default: false
label_map=  # [path] table with the columns corpus, label, class, for labels that are not known or to be mapped otherwise
texts=      # [text] text other than that of --asr, e.g. "emodb=ref esd_zh=NAME": NAME is a folder of its dump/asr
# --- end of options
CDPATH='' cd -- "$(dirname -- "$0")"
exec ../TEMPLATE/ser.sh --corpus cross_corpus --corpus-dir .. --join-dumps true -- "$@"
