"""The flow of ser.sh: what runs when, what is kept, what is said. The stages' commands are stand-ins."""

import json
import os
import re
import signal
import time

import pytest

pytestmark = pytest.mark.slow

ALL = ["format_audio", "extract_feats", "asr_decode", "asr_score", "make_targets", "train", "infer", "score"]
DONE = [f"stage {stage}: done already" for stage in range(6)]


def stages(output):
    """Messages without the time of day."""
    return [line.split("] ", 1)[1] for line in output.splitlines() if line.startswith("[")]


def test_everything_runs_once(recipe):
    output = recipe.ok("--corpus-dir", "corpus")
    assert recipe.calls() == ALL
    assert "table of exp/m4ser made by ./run.sh --corpus-dir corpus\n" in output
    assert stages(output)[-1].startswith("finished in ")
    files = ["data/.done", "dump/audio/.done", "dump/feats/whisper-tiny.en_pool8/.done", "dump/text/{}/.done"]
    files += ["dump/asr/{}/.done", "dump/asr/{}/.score.done", "exp/m4ser/.train.done", "exp/m4ser/.score.done"]
    for file in files:
        assert (recipe.path / file.format("faster_whisper_whisper-tiny.en-ct2")).is_file()
    assert json.loads((recipe.path / "dump/audio/.done").read_text())["made_by"]["command"].startswith("./run.sh")

    # Without --corpus-dir the one on record is meant; from elsewhere, by a longer path.
    output = recipe.ok(cwd=recipe.root)
    assert recipe.calls() == []
    assert stages(output)[:-1] == DONE
    assert "table of exp/m4ser" in output

    # Made again with the same result is no change downstream.
    output = recipe.ok("--stop-stage", 0, "--force", "true", "--prepare-args", "--note 'a b'")
    assert "prepared a b" in output
    assert stages(recipe.ok("--prepare-args", "--note 'a b'"))[:-1] == DONE
    assert recipe.calls() == []


def test_what_a_change_makes_run_again(recipe):
    recipe.ok("--corpus-dir", "corpus")
    recipe.calls()

    # another corpus folder with other content: everything; the trained models are set aside
    other = recipe.path / "other corpus"
    other.mkdir()
    (other / "list").write_text("a x\nb y\nc changed\n")
    output = recipe.ok("--corpus-dir", "other corpus")
    assert recipe.calls() == ALL
    assert f"--corpus-dir was '{recipe.path}/corpus' and is '{other}'" in output
    assert "exp/m4ser is made again (the earlier one is kept as exp/m4ser.previous)" in output
    assert (recipe.path / "exp/m4ser.previous/fold1/seed1/trained").read_text() == "once"
    assert (recipe.path / "exp/m4ser/fold1/seed1/trained").read_text() == "once"

    # data edited by hand
    (recipe.path / "data/all/text").write_text("a x\nb y\nc z\n")
    result = recipe.run("--stage", 2)
    assert result.returncode == 1
    remedy = "run stage 1 again: ./run.sh --stage 1 --stop-stage 1"
    assert result.stderr == f"error: dump/audio was made before data/all was changed; {remedy}\n"
    recipe.calls()
    recipe.ok("--stage", 1, "--stop-stage", 2)
    assert recipe.calls() == ALL[:4]
    result = recipe.run("--stage", 4)
    assert result.stderr.startswith(
        "error: dump/text/faster_whisper_whisper-tiny.en-ct2 was made from an earlier dump/"
    )
    assert result.stderr.endswith("run stage 3 again: ./run.sh --stage 3 --stop-stage 3\n")
    recipe.ok()
    assert recipe.calls() == ALL[4:]

    # an option of one stage, the configuration, something that was deleted
    recipe.ok("--normaliser", "basic", "--stop-stage", 3)
    assert recipe.calls() == ["asr_score", "make_targets"]
    recipe.ok("--stage", 2)
    assert recipe.calls() == ["asr_score"]  # the other targets are in a folder of their own
    (recipe.path / "conf/train_m4ser.yaml").write_text("base: common.yaml\nfusion: speech\n")
    assert "--train-config fusion was 'concat' and is 'speech'" in recipe.ok()
    assert recipe.calls() == ["train", "infer", "score"]
    (recipe.root / "egs/TEMPLATE/conf/common.yaml").write_text("max_epoch: 1\n")
    assert "--train-config max_epoch was '30' and is '1'" in recipe.ok()
    assert recipe.calls() == ["train", "infer", "score"]
    (recipe.root / "egs/TEMPLATE/conf/common.yaml").write_text("# What holds for every training.\nmax_epoch: 1\n")
    recipe.ok()
    assert recipe.calls() == []  # a comment changes no value
    (recipe.path / "dump/audio/all/wav.scp").unlink()
    recipe.ok("--stage", 1, "--stop-stage", 1)
    assert recipe.calls() == ["format_audio"]
    assert stages(recipe.ok())[:-1] == DONE


