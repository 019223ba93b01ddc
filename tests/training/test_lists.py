"""The lists of a training: cut from dumps that are what the stages have written, or not at all."""

import os
import zlib
from pathlib import Path

import pytest
import yaml

from m4ser.bin import infer, train
from m4ser.data.contents import CONTENTS, write_contents
from m4ser.data.features import POSITIONS
from m4ser.data.scp import read_scp, write_scp
from m4ser.training.configuration import parse_task
from m4ser.training.lists import read_folds, write_data
from m4ser.training.settings import Settings
from m4ser.utils.errors import UserError

FEATS, TEXT = Path("dump/feats/toy/all"), Path("dump/text/toy/all")
ARCHIVE, CHECKSUMS = FEATS / "feats.ark", "feats.crc32"


@pytest.fixture
def dumps(toy_dumps, monkeypatch):
    """The toy dumps with what this version writes beside them; the current folder."""
    monkeypatch.chdir(toy_dumps)
    mark_contents(FEATS)
    write_contents(TEXT, ["edits"])
    config = {
        "fusion": "concat",
        "speech_encoder": "precomputed",
        "speech_encoder_conf": {"output_size": 32},
        "batch_type": "unsorted",
        "batch_size": 8,
        "max_epoch": 1,
        "num_workers": 0,
        "use_tensorboard": False,
        "use_matplotlib": False,
        "num_att_plot": 0,
        "best_model_criterion": [["valid", "ua", "max"]],
    }
    Path("toy.yaml").write_text(yaml.safe_dump(config))


def mark_contents(feats):
    """Contents of features, as stage 1 writes them."""
    archives = {"feats.ark": zlib.crc32((feats / "feats.ark").read_bytes())}
    write_contents(feats, [POSITIONS, CHECKSUMS, "utt2num_frames"], archives)


def cut(perturbed=()):
    settings = Settings("exp/toy", "toy.yaml", feats="dump/feats/toy", text="dump/text/toy", perturbed=list(perturbed))
    folds = read_folds("data")
    write_data(settings, parse_task("toy.yaml", ""), folds, folds.folds["1"], Path("lists"))


def flip(path, place=-3, keep_time=False):
    """Flip one bit of a file."""
    before, content = path.stat().st_mtime_ns, bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    time = before if keep_time else (FEATS / CONTENTS).stat().st_mtime_ns + 1_000_000
    os.utime(path, ns=(time, time))


def exchange(path):
    """Exchange the values of the first two lines."""
    entries = read_scp(path)
    (a, first), (b, second) = list(entries.items())[:2]
    write_scp(path, {**entries, a: second, b: first})


def shorten(path):
    """Delete the second line."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:1] + lines[2:]))


@pytest.mark.parametrize(
    ("damage", "said", "stage"),
    [
        (lambda: flip(ARCHIVE), f"{ARCHIVE}: is damaged (its checksum is another one)", 1),
        (lambda: ARCHIVE.write_bytes(ARCHIVE.read_bytes()[:-9]), f"{ARCHIVE}: has ", 1),
        (ARCHIVE.unlink, f"{ARCHIVE}: is missing", 1),
        (lambda: exchange(FEATS / POSITIONS), f"{FEATS}/feats.scp: has been changed since stage 1 wrote it", 1),
        (lambda: shorten(FEATS / POSITIONS), f"{FEATS}/feats.scp: has 47 line(s), but stage 1 wrote 48", 1),
        (lambda: shorten(FEATS / "utt2num_frames"), f"{FEATS}/utt2num_frames: has 47 line(s)", 1),
        (lambda: flip(FEATS / CHECKSUMS), f"{FEATS}/feats.crc32: has been changed since stage 1 wrote it", 1),
        ((FEATS / CHECKSUMS).unlink, f"{FEATS}/feats.crc32: is missing", 1),
        (lambda: shorten(TEXT / "edits"), f"{TEXT}/edits: has 47 line(s), but stage 3 wrote 48", 3),
        (lambda: exchange(TEXT / "edits"), f"{TEXT}/edits: has been changed since stage 3 wrote it", 3),
    ],
)
def test_a_damaged_dump_is_not_trained_with(dumps, damage, said, stage):
    damage()
    with pytest.raises(UserError) as error:
        cut()
    assert str(error.value).startswith(said)
    assert str(error.value).endswith(
        f"; run stage {stage} again: ./run.sh --stage {stage} --stop-stage {stage} --force true"
    )
    assert not Path("lists").exists()


def test_copies_at_another_speed_are_checked_too(dumps):
    slow = Path("dump/feats/slow/all")
    slow.mkdir(parents=True)
    for path in FEATS.iterdir():
        (slow / path.name).write_bytes(path.read_bytes().replace(b"/feats/toy/", b"/feats/slow/"))
    (slow / "info.json").write_text('{"speed": 0.9}')
    mark_contents(slow)
    cut(["dump/feats/slow"])
    assert "/slow/" in read_scp("lists/train/feats.scp")["speed0.9-s0-0"]
    shorten(slow / POSITIONS)
    with pytest.raises(UserError, match=r"slow/all/feats\.scp: has 47"):
        cut(["dump/feats/slow"])


@pytest.mark.parametrize("gone", [(FEATS,), (FEATS, TEXT)])
def test_dumps_of_an_earlier_version_are_used(dumps, gone):
    for folder in gone:
        for name in (CONTENTS, CHECKSUMS):
            (folder / name).unlink(missing_ok=True)
    cut()
    assert len(read_scp("lists/train/feats.scp")) == 32


@pytest.mark.slow
@pytest.mark.parametrize("when", ["training", "inference"])
def test_damage_that_left_no_trace_is_found_when_it_is_read(dumps, tiny_bert, when):
    """As a disk does it: neither size nor time of the archive has changed."""
    words = ["--feats", "dump/feats/toy", "--text", "dump/text/toy", "--exp", "exp/toy", "--config", "toy.yaml"]
    words += ["--text-encoder", str(tiny_bert), "--plan", "--job", "1"]
    if when == "inference":
        train.main(words)
    # the last utterance is tested with, the first trained with
    flip(ARCHIVE, place=-3 if when == "inference" else 200, keep_time=True)
    with pytest.raises(SystemExit) as end:
        if when == "inference":
            infer.main(["--exp", "exp/toy", "--job", "1"])
        train.main(words)
    assert "feats.ark:" in str(end.value) and "the checksum of the matrix is another one); run stage 1 again" in str(
        end.value
    )
    assert "\n" not in str(end.value)
    assert not list(Path("exp/toy").glob("**/predictions_test.tsv"))
