"""Cost of a fine-tuning step: HuBERT base and BERT base in a SERModel, and in a bare PyTorch loop.

    python tools/benchmarks/finetune.py [--batch 4 --seconds 3 --words 20 --steps 3 --rounds 3 --device cuda --amp true]

Both sides train the same two transformers modules (random weights, HuBERT's convolutions frozen) on the same padded
batch: forward, cross-entropy, backward, clipping, AdamW. The bare loop averages all frames and pieces and has a linear
layer. Each measurement is a process of its own, the sides take turns; the first step is left out. On a CPU the time is
processor time, which other load hardly moves, and memory the process's peak; on a GPU elapsed time and the peak of
allocated memory. Medians over rounds and the ratio are printed.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import BertConfig, BertModel, HubertConfig, HubertModel

from m4ser.data.audio import RATE
from m4ser.scoring.table import Cell, Table, columns
from m4ser.utils.cli import boolean, command

SIDES = ("m4ser", "bare")
CLASSES = 4


def get_parser() -> argparse.ArgumentParser:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--batch", type=int, default=4, help="utterances (default: 4)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of the longest one (default: 3)")
    parser.add_argument("--words", type=int, default=20, help="pieces of text (default: 20)")
    parser.add_argument("--steps", type=int, default=3, help="steps that count in each process (default: 3)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side (default: 3)")
    parser.add_argument("--layers", type=int, default=12, help="Transformer layers of both modules (default: 12)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="(default: cpu)")
    parser.add_argument("--amp", type=boolean, default=False, help="automatic mixed precision, on a GPU")
    parser.add_argument("--out", type=Path, help="writes OUT.md, OUT.csv, OUT.json")
    parser.add_argument("--side", choices=SIDES, help="measure this side in this process")
    return parser


def configs(layers: int) -> tuple[HubertConfig, BertConfig]:
    """The base sizes. No layers or frames are dropped at random: both sides must do the same work."""
    hubert = HubertConfig(num_hidden_layers=layers, mask_time_prob=0.0, layerdrop=0.0)
    return hubert, BertConfig(num_hidden_layers=layers)


def batch(args: argparse.Namespace) -> dict[str, torch.Tensor]:
    """Utterances of lengths from all to 70 % of the longest, zeros behind their ends."""
    torch.manual_seed(0)
    share = torch.linspace(1.0, 0.7, args.batch)
    lengths = (share * args.seconds * RATE).long()
    pieces = (share * args.words).long().clamp(min=2)
    speech = torch.randn(args.batch, int(lengths.max())) * 0.1
    speech = speech * (torch.arange(speech.shape[1]) < lengths[:, None])
    return {
        "speech": speech,
        "speech_lengths": lengths,
        "text": torch.randint(1000, 30000, (args.batch, int(pieces.max()))),
        "text_lengths": pieces,
        "emotion": torch.randint(0, CLASSES, (args.batch, 1)),
    }


class Bare(nn.Module):
    """What one would write by hand."""

    def __init__(self, hubert: HubertConfig, bert: BertConfig):
        super().__init__()
        self.speech, self.text = HubertModel(hubert), BertModel(bert, add_pooling_layer=False)
        self.speech.feature_extractor._freeze_parameters()
        self.classifier = nn.Linear(hubert.hidden_size + bert.hidden_size, CLASSES)

    def forward(self, speech, speech_lengths, text, text_lengths, emotion):
        """Loss of one batch."""
        speech_mask = torch.arange(speech.shape[1], device=speech.device) < speech_lengths[:, None]
        text_mask = torch.arange(text.shape[1], device=text.device) < text_lengths[:, None]
        heard = self.speech(speech, attention_mask=speech_mask.long()).last_hidden_state.mean(1)
        read = self.text(text, attention_mask=text_mask.long()).last_hidden_state.mean(1)
        return nn.functional.cross_entropy(self.classifier(torch.cat([heard, read], -1)).float(), emotion.squeeze(-1))


class Ours(nn.Module):
    """The same through m4ser: encoders, fusion concat, SERModel."""

    def __init__(self, hubert: HubertConfig, bert: BertConfig):
        super().__init__()
        from m4ser.models.encoders.backbones import plain_config
        from m4ser.models.encoders.huggingface_speech import HuggingFaceSpeechEncoder
        from m4ser.models.encoders.huggingface_text import HuggingFaceTextEncoder
        from m4ser.models.fusion.plain import ConcatFusion
        from m4ser.models.model import SERModel

        speech = HuggingFaceSpeechEncoder(
            hf_config=plain_config(hubert),
            hf_features={"do_normalize": True},
            hidden_layers="last",
            normalise="none",
            output_size=0,
            trained_layers=-1,
        )
        text = HuggingFaceTextEncoder(hf_config=plain_config(bert), trained_layers=-1)
        fusion = ConcatFusion(speech.output_size(), text.output_size())
        self.model = SERModel([str(label) for label in range(CLASSES)], speech, text, fusion)

    def forward(self, **inputs):
        """Loss of one batch."""
        return self.model(**inputs)["loss"]


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Median seconds of a step and peak memory in MiB of one side."""
    torch.manual_seed(1)
    model = {"m4ser": Ours, "bare": Bare}[args.side](*configs(args.layers)).to(args.device).train()
    inputs = {name: value.to(args.device) for name, value in batch(args).items()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    scaler = torch.amp.GradScaler(args.device, enabled=args.amp)
    clock = time.process_time if args.device == "cpu" else time.perf_counter
    seconds = []
    for _ in range(args.steps + 1):
        started = clock()
        with torch.autocast(args.device, enabled=args.amp):
            loss = model(**inputs)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(trained, 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        if args.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(clock() - started)
    if args.device == "cuda":
        memory = torch.cuda.max_memory_allocated() / 2**20
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(seconds[1:]), "memory": memory}


def compare(args: argparse.Namespace, words: Sequence[str]) -> dict[str, dict[str, float]]:
    """Medians of both sides, which take turns."""
    measured: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(args.rounds):
        for side in SIDES:
            process = subprocess.run(
                [sys.executable, __file__, *words, "--side", side], check=True, stdout=subprocess.PIPE, text=True
            )
            measured[side].append(json.loads(process.stdout.splitlines()[-1]))
    return {
        side: {key: statistics.median(run[key] for run in runs) for key in ("seconds", "memory")}
        for side, runs in measured.items()
    }


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Command line entry."""
    words = sys.argv[1:] if cmd is None else list(cmd)
    args: Namespace = get_parser().parse_args(words)
    if args.side:
        print(json.dumps(measure(args)))
        return
    result = compare(args, words)
    rows: list[list[Cell]] = [[side, result[side]["seconds"], result[side]["memory"]] for side in SIDES]
    rows.append(["ratio", *(result["m4ser"][key] / result["bare"][key] for key in ("seconds", "memory"))])
    load = f"batch {args.batch}, {args.seconds:g} s, {args.words} words"
    caption = f"Medians of {args.rounds} rounds on {args.device}; {load}."
    table = Table(columns("side", "seconds", "peak memory, MiB"), rows, caption=caption)
    print(table.markdown(aligned=True))
    if args.out:
        table.save(args.out)


if __name__ == "__main__":
    main()
