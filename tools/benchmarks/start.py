#!/usr/bin/env python3
"""What it costs to get a first label: processor time, memory, imports; and what an installation takes on the disk.

    tools/benchmarks/start.py [--install "m4ser=." ...] [--model NAME=MODEL ...] [--out docs/results/start]

Each model (default: the one in the package, by its voice alone and with words) predicts a clip of 3 s by
`m4ser predict` in processes of its own on one core, after one that warms the disk's cache; medians of `--rounds`.
Times to import, which Python measures by the clock, are multiplied by the share of the processor that their process
had. The real-time factor is that of a recogniser which has predicted before. `--install NAME=REQUIREMENT` makes a
virtual environment, installs the requirement (`.` is this checkout) with pip and sums up what is there then, pip itself
apart; the last such environment is the one whose Python is measured, else it is that of `--python`. `--known
OUT_installed.json` keeps what earlier runs say of others.

Ends with status 1 where a limit is passed: 1.5 s, 300 MB, real-time factors of 0.03 (voice alone) and 0.12 (with
words), 0.5 s for an import other than onnxruntime and numpy, 500 MB for the first installation. The limits of time and
memory are for the model in the package.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from m4ser.data.audio import RATE, load_16k
from m4ser.scoring.table import Cell, Column, Table
from m4ser.utils.cli import command
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json
from m4ser.utils.provenance import processor

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "egs/mini/corpus/f07/f07-000.opus"
SECONDS = 3.0
HEAVY = ("onnxruntime", "numpy")  # may take their time to import
MOST_SECONDS, MOST_IMPORT, MOST_MB, MOST_INSTALLED = 1.5, 0.5, 300.0, 500.0
MOST_FACTOR = {"voice alone": 0.03, "with words": 0.12}
WARM = """
import sys, time
from m4ser import EmotionRecognizer
clip, rounds, model, words = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None, sys.argv[4] == "words"
recognizer = EmotionRecognizer.from_pretrained(model, device="cpu", words=words)
for _ in range(3):
    result = recognizer(clip)
begin = time.process_time()
for _ in range(rounds):
    recognizer(clip)
print((time.process_time() - begin) / rounds / result.duration)
"""
SIZES = """
import importlib.metadata, json, pathlib
sizes = {}
for one in importlib.metadata.distributions():
    files = [pathlib.Path(one.locate_file(file)) for file in one.files or ()]
    sizes[one.name] = sum(file.stat().st_size for file in files if file.is_file())
print(json.dumps(sizes))
"""


class Start(NamedTuple):
    """What a model took: processor seconds, MB, seconds of the slowest other import, its name, real-time factor."""

    seconds: float
    megabytes: float
    imported: float
    module: str
    factor: float


class Installed(NamedTuple):
    """Number of packages and their size in MB."""

    packages: int
    megabytes: float


def install(requirement: str, folder: Path) -> Path:
    """A virtual environment with a requirement: its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    what = str(ROOT) + requirement.removeprefix(".") if requirement.startswith(".") else requirement
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", what], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{requirement}: pip cannot install it ({done.stderr.strip().splitlines()[-1]})")
    return python


def installed(python: Path) -> Installed:
    """What is in an environment, pip and setuptools apart."""
    sizes = json.loads(subprocess.run([python, "-c", SIZES], capture_output=True, text=True, check=True).stdout)
    sizes = {name: size for name, size in sizes.items() if name.lower() not in ("pip", "setuptools")}
    return Installed(len(sizes), sum(sizes.values()) / 1e6)


class Run(NamedTuple):
    """A process: its processor seconds, seconds by the clock, MB at the peak, messages."""

    processor: float
    clock: float
    megabytes: float
    messages: str


