#!/usr/bin/env python3
"""How the cost of stages 0 to 3 grows with the corpus: processor time, memory, files.

    python tools/benchmarks/growth.py [--sizes 1000 10000 100000 1000000] [--out docs/results/growth]

Two kinds of rows. *Measured*: each step runs on a made-up corpus of every size. What costs the same for every recording
(decoding its audio and writing it as FLAC, features, recognised words, normalised text) is made up; all else is done as
in a run: lists, checks, files, chunks, archives, joining, checksums, word errors, alignment. *Scaled*: that other part
is done for a few recordings, real ones where there is audio; what one more of them costs is multiplied. Both kinds
together are what a corpus costs.

Each measurement is a process of its own. Seconds are those of the processor, user and system, with child processes;
memory is the peak of a process. A slope is that of the last two sizes: 1.00 is ten times as much for ten times as many.
Fails where a step grows faster than --max-slope, which leaves room for caches: a line of a list of a million takes a
dictionary 1.3 to 1.4 times as long as one of a hundred thousand, whatever is done with it.
"""

import argparse
import itertools
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from m4ser.scoring.table import Cell, Column, Table
from m4ser.utils.cli import command
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json
from m4ser.utils.provenance import processor

ROOT = Path(__file__).resolve().parents[2]
SIZES = (1_000, 10_000, 100_000, 1_000_000)
REAL_SIZES = (100, 200, 400)
LINKS = 50_000  # names of one file; a file system may allow no more than 65,000
WORDS, ERRORS = 10, 0.2  # words of an utterance, and how many of them are recognised wrongly
AUDIO = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a")
LABELS = ("angry", "happy", "neutral", "sad")
NORMALISER, TEXTS = "2, 3: normaliser", 10  # of texts, ten times as many as of recordings
FEATURES = (4, 8)  # frames and values of made-up features


@dataclass
class Cost:
    """Of one step at one size."""

    seconds: float
    megabytes: float
    files: int = 0


@dataclass
class Row:
    """Of one step: its cost by number of utterances."""

    step: str
    kind: str
    costs: dict[int, Cost] = field(default_factory=dict)


def get_parser() -> argparse.ArgumentParser:
    """Options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="utterances (default: to a million)")
    parser.add_argument(
        "--real-sizes", type=int, nargs="*", default=list(REAL_SIZES), help="real recordings; none: nothing is scaled"
    )
    parser.add_argument("--audio", type=Path, default=ROOT / "egs/mini/corpus", help="folder of real recordings")
    parser.add_argument("--speech-encoder", default="offline:whisper-tiny.en", help="of the real features")
    parser.add_argument("--asr", default="faster_whisper", help="recogniser of the real recordings")
    parser.add_argument(
        "--work", type=Path, help="where the made-up corpora are, for a while (default: as TMPDIR says)"
    )
    parser.add_argument("--max-slope", type=float, default=1.15, help="more is a failure (default: 1.15)")
    parser.add_argument("--out", type=Path, help="writes OUT.md, OUT.csv, OUT.json")
    parser.add_argument(
        "--known", type=Path, nargs="+", default=[], help="OUT.json of earlier runs here: measure what they lack"
    )
    parser.add_argument("--report", action="store_true", help="measure nothing, show what is known")
    parser.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--normalise", type=int, help=argparse.SUPPRESS)
    return parser


# ------------------------------------------------------------------------------------------------ made-up corpora
def make_corpus(count: int) -> None:
    """A table of the recipe `csv` and its recordings, in the current folder: 500 utterances a speaker."""
    speakers = max(10, count // 500)
    Path("audio").mkdir()
    with open("table.csv", "w", encoding="utf-8") as table:
        table.write("file,emotion,speaker,text\n")
        for number, words in enumerate(made_up_texts(count, random.Random(count))):
            if number % LINKS == 0:
                template = Path(f"audio/{number}.wav")
                write_wav(template)
            name = f"u{number:07d}.wav"
            os.link(template, f"audio/{name}")
            table.write(f"{name},{LABELS[number % 4]},spk{number % speakers:05d},{' '.join(words)}\n")


def made_up_texts(count: int, rng: random.Random) -> Iterator[list[str]]:
    """Words of so many utterances."""
    vocabulary = ["".join(rng.choices("aeioudlmnrst", k=6)) for _ in range(2000)]
    for _ in range(count):
        yield rng.choices(vocabulary, k=WORDS)


def write_wav(path: Path) -> None:
    """A recording of 20 ms."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", "not compressed"))
        file.writeframes(
            b"".join(round(3000 * math.sin(0.3 * n)).to_bytes(2, "little", signed=True) for n in range(320))
        )


