"""A few lines of dialogue in MELD's layout are spoken, with noise, the same in every run; and the study's script."""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.scoring import robustness
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed")
ROOT = Path(__file__).resolve().parents[2]
HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
TIMES = '8,21,"00:20:57,256","00:21:00,049"'
EMOTIONS = ("joy", "sadness")
SPEAKERS = ("Ross", "Monica", "Mr. Treeger")
SIZE = ("--train-lines", "10", "--dev-lines", "4", "--test-lines", "4")
RATE = 16000


@pytest.fixture(scope="module")
def speech():
    spec = importlib.util.spec_from_file_location("speech", ROOT / "egs/meld_tts/local/speech.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["speech"] = module  # its functions are called in other processes, by name
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def official(official):
    for part, count in (("train", 13), ("dev", 4), ("test", 5)):
        said = ("Great, I’m so happy!", "Oh no. I’m so sad?")
        lines = [f'{i},"{said[i % 2]} {i}",{SPEAKERS[i % 3]},{EMOTIONS[i % 2]},x,{i},0,{TIMES}' for i in range(count)]
        lines[0] = lines[0].replace("Great, I’m so happy!", "You must\x92ve \x97").replace(" 0", "")
        official.put(
            f"MELD.Raw/{part}_sent_emo.csv", "\r\n".join([HEADER, *lines, f'99,"!",Ross,joy,positive,99,0,{TIMES}', ""])
        )
    return official


def read(data, utt):
    return soundfile.read(data.maps["wav.scp"][utt], dtype="float32")[0]


@pytest.mark.slow
def test_every_line_is_spoken_in_its_speakers_voice(official, tmp_path):
    where = ("--speech-dir", str(tmp_path / "speech"))
    sets = official.prepare(*SIZE, *where)
    assert {name: len(data.utts) for name, data in sets.items()} == {"dev": 4, "test": 4, "train": 10}
    folds = official.folds()
    assert (folds.protocol, folds.speaker_disjoint) == ("meld-tts-10-4-4", False)
    assert "synthetic, not MELD" in folds.description
    train = sets["train"]
    assert set(train.maps["utt2spk"].values()) == {"Ross", "Monica", "Mr_Treeger"}
    assert not any("_dia99_" in utt for utt in train.utts)  # a mere "!" cannot be said
    for utt in train.utts:
        samples = read(train, utt)
        assert 0.7 < len(samples) / RATE < 5
        voiced = samples[2400:-2400]
        assert 20 * np.log10(np.sqrt(np.mean(voiced**2))) == pytest.approx(-26, abs=0.3)
    before = {path: path.read_bytes() for path in (tmp_path / "speech").rglob("*.flac")}
    assert len(before) == 18
    shutil.rmtree(tmp_path / "speech/clean")
    official.prepare(*SIZE, *where)
    assert {path: path.read_bytes() for path in (tmp_path / "speech").rglob("*.flac")} == before


@pytest.mark.slow
def test_a_larger_training_part_holds_the_smaller(official, tmp_path):
    where = ("--speech-dir", str(tmp_path / "speech"))
    small = set(official.prepare(*SIZE, *where)["train"].utts)
    assert small < set(official.prepare("--train-lines", "12", *SIZE[2:], *where)["train"].utts)


@pytest.mark.slow
def test_noise_is_the_same_at_every_level(official, tmp_path):
    where = ("--speech-dir", str(tmp_path / "speech"))
    clean = official.prepare(*SIZE, *where)["test"]
    utt = clean.utts[0]
    for kind in ("white", "babble"):
        noise = {}
        for snr in (0, 20):
            noisy = official.prepare(*SIZE, *where, "--noise", kind, "--snr", str(snr))["test"]
            noise[snr] = read(noisy, utt) - read(clean, utt)
            speech_power = np.mean(read(clean, utt)[2400:-2400] ** 2)
            measured = 10 * np.log10(speech_power / np.mean(noise[snr] ** 2))
            assert measured == pytest.approx(snr, abs=0.1)
        assert np.corrcoef(noise[0], noise[20])[0, 1] > 0.999


@pytest.mark.slow
def test_babble_does_not_depend_on_the_size_asked_for(official, tmp_path):
    """The talkers are the same, so what one size has mixed is right for another."""
    babble = ("--noise", "babble", "--snr", "5")
    small = official.prepare(*SIZE, "--speech-dir", str(tmp_path / "a"), *babble)["test"]
    heard = {utt: read(small, utt) for utt in small.utts}
    large = official.prepare("--train-lines", "12", *SIZE[2:], "--speech-dir", str(tmp_path / "b"), *babble)["test"]
    assert large.utts == small.utts
    for utt in large.utts:
        np.testing.assert_array_equal(read(large, utt), heard[utt])
    (tmp_path / "b/babble5/made_by.json").write_text('{"espeak-ng": "1.0", "version": 1}')
    (official.data / "folds.json").unlink()
    message = official.fails(*SIZE, "--speech-dir", str(tmp_path / "b"), *babble)
    assert "babble5: has speech of another version" in message


@pytest.mark.slow
def test_bad_options(official, tmp_path):
    where = ("--speech-dir", str(tmp_path / "speech"))
    assert "--noise and --snr: give both or none" in official.fails(*SIZE, *where, "--snr", "5")
    assert "give both or none" in official.fails(*SIZE, *where, "--noise", "white")
    assert "not the complete corpus" in official.fails(*where)
    (tmp_path / "speech/clean/made_by.json").write_text('{"espeak-ng": "1.0", "version": 1}')
    assert "has speech of another version" in official.fails(*SIZE, *where)
    (official.corpus / "MELD.Raw/dev_sent_emo.csv").unlink()
    assert "expected dev_sent_emo.csv, found MELD.Raw" in official.fails(*SIZE, *where)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("What?! NO -- I mean... that’s “it”!!", "what. no, i mean. that's it."),
        ("Oh—my; (sighs) ‘Hi’!", "oh, my, sighs hi."),
        ("It's 2:17, I-I paid $2.50", "it's 2, 17, i-i paid $2.50."),
        ("...And?", "and."),
        ("?!", ""),
    ],
)
def test_nothing_says_how_a_line_is_meant(speech, line, said):
    assert speech.spoken(line) == said
    assert speech.spoken(line.upper().replace("!", "?")) == said


