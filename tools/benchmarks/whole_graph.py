#!/usr/bin/env python3
"""A model in PyTorch, as whole ONNX graph, and with its weights rounded in several ways: the same? how large, how fast?

    tools/benchmarks/whole_graph.py MODEL CLIPS [--count 200] [--audio dump/audio/all] [--out docs/results/NAME.json]

CLIPS is a folder of recordings; `count` of them, evenly chosen, are predicted by each form, one after the other on one
thread, from samples in memory to logits. With --audio, the folder of 16 kHz audio that MODEL's recipe has made, the
unweighted accuracy on the test part of the run is measured, too. A model that reads words is given the same words for
every clip.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from m4ser.data.audio import RATE, as_stage_1, load_16k
from m4ser.data.log_mel import LogMel
from m4ser.data.scp import read_scp
from m4ser.hub.opening import find_model
from m4ser.inference.backends import open_network
from m4ser.inference.backends.base import Network
from m4ser.inference.inputs import items
from m4ser.models.onnx_graph import export_whole
from m4ser.models.onnx_int8 import quantise_weights
from m4ser.models.onnx_session import open_session
from m4ser.scoring.table import Column, Score, Table
from m4ser.training.metrics import ua

LINE = '{"words": ["this", "is", "said", "in", "every", "recording"]}'  # of stage 3's edits
NORM = "backbone.model.layer_norm.weight"  # of the encoder's last states
STATES = "last_states"
Logits = Callable[[np.ndarray], np.ndarray]


@dataclass
class Form:
    """One way to compute a model: from samples to (logits (E,), last states of the encoder or None)."""

    name: str
    size: float  # MB
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


def torch_form(network: Network, size: float) -> Form:
    """The model in PyTorch."""

    def run(samples: np.ndarray) -> tuple[np.ndarray, None]:
        speech = samples if network.features is None else network.features(samples)
        arrays = network.preprocess("", {"speech": speech, "text": LINE})
        return network.logits(network.pad([("", arrays)])[1])[0], None

    return Form("PyTorch", size, run)


def graph_form(name: str, path: Path, network: Network, log_mel: LogMel) -> Form:
    """A graph in a file; its states are an output beside the logits where the file has them."""
    session, kept = open_session(path), {value.name for value in open_session(path).get_inputs()}

    def run(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        mel = log_mel(samples)
        arrays = {"log_mel": mel[None], "log_mel_lengths": np.array([mel.shape[1]])}
        if "text" in kept:
            words = network.pad([("", network.preprocess("", {"text": LINE}))])[1]
            arrays |= {name: words[name] for name in ("text", "text_lengths")}
        outputs = session.run(None, arrays)
        return outputs[0][0], outputs[1] if len(outputs) > 1 else None

    return Form(name, path.stat().st_size / 1e6, run)


def with_states(source: Path, target: Path) -> None:
    """The same graph, with the encoder's last states as a second output."""
    model = onnx.load(source)
    node = next((node for node in model.graph.node if NORM in node.input), None)
    if node is not None:
        model.graph.node.append(onnx.helper.make_node("Identity", [node.output[0]], [STATES]))
        model.graph.output.append(onnx.helper.make_tensor_value_info(STATES, onnx.TensorProto.FLOAT, None))
    onnx.save(model, target)


def dynamic(model: Any, path: Path) -> None:
    """Quantisation by onnxruntime: activations are rounded, too, each tensor by its range as it comes."""
    quantize_dynamic(
        model, path, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True, weight_type=QuantType.QInt8
    )


def weights_only(**options: Any) -> Callable[[Any, Path], None]:
    """:func:`.quantise_weights` with these options."""

    def write(model: Any, path: Path) -> None:
        quantise_weights(model, **options)
        onnx.save(model, path)

    return write


