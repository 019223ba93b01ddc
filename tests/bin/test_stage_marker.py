"""Markers: what counts as a change, what is kept, what is said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from m4ser.bin import stage_marker
from m4ser.bin.stage_marker import differences, digest, main


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe's folder with data of one set and two folds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/all").mkdir(parents=True)
    (tmp_path / "data/all/text").write_text("a x\n")
    part = {"train": ["a"], "dev": ["b"], "test": ["c"]}
    folds = {"protocol": "p", "description": "d", "sets": ["all"], "folds": {"1": part, "2": part}}
    (tmp_path / "data/folds.json").write_text(json.dumps(folds))
    return tmp_path


def call(capsys, action, folder, *words):
    # Every command is a process of its own: nothing is remembered.
    stage_marker.digest.cache_clear()
    stage_marker.upstream_id.cache_clear()
    Path(folder).mkdir(parents=True, exist_ok=True)
    main([action, str(folder), *map(str, words)])
    return capsys.readouterr()


def begin(capsys, folder, *words):
    return call(capsys, "begin", folder, "--stage", "1", *words).out.strip()


def finish(capsys, folder, *words):
    call(capsys, "finish", folder, *words)


def test_done_until_an_option_an_input_or_an_output_changes(recipe, capsys):
    words = ["--option", "rate=16 k=v", "--input", "data/@set", "--output", "dump/audio/@set/wav.scp"]
    assert begin(capsys, "dump/audio", *words) == "run"
    assert (recipe / "dump/audio/.doing").exists()
    assert begin(capsys, "dump/audio", *words) == "run"  # interrupted
    (recipe / "dump/audio/all").mkdir()
    (recipe / "dump/audio/all/wav.scp").touch()
    finish(capsys, "dump/audio")
    assert json.loads((recipe / "dump/audio/.done").read_text())["options"] == {"rate": "16 k=v"}
    assert begin(capsys, "dump/audio", *words) == "done"
    assert begin(capsys, "dump/audio", *words, "--force", "true") == "run"
    finish(capsys, "dump/audio")

    (recipe / "dump/audio/all/wav.scp").unlink()
    assert begin(capsys, "dump/audio", *words) == "run"
    (recipe / "dump/audio/all/wav.scp").touch()
    finish(capsys, "dump/audio")
    (recipe / "data/all/utt2emo").touch()
    said = call(capsys, "begin", "dump/audio", "--stage", "1", *words)
    assert (said.out, said.err) == ("run\n", "stage 1: dump/audio is made again: data/all has changed\n")
    finish(capsys, "dump/audio")
    said = call(capsys, "begin", "dump/audio", "--stage", "1", "--option", "rate=8", *words[2:])
    assert said.err == "stage 1: dump/audio is made again: --rate was '16 k=v' and is '8'\n"


def test_names_tell_steps_of_one_folder_apart(recipe, capsys):
    assert begin(capsys, "exp/x", "--name", "train") == "run"
    finish(capsys, "exp/x", "--name", "train")
    assert begin(capsys, "exp/x", "--name", "score") == "run"
    assert begin(capsys, "exp/x", "--name", "train") == "done"


def test_option_on_record(recipe, capsys):
    assert call(capsys, "option", "data", "corpus-dir").out == "\n"
    begin(capsys, "data", "--option", "corpus-dir=/my corpus=1")
    assert call(capsys, "option", "data", "corpus-dir").out == "\n"  # it was never read to its end
    finish(capsys, "data")
    assert call(capsys, "option", "data", "corpus-dir").out == "/my corpus=1\n"


def test_what_is_made_from_other_options_goes_before_it_can_be_mixed_up(recipe, capsys):
    folder = recipe / "dump/audio"
    begin(capsys, folder, "--clean", "true", "--option", "a=1")
    (folder / "old").mkdir()
    (folder / ".lock").touch()
    begin(capsys, folder, "--clean", "true", "--option", "a=1")
    assert (folder / "old").exists()  # interrupted work is continued
    begin(capsys, folder, "--clean", "true", "--option", "a=2")
    assert {path.name for path in folder.iterdir()} == {".doing", ".lock"}


def test_without_a_marker_nothing_is_removed(recipe, capsys):
    folder = recipe / "dump/audio"
    (folder / "mine").mkdir(parents=True)
    assert begin(capsys, folder, "--clean", "true") == "run"
    assert (folder / "mine").exists()


def test_an_earlier_experiment_is_set_aside(recipe, capsys):
    folder = recipe / "exp/x"
    words = ["--name", "train", "--keep-previous", "true", "--folds", "", "--option"]
    for generation in ("1", "2", "3"):
        begin(capsys, folder, *words, f"lr={generation}")
        assert not list(folder.glob("fold*"))
        (folder / "fold1").mkdir()
        (folder / "fold1/model").write_text(generation)
        finish(capsys, folder, "--name", "train")
    assert (recipe / "exp/x.previous/fold1/model").read_text() == "2"


def test_setting_aside_survives_being_killed(recipe, capsys, monkeypatch):
    folder = recipe / "exp/x"
    words = ["--name", "train", "--keep-previous", "true", "--folds", "", "--option"]
    begin(capsys, folder, *words, "lr=1")
    for name in ("fold1", "fold2"):
        (folder / name).mkdir()
    finish(capsys, folder, "--name", "train")
    replace, moved = stage_marker.os.replace, []

    def dying(source, target):
        if Path(target).parent.name.endswith(".previous"):
            if moved:
                raise KeyboardInterrupt
            moved.append(source)
        replace(source, target)

    monkeypatch.setattr(stage_marker.os, "replace", dying)
    with pytest.raises(SystemExit):
        begin(capsys, folder, *words, "lr=2")
    monkeypatch.undo()
    monkeypatch.chdir(recipe)
    assert not (folder / ".train.done").exists()
    assert begin(capsys, folder, *words, "lr=2") == "run"
    assert not list(folder.glob("fold*"))
    assert {path.name for path in (recipe / "exp/x.previous").glob("fold*")} == {"fold1", "fold2"}


def test_runs_are_added_and_forced_one_by_one(recipe, capsys):
    folder = recipe / "exp/x"
    words = ["--name", "train", "--keep-previous", "true", "--output", str(folder / "@cell")]

    def train(folds, seeds, *more):
        answer = begin(capsys, folder, *words, "--folds", folds, "--seeds", seeds, *more)
        if answer == "run":
            kept = {str(path.relative_to(folder)) for path in folder.glob("fold*/seed*")}
            for cell in [f"fold{fold}/seed{seed}" for fold in (folds or "1 2").split() for seed in seeds.split()]:
                (folder / cell).mkdir(parents=True, exist_ok=True)
            finish(capsys, folder, "--name", "train")
            return kept
        return answer

    assert train("1", "1") == set()
    assert train("", "1") == {"fold1/seed1"}
    assert train("2", "1") == "done"
    assert train("1", "1 2") == {"fold1/seed1", "fold2/seed1"}
    assert train("", "1") == "done"
    assert train("1", "1", "--force", "true") == {"fold1/seed2", "fold2/seed1"}
    assert train("", "1") == "done"
    main(["count", "--folds", "", "--seeds", "1 2 3"])
    assert capsys.readouterr().out == "6\n"

    stage_marker.upstream_id.cache_clear()
    step = ["begin", str(folder), "--name", "score", "--stage", "5", "--after", f"{folder}:train=4"]
    kept, again = folder / "fold1/seed2/model.pth", folder / "fold1/seed2/predictions_test.tsv"
    kept.touch()
    again.touch()
    output = ["--output", str(folder / "@cell/predictions_test.tsv")]
    main([*step, *output, "--folds", "1", "--seeds", "2", "--force", "true"])
    assert kept.exists()  # what the step itself makes goes, nothing else
    assert not again.exists()
    with pytest.raises(SystemExit, match=r"fold2/seed2 is missing; run stage 4 first"):
        main([*step, "--folds", "", "--seeds", "2"])


def test_upstream_has_to_be_finished_and_up_to_date(recipe, capsys):
    after = ["--after", "dump/audio:=1"]
    with pytest.raises(SystemExit) as end:
        begin(capsys, "dump/feats/x", *after)
    remedy = "./run.sh --stage 1 --stop-stage 1"
    assert str(end.value) == f"error: dump/audio is missing; run stage 1 first: {remedy}"
    begin(capsys, "dump/audio", "--input", "data/@set")
    with pytest.raises(SystemExit, match="dump/audio is not finished; run stage 1 first"):
        begin(capsys, "dump/feats/x", *after)
    finish(capsys, "dump/audio")
    assert begin(capsys, "dump/feats/x", *after) == "run"
    finish(capsys, "dump/feats/x")
    assert begin(capsys, "dump/feats/x", *after) == "done"

    # made again from the same, it may still be another: what builds on it is made again
    assert begin(capsys, "dump/audio", "--input", "data/@set", "--force", "true") == "run"
    assert begin(capsys, "dump/audio", "--input", "data/@set") == "run"  # interrupted
    finish(capsys, "dump/audio")
    assert begin(capsys, "dump/audio", "--input", "data/@set") == "done"
    assert begin(capsys, "dump/feats/x", *after) == "run"
    finish(capsys, "dump/feats/x")
    assert begin(capsys, "dump/feats/x", *after) == "done"

    (recipe / "data/all/text").write_text("a y\n")
    with pytest.raises(SystemExit) as end:
        begin(capsys, "exp/x", "--after", "dump/feats/x:=1")
    assert str(end.value) == f"error: dump/audio was made before data/all was changed; run stage 1 again: {remedy}"
    begin(capsys, "dump/audio", "--input", "data/@set")
    finish(capsys, "dump/audio")
    with pytest.raises(SystemExit, match="dump/feats/x was made from an earlier dump/audio; run stage 1 again"):
        begin(capsys, "exp/x", "--after", "dump/feats/x:=1")
    assert begin(capsys, "dump/feats/x", *after) == "run"


def test_missing_file_and_damaged_folds(recipe, capsys):
    with pytest.raises(SystemExit, match=r"data/labels.txt is missing; run stage 0 first: ./run.sh --stage 0"):
        begin(capsys, "dump/audio", "--need", "data/folds.json=0", "--need", "data/labels.txt=0")
    (recipe / "data/folds.json").write_text("{")
    with pytest.raises(SystemExit, match=r"data/folds.json: damaged"):
        begin(capsys, "dump/audio", "--input", "data/@set")


def test_damaged_marker_means_run_again(recipe, capsys):
    begin(capsys, "dump/audio")
    finish(capsys, "dump/audio")
    for content in ("", "[]", '{"id": 1}'):
        (recipe / "dump/audio/.done").write_text(content)
        assert begin(capsys, "dump/audio") == "run"
        finish(capsys, "dump/audio")


def test_digest(tmp_path):
    def fresh(path):
        digest.cache_clear()
        return digest(path)

    (tmp_path / "text").write_text("a x\n")
    one = fresh(tmp_path)
    (tmp_path / ".lock").touch()
    (tmp_path / "flac").mkdir()
    (tmp_path / "flac/a.flac").touch()
    assert fresh(tmp_path) == one
    (tmp_path / "text").rename(tmp_path / "text2")
    assert fresh(tmp_path) != one
    assert fresh(tmp_path / "absent") == ""

    made = tmp_path / "a.json"
    made.write_text('{"made_by": {"date": "today"}, "x": 1, "y": 2}')
    one = fresh(made)
    made.write_text('{"made_by": {"date": "later"}, "y": 2, "x": 1}')
    assert fresh(made) == one
    made.write_text('{"made_by": {"date": "later"}, "y": 2, "x": 2}')
    assert fresh(made) != one


def test_differences_name_options_as_typed():
    old = {"options": {"a": "1", "b": ""}, "inputs": {"conf/x.yaml": "1"}, "after": {"dump/audio:": "1"}}
    new = {"options": {"a": "1", "b": "2"}, "inputs": {"conf/x.yaml": "2"}, "after": {"dump/audio:": "2"}}
    assert differences(old, new) == "--b was '' and is '2'; conf/x.yaml has changed; dump/audio has changed"


def test_starts_without_the_heavy_libraries():
    code = "import sys, m4ser.bin.stage_marker, m4ser.launch.local; print(*{'torch', 'numpy'} & set(sys.modules))"
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout == "\n"
