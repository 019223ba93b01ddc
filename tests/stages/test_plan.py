"""The plan of a run: names that follow from options, what is left open, what does not go together."""

import csv
import re
import shlex
from pathlib import Path

import pytest

from m4ser.stages.plan import Plan
from m4ser.utils.errors import UserError

SER = Path(__file__).resolve().parents[2] / "egs/TEMPLATE/ser.sh"
# What version 0.1.0 called experiments, features and text; folders that are there keep their names.
with open(Path(__file__).with_name("names.tsv"), encoding="utf-8") as file:
    NAMES = [tuple(row.values()) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def test_many_names_are_recorded():
    assert len(NAMES) > 90 and len({tag for _, _, tag, _, _ in NAMES}) > 50


@pytest.mark.parametrize(("of_recipe", "user", "tag", "features", "text"), NAMES)
def test_names_are_those_of_earlier_versions(plan, of_recipe, user, tag, features, text):
    made = plan(*shlex.split(user), sets=shlex.split(of_recipe))
    assert (made.options.tag, made.text_tag) == (tag, text)
    assert (made.exp_dir, made.text_dir) == (f"exp/{tag}", f"dump/text/{text}")
    assert made.feats_dir == f"dump/feats/{features}"


def test_folders_are_where_the_options_say(recipe, plan):
    made = plan("--data", "da ta", "--dump", "d", "--exp", "e", "--train-config", "conf/train_tokens.yaml")
    assert (made.options.data, made.audio_dir, made.exp_dir) == ("da ta", "d/audio", "e/tokens")
    assert made.asr_dir == "d/asr/faster_whisper_whisper-tiny.en-ct2"
    assert made.tokens_dir == "d/text/faster_whisper_whisper-tiny.en-ct2_tokens90"
    assert made.archive == "e/tokens/tokens.m4ser.zip"
    assert made.corpus_folder == str(recipe / "corpus")


def test_what_is_left_open(plan):
    made = plan()
    assert made.features and made.speeds == [] and made.tokens == 0
    assert made.options.speech_encoder == "offline:whisper-tiny.en"
    assert made.options.asr_model == "offline:whisper-tiny.en-ct2"
    assert 1 <= made.options.nj <= 8
    assert plan("--asr", "pocketsphinx").options.asr_model == ""
    assert plan("--seeds", "1,2", "--folds", "a, b").variables()["seeds"] == "1 2"


def test_a_configuration_without_features_has_no_copies_of_them(plan, capsys):
    assert plan("--speed-perturb", "0.9,1.1").speeds == ["0.9", "1.1"]
    words = ("--train-config", "conf/train_wave.yaml", "--speed-perturb", "0.9")
    assert plan(*words).speeds == []
    note = "note: --speed-perturb alters features of stage 1, and conf/train_wave.yaml reads none\n"
    assert capsys.readouterr().err == note
    assert plan(*words[:2], sets=words[2:]).speeds == []  # the recipe's own: nobody asked for them now
    assert capsys.readouterr().err == ""


def test_altered_copies_come_behind_those_at_other_speeds(plan, capsys):
    made = plan("--speed-perturb", "1.1", "--altered-copies", "2")
    assert made.copies == ["speed1.1", "altered1", "altered2"]
    assert made.variables()["copies[2]"] == "altered2"
    assert made.options.tag == "m4ser_speed1.1_altered2"
    assert plan("--altered-copies", "2", sets=["--altered-copies", "2"]).options.tag == "m4ser"
    assert plan("--altered-copies", "0", sets=["--altered-copies", "2"]).options.tag == "m4ser_altered0"
    words = ("--train-config", "conf/train_wave.yaml", "--altered-copies", "2")
    assert (plan(*words).copies, plan(*words).options.tag) == ([], "wave")
    assert "note: --altered-copies are of features of stage 1, and conf/train_wave.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--altered-copies", "21"], "--altered-copies 21: must be from 0 to 20"),
        (["--stop-stage", "8"], "--stop-stage 8: the stages are 0 to 7"),
        (["--stop-stage", "7"], "stage 7 needs --hub-repo org/name"),
        (["--pack-run", "1"], "--pack-run '1': must be like fold1/seed1"),
        (["--stage", "3", "--stop-stage", "2"], "--stage 3 comes after --stop-stage 2"),
        (["--num-nodes", "2"], "--num-nodes 2 needs --cmd-backend slurm"),
        (["--tag", "a/../b"], "--tag 'a/../b': only letters, digits and . _ + = - are allowed"),
        (["--asr-tag", ".a"], "--asr-tag '.a': only letters, digits and . _ + = - are allowed"),
        (["--feats-pool", "0"], "--feats-pool must be 1 or more"),
        (["--nj", "0"], "--nj must be 1 or more"),
        (
            ["--join-dumps", "true", "--max-duration", "3"],
            "recordings cannot be left out here; do so in the corpora's own recipes",
        ),
        (["--own-features", "x.csv"], "--own-features x.csv: no such file"),
        (
            ["--own-features", "run.sh", "--speech-encoder", "e"],
            "--own-features takes the place of --speech-encoder; give one of the two",
        ),
        (["--baseline", "x"], "--baseline x: there is no experiment exp/x"),
        (["--init-exp", "x"], "--init-exp x: there is no experiment exp/x"),
        (["--train-args", "it's"], '--train-args "it\'s": No closing quotation; quote it as for a shell'),
    ],
)
def test_what_does_not_go_together(plan, words, message):
    with pytest.raises(UserError) as error:
        plan(*words)
    assert str(error.value) == message
    with pytest.raises(UserError, match=r"conf/no\.yaml: no such training configuration"):
        plan("--train-config", "conf/no.yaml")