def with_errors(words: Sequence[str], rng: random.Random) -> Iterator[str]:
    """What a recogniser might give instead."""
    for word in words:
        if rng.random() >= ERRORS:
            yield word
        elif (draw := rng.random()) < 0.6:
            yield rng.choice(words)
        elif draw < 0.8:
            yield word
            yield rng.choice(words)


def make_audio() -> None:
    """Stage 1 with recordings that nobody reads and files with nothing in them."""
    import numpy as np

    from m4ser.bin import format_audio
    from m4ser.data import formatting

    samples = np.ones(320, np.float32)
    formatting.load_16k = lambda *_: samples
    formatting.write_flac = lambda path, *_, **__: Path(path).touch()
    format_audio.main([])


def normalise_texts(count: int) -> None:
    """The texts that stages 2 and 3 normalise of so many utterances: each twice, reference and hypothesis."""
    from m4ser.asr.normalise import normaliser

    rng, normalise = random.Random(count), normaliser("english")
    for words in made_up_texts(count, rng):
        for text in (words, [*with_errors(words, rng)]):
            for _ in range(2):
                normalise(" ".join(text))


def make_features() -> None:
    """Stage 1 with features that nobody computes."""
    import numpy as np

    from m4ser.data import parts
    from m4ser.data.datadir import read_sets
    from m4ser.models.encoders import extraction

    class MadeUp:
        num_layers, dim, frame_rate = 1, FEATURES[1], 50.0

        def layers(self, samples: np.ndarray) -> np.ndarray:
            return np.full((1, *FEATURES), samples[0], np.float32)

    counter = itertools.count()
    extraction.load_16k = lambda *_: np.full(320, next(counter) / 1e6, np.float32)
    sets = read_sets("dump/audio", need=("wav.scp", "utt2spk"))
    work = extraction.FeatureExtraction(sets, Path("dump/feats/made_up"), "made up")
    work.__dict__["frozen"] = MadeUp()
    parts.run(work, parts.Jobs(1, [1], merge=True))


def make_text() -> None:
    """Stage 2 with words that nobody recognises: those of the reference, a fifth of them wrong."""
    from m4ser.asr import decoding
    from m4ser.asr.backends.base import Hypothesis
    from m4ser.asr.texts import read_references
    from m4ser.data import parts

    sets = read_references(Path("dump/audio"))

    class MadeUp:
        batch_size, needs_audio = 1, False

        def transcribe_batch(self, batch: Sequence[object], utts: Sequence[str]) -> list[Hypothesis]:
            hypotheses = []
            for utt in utts:
                words = list(with_errors(sets["all"].maps["text"][utt].split(), random.Random(utt)))
                hypotheses.append(Hypothesis(" ".join(words), 0.9, words=tuple(0.9 for _ in words)))
            return hypotheses

    work = decoding.Decoding(sets, Path("dump/asr/made_up"), "reference")
    work.__dict__["backend"] = MadeUp()
    parts.run(work, parts.Jobs(1, [1], merge=True))