def test_another_folder_of_pretrained_models_is_another_model(recipe):
    (recipe.path / "models").mkdir()
    recipe.ok("--corpus-dir", "corpus", "--stop-stage", 3)
    recipe.calls()
    recipe.ok("--stop-stage", 3, "--pretrained-dir", "models")
    assert recipe.calls() == ["extract_feats", "asr_decode", "asr_score", "make_targets"]
    assert "stage 2: done already" in recipe.ok("--stop-stage", 3, "--pretrained-dir", "models")
    assert recipe.calls() == []


def test_folds_and_seeds_are_added_without_training_the_others_again(recipe):
    recipe.ok("--corpus-dir", "corpus", "--folds", "1")
    recipe.calls()
    recipe.ok("--seeds", "1,2")
    assert recipe.calls() == ["train", "infer", "score"]
    trained = {str(p.parent.relative_to(recipe.path)): p.read_text() for p in recipe.path.glob("exp/*/*/*/trained")}
    assert sorted(trained) == [f"exp/m4ser/fold{f}/seed{s}" for f in (1, 2) for s in (1, 2)]
    recipe.ok("--seeds", "2", "--folds", "2")  # a part of what is there: only another table
    assert recipe.calls() == ["infer", "score"]
    recipe.ok("--folds", "2", "--stage", 4, "--stop-stage", 4, "--force", "true")
    assert recipe.calls() == ["train"]
    recipe.ok("--folds", "2")
    recipe.calls()
    (recipe.path / "exp/m4ser/fold1/seed1/predictions_test.tsv").write_text("earlier")
    recipe.ok("--stage", 5, "--force", "true")  # what stage 4 has made stays
    assert recipe.calls() == ["infer", "score"]
    assert (recipe.path / "exp/m4ser/fold1/seed1/predictions_test.tsv").read_text() == ""
    assert stages(recipe.ok("--stage", 4, "--stop-stage", 4))[:-1] == [DONE[4]]
    assert "error: --folds: there is no fold 7" in recipe.run("--folds", "7").stderr
    result = recipe.run("--stage", 5, "--seeds", "3")
    assert result.stderr.startswith("error: exp/m4ser/fold1/seed3 is missing; run stage 4 first")


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (1, "data/folds.json is missing; run stage 0 first: ./run.sh --stage 0 --stop-stage 0"),
        (4, "data/folds.json is missing; run stage 0 first: ./run.sh --stage 0 --stop-stage 0"),
    ],
)
def test_a_stage_before_the_one_it_needs(recipe, stage, message):
    result = recipe.run("--stage", stage)
    assert (result.returncode, result.stderr) == (1, f"error: {message}\n")


def test_a_later_stage_names_the_stage_it_needs(recipe):
    recipe.ok("--corpus-dir", "corpus", "--stop-stage", 0)
    for stage in (2, 3, 4):
        result = recipe.run("--stage", stage)
        assert result.returncode == 1
        assert result.stderr == ("error: dump/audio is missing; run stage 1 first: ./run.sh --stage 1 --stop-stage 1\n")
    result = recipe.run("--stage", 5)
    assert result.stderr.startswith("error: exp/m4ser is not finished; run stage 4 first: ./run.sh --stage 4")
    assert recipe.calls() == []


def test_missing_corpus(recipe):
    result = recipe.run("--corpus-dir", "nowhere")
    assert result.returncode == 1
    assert result.stderr == "error: nowhere: no such corpus folder; correct --corpus-dir\n"
    result = recipe.run()
    assert result.returncode == 1
    assert result.stderr.startswith("error: no corpus folder: give --corpus-dir DIR, or put STUB=DIR into ")
    recipe.ok("--stop-stage", 0, STUB=str(recipe.path / "corpus"))
    result = recipe.run("--corpus-dir", "corpus", "--train-config", "conf/no.yaml")
    assert result.stderr.splitlines()[-1].startswith("error: conf/no.yaml: no such training configuration")