ROUNDED = {
    "8 bits as exported: a scale for 32 weights, convolutions in half precision": weights_only(),
    "8 bits, convolutions too": weights_only(convolutions=True),
    "8 bits, one scale for an output": weights_only(block=1 << 20),
    "8 bits by onnxruntime: matrix products, activations too": dynamic,
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--pretrained-dir")
    parser.add_argument("--rounds", type=int, default=3, help="the fastest one counts")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    stored = find_model(args.model)
    network = open_network(stored, "cpu", pretrained_dir=args.pretrained_dir)
    clips = list(items(args.clips))
    chosen = clips[:: max(1, len(clips) // args.count)][: args.count]
    samples = [as_stage_1(item.load(3600.0)) for item in chosen]
    tested, references = test_part(stored.folder, args.audio, stored.labels) if args.audio else ([], [])
    encoder, speech = stored.speech_encoder(args.pretrained_dir), stored.pipeline["speech"]
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "plain.onnx")
        exported = export_whole(stored.folder, plain, encoder, speech)
        if exported.speech is None:
            raise SystemExit(f"error: {args.model}: does not read the voice")
        log_mel = LogMel(exported.speech["architecture"]["hf_features"])
        files = {"ONNX": plain}
        for number, (name, write) in enumerate(ROUNDED.items()):
            model = onnx.load(plain)
            del model.graph.value_info[:]
            files[name] = Path(folder, f"{number}.onnx")
            write(model, files[name])
        weights = [stored.folder / "model.pth", stored.folder / "model.safetensors"]
        size = sum(path.stat().st_size for path in weights if path.exists()) / 1e6
        backbone = getattr(encoder, "backbone", None)
        if backbone is not None:
            size += sum(value.numel() * value.element_size() for value in backbone.state_dict().values()) / 1e6
        forms = [torch_form(network, size)]
        shown = []  # with states, for accuracy alone
        for name, path in files.items():
            forms.append(graph_form(name, path, network, log_mel))
            with_states(path, path.with_suffix(".states.onnx"))
            shown.append(graph_form(name, path.with_suffix(".states.onnx"), network, log_mel))
        table = measure(forms, shown, samples, tested, references, args.rounds)
    print(table.markdown(aligned=True))
    if args.out:
        table.save(args.out.with_suffix(""))


def test_part(run: Path, audio: Path, labels: list[str]) -> tuple[list[np.ndarray], list[int]]:
    """Samples and class indices of the test part of a run's fold."""
    places, references = read_scp(audio / "wav.scp"), read_scp(run / "data/test/utt2emo")
    root = audio.resolve().parents[2]  # of dump/audio/all: recipes write paths that begin at their folder
    return [load_16k(root / places[utt]) for utt in references], [labels.index(emo) for emo in references.values()]


def measure(
    forms: list[Form],
    shown: list[Form],
    samples: list[np.ndarray],
    tested: list[np.ndarray],
    references: list[int],
    rounds: int,
) -> Table:
    """One row for each form; differences are from the first."""
    seconds = sum(map(len, samples)) / RATE
    best = dict.fromkeys((form.name for form in forms), float("inf"))
    logits: dict[str, np.ndarray] = {}
    for _ in range(rounds):
        for form in forms:
            begin = time.process_time()
            logits[form.name] = np.stack([form.run(clip)[0] for clip in samples])
            best[form.name] = min(best[form.name], time.process_time() - begin)
    states = {form.name: [form.run(clip)[1] for clip in samples[::5]] for form in shown}
    first, exact = logits[forms[0].name], states[shown[0].name]
    rows = []
    for form in forms:
        gap = np.abs(logits[form.name] - first)
        change = [_relative(a, b) for a, b in zip(states.get(form.name, []), exact, strict=False)]
        score = None
        if tested:
            score = Score(ua(references, np.array([form.run(clip)[0] for clip in tested]).argmax(-1)))
        same = float((logits[form.name].argmax(-1) == first.argmax(-1)).mean())
        rows.append(
            [
                form.name,
                form.size,
                f"{gap.max():.1e}",
                f"{gap.mean():.1e}",
                f"{max(change):.1e}" if change and None not in change else None,
                same,
                score,
                best[form.name] / seconds,
            ]
        )
    columns = [
        Column("form"),
        Column("MB", digits=1),
        Column("largest difference of a logit"),
        Column("mean difference"),
        Column("largest change of the encoder's last states"),
        Column("same label, %", "same", digits=1, scale=100),
        Column("UA", "ua"),
        Column("processor time per second of sound, ms", "real_time_factor", digits=2, scale=1000),
    ]
    title = f"{len(samples)} clips, {seconds:.0f} s"
    caption = (
        f"{title}, one at a time on one thread of {_processor()}. Differences are from PyTorch, changes from ONNX."
    )
    notes = ["Change of states: the norm of the difference over the norm, of a whole clip."]
    if tested:
        notes.append(f"UA: on the {len(tested)} clips of the test part of the run's fold, in per cent.")
    return Table(columns, rows, "Whole graph", caption, notes)


def _relative(states: np.ndarray | None, exact: np.ndarray | None) -> float | None:
    if states is None or exact is None:
        return None
    return float(np.linalg.norm(states - exact) / np.linalg.norm(exact))


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
