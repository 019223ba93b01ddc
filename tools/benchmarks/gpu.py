"""Whether a GPU gives what the CPU gives; called by gpu.sh.

    python tools/benchmarks/gpu.py steps [--device cuda] [--short]
    python tools/benchmarks/gpu.py recipe CPU_RUN GPU_RUN PREDICTED_RUN

`steps` trains a model (random weights, no dropout) on one batch for a few steps on the CPU in float32 and on the
device, and compares losses and, before training, probabilities. `recipe` compares runs of a recipe: trained on the CPU;
trained on the device, where dropout draws other random numbers; trained on the CPU and predicted on the device. A
difference above its tolerance ends both with exit status 1.
"""

import argparse
import copy
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import BertConfig, HubertConfig

from m4ser.models.encoders.backbones import plain_config
from m4ser.models.encoders.huggingface_speech import HuggingFaceSpeechEncoder
from m4ser.models.encoders.huggingface_text import HuggingFaceTextEncoder
from m4ser.models.encoders.precomputed import PrecomputedEncoder
from m4ser.models.fusion.plain import ConcatFusion
from m4ser.models.model import SERModel
from m4ser.scoring.table import Cell, Table, columns
from m4ser.training.metrics import scores
from m4ser.training.predictions import Predictions, read_predictions
from m4ser.utils.cli import command

FLOAT32, BFLOAT16 = 1e-3, 5e-2  # largest relative difference of a loss
PROBABILITY = 1e-3  # largest difference of a probability
RECALL = 0.1  # of the unweighted average recall: other random numbers, a few hundred utterances
LABELS = ["angry", "happy", "neutral", "sad"]
RATE = 16000
Batch = dict[str, torch.Tensor]


def get_parser() -> argparse.ArgumentParser:
    """Options of both commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    commands = parser.add_subparsers(dest="what", required=True)
    steps = commands.add_parser("steps", help="training steps and inference")
    steps.add_argument("--device", default="cuda", choices=["cpu", "cuda"], help="(default: cuda)")
    steps.add_argument("--short", action="store_true", help="small models, two steps")
    recipe = commands.add_parser("recipe", help="runs of a recipe")
    for name in ("cpu", "gpu", "predicted"):
        recipe.add_argument(name, type=Path)
    return parser


def build(mode: str, short: bool) -> SERModel:
    """A model without dropout, for one mode of training: `features`, `whole` or `lora`."""
    torch.manual_seed(1)
    layers = 1 if short else 12
    text_config = BertConfig(num_hidden_layers=layers, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    speech: PrecomputedEncoder | HuggingFaceSpeechEncoder
    if mode == "features":
        speech = PrecomputedEncoder(num_layers=5, layers="concat", dropout=0.0)
        text = HuggingFaceTextEncoder(hf_config=plain_config(text_config), trained_layers=min(2, layers))
    else:
        speech_config = HubertConfig(
            num_hidden_layers=layers, layerdrop=0.0, mask_time_prob=0.0, hidden_dropout=0.0, attention_dropout=0.0,
            activation_dropout=0.0, feat_proj_dropout=0.0,
        )  # fmt: skip
        trained = {"lora_rank": 8} if mode == "lora" else {"trained_layers": -1}
        speech = HuggingFaceSpeechEncoder(
            hf_config=plain_config(speech_config), hf_features={"do_normalize": True}, dropout=0.0, **trained
        )
        text = HuggingFaceTextEncoder(hf_config=plain_config(text_config), **trained)
    model = SERModel(LABELS, speech, text, ConcatFusion(speech.output_size(), text.output_size()))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.train()


def batch(mode: str, short: bool) -> Batch:
    """Utterances of several lengths, zeros behind their ends."""
    torch.manual_seed(0)
    size = 2 if short else 8
    share = torch.linspace(1.0, 0.7, size)
    longest = 40 if mode == "features" else RATE * (1 if short else 3)
    lengths = (share * longest).long()
    speech = torch.randn(size, longest, 5 * 384) if mode == "features" else torch.randn(size, longest) * 0.1
    valid = torch.arange(longest) < lengths[:, None]
    pieces = (share * 20).long()
    return {
        "speech": speech * (valid.unsqueeze(-1) if mode == "features" else valid),
        "speech_lengths": lengths,
        "text": torch.randint(1000, 30000, (size, 20)),
        "text_lengths": pieces,
        "emotion": torch.arange(size)[:, None] % len(LABELS),
    }


def on(device: str, inputs: Mapping[str, torch.Tensor]) -> Batch:
    """The batch on a device."""
    return {name: value.to(device) for name, value in inputs.items()}


@torch.no_grad()
def probabilities(model: SERModel, inputs: Batch, device: str) -> torch.Tensor:
    """What an untrained model says: (B, E)."""
    model = copy.deepcopy(model).to(device).eval()
    return torch.softmax(model.evaluate(**on(device, inputs))[1].float(), -1).cpu()


def losses(model: SERModel, inputs: Batch, device: str, steps: int, half: bool) -> torch.Tensor:
    """Losses of the first training steps: (steps,)."""
    model = copy.deepcopy(model).to(device)
    inputs = on(device, inputs)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    values = []
    for _ in range(steps):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=half):
            loss = model(**inputs)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        values.append(loss.detach().float().cpu().reshape(()))
    return torch.stack(values)


def compare_steps(device: str, short: bool) -> Iterable[tuple[str, float, float]]:
    """Name, difference and tolerance of each comparison."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    steps = 2 if short else 5
    for mode, name in (("features", "training"), ("whole", "fine-tuning, whole"), ("lora", "fine-tuning, LoRA")):
        model, inputs = build(mode, short), batch(mode, short)
        ours, theirs = probabilities(model, inputs, "cpu"), probabilities(model, inputs, device)
        yield f"{name}: inference", float((ours - theirs).abs().max()), PROBABILITY
        reference = losses(model, inputs, "cpu", steps, half=False)
        if not reference[-1] < reference[0]:
            sys.exit(f"error: {name}: the loss does not fall on the CPU ({reference.tolist()})")
        for half, tolerance in ((False, FLOAT32), (True, BFLOAT16)):
            values = losses(model, inputs, device, steps, half)
            difference = float(((values - reference) / reference).abs().max())
            yield f"{name}: {'bfloat16 AMP' if half else 'float32'}", difference, tolerance