def test_voices(speech):
    assert speech.voice_of("Ross").name == "en-us+m3"
    assert speech.voice_of("Gunther") == speech.voice_of("Gunther") != speech.voice_of("Janice")


def test_babble_needs_other_speakers(speech, tmp_path):
    lines = [speech.Line(f"u{i}", "Ross", "x") for i in range(9)]
    with pytest.raises(UserError, match="--noise babble: needs 6 training lines of other speakers"):
        speech.mix_all(tmp_path, tmp_path / "noisy", lines, lines, "babble", 5, 1)


CALLED = """#!/bin/sh
echo "$0 $*" | sed 's/.*\\/egs/egs/' >>"$CALLS"
"""


def test_rows_of_the_study(checkout, tmp_path):
    """Which text each row asks for; the scripts that it calls only note their options."""
    folder = checkout / "egs/meld_tts"
    folder.mkdir()
    shutil.copy(ROOT / "egs/meld_tts/run_study.sh", folder)
    for script in (folder / "run.sh", checkout / "egs/TEMPLATE/compare.sh"):
        script.write_text(CALLED)
        script.chmod(0o755)

    def calls(*words, script="./run_study.sh", cwd=folder):
        log = tmp_path / "calls"
        log.unlink(missing_ok=True)
        env = os.environ | {"CALLS": str(log), "PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            [script, "--corpus-dir", "csv files", *words], cwd=cwd, env=env, capture_output=True, text=True
        )
        return result, log.read_text().splitlines() if log.exists() else []

    result, lines = calls("--prepare-only", "true", "--conditions", "reference pocketsphinx babble0")
    assert result.returncode == 0, result.stderr
    size = "--train-lines 3000 --dev-lines 0 --test-lines 0"
    start = "./run.sh --stage 0 --stop-stage 3 --data data"
    assert lines == [
        f"{start}/clean --dump dump/clean {size} --text-source ref --corpus-dir csv files",
        f"{start}/clean --dump dump/clean {size} --asr pocketsphinx --corpus-dir csv files",
        f"{start}/babble0 --dump dump/babble0 {size} --noise babble --snr 0 --corpus-dir csv files",
    ]
    lines = calls("--conditions", "white10")[1]
    assert "--exp exp/white10 --data data/white10 --dump dump/white10 --run-args" in lines[0]
    assert [*size.split(), "--noise", "white", "--snr", "10", "--corpus-dir", "csv files"] == shlex.split(lines[0])[
        -12:
    ]
    elsewhere = calls("--conditions", "white10", script="egs/meld_tts/run_study.sh", cwd=checkout)
    assert elsewhere[1] == lines, elsewhere[0].stderr
    result, lines = calls("--conditions", "clean pink5")
    assert "--conditions: pink5 is none of reference, clean" in result.stderr and result.returncode == 1
    assert not lines, "nothing is begun when one row is wrong"
    assert calls("--help")[0].stdout.startswith("usage: ./run_study.sh [options]")


