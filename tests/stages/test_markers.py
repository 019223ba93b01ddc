"""Markers: what counts as a change, what is kept, what is said."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from m4ser.stages import markers
from m4ser.stages.markers import Leftovers, Runs, Step, Upstream, differences, digest
from m4ser.utils.errors import UserError


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe's folder with data of one set and two folds."""
    monkeypatch.chdir(tmp_path)
    markers.forget()  # of other folders of the same name
    (tmp_path / "data/all").mkdir(parents=True)
    (tmp_path / "data/all/text").write_text("a x\n")
    part = {"train": ["a"], "dev": ["b"], "test": ["c"]}
    folds = {"protocol": "p", "description": "d", "sets": ["all"], "folds": {"1": part, "2": part}}
    (tmp_path / "data/folds.json").write_text(json.dumps(folds))
    return tmp_path


def begin(folder="dump/audio", **step):
    """Whether a step of stage 1 has work to do."""
    markers.forget()  # every command is a process of its own: nothing is remembered
    Path(folder).mkdir(parents=True, exist_ok=True)
    described = Step(1, str(folder), **step)
    complete = markers.is_done(described)
    assert complete is not markers.begin(described)  # what is asked beforehand says the same
    return not complete


def finish(folder="dump/audio", name=""):
    markers.finish(str(folder), name)


def test_done_until_an_option_an_input_or_an_output_changes(recipe, capsys):
    step = {"options": {"rate": "16 k=v"}, "inputs": ["data/@set"], "outputs": ["dump/audio/@set/wav.scp"]}
    assert begin(**step)
    assert (recipe / "dump/audio/.doing").exists()
    assert begin(**step)  # interrupted
    (recipe / "dump/audio/all").mkdir()
    (recipe / "dump/audio/all/wav.scp").touch()
    finish()
    assert json.loads((recipe / "dump/audio/.done").read_text())["options"] == {"rate": "16 k=v"}
    assert not begin(**step)
    assert begin(**step, force=True)
    finish()

    (recipe / "dump/audio/all/wav.scp").unlink()
    assert begin(**step)
    (recipe / "dump/audio/all/wav.scp").touch()
    finish()
    (recipe / "data/all/utt2emo").touch()
    assert capsys.readouterr().err == ""
    assert begin(**step)
    assert capsys.readouterr().err == "stage 1: dump/audio is made again: data/all has changed\n"
    finish()
    begin(**{**step, "options": {"rate": "8"}})
    assert capsys.readouterr().err == "stage 1: dump/audio is made again: --rate was '16 k=v' and is '8'\n"


def test_a_marker_of_an_earlier_version_is_understood(recipe):
    """Its id is computed from the same content, so what it vouches for is not made again."""
    record = {
        "made_by": {},
        "stage": "1",
        "options": {"asr": "faster_whisper"},
        "inputs": {"data/all": digest(Path("data/all"))},
        "after": {},
        "cells": [],
        "cleaning": False,
    }
    assert digest(Path("data/all")) == "07d6ba8ce9918bd8"
    (recipe / "dump/audio").mkdir(parents=True)
    (recipe / "dump/audio/.done").write_text(json.dumps({**record, "id": "90221a3b371d961f"}))
    assert not begin(options={"asr": "faster_whisper"}, inputs=["data/@set"])


def test_names_tell_steps_of_one_folder_apart(recipe):
    assert begin("exp/x", name="train")
    finish("exp/x", "train")
    assert begin("exp/x", name="score")
    assert not begin("exp/x", name="train")


DUMP = {"folder": "dump/audio", "leftovers": Leftovers.REMOVE}


def test_what_is_made_from_other_options_goes_before_it_can_be_mixed_up(recipe):
    folder = recipe / "dump/audio"
    begin(**DUMP, options={"a": "1"})
    (folder / "old").mkdir()
    (folder / ".lock").touch()
    begin(**DUMP, options={"a": "1"})
    assert (folder / "old").exists()  # interrupted work is continued
    begin(**DUMP, options={"a": "2"})
    assert names(folder) == {".doing", ".lock", ".earlier"}
    assert names(folder / ".earlier") == {".doing", "old"}
    finish()
    assert names(folder) == {".done", ".lock"}


