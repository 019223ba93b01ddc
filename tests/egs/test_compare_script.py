"""compare.sh and run_ablation.sh: what they run, with stand-ins for the stages' commands."""

import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def compare(recipe):
    """Run a script of the template in the recipe's folder; its result and the commands that were called."""
    for path in recipe.root.glob("egs/TEMPLATE/conf/train_*.yaml"):
        path.unlink()  # these systems alone
    for name in ("speech", "concat", "m4ser_no_aed"):
        (recipe.path / f"conf/train_{name}.yaml").write_text("fusion: concat\n")
    recipe.ok("--corpus-dir", "corpus", "--stop-stage", 0)
    recipe.calls()

    def run(*words, script="compare.sh"):
        command = [f"../TEMPLATE/{script}", *map(str, words)]
        result = subprocess.run(
            command, cwd=recipe.path, env=recipe.environment(), capture_output=True, text=True, timeout=250
        )
        calls = recipe.calls_file.read_text().splitlines() if recipe.calls_file.exists() else []
        recipe.calls_file.unlink(missing_ok=True)
        return result, calls

    return run


def of(calls, command, value=""):
    return [line for line in calls if line.split()[0] == command and value in line]


def test_systems_by_seeds_by_folds_then_one_table(compare, recipe):
    result, calls = compare("--configs", "m4ser speech", "--text-ref", "m4ser", "--seeds", "1 2")
    assert result.returncode == 0, result.stderr
    assert (
        len(of(calls, "extract_feats", "--merge")) == len(of(calls, "asr_decode", "--merge")) == 1
    )  # one dump for all
    for tag in ("m4ser", "speech", "m4ser_text-ref"):
        assert len(of(calls, "train", f"--exp exp/{tag} ")) == 4  # two folds, two seeds
    assert "--text-source ref" in of(calls, "train", "exp/m4ser_text-ref")[0]
    (table,) = of(calls, "table", "comparison --exp")
    assert "--exp exp/m4ser exp/speech exp/m4ser_text-ref " in table and "--reference exp/m4ser " in table
    assert "--out exp/comparison" in table

    # a run folder that was deleted is made again, alone
    shutil.rmtree(recipe.path / "exp/speech/fold2/seed1")
    result, calls = compare("--configs", "m4ser speech", "--text-ref", "m4ser", "--seeds", "1 2")
    assert result.returncode == 0, result.stderr
    assert {line.split("--exp ")[1].split()[0] for line in of(calls, "train")} == {"exp/speech"}
    contents = {
        str(path.relative_to(recipe.path / "exp")): path.read_text()
        for path in (recipe.path / "exp").glob("*/fold*/seed*/trained")
    }
    assert len(contents) == 12
    assert contents["speech/fold2/seed1/trained"] == "once"
    assert len(of(calls, "table", "comparison --exp")) == 1 and not of(calls, "format_audio")

    # nothing to do but the table
    result, calls = compare("--configs", "m4ser speech", "--text-ref", "m4ser", "--seeds", "1 2")
    assert {line.split()[0] for line in calls} == {"table"}


def test_several_at_once_and_a_failure_that_names_the_system(compare, recipe):
    result, calls = compare("--configs", "m4ser speech concat", "--at-once", 2)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(": done\n") == 3
    assert len(of(calls, "table", "comparison --exp")) == 1
    recipe.environment = lambda: {**type(recipe).environment(recipe), "FAIL": "score"}
    result, calls = compare("--configs", "m4ser m4ser_no_aed", "--at-once", 2)
    assert result.returncode == 1 and not of(calls, "table", "comparison --exp")
    assert "cannot be used by score" in result.stderr
    assert result.stderr.splitlines()[-1] == "error: failed: m4ser_no_aed; see exp/log/*.compare.log"