@pytest.mark.slow
def test_study(official, checkout, tiny_bert):
    """One row, one system, from the lines to the table in a page."""
    folder = checkout / "egs/meld_tts"
    kept = shutil.ignore_patterns("data", "dump", "exp", "speech")
    shutil.copytree(ROOT / "egs/meld_tts", folder, ignore=kept, dirs_exist_ok=True)
    (checkout / "tools/activate_python.sh").write_text(f'export PATH="{Path(sys.executable).parent}:$PATH"\n')
    (folder / "page.md").write_text("<!-- begin results study -->\n<!-- end results study -->\n")
    options = ("--speech-encoder none --asr reference --asr-conf wer=0.3 --nj 1 "
               f"--text-encoder '{tiny_bert}' --train-args '--max_epoch 1 --keep_nbest_models 1'")  # fmt: skip
    command = [
        *("./run_study.sh", "--corpus-dir", str(official.corpus), *SIZE, "--conditions", "white5"),
        *("--configs", "text", "--baseline", "text", "--seeds", "1", "--readme", "page.md", "--run-args", options),
        *("--results", "kept rows"),
    ]
    env = {key: value for key, value in os.environ.items() if not key.startswith("M4SER_")} | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stdout + result.stderr
    study = read_json(folder / "exp/study.json")
    assert [row["condition"] for row in study["about"]["conditions"]] == ["white 5 dB"]
    assert 0.05 < study["about"]["conditions"][0]["wer"] < 0.6
    page = (folder / "page.md").read_text()
    assert (
        study["made_by"]["command"].startswith("./run_study.sh --corpus-dir")
        and "details: exp/study.json" in page
        and "| white 5 dB |" in page
    )
    assert (folder / "study.png").read_bytes().startswith(b"\x89PNG")

    # The row is kept, and stands beside others when its runs are gone.
    kept_rows, row = folder / "kept rows", "white5/comparison.json"
    assert (kept_rows / row).read_bytes() == (folder / "exp" / row).read_bytes()
    (kept_rows / "white5").rename(kept_rows / "babble20")
    result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stdout + result.stderr
    study = read_json(folder / "exp/study.json")
    assert [row["condition"] for row in study["about"]["conditions"]] == ["white 5 dB", "babble 20 dB"]


@pytest.mark.parametrize("kept", ["main", "ablations"])
def test_page_shows_what_is_kept(kept):
    """The tables of a study are those of the comparisons in results/KEPT, to the last digit."""
    folders = sorted((ROOT / "egs/meld_tts/results" / kept).iterdir())
    page = (ROOT / "egs/meld_tts/RESULTS.md").read_text()
    table = robustness.table(folders).markdown()
    rows = [line.split(" | ", 1)[1] for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) == 4 * (2 + len(folders)) + 4  # header, rule; mean and slope of the differences
    assert [row for row in rows if row not in page] == []
