import json

import pytest

from m4ser.asr.alignment import align, to_line
from m4ser.bin import table
from m4ser.data.folds import Fold, Folds
from m4ser.utils.files import read_json

TEXTS = {  # hypothesis, reference
    "a1": ("you know it", "y know it"),  # superfluous: you; to write: y
    "a2": ("so so good", "so good yes sir"),  # superfluous: so; to write: yes sir
    "b1": ("you know", "y know"),  # seen in training
    "b2": ("so", "so yes"),  # not seen as a whole, its word is
    "b3": ("so", "so never"),  # nor its word
    "c1": ("so", "so never"),
}


@pytest.fixture
def corpus(tmp_path):
    """One set with three parts by speaker, and its text."""
    data, text = tmp_path / "data" / "all", tmp_path / "text" / "whisper" / "all"
    data.mkdir(parents=True)
    text.mkdir(parents=True)
    (data / "utt2spk").write_text("".join(f"{utt} {utt[0]}\n" for utt in TEXTS))
    parts = {p: [u for u in TEXTS if u[0] == s] for p, s in (("train", "a"), ("dev", "b"), ("test", "c"))}
    Folds("p", "made", labels=["happy"], folds={"1": Fold(**parts)}).write(tmp_path / "data" / "folds.json")
    lines = []
    for utt, (heard, said) in TEXTS.items():
        lines.append(f"{utt} {to_line(heard.split(), align(heard.split(), said.split()))}\n")
    (text / "edits").write_text("".join(lines))
    return tmp_path


def words(corpus, *more):
    return ["--data", str(corpus / "data"), "--text", str(corpus / "text/whisper"), "--out", str(corpus / "o"), *more]


def test_counts_by_hand(corpus, capsys, unaligned):
    table.main(["targets", *words(corpus, "--names", "tiny")])
    row = "| tiny | 6 | 2 | 2 | 2 | 3 | 33.33 | 66.67 |"
    assert row in unaligned(capsys.readouterr().out)
    assert row in (corpus / "o.md").read_text()
    assert read_json(corpus / "o.json")["rows"] == [["tiny", 6, 2, 2, 2, 3, {"value": 0.333333}, {"value": 0.666667}]]


def test_text_without_errors_and_without_targets(corpus, capsys, unaligned):
    edits = corpus / "text/whisper/all/edits"
    edits.write_text("".join(f"{utt} {to_line(['so'], align(['so'], ['so']))}\n" for utt in TEXTS))
    table.main(["targets", *words(corpus)])
    assert "| whisper | 2 | 0 | 0 | 0 | 0 | – | – |" in unaligned(capsys.readouterr().out)
    edits.write_text("".join(f"{utt} {json.dumps({'words': ['so']})}\n" for utt in TEXTS))
    with pytest.raises(SystemExit, match="whisper: has no targets"):
        table.main(["targets", *words(corpus)])


def test_what_is_missing_is_named(corpus):
    with pytest.raises(SystemExit, match="--names: 2 names for 1 folders"):
        table.main(["targets", *words(corpus, "--names", "a", "b")])
    with pytest.raises(SystemExit, match="there is no fold 7"):
        table.main(["targets", *words(corpus, "--folds", "7")])
    (corpus / "text/whisper/all/edits").unlink()
    with pytest.raises(SystemExit, match="edits: no such file; run stage 3 first"):
        table.main(["targets", *words(corpus)])