def test_all_that_read_the_dumped_features(compare, recipe):
    """Configurations with an encoder of their own inside do not; some need a GPU."""
    (recipe.path / "conf/train_m4ser_large.yaml").write_text("fusion: m4ser\nspeech_encoder: huggingface\n")
    (recipe.path / "conf/train_speech.yaml").write_text("fusion: speech\nspeech_encoder: precomputed\n")
    result, calls = compare("--seeds", 1, "--folds", 1)
    assert result.returncode == 0, result.stderr
    assert "--exp exp/concat exp/m4ser exp/m4ser_no_aed exp/speech --names" in of(calls, "table", "comparison --exp")[0]
    result, calls = compare("--seeds", 1, "--folds", 1, "--text-ref", "", script="run_ablation.sh")
    assert "--exp exp/m4ser exp/m4ser_no_aed exp/concat exp/speech --names" in of(calls, "table", "comparison --exp")[0]


def test_tuning_trains_each_point_and_predicts_dev_only(compare, recipe):
    (recipe.path / "conf/grid.yaml").write_text("default: {max_epoch: [1, 2]}\n")
    words = ["--configs", "m4ser speech", "--grid", "conf/grid.yaml", "--budget", 2, "--folds", 2]
    more = "--train-args '--optim_conf lr=0.1' --normaliser basic"
    result, calls = compare(*words, "--run-args", more, script="tune.sh")
    assert result.returncode == 0, result.stderr
    trained = [line.split("--train-args ")[1].split(" --num")[0] for line in of(calls, "train")]
    assert len(trained) == 4
    for line in trained:  # what was asked for in --run-args comes before the settings of the point, which win
        assert line.startswith("--optim_conf lr=0.1")
    assert sorted("--max_epoch" in line for line in trained) == [False, False, True, True]
    assert len(of(calls, "infer", "--parts dev ")) == len(of(calls, "infer")) == 4
    assert of(calls, "make_targets", "--normaliser basic")
    assert [line.split()[2] for line in of(calls, "tune")] == ["m4ser", "speech"]


def test_ablation_is_a_comparison_of_chosen_systems(compare):
    result, calls = compare("--seeds", 1, "--text-ref", "", script="run_ablation.sh")
    assert result.returncode == 0, result.stderr
    (table,) = of(calls, "table", "comparison --exp")
    assert "--exp exp/m4ser exp/m4ser_no_aed exp/concat exp/speech --names" in table and "--out exp/ablation" in table


def test_each_script_names_itself(compare):
    for script in ("compare.sh", "tune.sh"):
        assert compare("--help", script=script)[0].stdout.startswith(f"usage: ../TEMPLATE/{script} [options]\n")
        mistaken = compare("--sedes", 1, script=script)[0].stderr
        assert mistaken == f"error: unknown option --sedes; ../TEMPLATE/{script} --help lists all options\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--configs", "lstm"), "error: conf/train_lstm.yaml: there is no such configuration"),
        (("--configs", "speech"), "error: --reference m4ser: is none of speech"),
        (("--at-once", "0"), "error: --at-once must be 1 or more"),
        (
            ("--run-args", "--corpus-dir /data/Anna's"),
            'error: --run-args "--corpus-dir /data/Anna\'s": No closing quotation; quote it as for a shell',
        ),
    ],
)
def test_mistakes(compare, words, message):
    for script in ("compare.sh", "tune.sh") if words[0] == "--run-args" else ("compare.sh",):
        result, _ = compare(*words, script=script)
        assert result.returncode == 1 and result.stderr.strip() == message


def test_mistakes_of_other_options_in_one_word(recipe):
    for option, script in (("--prepare-args", "prepare"), ("--train-args", "train")):
        result = recipe.run("--corpus-dir", "corpus", option, f"--{script} it's")
        assert (result.returncode, recipe.calls()) == (1, [])
        assert result.stderr == f'error: {option} "--{script} it\'s": No closing quotation; quote it as for a shell\n'
    assert not (recipe.path / "data/.done").exists()
