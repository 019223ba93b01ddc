"""Speech features of one's own: files of three kinds, by what names, and every fault in one line."""

import numpy as np
import pytest

from m4ser.data.contents import check_contents
from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.features import Features, FeatureWriter
from m4ser.data.own_features import make, read
from m4ser.data.own_names import files_of, name_of
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

TABLE = "file,pitch,level\ndia0_utt1.wav,200.5,-20\ndia0_utt2.wav,nan,-1e1\n"


@pytest.fixture
def corpus(tmp_path):
    """Two utterances whose recordings have other names, as stages 0 and 1 leave them."""
    utts = [Utterance(f"Ross-{k}", tmp_path / f"dia0_utt{k}.mp4", "Ross", "joy", "so") for k in (1, 2)]
    for utt in utts:
        utt.audio.touch()
    data = DataDir.write(tmp_path / "data/all", utts)
    data.maps["wav.scp"] = {utt: f"/dump/{utt}.flac" for utt in data.utts}
    data.save(tmp_path / "dump/audio/all")
    return tmp_path


def made(corpus, name, content=None):
    if content is not None:
        (corpus / name).write_text(content)
    out = corpus / "dump/feats/own"
    lines = make(str(corpus / name), corpus / "data", corpus / "dump/audio", out)
    check_contents(out / "all", stage=1)
    return {utt: matrix.tolist() for utt, matrix in Features(out / "all/feats.scp").items()}, lines


def test_a_table_by_names_of_recordings(corpus):
    feats, lines = made(corpus, "cues.csv", TABLE)
    assert feats["Ross-1"] == [[200.5, -20.0]]
    assert np.isnan(feats["Ross-2"][0][0]) and feats["Ross-2"][0][1] == -10
    assert lines == [f"{corpus}/dump/feats/own/all: 2 features of 2 utterances, some of them missing in 1"]
    out = corpus / "dump/feats/own/all"
    assert read_scp(out / "utt2num_frames") == {"Ross-1": "1", "Ross-2": "1"}
    info = read_json(out / "info.json")
    assert (info["encoder"], info["dim"], info["layers"], info["frame_rate"]) == ("own:cues", 2, [0], 0.0)
    assert info["missing"] == 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_by_utterances_goes_first(corpus, delimiter):
    rows = ["utterance,a", "dia0_utt1,9", "Ross-1,1", "Ross-2,2", "Joey-7,3"]  # more lines than utterances do no harm
    feats, lines = made(corpus, "x.csv", "﻿" + "\n".join(rows).replace(",", delimiter) + "\n")
    assert feats == {"Ross-1": [[1.0]], "Ross-2": [[2.0]]} and lines[0].endswith("1 features of 2 utterances")


def test_one_file_for_each_set(corpus):
    feats, _ = made(corpus, "cues_{set}.csv", None) if (corpus / "cues_all.csv").write_text(TABLE) else ({}, [])
    assert feats["Ross-1"] == [[200.5, -20.0]]
    assert files_of(str(corpus / "cues_{set}.csv")) == [str(corpus / "cues_all.csv")]
    assert name_of("/x/cues_{set}.csv") == "own:cues" and name_of("{set}.npz") == "own:features"


def test_arrays_with_frames(corpus):
    np.savez(corpus / "x.npz", **{"Ross-1": np.arange(6).reshape(3, 2), "Ross-2": np.array([7.0, 8.0])})
    feats, _ = made(corpus, "x.npz")
    assert feats == {"Ross-1": [[0, 1], [2, 3], [4, 5]], "Ross-2": [[7, 8]]}


def test_kaldi_matrices(corpus):
    with FeatureWriter(corpus / "kaldi") as writer:
        for utt in ("Ross-1", "Ross-2"):
            writer.write(utt, np.full((2, 3), 5.0))
    assert made(corpus, "kaldi/feats.scp")[0]["Ross-2"] == [[5, 5, 5], [5, 5, 5]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "file,a\nRoss-1,1\n",
            r"x\.csv: has no features of 1 of 2 utterances, e\.g\. Ross-2 or recording dia0_utt2; add",
        ),
        ("file,a\nRoss-1,1\nRoss-1,2\n", r"x\.csv: line 3: 'Ross-1' is there twice; keep one"),
        ("file,a\nRoss-1,high\n", r"x\.csv: line 2: a is 'high', not a number; leave the column out"),
        ("file,a\nRoss-1,1,2\n", r"x\.csv: line 2: 3 fields instead of 2; correct it"),
        ("file,a\nRoss-1,inf\nRoss-2,1\n", r"x\.csv: Ross-1: has an infinite value; write nan"),
        ("file\nRoss-1\n", r"x\.csv: has no columns; its first line names them"),
        ("", r"x\.csv: has no columns"),
    ],
)
def test_faults_of_a_table(corpus, content, message):
    with pytest.raises(UserError, match=message):
        made(corpus, "x.csv", content)


def test_faults_of_arrays(corpus):
    np.savez(corpus / "x.npz", **{"Ross-1": np.zeros(2), "Ross-2": np.zeros(3)})
    with pytest.raises(UserError, match=r"x\.npz: Ross-2: shape \(1, 3\); 2 features were expected"):
        made(corpus, "x.npz")
    np.savez(corpus / "x.npz", **{"Ross-1": np.zeros((2, 2, 2)), "Ross-2": np.zeros(3)})
    with pytest.raises(
        UserError, match=r"x\.npz: Ross-1: cannot be read as NumPy arrays \(shape \(2, 2, 2\) of float64"
    ):
        made(corpus, "x.npz")
    np.savez(corpus / "x.npz", **{"Ross-1": np.array([print], dtype=object)})  # a pickle, which is not opened
    with pytest.raises(UserError, match=r"x\.npz: .*cannot be read as NumPy arrays"):
        made(corpus, "x.npz")
    (corpus / "x.npz").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"x\.npz: cannot be read as NumPy arrays"):
        made(corpus, "x.npz")
    with pytest.raises(UserError, match=r"none\.csv: no such file; give --own-features a table"):
        read(str(corpus / "none.csv"))


def test_recordings_of_one_name_do_not_tell_utterances_apart(corpus):
    paths = {"Ross-1": "/corpus/a/one.wav", "Ross-2": "/corpus/b/one.wav"}
    write_scp(corpus / "data/all/wav.scp", paths)
    with pytest.raises(
        UserError, match=r"one would be the features of Ross-1 and Ross-2, whose recordings have one name"
    ):
        made(corpus, "x.csv", "file,a\none,1\n")
