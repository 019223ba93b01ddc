"""Expected counts beyond the total, and protocols made from a recipe's own options."""

import pytest

from m4ser.data.datadir import Utterance
from m4ser.data.folds import Fold, Folds
from m4ser.recipes import recipe


@pytest.fixture
def prepare(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"audio")

    def utterances(corpus_dir, args):
        for name, part in zip("abcdef", ("train", "train", "train", "dev", "test", "test"), strict=True):
            label = "happy" if name in "ace" else "sad"
            extra = {"utt2session": part[0]}
            yield Utterance(f"{name}-1", tmp_path / "a.wav", name, label, extra=extra, set=part)

    def folds(found):
        ids = {part: [utt.utt_id for utt in found if utt.set == part] for part in ("train", "dev", "test")}
        return Folds("toy", "toy", folds={"1": Fold(**ids)})

    def run(expected, labels=("happy", "sad"), *options):
        recipe.run(
            utterances,
            protocols=lambda args: recipe.Protocol(labels[: args.classes], folds, expected),
            add_arguments=lambda parser: parser.add_argument("--classes", type=int, default=2),
            cmd=["--corpus-dir", str(tmp_path), "--out", str(tmp_path / "data"), *options],
        )

    return run


def test_counts_that_are_right(prepare, tmp_path):
    prepare(
        {
            "sets": {"train": {"happy": 2, "sad": 1}, "dev": {"sad": 1, "happy": 0}, "test": 2},
            "utt2session": {"t": 5, "d": 1},
        }
    )
    assert (tmp_path / "data" / "labels.txt").read_text() == "happy\nsad\n"


def test_counts_that_are_wrong(prepare, tmp_path):
    expected = {"sets": {"train": {"happy": 3}}, "utt2session": {"t": 4, "x": 1}}
    with pytest.raises(SystemExit, match="2 train happy instead of 3, 5 t instead of 4, 0 x instead of 1; copy"):
        prepare(expected)
    with pytest.raises(SystemExit, match="0 a7 instead of 1 and 4 more; copy it again"):
        prepare({"sets": {f"a{number}": 1 for number in range(12)}})
    assert not (tmp_path / "data").exists()


def test_options_make_the_protocol(prepare):
    with pytest.raises(SystemExit, match="unknown emotion 'sad'"):
        prepare({}, ("happy", "sad"), "--classes", "1")
