#!/usr/bin/env bash
# What the voice alone is worth in a recipe: a small and a larger frozen encoder, openSMILE with a linear SVM. From its folder:
#   ../TEMPLATE/voice.sh --corpus-dir DIR
# Options go to every run.sh. Writes exp/voice.md, .csv, .json, .png. Needs make -C tools base-models opensmile.
set -euo pipefail
# shellcheck source=path.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/path.sh"

common=(--text-source none --speed-perturb "" --seeds "1 2 3")
for encoder in tiny.en base; do
    ./run.sh "${common[@]}" --train-config conf/train_speech.yaml --speech-encoder "offline:whisper-$encoder" \
        --train-args "--max_epoch 12 --scheduler_conf T_max=12 --optim_conf fused=true" --tag "voice_$encoder" "$@"
done
./run.sh "${common[@]}" --train-config conf/train_egemaps_svm.yaml --tag voice_egemaps "$@"
python -m m4ser.bin.table comparison --exp exp/voice_base exp/voice_tiny.en exp/voice_egemaps \
    --names "speech, Whisper base" "speech, Whisper tiny.en" "eGeMAPS, SVM" --difference ua --out exp/voice
