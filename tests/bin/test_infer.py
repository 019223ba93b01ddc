"""Inference of stage 5: predictions and what they cost. Training at toy size is in test_train.py."""

import json
import os

import pytest
import yaml

from m4ser.bin import infer, train
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.errors import UserError

LINEAR = {"task": "linear", "c_grid": [1.0]}


@pytest.fixture
def trained(toy_dumps, monkeypatch):
    """A trained run in the current folder, quick because it is linear."""
    monkeypatch.chdir(toy_dumps)
    monkeypatch.setenv("M4SER_DEBUG", "1")
    (toy_dumps / "conf.yaml").write_text(yaml.safe_dump(LINEAR))
    train.main(["--feats", "dump/feats/toy", "--exp", "exp/toy", "--config", "conf.yaml", "--job", "1"])
    return toy_dumps / "exp/toy/fold1/seed1"


def test_real_time_factor_is_seconds_per_second_of_audio(trained):
    utts = read_scp("data/all/utt2emo")
    write_scp("dump/audio/all/utt2num_samples", {utt: "32000" for utt in utts})
    infer.main(["--exp", "exp/toy", "--job", "1"])
    info = json.loads((trained / "infer_info.json").read_text())
    assert info["audio_seconds"] == 2.0 * (8 + 8)  # dev and test
    assert info["real_time_factor"] == pytest.approx(info["infer_seconds"] / 32, rel=1e-3)
    assert info["cpu_real_time_factor"] > 0 and info["device"] == "cpu"


def test_durations_may_be_unknown(trained):
    infer.main(["--exp", "exp/toy", "--job", "1"])
    info = json.loads((trained / "infer_info.json").read_text())
    assert "real_time_factor" not in info and info["infer_seconds"] > 0


def test_batches_by_length_and_rows_in_their_own_order(trained):
    infer.main(["--exp", "exp/toy", "--job", "1"])
    expected = (trained / "predictions_test.tsv").read_text()
    (trained / "predictions_test.tsv").unlink()
    utts = read_scp("data/all/utt2emo")
    write_scp("dump/audio/all/utt2num_samples", {utt: str(99000 - 1000 * n) for n, utt in enumerate(utts)})
    infer.main(["--exp", "exp/toy", "--job", "1", "--batch-size", "3"])
    assert (trained / "predictions_test.tsv").read_text() == expected


def test_one_part_alone(trained):
    infer.main(["--exp", "exp/toy", "--job", "1", "--parts", "dev"])
    assert (trained / "predictions_dev.tsv").exists() and not (trained / "predictions_test.tsv").exists()
    with pytest.raises(UserError, match="'train' is neither dev nor test"):
        infer.main(["--exp", "exp/toy", "--job", "1", "--parts", "train"])


def test_predictions_newer_than_the_model_are_left_alone(trained, capsys):
    infer.main(["--exp", "exp/toy", "--job", "1"])
    before = (trained / "predictions_test.tsv").stat().st_mtime_ns
    later = (trained / "model.pth").stat().st_mtime + 1
    for part in ("dev", "test"):
        os.utime(trained / f"predictions_{part}.tsv", (later, later))
    infer.main(["--exp", "exp/toy", "--job", "1"])
    assert "predicted already" in capsys.readouterr().out and before