def names(folder):
    return {path.name for path in Path(folder).iterdir()}


def make(value, complete=True, **more):
    """Make `dump/audio` with other options, or begin to; whether there was something to do."""
    markers.forget()
    Path("dump/audio").mkdir(parents=True, exist_ok=True)
    step = Step(1, **DUMP, options={"a": value}, **more)
    if markers.is_done(step) or not markers.begin(step):
        return False
    Path("dump/audio/.parts/1of1.0").mkdir(parents=True, exist_ok=True)
    Path("dump/audio/log").mkdir(exist_ok=True)
    Path("dump/audio/all").mkdir(exist_ok=True)
    Path("dump/audio/all/wav.scp").write_text(value)
    if complete:
        finish()
    return True


def test_a_dump_is_kept_until_the_new_one_is_complete(recipe, capsys):
    """A run with other options that is stopped costs nothing that was there."""
    folder = recipe / "dump/audio"
    make("1")
    (folder / ".score.done").write_text("{}")  # of another step
    make("2", complete=False)
    capsys.readouterr()
    assert not make("1")
    assert capsys.readouterr().err == "stage 1: dump/audio: what was there before a run with other options is back\n"
    assert names(folder) == {".done", ".score.done", "log", "all"}
    assert (folder / "all/wav.scp").read_text() == "1"
    make("2", complete=False)
    make("3", complete=False)  # the finished one stays, not what is in its place
    assert not make("1")
    make("2", complete=False)
    assert make("2")
    assert names(folder) == {".done", "log", "all"}
    assert make("1")


def test_unfinished_work_comes_back_too(recipe):
    make("1", complete=False)
    make("2", complete=False)
    Path("dump/audio/of2").touch()
    assert begin(**DUMP, options={"a": "1"})
    assert Path("dump/audio/all/wav.scp").read_text() == "1"
    assert names("dump/audio") == {".doing", ".parts", "log", "all"}


def test_a_dump_that_is_made_again_by_force_is_kept_too(recipe):
    make("1")
    before = json.loads(Path("dump/audio/.done").read_text())
    assert make("1", complete=False, force=True)
    assert begin(**DUMP, options={"a": "1"})  # goes on, and does not take the earlier one
    assert Path("dump/audio/.earlier/all/wav.scp").exists()
    make("2", complete=False)
    assert not make("1")
    assert json.loads(Path("dump/audio/.done").read_text()) == before
    assert make("1", force=True)
    assert json.loads(Path("dump/audio/.done").read_text())["generation"] == 1
    assert names("dump/audio") == {".done", "log", "all"}


class Killed(BaseException):
    """Nothing behind it is run."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then"),
    [("finished", "1"), ("finished", "2"), ("finished", "3"), ("unfinished", "1"), ("unfinished", "3")],
)
def test_moving_a_dump_survives_being_killed_at_any_point(recipe, monkeypatch, first, then):
    """A finished dump is never lost: killed at every change of a name, the runs after it find it or the new one."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # most of the time
    for kill in itertools.count(1):
        shutil.rmtree("dump", ignore_errors=True)
        make("1", complete=first == "finished")
        changes = itertools.count(1)
        with monkeypatch.context() as patch:
            for module, name in ((markers.os, "replace"), (markers.shutil, "rmtree"), (Path, "unlink")):
                patch.setattr(module, name, dying(getattr(module, name), changes, kill))
            try:
                make("2", complete=False)
                make("1", complete=first == "finished")
                make("2")
            except Killed:
                pass
            else:
                break
        ends = [markers.read_marker(Path("dump/audio", name)) for name in (".finishing", ".done")]
        current = ends[0] or ends[1]
        new = current is not None and current["options"] == {"a": "2"}
        again = make(then)
        assert Path("dump/audio/all/wav.scp").read_text() == then
        left = {name for name in names("dump/audio") if not (name.startswith(".tmp") and not again)}
        assert left == {".done", "log", "all"}
        if first == "finished":
            assert again == (then == "3" or (then == "1") == new)
    assert kill > 20


