"""Whatever folds.json, run.json, lists, segments and tables hold, they are read or refused in one line.

M4SER_FUZZ=10000 tries so many of each instead of a few.
"""

import json
import math
import os
import runpy
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m4ser.data.datadir import DataDir
from m4ser.data.folds import Folds
from m4ser.data.scp import read_scp, write_scp
from m4ser.inference.inputs import items
from m4ser.models.description import read_plan
from m4ser.utils.errors import UserError

LONG = int(os.environ.get("M4SER_FUZZ", "0"))
SETTINGS = settings(
    max_examples=LONG or 60,
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=list(HealthCheck),
    database=None,
)
PREPARE = Path(__file__).resolve().parents[2] / "egs/csv/local/prepare.py"
WORDS = [
    "a-1",
    "a-2",
    "b-1",
    "r",
    "0",
    "1",
    "1.5",
    "nan",
    "inf",
    "1e308",
    "-1",
    "1_0",
    "happy",
    "sad",
    "x" * 300,
    "é",
    "٣",
]
WORDS += [
    "",
    ".",
    "..",
    "/",
    "a/b",
    "|",
    "\u2028",
    "\x00",
    "\x1b[2J",
    "\r",
    "\t",
    "\ufeff",
    '"',
    "'",
    ",",
    ";",
    "\\",
    "sox |",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=6,
)
FOLDS = {
    "protocol": "p",
    "description": "d",
    "sets": ["all"],
    "labels": ["happy", "sad"],
    "folds": {"1": {"train": ["a-1"], "dev": ["a-2"], "test": ["b-1"]}},
    "speaker_disjoint": True,
    "trained_on": {"1": "a"},
    "corpora": {},
}
PLAN = {
    "tag": "t",
    "labels": ["happy", "sad"],
    "objectives": {"aed": {"weight": 0.1}},
    "pipeline": {"speech": {"encoder": "x", "layers": [0], "pool": 8}, "text": None},
    "speeds": [0.9],
    "folds": ["1"],
    "seeds": [1],
}
LISTS = {
    "wav.scp": {"r": "x.wav"},
    "utt2spk": {"a-1": "a", "a-2": "a", "b-1": "b"},
    "utt2emo": {"a-1": "happy", "a-2": "sad", "b-1": "sad"},
    "text": {"a-1": "so", "a-2": "was", "b-1": ""},
    "spk2utt": {"a": "a-1 a-2", "b": "b-1"},
    "segments": {"a-1": "r 0 1", "a-2": "r 1 2", "b-1": "r 2 3.5"},
}


def one_line(call, *arguments):
    """What a function gives, None if it refuses."""
    started = time.process_time()
    try:
        return call(*arguments)
    except UserError as error:
        assert len(str(error).splitlines()) == 1 or "\u2028" in str(error) or "\x1b" in str(error)
        return None
    finally:
        assert time.process_time() - started < 10


@st.composite
def altered(draw, whole):
    """JSON with one or two values replaced, removed or added, at any depth; or characters lost."""
    value = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 2))):
        place = value
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.integers(0, 4)):
                place[key] = draw(JSON)
            else:
                del place[key]
            break
    text = json.dumps(value, allow_nan=True)
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text


@SETTINGS
@given(altered(FOLDS))
def test_folds(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "folds.json"
    path.write_text(text)
    folds = one_line(Folds.read, path, LISTS["utt2spk"])
    if folds is not None:
        folds.write(path)
        assert Folds.read(path) == folds and folds.sets and all(isinstance(name, str) for name in folds.sets)


@SETTINGS
@given(altered(PLAN))
def test_plans(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "run.json"
    path.write_text(text)
    plan = one_line(read_plan, path, ("folds", "seeds"))
    if plan is not None:
        assert str(plan["folds"][0]) and plan["seeds"][0] + 1


@st.composite
def lines(draw, entries):
    """A list with some of its lines exchanged, doubled, cut or filled with other words."""
    text = [f"{key} {value}".strip() for key, value in entries.items()]
    for _ in range(draw(st.integers(0, 3))):
        line = " ".join(draw(st.lists(st.sampled_from(WORDS), max_size=5)))
        number = draw(st.integers(0, len(text)))
        text[number : number + draw(st.integers(0, 1))] = [line]
    whole = ("\n".join(text) + "\n").encode("utf-8")
    return whole[: draw(st.integers(0, len(whole)))] + draw(st.sampled_from([b"", b"", b"", b"\xff", b"\xfe\xff"]))


@SETTINGS
@given(lines(LISTS["utt2emo"]))
def test_lists(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "utt2emo"
    path.write_bytes(content)
    entries = one_line(read_scp, path)
    if entries is not None:
        write_scp(path, entries)
        assert read_scp(path) == entries


@SETTINGS
@given(st.fixed_dictionaries({name: lines(LISTS[name]) for name in ("segments", "utt2spk", "wav.scp")}))
def test_data_directories(tmp_path_factory, contents):
    folder = tmp_path_factory.getbasetemp() / "data directory"
    folder.mkdir(exist_ok=True)
    for name in LISTS:
        write_scp(folder / name, LISTS[name])
    for name, content in contents.items():
        (folder / name).write_bytes(content)

    def use():
        data = DataDir.read(folder)
        data.validate(["happy", "sad"], check_audio=False)
        return [data.audio(utt) for utt in data.utts]

    for _, start, end in one_line(use) or ():
        assert 0 <= start < end < math.inf
    for item in one_line(lambda: list(items(str(folder)))) or ():
        assert 0 <= item.start < item.end < math.inf


@st.composite
def tables(draw):
    """A table as people make them."""
    rows = [["file", "emotion", "speaker", *draw(st.lists(st.sampled_from(["text", "split", "id", "x"]), max_size=2))]]
    cells = st.sampled_from([*WORDS, "r.wav", "train", "dev", "test", "a", "b", "c"])
    for _ in range(draw(st.integers(0, 6))):
        row = ["r.wav", draw(st.sampled_from(["happy", "sad"])), draw(st.sampled_from("abc"))]
        rows.append([*row, *draw(st.lists(cells, min_size=len(rows[0]) - 3, max_size=len(rows[0]) - 3))])
    for _ in range(draw(st.integers(0, 2))):
        row = draw(st.sampled_from(rows))
        row[draw(st.integers(0, len(row) - 1))] = draw(cells)
    text = "\n".join(draw(st.sampled_from(",;\t|")).join(row) for row in rows) + draw(
        st.sampled_from(["", "\n", "\r\n"])
    )
    content = text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])), "replace")
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 4)) == 0 else content


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with one file of any content."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "r.wav").touch()
    return folder


@SETTINGS
@given(content=tables())
def test_tables(corpus, tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "table.csv"
    path.write_bytes(content)
    words = ["--corpus-dir", str(corpus), "--out", str(path.with_name("prepared")), "--csv", str(path)]
    argv, sys.argv = sys.argv, [str(PREPARE), *words, "--num-folds", "2"]
    try:
        runpy.run_path(str(PREPARE), run_name="__main__")
    except SystemExit as end:
        assert str(end.code).startswith("error: ") and len(str(end.code)) < 1500
    finally:
        sys.argv = argv
