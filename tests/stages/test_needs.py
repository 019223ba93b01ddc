"""What a training configuration asks of stages 1 and 3."""

import pytest

from m4ser.stages.needs import Needs, needs
from m4ser.utils.errors import UserError


@pytest.mark.parametrize(
    ("config", "typed", "expected"),
    [
        ("fusion: concat\n", "", Needs(True, 0, "")),
        ("", "", Needs(True, 0, "")),
        ("speech_encoder: huggingface\n", "", Needs(False, 0, "")),
        ("speech_encoder: huggingface\n", "--speech_encoder precomputed --lr 1", Needs(True, 0, "")),
        ("speech_encoder: conformer\ntext_encoder: transformer\n", "", Needs(False, 500, "")),
        ("text_encoder: transformer\ntext_encoder_conf:\n    tokens: 90\n", "", Needs(True, 90, "")),
        ("features: opensmile:eGeMAPSv02  # 88\n", "", Needs(True, 0, "opensmile:eGeMAPSv02")),
        ("features: opensmile:x\nspeech_encoder: huggingface\n", "", Needs(False, 0, "")),
        ("fusion: text\n", "--text_encoder transformer --text_encoder_conf tokens=70", Needs(True, 70, "")),
    ],
)
def test_needs(tmp_path, config, typed, expected):
    path = tmp_path / "train.yaml"
    path.write_text(config)
    assert needs(str(path), typed) == expected


def test_wrong_number(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("text_encoder: transformer\ntext_encoder_conf: {tokens: many}\n")
    with pytest.raises(UserError, match="tokens must be a whole number, not 'many'"):
        needs(str(path))


def test_options_without_value(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("")
    with pytest.raises(UserError, match=r"^--train-args: argument --speech_encoder: expected one argument$"):
        needs(str(path), "--speech_encoder")
    path.write_text("text_encoder: transformer\ntext_encoder_conf: [tokens]\nspeech_encoder: {a: 1}\n")
    assert needs(str(path)) == Needs(False, 500, "")  # what is wrong with it is said by the check
