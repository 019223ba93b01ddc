"""What version 0.1.0 has written still loads and predicts the same: a run folder, an archive, a dump.

The files beside this one were made by that version from a toy corpus; `@ROOT@` stands for the folder they lay in.
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from m4ser import EmotionRecognizer
from m4ser.bin import infer

HERE = Path(__file__).parent
RUN = "exp/golden/fold1/seed1"
TEXTS = {"d0": "now am here are", "d1": "now now very are sad", "d2": "now am i are really happy"}
TEXTS |= {"d3": "i today very now so here"}


@pytest.fixture
def earlier(tmp_path):
    """A copy of the files in a folder of its own."""
    root = tmp_path / "earlier"
    shutil.copytree(HERE, root, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for path in (p for p in root.rglob("*") if p.suffix in (".scp", ".json", ".yaml")):
        path.write_text(path.read_text(encoding="utf-8").replace("@ROOT@", str(root)), encoding="utf-8")
    return root


@pytest.mark.parametrize(("name", "model"), [("run", RUN), ("run", "exp/golden"), ("archive", "golden.m4ser.zip")])
def test_recordings_are_predicted_as_before(earlier, name, model):
    before = json.loads((earlier / "predicted.json").read_text(encoding="utf-8"))[name]
    recognizer = EmotionRecognizer.from_pretrained(earlier / model, asr="none", device="cpu")
    assert len(before) == 4
    for file, expected in before.items():
        now = recognizer(earlier / "recordings" / file, text=TEXTS[Path(file).stem])
        assert now.label == expected["label"] and now.text == expected["text"]
        assert now.probabilities == pytest.approx(expected["probabilities"], abs=1e-5)


def test_an_archive_without_its_encoders_folder(earlier):
    shutil.rmtree(earlier / "whisper")
    recognizer = EmotionRecognizer.from_pretrained(earlier / "golden.m4ser.zip", asr="none", device="cpu")
    assert recognizer(earlier / "recordings/d1.flac", text=TEXTS["d1"]).label == "sad"


def test_a_dump_is_predicted_as_before(earlier, monkeypatch):
    monkeypatch.chdir(earlier)
    path = Path(RUN, "predictions_test.tsv")
    before = _predictions(path)
    path.unlink()
    infer.main(["--exp", "exp/golden", "--parts", "test", "--job", "1"])
    now = _predictions(path)
    assert len(now) == len(before) == 8
    for old, new in zip(before, now, strict=True):
        assert {key: new[key] for key in ("utt_id", "speaker", "ref", "hyp")} == {
            key: old[key] for key in ("utt_id", "speaker", "ref", "hyp")
        }
        assert float(new["p_happy"]) == pytest.approx(float(old["p_happy"]), abs=2e-6)


def test_features_are_extracted_as_before(earlier):
    from m4ser.data.audio import load_16k
    from m4ser.data.features import load_features, read_feats_scp

    recognizer = EmotionRecognizer.from_pretrained(earlier / RUN, asr="none", device="cpu")
    scp = read_feats_scp(earlier / "dump/feats/whisper_pool8/all/feats.scp")
    for name in TEXTS:
        before = load_features(scp[f"d-{name}"])
        now = recognizer.frontend.speech(load_16k(earlier / "recordings" / f"{name}.flac"))
        assert now.shape == before.shape
        np.testing.assert_allclose(now, before, atol=1e-5)


def _predictions(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))
