"""What ser.sh is told about a training configuration."""

import pytest

from m4ser.bin import config_needs


@pytest.mark.parametrize(
    ("config", "typed", "expected"),
    [
        ("fusion: concat\n", "", "features=true tokens=0"),
        ("", "", "features=true tokens=0"),
        ("speech_encoder: huggingface\n", "", "features=false tokens=0"),
        ("speech_encoder: huggingface\n", "--speech_encoder precomputed --lr 1", "features=true tokens=0"),
        ("speech_encoder: conformer\ntext_encoder: transformer\n", "", "features=false tokens=500"),
        ("text_encoder: transformer\ntext_encoder_conf:\n    tokens: 90\n", "", "features=true tokens=90"),
        ("features: opensmile:eGeMAPSv02  # 88\n", "", "features=true tokens=0 encoder=opensmile:eGeMAPSv02"),
        ("features: opensmile:x\nspeech_encoder: huggingface\n", "", "features=false tokens=0"),
        ("fusion: text\n", "--text_encoder transformer --text_encoder_conf tokens=70", "features=true tokens=70"),
    ],
)
def test_needs(tmp_path, capsys, config, typed, expected):
    path = tmp_path / "train.yaml"
    path.write_text(config)
    config_needs.main(["--config", str(path), "--train-args", typed])
    assert capsys.readouterr().out.strip() == expected


def test_wrong_number(tmp_path):
    (tmp_path / "train.yaml").write_text("text_encoder: transformer\ntext_encoder_conf: {tokens: many}\n")
    with pytest.raises(SystemExit, match="tokens must be a whole number"):
        config_needs.main(["--config", str(tmp_path / "train.yaml")])