def test_features_of_ones_own_take_the_place_of_an_encoder(recipe, plan, capsys):
    for name in ("train", "test"):
        (recipe / f"corpus/cues_{name}.csv").touch()
    words = ("--own-features", "corpus/cues_{set}.csv")
    made = plan(*words, "--feats-layers", "0,2", sets=("--speed-perturb", "0.9"))
    assert (made.feats_dir, made.exp_dir, made.speeds) == ("dump/feats/own_cues", "exp/m4ser_own_cues", [])
    assert capsys.readouterr().err == ""
    assert plan(*words, "--altered-copies", "2").exp_dir == "exp/m4ser_own_cues"
    assert capsys.readouterr().err == "note: --speed-perturb and --altered-copies do not alter features of your own\n"
    with pytest.raises(UserError, match=r"^--own-features: conf/train_wave\.yaml reads no features of stage 1; choose"):
        plan(*words, "--train-config", "conf/train_wave.yaml")


def test_a_pattern_is_found_where_the_user_is(recipe, plan, tmp_path, monkeypatch):
    (tmp_path / "cues_all.csv").touch()
    monkeypatch.setenv("OLDPWD", str(tmp_path))
    assert plan("--own-features", "cues_{set}.csv").options.own_features == f"{tmp_path}/cues_{{set}}.csv"


def test_an_experiment_is_named_by_its_tag_or_folder(plan):
    made = plan("--baseline", "other", "--init-exp", "exp/m4ser")
    assert (made.options.baseline, made.options.init_exp) == ("exp/other", "exp/m4ser")


def test_words_for_the_preparation(recipe, plan):
    (recipe / "run.sh").write_text("# --- options\ntable=  # [path] a table\n# --- end of options\n")
    (recipe / "local").mkdir()
    for name in ("prepare.py", "help.py", ".#prepare.py", "notes.txt"):
        (recipe / "local" / name).touch()
    (recipe / "my table").touch()
    made = plan("--table", "my table", "--prepare-args", "--a 'b c'", "--allow-partial", "true")
    assert made.options.prepare_args == "--allow-partial true --table 'my table' --a 'b c'"
    assert made.prepare_inputs == ["local/help.py", "local/prepare.py", "my table"]
    words = {name: value for name, value in made.variables().items() if name.startswith("prepare_words")}
    assert words == {f"prepare_words[{i}]": w for i, w in enumerate(shlex.split(made.options.prepare_args))}
    assert plan("--allow-partial", "true").options.prepare_args == "--allow-partial true"


def test_a_plan_survives_being_handed_to_a_step(plan):
    made = plan("--tag", "x", "--train-args", "--a 'é' \"b\" $c", "--speed-perturb", "0.9")
    assert Plan.from_json(made.to_json()) == made


def test_every_variable_that_ser_sh_reads_is_set(plan):
    """The shell would only find out in the stage that reads it."""
    script = SER.read_text(encoding="utf-8").split("# --- end of options")[1]
    assigned = set(re.findall(r"\b([a-z_]+)\+?=", script)) | set(re.findall(r"for \(?\(?([a-z]+)", script))
    elsewhere = {"template", "launcher", "plan", "todo", "what", "count", "marker", "speed"}
    read = set(re.findall(r"\$\{?#?([a-z_]+)", script))
    assert read > {"exp_dir", "archive", "hub_repo"}
    assert read - assigned - elsewhere <= set(plan().variables())