def run(words: list[str], python: Path, options: list[str] | None = None) -> Run:
    """A process on one core."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    core = min(os.sched_getaffinity(0))
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as messages:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), python, *(options or []), *words],
            stdout=subprocess.DEVNULL,
            stderr=messages,
            env=environment,
        )
        _, status, usage = os.wait4(process.pid, 0)
        clock = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        messages.seek(0)
        said = messages.read()
    if process.returncode:
        raise UserError(f"{' '.join(words)}: {said.strip().splitlines()[-1] if said.strip() else 'failed'}")
    return Run(usage.ru_utime + usage.ru_stime, clock, usage.ru_maxrss * 1024 / 1e6, said)


def slowest_import(messages: str) -> tuple[float, str]:
    """Of what `-X importtime` says, the longest import with all that it imports, other than those that may be long."""
    slowest = (0.0, "")
    for line in messages.splitlines():
        _, _, rest = line.partition("import time:")
        parts = [part.strip() for part in rest.split("|")]
        if len(parts) == 3 and parts[1].isdigit() and parts[2].partition(".")[0] not in HEAVY:
            slowest = max(slowest, (int(parts[1]) / 1e6, parts[2]))
    return slowest


def imported(process: Run) -> tuple[float, str]:
    """Processor seconds of the slowest import, about, and its name."""
    seconds, module = slowest_import(process.messages)
    return seconds * min(1.0, process.processor / process.clock), module


def measure(python: Path, clip: Path, model: str | None, words: bool, rounds: int) -> Start:
    """A model in the environment of `python`."""
    command = ["-m", "m4ser.bin.m4ser", "predict", *(["--words"] if words else [])]
    command += [*(["--model", model] if model else []), str(clip)]
    run(command, python)
    runs = [run(command, python) for _ in range(rounds)]
    imports = [imported(run(command, python, ["-X", "importtime"])) for _ in range(rounds)]
    warm = [python, "-c", WARM, str(clip), "20", model or "", "words" if words else ""]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(warm, capture_output=True, text=True, check=True, env=environment)
    seconds, megabytes = (statistics.median(getattr(one, key) for one in runs) for key in ("processor", "megabytes"))
    slowest = sorted(imports)[len(imports) // 2]
    return Start(seconds, megabytes, *slowest, float(done.stdout.split()[-1]))


def passed_limits(starts: dict[str, Start], sizes: dict[str, Installed]) -> list[str]:
    """Limits that are not kept."""
    faults = []
    for name, most in MOST_FACTOR.items():
        if (start := starts.get(name)) is None:
            continue
        faults += [f"{name}: real-time factor {start.factor:.3f}"] if start.factor > most else []
        faults += [f"{name}: {start.imported:.2f} s to import {start.module}"] if start.imported > MOST_IMPORT else []
        if name == "voice alone":
            faults += [f"{name}: {start.seconds:.2f} s"] if start.seconds > MOST_SECONDS else []
            faults += [f"{name}: {start.megabytes:.0f} MB"] if start.megabytes > MOST_MB else []
    for name, size in list(sizes.items())[:1]:
        faults += [f"{name}: {size.megabytes:.0f} MB installed"] if size.megabytes > MOST_INSTALLED else []
    return faults


def tables(starts: dict[str, Start], sizes: dict[str, Installed]) -> dict[str, Table]:
    """What was measured, as tables: of starts and of installations."""
    columns = [
        Column("`m4ser predict` of 3 s", "model"),
        Column("first label, processor s", "seconds"),
        Column("peak memory, MB", "megabytes", digits=0),
        Column("slowest other import, s", "imported"),
        Column("real-time factor, warm", "factor", digits=3),
    ]
    rows: list[list[Cell]] = [
        [name, one.seconds, one.megabytes, one.imported, one.factor] for name, one in starts.items()
    ]
    caption = f"On one core of {processor()}, warm disk cache; imports other than {' and '.join(HEAVY)}."
    by_name = {"start": Table(columns, rows, caption=caption)} if rows else {}
    if sizes:
        columns = [Column("installation"), Column("packages", digits=0), Column("MB", "megabytes", digits=0)]
        rows = [[name, float(one.packages), one.megabytes] for name, one in sizes.items()]
        caption = "Packages that pip installs into an empty environment, pip itself apart."
        by_name["installed"] = Table(columns, rows, caption=caption)
    return by_name


def known(path: Path) -> dict[str, Installed]:
    """Installations that an earlier run has measured."""
    table = Table.from_json(read_json(path), path)
    return {str(name): Installed(round(float(count)), float(size)) for name, count, size in table.rows}


def pairs(texts: list[str]) -> dict[str, str]:
    """`NAME=VALUE` texts."""
    values = dict(text.partition("=")[::2] for text in texts)
    if not all(values.values()):
        raise UserError(f"{' '.join(texts)}: must be NAME=VALUE")
    return values


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--install", nargs="+", default=[], metavar="NAME=REQUIREMENT")
    parser.add_argument(
        "--model", nargs="*", metavar="NAME=MODEL", help="others than the one in the package; none: no start"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--known", type=Path, nargs="+", default=[], help="OUT_installed.json of earlier runs")
    parser.add_argument("--out", type=Path, help="write OUT.md, .csv and .json, and OUT_installed.*")
    args = parser.parse_args(cmd)
    python, sizes, starts = args.python, {}, {}
    with tempfile.TemporaryDirectory(prefix="m4ser-start-") as folder:
        for number, (name, requirement) in enumerate(pairs(args.install).items()):
            python = install(requirement, Path(folder, str(number)))
            sizes[name] = installed(python)
        for path in args.known:
            sizes |= {name: size for name, size in known(path).items() if name not in sizes}
        samples = np.resize(load_16k(CLIP), int(SECONDS * RATE))
        clip = Path(folder, "clip.wav")
        soundfile.write(clip, samples, RATE)
        variants: dict[str, tuple[str | None, bool]] = {"voice alone": (None, False), "with words": (None, True)}
        if args.model is not None:
            variants = {name: (model, False) for name, model in pairs(args.model).items()}
        for name, (model, words) in variants.items():
            starts[name] = measure(python, clip, model, words, args.rounds)
    for name, table in tables(starts, sizes).items():
        print(f"{table.markdown(aligned=True)}\n")
        if args.out:
            table.save(args.out.with_name(args.out.name if name == "start" else f"{args.out.name}_{name}"))
    if passed := passed_limits(starts, sizes):
        raise UserError("; ".join(passed))


if __name__ == "__main__":
    main()
