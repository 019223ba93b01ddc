import json
import shutil

import pytest

from m4ser.bin import make_targets
from m4ser.data.scp import read_scp, write_scp
from m4ser.training import targets


@pytest.fixture
def corpus(tmp_path):
    audio, asr = tmp_path / "audio/all", tmp_path / "asr/all"
    write_scp(audio / "wav.scp", {utt: f"/nowhere/{utt}.flac" for utt in ("a", "b", "c", "d")})
    write_scp(audio / "text", {"a": "I'm so happy!", "b": "Go home.", "c": "No.", "d": ""})
    write_scp(audio / "utt2spk", {utt: "s" for utt in "abcd"})
    write_scp(asr / "text", {"a": "I was so happy.", "b": "Go home.", "c": "", "d": "Hm?"})
    return tmp_path


def run(corpus, *words):
    make_targets.main(["--data-dir", str(corpus / "audio"), "--out", str(corpus / "text"), *map(str, words)])
    edits = read_scp(corpus / "text/all/edits")
    stats = json.loads((corpus / "text/all/stats.json").read_text(encoding="utf-8"))
    return {utt: json.loads(line) for utt, line in edits.items()}, stats


def test_targets_of_recognised_text(corpus, capsys):
    edits, stats = run(corpus, "--asr-dir", corpus / "asr")
    assert edits == {
        "a": {"words": ["i", "was", "so", "happy"], "tags": "DKDDCKDKD", "changes": [[4, "am"]]},
        "b": {"words": ["go", "home"], "tags": "DKDKD", "changes": []},
        "c": {"words": [], "tags": "C", "changes": [[0, "no"]]},
        "d": {"words": ["hm"]},  # nobody has written down what was said
    }
    del stats["made_by"]
    assert stats == {
        **{"source": "asr", "normaliser": "english", "utterances": 4, "with_targets": 3, "words": 7},
        **{"reference_words": 7, "missing_words": 2, "empty": 1, "changed": 2},
        **{"keep": 5, "delete": 8, "change": 2, "deleted_words": 1},
    }
    assert capsys.readouterr().out == (
        "all: 4 utterances, 7 words; 1 without reference transcript have no targets; 2 utterances differ from the "
        "reference; 5 words kept, 1 deleted, 2 to add at 2 places\n"
    )


def test_reference_text_has_nothing_to_change(corpus):
    edits, stats = run(corpus, "--source", "ref")
    assert edits["a"] == {"words": ["i", "am", "so", "happy"], "tags": "DKDKDKDKD", "changes": []}
    assert edits["d"] == {"words": []}
    assert stats["changed"] == 0 and stats["keep"] == stats["words"] == 7


def test_normaliser(corpus):
    edits, _ = run(corpus, "--asr-dir", corpus / "asr", "--normaliser", "none")
    assert edits["a"] == {
        "words": ["I", "was", "so", "happy."],
        "tags": "DDDDCKDDC",
        "changes": [[4, "I'm"], [8, "happy!"]],
    }


def test_without_any_reference_there_is_text_but_no_targets(corpus, capsys):
    write_scp(corpus / "audio/all/text", {utt: "" for utt in "abcd"})
    edits, stats = run(corpus, "--asr-dir", corpus / "asr")
    assert edits["b"] == {"words": ["go", "home"]}
    assert stats["with_targets"] == 0 and stats["keep"] == stats["changed"] == stats["deleted_words"] == 0
    assert "no targets" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="has no transcripts; use recognised text"):
        run(corpus, "--source", "ref")


def test_nothing_is_written_that_does_not_give_back_the_reference(corpus, monkeypatch):
    monkeypatch.setattr(targets, "apply_edits", lambda words, edits: list(words))
    with pytest.raises(RuntimeError, match="does not give back 'i am so happy'"):
        run(corpus, "--asr-dir", corpus / "asr")
    assert not (corpus / "text").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda root: (root / "asr/all/text").unlink(), "asr/all/text: no such file; run stage 2"),
        (lambda root: (root / "asr/all/text").write_bytes(b"a x\r\n"), "asr/all/text: line 1 ends in CRLF"),
        (lambda root: (root / "audio/all/utt2spk").unlink(), "audio/all/utt2spk: no such file; run stage 1"),
        (lambda root: (root / "audio/all/text").write_text("a x\n"), "audio/all/text"),
    ],
)
def test_missing_or_bad_input(corpus, change, why):
    change(corpus)
    with pytest.raises(SystemExit) as error:
        run(corpus, "--asr-dir", corpus / "asr")
    assert str(error.value).startswith("error: ")
    assert why in str(error.value)
    assert "\n" not in str(error.value)
    assert not (corpus / "text").exists()


def test_recognised_text_must_be_said_where(corpus):
    with pytest.raises(SystemExit, match="--asr-dir is needed"):
        run(corpus)


def test_before_stage_1(corpus):
    shutil.rmtree(corpus / "audio")
    with pytest.raises(SystemExit, match=r"audio: no data directories in it; run stage 1"):
        run(corpus, "--source", "ref")


def test_nothing_is_written_before_every_set_is_good(corpus):
    shutil.copytree(corpus / "audio/all", corpus / "audio/later")
    with pytest.raises(SystemExit, match=r"asr/later/text: no such file; run stage 2"):
        run(corpus, "--asr-dir", corpus / "asr")
    assert not (corpus / "text").exists()


def test_letters_beyond_ascii_and_json(corpus):
    write_scp(corpus / "audio/all/text", {"a": 'Größe "\\" \u2028 naïve', "b": "x", "c": "x", "d": "x"})
    write_scp(corpus / "asr/all/text", {"a": "größe 東京", "b": "x", "c": "x", "d": "x"})
    edits, _ = run(corpus, "--asr-dir", corpus / "asr", "--normaliser", "none")
    assert edits["a"] == {"words": ["größe", "東京"], "tags": "DDDDC", "changes": [[4, 'Größe "\\" naïve']]}
    assert "東京" in (corpus / "text/all/edits").read_text(encoding="utf-8")
