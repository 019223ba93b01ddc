"""The real run.sh, with real commands on a toy corpus and tiny models: table, report, kills at every stage."""

import json
import os
import re
import shutil
import signal
import time

import pytest

from m4ser.bin import predict, report_html

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def toy(toy_recipe):
    """A recipe that has run to its end once, with the configuration m4ser."""
    toy = toy_recipe()
    toy.first_output = toy.run("--tag", "first")
    return toy


def test_runs_from_audio_to_a_table(toy):
    assert re.search(r"^\| pooled +\|", toy.first_output, re.MULTILINE)
    table = (toy.recipe / "exp/first/RESULTS.md").read_text()
    assert table.startswith("> Made by `./run.sh ")
    assert (toy.recipe / "exp/first/confusion.png").read_bytes().startswith(b"\x89PNG")
    wer = json.loads(next(toy.recipe.glob("dump/asr/*/all/wer.json")).read_text())
    assert 0.1 < wer["normalised"]["wer"] < 0.5
    again = toy.run("--tag", "first")
    assert [line.split("] ")[1] for line in again.splitlines() if "done already" in line] == [
        f"stage {number}: done already" for number in range(6)
    ]


def test_report_of_a_finished_run(toy):
    report_html.main([str(toy.recipe / "exp/first")])
    page = (toy.recipe / "exp/first/report.html").read_text(encoding="utf-8")
    history = json.loads((toy.recipe / "exp/first/fold1/seed1/history.json").read_text())
    assert list(history["epochs"]) == ["1", "2"]
    for name in ("training", "vectors", "per_speaker", "confusion"):
        assert (toy.recipe / f"exp/first/{name}.png").read_bytes().startswith(b"\x89PNG")
    # Eight test utterances: as vectors, and as three representations each.
    points = re.findall(r"<title>(d\S+), ([a-z-]+): (?:happy|sad)", page)
    assert len(points) == len(set(points)) == 8 + 24
    assert {kind for _, kind in points} == {"utterance", "speech-specific", "text-specific", "invariant"}


def test_killed_at_every_stage_ends_with_the_same_table(toy):
    shutil.copytree(toy.recipe / "exp/first", toy.root / "undisturbed")
    expected = toy.result("first")
    for folder in ("data", "dump", "exp"):
        shutil.rmtree(toy.recipe / folder)
    for stage in range(6):
        process = toy.start("--tag", "first")
        for line in process.stdout:
            if f"] stage {stage}: " in line and "done already" not in line:
                break
        else:
            pytest.fail(f"stage {stage} did not start")
        # Deep enough to have begun its work, not so deep that it could be over.
        sign = {4: "config.yaml", 5: "predictions_dev.tsv"}.get(stage)
        while sign and not (toy.recipe / "exp/first/fold1/seed1" / sign).exists() and process.poll() is None:
            time.sleep(0.02)
        time.sleep(0.4 if stage < 4 else 0.1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    toy.run("--tag", "first")
    assert toy.result("first") == expected


def test_features_of_ones_own(toy_recipe):
    """A table by names of recordings, some of its values missing: trained, scored, refused for new recordings."""
    toy = toy_recipe()
    lines = ["file;pitch;level"]
    for path in sorted((toy.root / "corpus").glob("*.wav")):
        happy = int(path.stem[1:]) % 2 == 0
        lines.append(f"{path.name};{300.0 if happy else 120.0};{'' if path.stem == 'a1' else '-20.5'}")
    (toy.root / "corpus/cues.csv").write_text("\n".join(lines) + "\n")
    at = toy.options.index("--speech-encoder")
    toy.options[at : at + 2] = ["--own-features", toy.root / "corpus/cues.csv"]
    output = toy.run("--train-config", "conf/train_speech.yaml", "--text-source", "none", "--tag", "own")
    assert "2 features of 32 utterances, some of them missing in 1" in output
    run = toy.recipe / "exp/own"
    assert "normalise: corpus" in (run / "fold1/seed1/config.yaml").read_text()
    assert json.loads((run / "metrics.json").read_text())["pooled"]["utterances"] == 8
    again = toy.run("--train-config", "conf/train_speech.yaml", "--text-source", "none", "--tag", "own")
    assert "stage 1: done already" in again and "stage 5: done already" in again
    with pytest.raises(SystemExit, match=r"own:cues: the model was trained on features of your own \(--own-features\)"):
        predict.main([str(toy.root / "corpus/a0.wav"), "--model", str(run)])
