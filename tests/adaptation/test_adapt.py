"""From a model and a table to a model: what it says, what is written of it, and what is refused."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from m4ser import EmotionRecognizer
from m4ser.adaptation.adapt import adapt
from m4ser.adaptation.source import Choice
from m4ser.bin import adapt as command
from m4ser.bin import info
from m4ser.hub.archive import unpack
from m4ser.hub.remote import prepare
from m4ser.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def test_new_and_known_labels(linear_archive, tone_table, tones, tmp_path):
    """Three of four labels are the model's: it says nothing sensible of tones before, and all right then."""
    table = tone_table(["angry", "bored", "happy", "sad"], range(4), (4, 5))
    made = adapt(Choice(linear_archive), table, tmp_path / "my.m4ser.zip")
    recognizer = EmotionRecognizer.from_pretrained(made.path)
    assert recognizer.labels == ["happy", "sad", "angry", "bored"]  # the model's own order, then new ones
    results = recognizer([tones / f"{label}4.wav" for label in recognizer.labels])
    assert [result.label for result in results] == recognizer.labels
    assert made.adapted["tested"] == {"ua": 1.0, "wa": 1.0, "utterances": 8, "speakers": 2}
    assert made.adapted["left_out"] == {"ua": 1.0, "wa": 1.0, "utterances": 16, "speakers": 2}
    assert 0 <= made.adapted["seconds"] < 60
    assert made.lines == [
        f"adapted with 16 recordings in {made.adapted['seconds']} s: happy 4, sad 4, angry 4, bored 4",
        "labels that the model did not know: bored",
        "cross-validated speaker by speaker: UA 100.00 %, WA 100.00 %",
        "tested on 8 recordings of 2 speakers: UA 100.00 [100.00, 100.00] %, WA 100.00 %",
    ]


def test_what_is_written_of_it(linear_archive, tone_table, tmp_path, capsys):
    made = adapt(Choice(linear_archive), tone_table(["bored", "sad"]), tmp_path / "my.m4ser.zip")
    stored = prepare(made.path, tmp_path / "unpacked")  # as for an upload: the card has a header that hubs take
    about = stored.about
    assert about["labels"] == ["sad", "bored"] and about["metrics"] == {} and about["graph"]["temperature"] == 1.0
    assert about["parameters"] == 243 - 81
    training = about["training"]
    assert training["tag"] == "my" and training["corpora"][0]["name"] == "EmoDB"
    expected = {"source": "tiny", "counts": {"sad": 4, "bored": 4}, "speakers": 2, "known": ["sad"]}
    assert expected.items() <= training["adapted"].items()
    assert (stored.folder / "LICENSE").read_text() == "Free for everything."
    assert sorted(about["files"]) == ["LICENSE", "model.onnx"]
    card = (stored.folder / "README.md").read_text()
    assert "by these terms: cc-by-4.0. The terms of the recordings that it was adapted with hold, too." in card
    assert "license: cc-by-4.0" in card and "# my: 2 emotions from speech" in card
    assert "last layer fitted to 8 utterances of 2 speakers (sad 4, bored 4)" in card
    assert "all before it is that of `tiny`; labels that were new to it: bored" in card
    assert (
        "| cross-validation among the utterances it has | 8 | 100.00 | 100.00 |" in card and "model-index" not in card
    )
    info.main([str(made.path)])
    assert "from tiny, with 8 utterances of 2 speakers (sad 4, bored 4)" in capsys.readouterr().out


def test_a_folder_and_adapting_again(linear_archive, tone_table, tones, tmp_path):
    first = adapt(Choice(linear_archive), tone_table(["bored", "sad"]), tmp_path / "folder")
    again = adapt(Choice(first.path), tone_table(["angry", "bored"]), tmp_path / "again.m4ser.zip")
    assert again.adapted["known"] == ["bored"] and again.adapted["source"] == "folder"
    assert again.adapted["earlier"][0]["counts"] == {"sad": 4, "bored": 4}
    assert EmotionRecognizer.from_pretrained(again.path)(tones / "angry5.wav").label == "angry"


def test_one_example_of_each_keeps_the_temperature(linear_archive, tone_table, tones, tmp_path):
    """Nothing can be left out then: the model's temperature of 2 stays, in the layer."""
    made = adapt(Choice(linear_archive), tone_table(["happy", "sad"], [0]), tmp_path / "one.m4ser.zip")
    assert "left_out" not in made.adapted and made.adapted["strength"] == 1.0
    assert "only one recording of happy, sad: with five or more of each label it gets better" in made.lines
    assert made.lines[-1].startswith("too few recordings to tell how good the model is")
    with_source = EmotionRecognizer.from_pretrained(made.path)
    probabilities = list(with_source(tones / "happy0.wav").probabilities.values())
    (_, logits), *_ = with_source.outputs(tones / "happy0.wav")
    assert np.log(probabilities[0] / probabilities[1]) == pytest.approx(logits[0] - logits[1], abs=1e-4)
    assert "Too few utterances to test it." in (unpack(made.path, tmp_path / "x").folder / "README.md").read_text()


