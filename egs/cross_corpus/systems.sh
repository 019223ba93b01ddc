#!/usr/bin/env bash
# What decides how good a model is on another corpus: the encoder, the system, or how features are normalised. From anywhere,
# with the corpora at stage 1 (README.md): ./systems.sh; options go to every run.sh, such as --seeds "1 2 3".
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$0")"
template=../TEMPLATE
# shellcheck source=../TEMPLATE/path.sh
. "$template/path.sh"

common=(--corpora "ravdess emodb nemo tess" --whole true --leave-one-out true --text-source none "$@")
folders=() names=()

# system NAME TAG OPTION...: train and score it, one row of the tables
system() {
    ./run.sh "${common[@]}" --tag "$2" "${@:3}"
    names+=("$1")
    folders+=("exp/$2")
}

for encoder in tiny.en base; do
    speech=(--train-config conf/train_speech.yaml --speech-encoder "offline:whisper-$encoder")
    system "speech, $encoder: as it is" "$encoder" "${speech[@]}"
    system "speech, $encoder: by training part" "${encoder}_training" "${speech[@]}" \
        --train-args "--speech_encoder_conf normalise=corpus"
    system "speech, $encoder: by corpus" "${encoder}_corpus" "${speech[@]}" --train-args "--normalise_features corpus"
    system "speech, $encoder: by speaker" "${encoder}_speaker" "${speech[@]}" --train-args "--normalise_features speaker"
done
svm=(--train-config conf/train_egemaps_svm.yaml)
system "eGeMAPS, SVM: by training part" svm "${svm[@]}" # what it always does
system "eGeMAPS, SVM: by corpus" svm_corpus "${svm[@]}" --train-args "--normalise_features corpus"
system "eGeMAPS, SVM: by speaker" svm_speaker "${svm[@]}" --train-args "--normalise_features speaker"

python local/recordings.py exp/tiny.en_speaker
for rows in left_out all; do
    python -m m4ser.bin.table crossings --exp "${folders[@]}" --names "${names[@]}" --rows "$rows" --out "results/$rows"
done
python -m m4ser.bin.table insert --readme README.md --name left_out --from results/left_out.json
for table in recordings all; do
    python -m m4ser.bin.table insert --readme RESULTS.md --name "$table" --from "results/$table.json"
done