def dying(function, changes, kill):
    """A function that is not run any more from change number `kill` on."""

    def changed(*args, **kwargs):
        if next(changes) >= kill:
            raise Killed
        return function(*args, **kwargs)

    return changed


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_parts_are_removed_by_the_next_run_when_this_one_is_killed(recipe, monkeypatch, removed):
    """The result is complete by then, and is not made again."""
    make("1", complete=False)
    changes, rmtree = itertools.count(), shutil.rmtree

    def dying(path, *args, **kwargs):
        if next(changes) >= removed:
            raise Killed
        if Path(path).is_dir():
            shutil.os.rmdir(next(Path(path).iterdir()))  # some of it

    monkeypatch.setattr(shutil, "rmtree", dying)
    with pytest.raises(Killed):
        finish()
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    assert not make("1")
    assert names("dump/audio") == {".done", "log", "all"}


def test_unfinished_files_of_killed_processes_are_swept_away(recipe):
    begin(**DUMP)
    for name in (".tmp123.info.json", "all/.tmp123.text", "all/.tmp7.feats/x", ".old9.x", "..parts.removed/y"):
        Path("dump/audio", name).parent.mkdir(parents=True, exist_ok=True)
        Path("dump/audio", name).touch()
    Path("dump/audio/all/.mine").touch()
    assert begin(**DUMP)
    assert names("dump/audio") == {".doing", "all"}
    assert names("dump/audio/all") == {".mine"}


