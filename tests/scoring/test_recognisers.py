import json

import pytest

from m4ser.bin import table
from m4ser.utils.files import read_json, write_json


def errors(sub, words):
    return {"sub": sub, "del": 0, "ins": 1, "words": words, "wer": (sub + 1) / words}


@pytest.fixture
def dumps(tmp_path):
    """Two recognisers, the second with two sets and nothing known about its speed."""
    for folder, sub, more in (
        ("good/all", 1, {"real_time_factor": 0.05, "cpu_real_time_factor": 0.04, "looping_hypotheses": 2}),
        ("bad/dev", 19, {}),
        ("bad/test", 9, {}),
    ):
        report = {
            "normaliser": "english",
            "utterances": 12,
            "normalised": errors(sub, 100),
            "raw": errors(sub + 30, 100),
            "empty_hypotheses": 3,
            "by_emotion": {"sad": {"utterances": 12, "normalised": errors(sub, 50)}},
            **more,
        }
        write_json(tmp_path / folder / "wer.json", report)
    return tmp_path


def test_a_row_for_each_recogniser_and_set(dumps, capsys, unaligned):
    out = dumps / "exp/asr"
    words = ["--asr-dir", str(dumps / "good"), str(dumps / "bad"), "--names", "Whisper", "old", "--out", str(out)]
    table.main(["recognisers", *words])
    text = unaligned(capsys.readouterr().out)
    assert "| Whisper | 2.00 | 1.00 | 0.00 | 1.00 | 32.00 | 3 | 2 | 0.050 | 0.040 |\n" in text
    assert "| old, dev | 20.00 | 19.00 | 0.00 | 1.00 | 50.00 | 3 | – | – | – |\n" in text
    assert "| WER by emotion | sad |\n| --- | ---: |\n| Whisper | 4.00 |\n" in text
    assert [row[0] for row in read_json(f"{out}.json")["rows"]] == ["Whisper", "old, dev", "old, test"]
    assert "| Whisper | 2.00 |" in (dumps / "exp/asr.md").read_text()
    readme = dumps / "README.md"
    readme.write_text("<!-- begin results asr -->\n<!-- end results asr -->\n")
    table.main(["insert", "--readme", str(readme), "--name", "asr", "--from", f"{out}.json"])
    assert "| Whisper | 2.00 |" in readme.read_text()
    table.main(["recognisers", "--asr-dir", str(dumps / "bad"), "--sets", "test", "--out", str(out)])
    assert "| bad | 10.00 |" in unaligned(capsys.readouterr().out)


def test_what_cannot_be_compared(dumps):
    with pytest.raises(SystemExit, match=r"bad: no wer.json in its sets; run stage 2"):
        table.main(["recognisers", "--asr-dir", str(dumps / "bad"), "--sets", "all"])
    with pytest.raises(SystemExit, match="--names: 1 names for 2 folders"):
        table.main(["recognisers", "--asr-dir", str(dumps / "good"), str(dumps / "bad"), "--names", "x"])
    path = dumps / "good/all/wer.json"
    path.write_text(json.dumps({"normalised": None}))
    with pytest.raises(SystemExit, match="has no reference transcripts"):
        table.main(["recognisers", "--asr-dir", str(dumps / "good")])
