#!/usr/bin/env bash
# Whether training, bfloat16 AMP, fine-tuning (whole, LoRA), inference and a recipe give on one GPU what they give on the
# CPU, within stated tolerances, and how much slower than a bare loop a step is: under 8 minutes on one GPU.
#
#   tools/benchmarks/gpu.sh           # needs a GPU; nothing is downloaded, results lie in a temporary folder
#   tools/benchmarks/gpu.sh --short   # small models, also without a GPU: then the script itself is tried, about 2 minutes
set -euo pipefail

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=../../egs/TEMPLATE/path.sh
. "$root/egs/TEMPLATE/path.sh"
unset OMP_NUM_THREADS # here models are large, and one process runs at a time

short=()
case "$*" in
    '') ;;
    --short) short=(--short) ;;
    *)
        echo "usage: tools/benchmarks/gpu.sh [--short]" >&2
        exit 1
        ;;
esac
device=cuda ngpu=1
if ! python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    if [ "${#short[@]}" = 0 ]; then
        echo "error: torch sees no GPU here; --short tries the script without one" >&2
        exit 1
    fi
    device=cpu ngpu=0
fi
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
failed=0

echo "== steps of training and inference"
python "$root/tools/benchmarks/gpu.py" steps --device "$device" "${short[@]}" || failed=1

echo "== throughput against a bare loop"
if [ "${#short[@]}" = 0 ]; then
    python "$root/tools/benchmarks/finetune.py" --device cuda --amp true --batch 16 --steps 10
    limits=()
else
    python "$root/tools/benchmarks/finetune.py" --device "$device" --layers 1 --batch 2 --seconds 1 --steps 1 --rounds 1
    limits=(--max-duration 2.2 --train-args "--max_epoch 2")
fi

echo "== a recipe"
recipe() { # NAME OPTION...: the first fold, trained and predicted
    "$root/egs/mini/run.sh" --data "$work/data" --dump "$work/dump" --exp "$work/$1" --tag speech --folds 1 \
        --train-config conf/train_speech.yaml --text-source none "${limits[@]}" "${@:2}" >"$work/$1.log" 2>&1 ||
        { tail -n 30 "$work/$1.log" >&2 && return 1; }
}
recipe cpu --ngpu 0
recipe gpu --ngpu "$ngpu" --stage 4
# The model of the CPU once more, predicted on the device.
cp -R -- "$work/cpu" "$work/predicted"
rm -f -- "$work"/predicted/speech/fold1/seed1/predictions_*.tsv
(cd -- "$root/egs/mini" && python -m m4ser.bin.infer --data "$work/data" --audio "$work/dump/audio" \
    --exp "$work/predicted/speech" --folds 1 --job 1 --ngpu "$ngpu" >"$work/predicted.log" 2>&1) ||
    { tail -n 30 "$work/predicted.log" >&2 && exit 1; }
python "$root/tools/benchmarks/gpu.py" recipe "$work"/{cpu,gpu,predicted}/speech/fold1/seed1 || failed=1

if [ "$failed" = 1 ]; then
    echo "error: the device does not give what the CPU gives; see the lines above that do not fit" >&2
    exit 1
fi
echo "all within tolerance, $SECONDS s"