def test_nothing_is_changed_for_a_run_that_is_gone(recipe):
    """Who asks reads the answer from a pipe as long as it lives."""
    make("1")
    program = (
        "from m4ser.stages import markers\n"
        "step = markers.Step(1, 'dump/audio', leftovers=markers.Leftovers.REMOVE, options={'a': '2'})\n"
        "markers.begin(step)\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run([sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert result.stderr.endswith("the run that this was asked for has ended; nothing was changed\n")
    assert not make("1")


def test_without_a_marker_nothing_is_removed(recipe):
    folder = recipe / "dump/audio"
    (folder / "mine").mkdir(parents=True)
    assert begin(folder, leftovers=Leftovers.REMOVE)
    assert (folder / "mine").exists()


TRAINING = {"name": "train", "leftovers": Leftovers.SET_ASIDE}
ALL_RUNS = Runs((), ("1",))


def test_an_earlier_experiment_is_set_aside(recipe):
    folder = recipe / "exp/x"
    for generation in ("1", "2", "3"):
        begin(folder, **TRAINING, runs=ALL_RUNS, options={"lr": generation})
        assert not list(folder.glob("fold*"))
        (folder / "fold1").mkdir()
        (folder / "fold1/model").write_text(generation)
        finish(folder, "train")
    assert (recipe / "exp/x.previous/fold1/model").read_text() == "2"


def test_setting_aside_survives_being_killed(recipe, monkeypatch):
    folder = recipe / "exp/x"
    begin(folder, **TRAINING, runs=ALL_RUNS, options={"lr": "1"})
    for name in ("fold1", "fold2"):
        (folder / name).mkdir()
    finish(folder, "train")
    replace, moved = os.replace, []

    def dying(source, target):
        if Path(target).parent.name.endswith(".previous"):
            if moved:
                raise KeyboardInterrupt
            moved.append(source)
        replace(source, target)

    monkeypatch.setattr(markers.os, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        begin(folder, **TRAINING, runs=ALL_RUNS, options={"lr": "2"})
    monkeypatch.undo()
    monkeypatch.chdir(recipe)
    assert not (folder / ".train.done").exists()
    assert begin(folder, **TRAINING, runs=ALL_RUNS, options={"lr": "2"})
    assert not list(folder.glob("fold*"))
    assert {path.name for path in (recipe / "exp/x.previous").glob("fold*")} == {"fold1", "fold2"}


def test_runs_are_added_and_forced_one_by_one(recipe):
    folder = recipe / "exp/x"

    def train(folds, seeds, force=False):
        runs = Runs(tuple(folds.split()), tuple(seeds.split()))
        if not begin(folder, **TRAINING, outputs=[f"{folder}/@cell"], runs=runs, force=force):
            return "done"
        kept = {str(path.relative_to(folder)) for path in folder.glob("fold*/seed*")}
        for cell in [f"fold{fold}/seed{seed}" for fold in (folds or "1 2").split() for seed in seeds.split()]:
            (folder / cell).mkdir(parents=True, exist_ok=True)
        finish(folder, "train")
        return kept

    assert train("1", "1") == set()
    assert train("", "1") == {"fold1/seed1"}
    assert train("2", "1") == "done"
    assert train("1", "1 2") == {"fold1/seed1", "fold2/seed1"}
    assert train("", "1") == "done"
    assert train("1", "1", force=True) == {"fold1/seed2", "fold2/seed1"}
    assert train("", "1") == "done"
    every = {f"fold{fold}/seed{seed}" for fold in (1, 2) for seed in (1, 2, 3)}
    assert set(markers.cells("data", Runs((), ("1", "2", "3")))) == every

    step = {"name": "score", "after": [Upstream(str(folder), 4, "train")]}
    kept, again = folder / "fold1/seed2/model.pth", folder / "fold1/seed2/predictions_test.tsv"
    kept.touch()
    again.touch()
    outputs = [f"{folder}/@cell/predictions_test.tsv"]
    begin(folder, **step, outputs=outputs, runs=Runs(("1",), ("2",)), force=True)
    assert kept.exists()  # what the step itself makes goes, nothing else
    assert not again.exists()
    with pytest.raises(UserError, match=r"fold2/seed2 is missing; run stage 4 first"):
        begin(folder, **step, runs=Runs((), ("2",)))


def test_upstream_has_to_be_finished_and_up_to_date(recipe):
    after = [Upstream("dump/audio", 1)]
    feats = "dump/feats/x"
    with pytest.raises(UserError) as end:
        begin(feats, after=after)
    remedy = "./run.sh --stage 1 --stop-stage 1"
    assert str(end.value) == f"dump/audio is missing; run stage 1 first: {remedy}"
    begin(inputs=["data/@set"])
    with pytest.raises(UserError, match="dump/audio is not finished; run stage 1 first"):
        begin(feats, after=after)
    finish()
    assert begin(feats, after=after)
    finish(feats)
    assert not begin(feats, after=after)

    # made again from the same, it may still be another: what builds on it is made again
    assert begin(inputs=["data/@set"], force=True)
    assert begin(inputs=["data/@set"])  # interrupted
    finish()
    assert not begin(inputs=["data/@set"])
    assert begin(feats, after=after)
    finish(feats)
    assert not begin(feats, after=after)

    (recipe / "data/all/text").write_text("a y\n")
    with pytest.raises(UserError) as end:
        begin("exp/x", after=[Upstream(feats, 1)])
    assert str(end.value) == f"dump/audio was made before data/all was changed; run stage 1 again: {remedy}"
    begin(inputs=["data/@set"])
    finish()
    with pytest.raises(UserError, match="dump/feats/x was made from an earlier dump/audio; run stage 1 again"):
        begin("exp/x", after=[Upstream(feats, 1)])
    assert begin(feats, after=after)


def test_missing_file_and_damaged_folds(recipe):
    with pytest.raises(UserError, match=r"data/labels.txt is missing; run stage 0 first: ./run.sh --stage 0"):
        begin(needs={"data/folds.json": 0, "data/labels.txt": 0})
    (recipe / "data/folds.json").write_text("{")
    with pytest.raises(UserError, match=r"data/folds.json: damaged"):
        begin(inputs=["data/@set"])


def test_a_marker_that_has_disappeared(recipe):
    begin()
    (recipe / "dump/audio/.doing").unlink()
    with pytest.raises(UserError, match="dump/audio: its marker has disappeared; run the stage again"):
        finish()


def test_damaged_marker_means_run_again(recipe):
    begin()
    finish()
    for content in ("", "[]", '{"id": 1}'):
        (recipe / "dump/audio/.done").write_text(content)
        assert begin()
        finish()


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
    """What a run whose stages are all done has to load."""
    code = (
        "import sys, m4ser.bin.stages, m4ser.launch.local; from m4ser.stages import comparing, plan, steps; "
        "print(*{'torch', 'numpy', 'espnet2', 'soundfile', 'sklearn'} & set(sys.modules))"
    )
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout == "\n"
