"""Archives: what goes in, and that the model in it is the same."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from m4ser import EmotionRecognizer
from m4ser.bin import pack as command
from m4ser.hub.archive import unpack
from m4ser.hub.opening import find_model, open_model
from m4ser.hub.pack import corpora_of, pack, parse_temperature
from m4ser.hub.stored import StoredModel
from m4ser.models.arrays import softmax
from m4ser.training.predictions import Predictions, write_predictions
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json


def test_packed_model_is_the_same_without_the_files_it_was_made_from(toy_run, archive, sound, tmp_path, monkeypatch):
    expected = EmotionRecognizer.from_pretrained(toy_run, device="cpu")(sound, text="i am sad")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("m4ser.pretrained.resolve", lambda *words: pytest.fail("looks for a pretrained model"))
    monkeypatch.setattr(
        "m4ser.models.encoders.backbones.resolve", lambda *words: pytest.fail("looks for a pretrained model")
    )
    for model in (archive, unpack(archive, tmp_path / "unpacked").folder):
        found = EmotionRecognizer.from_pretrained(model, device="cpu")(sound, text="i am sad")
        assert found.label == expected.label
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)


def test_archive_holds_no_traces_of_the_machine_and_no_objectives(toy_run, archive, tmp_path):
    unpack(archive, tmp_path / "m")
    for name in ("m4ser.json", "config.yaml", "README.md"):
        content = (tmp_path / "m" / name).read_text().replace(str(archive), "").replace("made_by", "")
        assert str(toy_run.parents[1]) not in content
    description = json.loads((tmp_path / "m/m4ser.json").read_text())
    assert description["labels"] == ["happy", "sad", "angry"]
    assert set(description["files"]) == {
        *("config.yaml", "model.safetensors", "speech_encoder.safetensors"),
        *(f"tokenizer/{path.name}" for path in (toy_run / "fold1/seed1/tokenizer").iterdir()),
    }
    card = (tmp_path / "m/README.md").read_text()
    assert card.startswith("---\nlibrary_name: m4ser\n")
    assert "Labels: happy, sad, angry." in card
    assert "before it was tested" in card


def test_baselines_are_refused_before_anything_is_written(toy_run, tmp_path):
    other = shutil.copytree(toy_run, tmp_path / "exp")
    config = other / "fold1/seed1/config.yaml"
    config.write_text(config.read_text().replace("task: ser\n", "task: linear\n"))
    with pytest.raises(UserError, match="not of the baseline linear"):
        pack(find_model(other), tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


def test_named_encoders_are_not_packed(toy_run, tmp_path):
    made = pack(find_model(toy_run), tmp_path / "small.zip", include="none")
    assert "speech_encoder.safetensors" not in made["files"]
    assert made["pipeline"]["speech"]["encoder"] == "whisper"


def test_scores_on_corpora_left_out_go_into_the_card(toy_run, tmp_path):
    table = tmp_path / "left_out.json"
    with pytest.raises(UserError, match=r"left_out\.json: no such file; make it with m4ser table left_out"):
        pack(find_model(toy_run), tmp_path / "x.zip", left_out=table)
    write_json(table, {"about": {"scores": [{"tested": "b", "trained": "a", "ua": 0.5}]}})
    table.with_suffix(".md").write_text("| tested on |\n| b |\n")
    made = pack(find_model(toy_run), tmp_path / "x.zip", left_out=table)
    assert made["metrics"]["left_out"]["scores"][0]["ua"] == 0.5
    card = (unpack(tmp_path / "x.zip", tmp_path / "m").folder / "README.md").read_text()
    assert "| tested on |\n| b |\n" in card and "b, by a model made alike of a" in card
    (tmp_path / "far.md").write_text("| far |\n")
    pack(find_model(toy_run), tmp_path / "x.zip", left_out=table, pages=[tmp_path / "far.md"])
    assert "| b |\n\n| far |\n" in (unpack(tmp_path / "x.zip", tmp_path / "n").folder / "README.md").read_text()
    with pytest.raises(UserError, match="--pages follow the table of --left-out"):
        pack(find_model(toy_run), tmp_path / "y.zip", pages=[tmp_path / "far.md"])
    write_json(table, {"about": {}})
    with pytest.raises(UserError, match=r"left_out\.json: is not what m4ser table left_out writes"):
        pack(find_model(toy_run), tmp_path / "y.zip", left_out=table)


def test_a_model_knows_whose_corpora_it_was_trained_on():
    """Of crossed corpora only those that its fold trains on."""
    origins = {name: {"name": name.upper()} for name in ("a", "b", "c")}
    alone = StoredModel(Path("x"), {"corpora": {"a": origins["a"]}}, fold="1")
    assert corpora_of(alone) == [{"name": "A"}]
    crossed = {"corpora": origins, "trained_on": {"a+c.1": "a+c", "b.1": "b"}}
    assert corpora_of(StoredModel(Path("x"), crossed, fold="a+c.1")) == [{"name": "A"}, {"name": "C"}]
    assert corpora_of(StoredModel(Path("x"), {}, fold="1")) == []


def test_recogniser_goes_in_and_comes_out(toy_run, tmp_path, monkeypatch):
    plan = json.loads((toy_run / "run.json").read_text())
    folder = tmp_path / "asr model"
    folder.mkdir()
    for name, content in {"model.bin": b"\6\0\0\0", "config.json": b"{}", "notes.py": b"print()"}.items():
        (folder / name).write_bytes(content)
    plan["pipeline"]["text"]["asr"] = {"name": "faster_whisper", "model": str(folder), "settings": {"beam_size": 2}}
    shutil.copytree(toy_run, tmp_path / "exp/toy")
    write_json(tmp_path / "exp/toy/run.json", plan)
    made = pack(find_model(tmp_path / "exp/toy"), tmp_path / "a.zip")
    assert [name for name in made["files"] if name.startswith("asr/")] == ["asr/config.json", "asr/model.bin"]
    with open_model(tmp_path / "a.zip") as stored:
        found = stored.recogniser()
        assert Path(found["model"], "model.bin").read_bytes() == b"\6\0\0\0"
        assert (found["name"], found["settings"]) == ("faster_whisper", {"beam_size": 2})
    plan["pipeline"]["text"]["asr"]["name"] = "espnet"  # its models are pickles
    write_json(tmp_path / "exp/toy/run.json", plan)
    made = pack(find_model(tmp_path / "exp/toy"), tmp_path / "b.zip", include="all")
    assert not any(name.startswith("asr/") for name in made["files"])
    with open_model(tmp_path / "b.zip") as stored, pytest.raises(UserError, match="files can run code"):
        stored.recogniser()


@pytest.mark.slow
def test_a_whole_graph_with_all_that_belongs_to_it(toy_run, tmp_path, capsys):
    """Three of four dev utterances with a lead of 4 over two classes are right: the temperature is 4 / ln 6."""
    exp = shutil.copytree(toy_run, tmp_path / "exp/toy")
    logits = np.tile([4.0, 0.0, 0.0], (4, 1))
    made = Predictions.from_probabilities(["happy", "sad", "angry"], "abcd", "abcd", [0, 0, 0, 1], softmax(logits))
    write_predictions(exp / "fold1/seed1/predictions_dev.tsv", made)
    (tmp_path / "terms").write_text("Not for sale.")
    out, options = tmp_path / "toy.m4ser.zip", ["--weights", "onnx-int8", "--temperature", "dev"]
    command.main([str(exp), "--out", str(out), *options, "--licence", str(tmp_path / "terms")])
    assert "temperature: 2.232" in capsys.readouterr().out
    stored = unpack(out, tmp_path / "m")
    names = {str(path.relative_to(stored.folder)) for path in stored.folder.rglob("*") if path.is_file()}
    assert names == {"LICENSE", "README.md", "m4ser.json", "model.onnx", "tokenizer/tokenizer.json"}
    assert (stored.folder / "LICENSE").read_text() == "Not for sale."
    graph = stored.about["graph"]
    assert (graph["speech"], graph["text"], graph["int8"], graph["longest"]) == ("log_mel", "pieces", True, 30.0)
    assert graph["pieces"] == {"dummy_tokens": False, "max_pieces": 128}
    assert str(tmp_path) not in (stored.folder / "m4ser.json").read_text()
    assert stored.pipeline["speech"]["encoder"] == "whisper"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "tensorflow"}, "--weights tensorflow: must be one of torch, onnx, onnx-int8"),
        ({"temperature": 2.0}, "--temperature is for a whole graph"),
        ({"weights": "onnx", "onnx": True}, "give one"),
        ({"weights": "onnx", "temperature": 0.0}, "--temperature 0: must be a number from 1e-06 to 1e"),
        ({"weights": "onnx", "temperature": float("nan")}, "--temperature nan: must be"),
        ({"licence": Path("no such terms")}, "no such terms: no such file"),
    ],
)
def test_options_that_do_not_fit(toy_run, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        pack(find_model(toy_run), tmp_path / "x.zip", **options)
    assert not list(tmp_path.iterdir())


def test_temperatures_by_name(toy_run):
    stored = find_model(toy_run)
    assert parse_temperature(None, stored) is None and parse_temperature("1.5", stored) == 1.5
    with pytest.raises(UserError, match="--temperature warm: must be a number, or dev"):
        parse_temperature("warm", stored)
    with pytest.raises(UserError, match="run the inference of stage 5"):
        parse_temperature("dev", stored)