@pytest.mark.slow
def test_weights_of_pytorch(toy_run, tones, write_table, tmp_path):
    """An experiment whose model reads words, too: the table has them."""
    rows = [(tones / f"{label}{i}.wav", label, f"i am {label}") for label in ("bored", "sad") for i in range(3)]
    table = write_table(("file", "label", "text"), *rows)
    made = adapt(Choice(toy_run), table, tmp_path / "toy.m4ser.zip")
    recognizer = EmotionRecognizer.from_pretrained(made.path)
    assert recognizer.labels == ["sad", "bored"]
    assert recognizer(tones / "sad0.wav", text="i am sad").label == "sad"
    stored = unpack(made.path, tmp_path / "x")
    assert stored.about["training"]["adapted"]["source"] == "toy" and stored.about["metrics"] == {}
    again = adapt(Choice(made.path), table, tmp_path / "again")
    assert EmotionRecognizer.from_pretrained(again.path).labels == ["sad", "bored"]


@pytest.mark.slow
def test_a_model_with_another_end_is_refused(toy_run_x, tones, write_table, tmp_path):
    rows = [(tones / f"{label}0.wav", label, "so") for label in ("bored", "sad")]
    with pytest.raises(UserError, match="does not end in one linear layer; such a model cannot be adapted"):
        adapt(Choice(toy_run_x), write_table(("file", "label", "text"), *rows), tmp_path / "x.zip")


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_recordings_that_cannot_be_used(linear_archive, tones, write_table, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    table = write_table(("file", "emotion"), (tones / "sad0.wav", "sad"), (bad, "bored"))
    before = files(tmp_path)
    with pytest.raises(UserError, match=r"mine\.csv: line 3: .*bad\.wav: "):
        adapt(Choice(linear_archive), table, tmp_path / "x.m4ser.zip")
    assert files(tmp_path) == before


def test_places_that_cannot_be_written(linear_archive, tone_table, tmp_path):
    table = tone_table(["sad", "bored"])
    with pytest.raises(UserError, match="is there already; choose another --out"):
        adapt(Choice(linear_archive), table, tmp_path)
    with pytest.raises(UserError, match="none: no such folder; make it"):
        adapt(Choice(linear_archive), table, tmp_path / "none/x.zip")


@pytest.mark.parametrize(
    ("model", "message"), [("nowhere", "nowhere: no such model"), ("org/name", "org/name: neither a folder or archive")]
)
def test_a_model_that_is_not_there(model, message, tone_table, tmp_path):
    with pytest.raises(UserError, match=message):
        adapt(Choice(model), tone_table(["sad", "bored"]), tmp_path / "x.zip")


def test_the_command(linear_archive, tone_table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command.main([str(linear_archive), "--labels", str(tone_table(["sad", "bored"]))])
    assert capsys.readouterr().out.splitlines()[-1] == "written: mine.m4ser.zip"
    with pytest.raises(SystemExit, match=r"error: .*none\.csv: no such file"):
        command.main([str(linear_archive), "--labels", "none.csv"])


@pytest.mark.slow
def test_the_model_of_the_package_without_pytorch(tmp_path):
    """In a process of its own: the examples of the demonstration with other names, read at several loudnesses."""
    import soundfile

    from m4ser.data.audio import load_16k

    names = {"angry": "Zorn", "happy": "happy", "neutral": "ruhig", "sad": "sad"}
    rows = ["file;emotion"]
    for label, name in names.items():
        samples = load_16k(ROOT / f"m4ser/demo/examples/{label}.opus")
        for number, loudness in enumerate((1.0, 0.7, 0.5)):
            soundfile.write(tmp_path / f"{label}{number}.wav", samples * loudness, 16000)
            rows.append(f"{label}{number}.wav;{name}")
    (tmp_path / "mine.csv").write_text("\n".join(rows), encoding="utf-8")
    code = """
import sys
from m4ser.bin.m4ser import main
main(["adapt", "--labels", "mine.csv"])
main(["predict", "--model", "mine.m4ser.zip", "--json", "angry0.wav", "happy1.wav", "neutral2.wav", "sad0.wav"])
print(sorted({"torch", "onnx", "transformers", "safetensors", "scipy", "sklearn"} & set(sys.modules)))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("M4SER_MODEL", None)
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    lines = result.stdout.splitlines()
    said = [json.loads(line)["label"] for line in lines if line.startswith("{")]
    assert said == ["Zorn", "happy", "ruhig", "sad"] and lines[-1] == "[]"
    with zipfile.ZipFile(tmp_path / "mine.m4ser.zip") as file:
        assert "cc-by-nc-sa-4.0" in file.read("README.md").decode() and "LICENSE" in file.namelist()