def recall(predictions: Predictions) -> float:
    """Unweighted average recall."""
    return scores(predictions.ref, predictions.hyp)["ua"]


def compare_runs(cpu: Path, gpu: Path, predicted: Path) -> Iterable[tuple[str, float, float]]:
    """Name, difference and tolerance of each comparison."""
    header = (cpu / "predictions_test.tsv").read_text(encoding="utf-8").splitlines()[0].split("\t")
    labels = [name.removeprefix("p_") for name in header if name.startswith("p_")]
    one, other, same = (read_predictions(run / "predictions_test.tsv", labels) for run in (cpu, gpu, predicted))
    yield "recipe: unweighted average recall", abs(recall(one) - recall(other)), RECALL
    yield "recipe: predictions of one model", float(abs(one.probabilities - same.probabilities).max()), PROBABILITY


def show(comparisons: Iterable[tuple[str, float, float]], what: str) -> bool:
    """Print the comparisons; whether all are within their tolerance (what is no number is not)."""
    rows: list[list[Cell]] = []
    passed = True
    for name, difference, tolerance in comparisons:
        passed &= (fits := difference <= tolerance)
        rows.append([name, f"{difference:.1e}", f"{tolerance:.0e}", "yes" if fits else "NO"])
    print(Table(columns("comparison", "difference", "tolerance", "fits"), rows, caption=what).markdown(aligned=True))
    return passed


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Command line entry."""
    args = get_parser().parse_args(cmd)
    if args.what == "steps":
        name = torch.cuda.get_device_name() if args.device == "cuda" else "the CPU itself"
        passed = show(compare_steps(args.device, args.short), f"CPU in float32 against {name}.")
    else:
        passed = show(compare_runs(args.cpu, args.gpu, args.predicted), "Runs of egs/mini on CPU and device.")
    if not passed:
        sys.exit("error: the device does not give what the CPU gives")


if __name__ == "__main__":
    main()
