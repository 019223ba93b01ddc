"""Features of one's own: scaled by the training part; missing values are refused where nothing fills them in."""

import argparse
from types import SimpleNamespace

import pytest

from m4ser.data.folds import Folds
from m4ser.training.options import _scaled
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json


@pytest.mark.parametrize(
    ("task", "missing", "options"),
    [
        (
            {"speech_encoder": "precomputed", "speech_encoder_conf": {}},
            3,
            ["--speech_encoder_conf", "normalise=corpus"],
        ),
        ({"speech_encoder": "precomputed", "speech_encoder_conf": {"normalise": "utterance"}}, 0, []),
        ({"speech_encoder": "precomputed", "speech_encoder_conf": {"normalise": "corpus"}}, 3, []),
        ({"speech_encoder_conf": {}}, 0, []),  # a baseline with a scale of its own
        ({"speech_encoder": "precomputed", "speech_encoder_conf": {"normalise": "frame"}}, 3, None),
        ({"speech_encoder": "precomputed", "objectives": {"augmentation": {}}}, 3, None),
        ({"speech_encoder_conf": {}}, 3, None),
    ],
)
def test_scale_and_missing_values(tmp_path, task, missing, options):
    for name, count in (("dev", 0), ("train", missing)):
        write_json(tmp_path / name / "info.json", {"missing": count})
    folds = Folds("p", "", sets=["dev", "train"])
    settings = SimpleNamespace(feats=str(tmp_path), config="conf/train_x.yaml")
    if options is None:
        message = r"3 utterances lack some of their features, and conf/train_x\.yaml cannot use them so; only speech"
        with pytest.raises(UserError, match=message):
            _scaled(settings, argparse.Namespace(**task), folds)
    else:
        assert _scaled(settings, argparse.Namespace(**task), folds) == options