def ask_markers() -> None:
    """What run.sh asks before and after the steps of stages 1 to 3, and when all are done."""
    from m4ser.stages import markers

    steps = [
        markers.Step(1, "dump/audio", inputs=["data/@set"], outputs=["dump/audio/@set/wav.scp"]),
        markers.Step(1, "dump/feats/made_up", after=[markers.Upstream("dump/audio", 1)]),
        markers.Step(2, "dump/asr/made_up", after=[markers.Upstream("dump/audio", 1)]),
        markers.Step(3, "dump/text/made_up", after=[markers.Upstream("dump/asr/made_up", 2)]),
    ]
    for step in steps:
        if markers.is_done(step) or not markers.begin(step):
            raise RuntimeError(f"{step.folder} is done")
        markers.finish(step.folder)
        markers.forget()
    if not all(map(markers.is_done, steps)):
        raise RuntimeError("something is not done")


PARTS: dict[str, Callable[[], None]] = {
    "audio": make_audio,
    "features": make_features,
    "text": make_text,
    "markers": ask_markers,
}


# ------------------------------------------------------------------------------------------------ measuring
def spend(words: Sequence[str], folder: Path) -> Cost:
    """Run a Python program in a folder.

    Raises:
        UserError: it fails.
    """
    env = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=folder, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        end = (folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
        raise UserError(f"{' '.join(words)} failed with {process.returncode}:\n{end}")
    # Rounded here: OUT.json keeps six digits after the point, and slopes of what is read again are to be the same.
    return Cost(round(used.ru_utime + used.ru_stime, 3), round(used.ru_maxrss / 1024, 3))


def count_files(folder: Path) -> int:
    """Files below a folder."""
    return sum(len(files) for _, _, files in os.walk(folder))


MEASURED = {  # step: the program, the folder that it writes
    "0: lists, folds": (
        [str(ROOT / "egs/csv/local/prepare.py"), "--corpus-dir", "audio", "--csv", "table.csv"],
        "data",
    ),
    "1: audio": ([__file__, "--part", "audio"], "dump/audio"),
    "1: features": ([__file__, "--part", "features"], "dump/feats/made_up"),
    "2: recognition": ([__file__, "--part", "text"], "dump/asr/made_up"),
    "2: word errors": (
        ["-m", "m4ser.bin.asr_score", "--asr-dir", "dump/asr/made_up", "--normaliser", "none"],
        "",
    ),
    "3: alignment, targets": (
        [
            *("-m", "m4ser.bin.make_targets", "--asr-dir", "dump/asr/made_up", "--out", "dump/text/made_up"),
            *("--normaliser", "none"),
        ],
        "dump/text/made_up",
    ),
    "what is done": ([__file__, "--part", "markers"], ""),
}


def measure(size: int, folder: Path) -> Iterator[tuple[str, Cost]]:
    """All steps on a made-up corpus."""
    folder.mkdir()
    here = Path.cwd()
    os.chdir(folder)
    try:
        make_corpus(size)
    finally:
        os.chdir(here)
    for step, (words, out) in MEASURED.items():
        cost = spend([str(Path(word).resolve()) if word == __file__ else word for word in words], folder)
        cost.files = count_files(folder / out) if out else 1
        yield step, cost
    shutil.rmtree(folder)


def real_steps(args: argparse.Namespace) -> dict[str, list[str]]:
    """The steps that real recordings go through."""
    return {
        "1: audio": ["-m", "m4ser.bin.format_audio", "--out", "dump/audio"],
        "1: features": [
            *("-m", "m4ser.bin.extract_feats", "--pool", "8", "--out", "dump/feats/real"),
            *("--speech-encoder", args.speech_encoder),
        ],
        "2: recognition": ["-m", "m4ser.bin.asr_decode", "--asr", args.asr, "--out", "dump/asr/real"],
    }


def measure_real(args: argparse.Namespace, work: Path) -> tuple[dict[str, dict[int, Cost]], float]:
    """Costs of real recordings by step and size, and how long one lasts, seconds.

    Raises:
        UserError: there are not so many.
    """
    from m4ser.data.datadir import DataDir, Utterance

    recordings = sorted(path for path in args.audio.rglob("*") if path.suffix in AUDIO)
    if len(recordings) < max(args.real_sizes):
        raise UserError(f"{args.audio}: has {len(recordings)} recordings; give another folder or smaller --real-sizes")
    costs: dict[str, dict[int, Cost]] = {step: {} for step in [*real_steps(args), NORMALISER]}
    seconds = 0.0
    for size in args.real_sizes:
        folder = work / f"real{size}"
        chosen = [recordings[len(recordings) * number // size] for number in range(size)]
        utterances = [
            Utterance(f"s-{number:06d}", path.resolve(), "s", LABELS[0], "no") for number, path in enumerate(chosen)
        ]
        DataDir.write(folder / "data/all", utterances)
        for step, words in real_steps(args).items():
            costs[step][size] = spend(words, folder)
            say(f"{size} real recordings", step, costs[step][size])
        texts = TEXTS * size
        costs[NORMALISER][texts] = spend([str(Path(__file__).resolve()), "--normalise", str(texts)], folder)
        say(f"{texts} texts", NORMALISER, costs[NORMALISER][texts])
        lengths = (folder / "dump/audio/all/utt2num_samples").read_text(encoding="utf-8").split()[1::2]
        seconds = sum(map(int, lengths)) / 16000 / len(lengths)
        shutil.rmtree(folder)
    return costs, seconds


def fit(costs: dict[int, Cost]) -> float:
    """Seconds of one more recording: the slope of a line through the sizes, least squares."""
    sizes = list(costs)
    mean, middle = sum(sizes) / len(sizes), sum(cost.seconds for cost in costs.values()) / len(sizes)
    above = sum((size - mean) * (costs[size].seconds - middle) for size in sizes)
    return above / sum((size - mean) ** 2 for size in sizes)


def slope(values: dict[int, float]) -> float | None:
    """Of the last two sizes in a double logarithmic plot."""
    if len(values) < 2:
        return None
    (small, low), (large, high) = sorted(values.items())[-2:]
    return math.log(high / low) / math.log(large / small) if low > 0 and high > 0 else None


def say(where: str, step: str, cost: Cost) -> None:
    """One line while it runs."""
    print(
        f"{time.strftime('%H:%M:%S')} {where:>20}  {step:<24} {cost.seconds:9.1f} s {cost.megabytes:8.0f} MB",
        flush=True,
    )


def read_known(path: Path, rows: Sequence[Row], real: dict[str, dict[int, Cost]]) -> dict[str, Any]:
    """Fill in what an earlier run has measured; what else it says.

    Raises:
        UserError: it is of another processor.
    """
    about = read_json(path)["about"]
    if about["processor"] != processor():
        raise UserError(f"{path}: was measured on {about['processor']}, this is {processor()}; measure all on one")
    by_step = {row.step: row.costs for row in rows}
    for name, costs in (("costs", by_step), ("real", real)):
        for one in about.pop(name):
            cost = Cost(one["seconds"], one["megabytes"], one["files"])
            costs.setdefault(one["step"], {})[one["utterances"]] = cost
    return about


def report(rows: Sequence[Row], sizes: Sequence[int], notes: Sequence[str], about: Mapping[str, Any]) -> Table:
    """The table."""
    cells: list[list[Cell]] = []
    for row in rows:
        costs = {size: row.costs[size] for size in sizes if size in row.costs}
        last = costs.get(sizes[-1]) if row.kind == "measured" else None

        def growth(what: Callable[[Cost], float], costs: dict[int, Cost] = costs) -> float | None:
            return slope({size: what(cost) for size, cost in costs.items()})

        line: list[Cell] = [row.step, row.kind, *(costs[size].seconds if size in costs else None for size in sizes)]
        line.append(growth(lambda cost: cost.seconds) if sizes[-1] in costs else None)
        if last is None:
            line += [None] * 4
        else:
            line += [last.megabytes / 1024, growth(lambda cost: cost.megabytes)]
            line += [last.files, growth(lambda cost: cost.files)]
        cells.append(line)
    columns = [
        Column("stage: step", "step"),
        Column("is", "kind"),
        *(Column(f"{named(size)}, s", f"seconds_{size}", digits=1) for size in sizes),
        Column("slope", "slope_seconds"),
        Column(f"GB at {named(sizes[-1])}", "gigabytes"),
        Column("slope", "slope_memory"),
        Column(f"files at {named(sizes[-1])}", "files"),
        Column("slope", "slope_files"),
    ]
    costs_of_all = [
        {"step": row.step, "utterances": size, **vars(cost)}
        for row in rows
        if row.kind == "measured"
        for size, cost in row.costs.items()
    ]
    caption = f"Processor seconds by number of utterances, on one core of {processor()}."
    return Table(columns, cells, caption=caption, notes=notes, about={**about, "costs": costs_of_all})


def steep(rows: Sequence[Row], limit: float) -> list[str]:
    """What was measured and has a greater slope."""
    slopes = []
    for row in rows:
        for what in ("seconds", "megabytes", "files"):
            value = slope({size: float(getattr(cost, what)) for size, cost in row.costs.items()})
            if row.kind == "measured" and value is not None and value > limit:
                slopes.append(f"{row.step} ({what} {value:.2f})")
    return slopes


def named(size: int) -> str:
    """1000000 -> 1 M."""
    for unit, value in (("M", 1_000_000), ("k", 1000)):
        if size >= value:
            return f"{size / value:g} {unit}"
    return str(size)


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Command line entry."""
    args = get_parser().parse_args(cmd)
    if args.part or args.normalise:
        PARTS[args.part]() if args.part else normalise_texts(args.normalise)
        return
    with tempfile.TemporaryDirectory(dir=args.work) as temporary:
        work = Path(temporary)
        rows = [Row(step, "measured") for step in MEASURED]
        real: dict[str, dict[int, Cost]] = {}
        about: dict[str, Any] = {"processor": processor(), "seconds_of_a_recording": 0.0}
        for path in args.known:
            earlier = read_known(path, rows, real)
            about = earlier if earlier["seconds_of_a_recording"] else about
        if args.real_sizes and not real and not args.report:
            real, about["seconds_of_a_recording"] = measure_real(args, work)
        rows += [
            Row(step, "scaled", {size: Cost(fit(costs) * size, 0) for size in args.sizes})
            for step, costs in real.items()
        ]
        about["real"] = [
            {"step": step, "utterances": size, **vars(cost)}
            for step, costs in real.items()
            for size, cost in costs.items()
        ]
        notes = [
            "Measured: all of a step but what it does with one recording or text alone, which is made up here.",
            "Slopes are those of the last two sizes in a double logarithmic plot; 1.00 grows as the corpus does.",
            "Scaled, not measured: what one more recording or text costs, times the number of utterances. The lines go "
            f"through {', '.join(map(str, next(iter(real.values()))))} real recordings of "
            f"{about['seconds_of_a_recording']:.1f} s with {args.speech_encoder} and {args.asr}, and ten times as many "
            f"made-up texts of {WORDS} words."
            if real
            else "",
        ]
        for count, size in enumerate(args.sizes, 1):
            if args.report or all(size in row.costs for row in rows):
                table = report(rows, args.sizes[:count], notes, about)
                continue
            for row, (step, cost) in zip(rows, measure(size, work / str(size)), strict=False):
                row.costs[size] = cost
                say(f"{size} utterances", step, cost)
                table = report(rows, args.sizes[:count], notes, about)
                if args.out:  # as far as it got, should it be ended
                    table.save(args.out)
        if args.out:
            table.save(args.out)
    print(table.markdown(aligned=True))
    if too_steep := steep(rows, args.max_slope):
        raise UserError(f"grows faster than the corpus: {', '.join(too_steep)}")


if __name__ == "__main__":
    main()