def test_first_failure_is_shown_and_the_same_command_goes_on(recipe):
    result = recipe.run("--corpus-dir", "corpus", "--nj", 2, FAIL="asr_decode")
    assert result.returncode == 1
    assert result.stderr.startswith("error: some.file: cannot be used by asr_decode; repair it\n(log of job 1 of 2: ")
    assert recipe.calls() == ["format_audio", "extract_feats", "asr_decode"]
    assert not (recipe.path / "dump/asr/faster_whisper_whisper-tiny.en-ct2/.done").exists()
    recipe.ok("--corpus-dir", "corpus", FAIL="")
    assert recipe.calls() == ALL[2:]
    result = recipe.run("--tag", "new", FAIL="train")
    assert "error: some.file: cannot be used by train; repair it" in result.stderr
    recipe.calls()
    recipe.ok("--tag", "new")
    assert recipe.calls() == ["train", "infer", "score"]


def test_a_folder_that_cannot_be_made(recipe):
    (recipe.path / "dump").touch()
    result = recipe.run("--corpus-dir", "corpus")
    assert result.returncode == 1 and recipe.calls() == []
    assert "dump" in result.stderr and result.stderr.count("\n") == 1


def test_text_sources_and_encoders_share_one_dump(recipe):
    recipe.ok("--corpus-dir", "corpus")
    recipe.calls()
    output = recipe.ok("--stage", 2, "--text-source", "none")
    assert "stage 2: not needed with --text-source none" in stages(output)
    assert recipe.calls() == ["train", "infer", "score"]
    output = recipe.ok("--stage", 2, "--text-source", "ref", "--speech-encoder", "none")
    assert "stage 2: not needed with --text-source ref" in stages(output)
    assert recipe.calls() == ["make_targets", "train", "infer", "score"]
    other = ("--asr", "reference", "--asr-conf", "wer=0.3 seed=1", "--train-args", "--accum_grad 2")
    recipe.ok("--stage", 2, *other)
    assert recipe.calls() == ALL[2:]
    recipe.ok("--feats-layers", "0,2", "--stage", 1, "--stop-stage", 1)
    assert recipe.calls() == ["extract_feats"]
    assert {path.name for path in (recipe.path / "exp").iterdir()} == {
        "m4ser",
        "m4ser_text-none",
        "m4ser_text-ref_none",
        "m4ser_reference_wer_0.3_seed_1_accum_grad_2",
    }
    assert {path.name for path in (recipe.path / "dump/feats").iterdir()} == {
        "whisper-tiny.en_pool8",
        "whisper-tiny.en_layers0_2_pool8",
    }
    assert stages(recipe.ok())[:-1] == DONE


def test_what_the_recipe_sets_is_not_in_the_name(recipe):
    script = recipe.path / "run.sh"
    script.write_text(script.read_text().replace("--nj 1 --", "--nj 1 --text-source ref --asr-conf language=de --"))
    trained = ("--corpus-dir", "corpus", "--stop-stage", 4)
    for options in (
        (),
        ("--text-source", "ref"),
        ("--text-source", "asr"),
        ("--text-source", "asr", "--asr-model", "offline:whisper-tiny.en-ct2", "--asr-conf", ""),
        ("--normaliser", "basic"),
    ):
        recipe.ok(*trained, *options)
    assert {path.name for path in (recipe.path / "exp").iterdir()} == {
        "m4ser",
        "m4ser_text-asr",
        "m4ser_text-asr_faster_whisper_whisper-tiny.en-ct2",
        "m4ser_basic",
    }


def test_a_baseline_is_a_tag_or_a_folder(recipe):
    recipe.ok("--corpus-dir", "corpus")
    recipe.calls()
    recipe.ok("--stage", 5, "--baseline", "m4ser")
    assert recipe.calls() == ["infer", "score"]
    recipe.ok("--stage", 5, "--baseline", "exp/m4ser")
    assert recipe.calls() == []
    result = recipe.run("--baseline", "other")
    assert (result.returncode, result.stderr) == (
        1,
        "error: --baseline other: there is no experiment exp/other\n",
    )


def test_training_starts_from_another_experiment(recipe):
    recipe.ok("--corpus-dir", "corpus", "--stop-stage", 4)
    shown = recipe.ok("--init-exp", "m4ser", "--stop-stage", 4)
    assert "stage 4: training exp/m4ser_from_m4ser\n" in shown  # its tag tells
    assert all("--init-exp exp/m4ser " in line for line in recipe.calls_file.read_text().splitlines()[-2:])
    # What it started from was trained anew: so is it.
    shown = recipe.ok("--tag", "m4ser", "--stop-stage", 4, "--train-args", "--max_epoch 1")
    shown = recipe.ok("--init-exp", "m4ser", "--stop-stage", 4)
    assert "exp/m4ser_from_m4ser is made again" in shown
    result = recipe.run("--init-exp", "other")
    assert result.stderr == "error: --init-exp other: there is no experiment exp/other\n"


def wait_for(path, timeout=60):
    limit = time.monotonic() + timeout
    while not path.exists() and time.monotonic() < limit:
        time.sleep(0.02)
    assert path.exists()


def test_killed_and_started_again(recipe):
    """SIGKILL for run.sh alone: its jobs are not left to meet the next run."""
    process = recipe.popen("--corpus-dir", "corpus", "--stop-stage", 4, SLOW="train", SLOW_SECONDS="60")
    wait_for(recipe.path / "slow.pid")
    process.kill()
    process.communicate()
    output = recipe.ok("--corpus-dir", "corpus")
    assert "table of exp/m4ser" in output
    slow = int((recipe.path / "slow.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(slow, 0)
    assert {path.read_text() for path in recipe.path.glob("exp/m4ser/*/*/trained")} <= {"once", "onceagain"}


def test_ctrl_c_ends_everything(recipe):
    process = recipe.popen("--corpus-dir", "corpus", SLOW="format_audio", SLOW_SECONDS="60")
    wait_for(recipe.path / "slow.pid")
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert process.returncode != 0
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        try:
            os.kill(int((recipe.path / "slow.pid").read_text()), 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("a job has outlived run.sh")


def test_two_runs_at_once_share_one_dump(recipe):
    recipe.ok("--corpus-dir", "corpus", "--stop-stage", 0)
    words = ("--stage", 1, "--stop-stage", 1)
    first = recipe.popen(*words, SLOW="extract_feats", SLOW_SECONDS="1.5")
    wait_for(recipe.path / "slow.pid")
    output = recipe.ok(*words)
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert "another run is at work on dump/feats/whisper-tiny.en_pool8; waiting for it" in output
    assert stages(output)[:-1] == DONE[1:2]
    lines = recipe.calls_file.read_text().splitlines()
    assert sum("--merge" in line for line in lines if line.startswith("extract_feats")) == 1


def test_a_killed_run_that_waited_for_a_lock_changes_nothing(recipe):
    """With other options it would have emptied the folder when the lock was free."""
    recipe.ok("--corpus-dir", "corpus", "--stop-stage", 0)
    words = ("--stage", 1, "--stop-stage", 1)
    first = recipe.popen(*words, SLOW="format_audio", SLOW_SECONDS="4")
    wait_for(recipe.path / "slow.pid")
    second = recipe.popen(*words, "--min-duration", 1)
    assert "another run is at work on dump/audio; waiting for it" in second.stderr.readline()
    second.kill()
    first.communicate(timeout=60)
    assert first.returncode == 0
    second.stderr.read()  # ends when the last process that could write to it has
    assert not (recipe.path / "dump/audio/.doing").exists()
    assert stages(recipe.ok(*words))[:-1] == DONE[1:2]


def test_a_run_with_other_options_that_is_stopped_costs_nothing(recipe):
    recipe.ok("--corpus-dir", "corpus", "--stop-stage", 1)
    words = ("--stage", 1, "--stop-stage", 1)
    result = recipe.run(*words, "--min-duration", 1, FAIL="format_audio")
    assert "some.file: cannot be used by format_audio" in result.stderr
    assert not (recipe.path / "dump/audio/all/wav.scp").exists()
    output = recipe.ok(*words)
    assert "stage 1: dump/audio: what was there before a run with other options is back" in output
    assert stages(output)[:-1] == DONE[1:2]
    assert (recipe.path / "dump/audio/all/wav.scp").exists()


def test_slurm_with_the_options_of_the_configuration(recipe):
    tools = recipe.root / "tools/bin"
    (tools / "sbatch").write_text('#!/bin/sh\necho "$@" >>"$CALLS.sbatch"; for last; do :; done; sh "$last"\n')
    for name in ("squeue", "scancel"):
        (tools / name).write_text("#!/bin/sh\n")
    for name in ("sbatch", "squeue", "scancel"):
        (tools / name).chmod(0o755)
    (recipe.path / "conf/slurm.conf").write_text("partition night\n")
    recipe.ok("--corpus-dir", "corpus", "--stop-stage", 1, "--cmd-backend", "slurm", "--nj", 1)
    submitted = (recipe.root / "calls.log.sbatch").read_text().splitlines()
    assert len(submitted) == 2 and all("--partition=night" in line for line in submitted)

    # A configuration that cannot be trained is refused before any job waits in the queue.
    recipe.ok("--stop-stage", 3, "--cmd-backend", "slurm", "--nj", 1)
    submitted = (recipe.root / "calls.log.sbatch").read_text()
    result = recipe.run("--stop-stage", 4, "--cmd-backend", "slurm", FAIL="train")
    assert result.returncode != 0 and "cannot be used by train" in result.stderr
    assert (recipe.root / "calls.log.sbatch").read_text() == submitted

    # Several machines: a process on each, which meet at a file of this training's own.
    (tools / "srun").write_text('#!/bin/sh\necho "$1" >>"$CALLS.srun"; shift 2; exec "$@"\n')
    (tools / "srun").chmod(0o755)
    recipe.calls()
    recipe.ok(
        "--stop-stage", 4, "--cmd-backend", "slurm", "--num-nodes", 2, "--folds", 1, "--train-args", "--max_epoch 3"
    )
    lines = [line for line in recipe.calls_file.read_text().splitlines() if line.startswith("train")]
    assert "--plan" in lines[0] and lines[0].endswith("--train-args --max_epoch 3")
    met = [
        re.search(
            r"--train-args --max_epoch 3 --multipro\S+ true .*\.dist_init\.\d+\.\d+\.(\d) --dist_backend gloo$", s
        )
        for s in lines[1:]
    ]
    assert [match[1] for match in met] == ["1"]
    assert (recipe.root / "calls.log.srun").read_text() == "--export=ALL\n"


def test_the_recipes_of_the_repository_are_thin():
    from pathlib import Path

    root = Path(__file__).resolve().parents[2]
    scripts = [path for path in root.glob("egs/*/run.sh")]
    assert len(scripts) >= 2
    for script in scripts:
        assert len(script.read_text().splitlines()) <= 15, script
        assert os.access(script, os.X_OK), script


@pytest.mark.parametrize(
    ("config", "words", "says"),
    [
        ("fusion: m4sr\n", (), "conf/train_m4ser.yaml: fusion: must be speech, text, concat, "),
        ("fusion: concat\nfusion: late\n", (), "conf/train_m4ser.yaml: line 2: the key 'fusion' is there twice"),
        ("fusion: concat\n", ("--train-args", "--max_epoch many"), "--train-args: max_epoch: must be a whole number"),
    ],
)
def test_a_mistake_in_the_configuration_is_found_before_the_first_stage(recipe, config, words, says):
    (recipe.path / "conf/train_m4ser.yaml").write_text(config)
    result = recipe.run("--corpus-dir", "corpus", *words)
    assert result.returncode == 1 and result.stderr.startswith(f"error: {says}"), result.stderr
    assert result.stderr.count("\n") == 1 and recipe.calls() == []
    assert not (recipe.path / "data").exists()


def test_a_damaged_plan_is_found_before_the_first_stage(recipe):
    recipe.path.joinpath("exp/m4ser").mkdir(parents=True)
    recipe.path.joinpath("exp/m4ser/run.json").write_text('{"seeds": null}')
    result = recipe.run("--corpus-dir", "corpus")
    assert result.returncode == 1 and recipe.calls() == []
    assert result.stderr == (
        "error: exp/m4ser/run.json: damaged (seeds: must be a list of whole numbers, not None); "
        "delete it and run stage 4 again\n"
    )
