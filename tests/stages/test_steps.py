"""Steps: which there are, what each is made from and depends on."""

import json

import pytest

from m4ser.stages.markers import Leftovers, Runs, Upstream
from m4ser.stages.steps import steps_of

AUDIO, FEATS = Upstream("dump/audio", 1), Upstream("dump/feats/whisper-tiny.en_pool8", 1)
NAME = "faster_whisper_whisper-tiny.en-ct2"
ASR, TEXT = Upstream(f"dump/asr/{NAME}", 2), Upstream(f"dump/text/{NAME}", 3)


def of_train(plan):
    return steps_of(plan)["train"]()


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        ((), "data audio feats asr wer text train score"),
        (("--speed-perturb", "0.9 1.1"), "data audio feats feats_speed0.9 feats_speed1.1 asr wer text train score"),
        (("--text-source", "ref"), "data audio feats text train score"),
        (("--text-source", "none"), "data audio feats train score"),
        (("--speech-encoder", "none"), "data audio asr wer text train score"),
        (("--train-config", "conf/train_tokens.yaml"), "data audio feats asr wer text tokens train score"),
        (("--train-config", "conf/train_tokens.yaml", "--text-source", "none"), "data audio feats train score"),
        (("--stage", "3", "--stop-stage", "4"), "text train"),
        (("--stage", "5", "--stop-stage", "7", "--hub-repo", "o/n"), "score pack upload"),
    ],
)
def test_which_there_are(plan, words, steps):
    assert list(steps_of(plan(*words))) == steps.split()


def test_what_the_data_are_made_from(recipe, plan):
    (recipe / "local").mkdir()
    (recipe / "local/prepare.py").touch()
    step = steps_of(plan("--prepare-args", "--classes 4", "--data", "d"))["data"]()
    assert (step.stage, step.folder, step.data, step.needs) == (0, "d", "d", {})
    assert step.options == {"corpus-dir": str(recipe / "corpus"), "prepare-args": "--classes 4"}
    assert step.inputs == ["local/prepare.py"]
    assert step.outputs == ["d/folds.json", "d/labels.txt", "d/@set/wav.scp"]


def test_what_the_dumps_are_made_from(plan):
    steps = steps_of(plan("--max-duration", "10", "--speed-perturb", "0.9", "--normaliser", "basic"))
    audio, slow, asr, wer, text = (steps[name]() for name in ("audio", "feats_speed0.9", "asr", "wer", "text"))
    assert audio.options == {"skip-bad-audio": "false", "min-duration": "", "max-duration": "10"}
    assert (audio.inputs, audio.needs, audio.leftovers) == (["data/@set"], {"data/folds.json": 0}, Leftovers.REMOVE)
    assert (slow.folder, slow.after) == ("dump/feats/whisper-tiny.en_pool8_speed0.9", [AUDIO])
    assert slow.options == {"speech-encoder": "offline:whisper-tiny.en", "feats-layers": "all", "feats-pool": "8"}
    assert asr.options == {"asr": "faster_whisper", "asr-model": "offline:whisper-tiny.en-ct2", "asr-conf": ""}
    assert (wer.folder, wer.name, wer.after, wer.options) == (ASR.folder, "score", [ASR], {"normaliser": "basic"})
    assert (text.folder, text.after) == (f"{TEXT.folder}_basic", [AUDIO, ASR])
    assert steps_of(plan("--text-source", "ref"))["text"]().after == [AUDIO]


def test_features_of_ones_own_are_made_from_their_files(recipe, plan):
    (recipe / "data").mkdir()
    (recipe / "data/folds.json").write_text(json.dumps({"protocol": "p", "description": "", "sets": ["all"]}))
    (recipe / "cues_all.csv").touch()
    step = steps_of(plan("--own-features", "cues_{set}.csv"))["feats"]()
    assert step.folder == "dump/feats/own_cues" and step.after == [AUDIO]
    assert step.options == {"own-features": "cues_{set}.csv"}
    assert step.inputs == ["cues_all.csv", "data/@set"]
    assert step.outputs == ["dump/feats/own_cues/@set/feats.scp"]


def test_other_pretrained_models_make_other_results(recipe, plan):
    steps = steps_of(plan("--pretrained-dir", "models"))
    assert [name for name, step in steps.items() if step().options.get("pretrained-dir") == "models"] == [
        "feats",
        "asr",
        "train",
    ]


def test_a_training_depends_on_the_values_of_every_layer_of_its_configuration(recipe, plan):
    template = recipe.parent / "TEMPLATE/conf"
    template.mkdir(parents=True)
    (template / "train_gated.yaml").write_text("base: common.yaml\nfusion: gated\n")
    (template / "common.yaml").write_text("max_epoch: 3\n")
    (recipe / "conf/recipe.yaml").write_text("common: {max_epoch: 4, optim_conf: {lr: 0.1}}\n")
    step = of_train(plan("--train-config", "conf/train_gated.yaml"))
    assert {name: value for name, value in step.options.items() if name.startswith("train-config")} == {
        "train-config max_epoch": "4",
        "train-config optim_conf.lr": "0.1",
        "train-config fusion": "gated",
    }
    assert step.inputs == ["data/folds.json", "data/labels.txt"]
    assert (step.folder, step.name) == ("exp/gated", "train")
    (recipe / "conf/recipe.yaml").write_text("# Slower.\ncommon: {max_epoch: 4, optim_conf: {lr: 1.0e-1}}\n")
    assert of_train(plan("--train-config", "conf/train_gated.yaml")).options == step.options


def test_a_training_depends_on_what_it_reads(plan):
    assert of_train(plan()).after == [AUDIO, FEATS, TEXT]
    assert of_train(plan("--text-source", "none", "--speech-encoder", "none")).after == [AUDIO]
    tokens = plan("--train-config", "conf/train_tokens.yaml", "--init-exp", "other", "--speed-perturb", "0.9")
    slow = Upstream(f"{FEATS.folder}_speed0.9", 1)
    vocabulary, start = Upstream(f"{TEXT.folder}_tokens90", 3), Upstream("exp/other", 4, "train")
    assert of_train(tokens).after == [AUDIO, FEATS, slow, TEXT, vocabulary, start]
    options = {"train-args": "--lr 1", "text-source": "asr", "text-encoder": "b", "speech-encoder": "a"}
    options["train-config fusion"] = "concat"
    step = of_train(plan("--train-args", "--lr 1", "--text-encoder", "b", "--speech-encoder", "a"))
    assert step.options == options
    # All of a cell goes with --force; without its model alone, it is trained again.
    assert step.outputs == [f"{step.folder}/{name}" for name in ("run.json", "@cell", "@cell/model.pth")]


def test_a_training_from_one_run_reads_its_model(plan, recipe):
    """A run of another recipe: what it was made from is none of this recipe's business."""
    run = recipe / "elsewhere/exp/x/fold9/seed3"
    run.mkdir(parents=True)
    (run / "model.pth").touch()
    step = of_train(plan("--init-exp", str(run)))
    assert step.after == [AUDIO, FEATS, TEXT] and step.inputs[-1] == f"{run}/model.pth"


def test_a_score_is_of_some_runs(plan):
    step = steps_of(plan("--folds", "1,2", "--seeds", "1 2", "--baseline", "other"))["score"]()
    assert step.runs == Runs(("1", "2"), ("1", "2"))
    assert step.after == [Upstream("exp/m4ser", 4, "train"), Upstream(ASR.folder, 2, "score")]
    assert step.inputs == ["exp/other/metrics.json"]
    assert step.leftovers is Leftovers.KEEP


def test_all_are_forced_and_an_upload_always_is(plan):
    words = ("--stop-stage", "7", "--hub-repo", "o/n")
    assert [name for name, step in steps_of(plan(*words)).items() if step().force] == ["upload"]
    assert all(step().force for step in steps_of(plan(*words, "--force", "true")).values())


def test_joined_dumps_depend_on_the_markers_of_the_recipes(recipe, plan):
    joined = plan("--join-dumps", "true", "--text-source", "none")
    assert steps_of(joined)["audio"]().inputs == ["data/@set"]  # before stage 0
    one = recipe.parent / "one"
    for folder in (recipe / "data", one / "dump/audio"):
        folder.mkdir(parents=True)
    counts = {"speakers": 1, "classes": {}, "left_out": {}, "skipped_recordings": 0}
    places = {"data": "../one/data", "dump": "../one/dump", "text": "", "protocol": "p", "speaker_disjoint": True}
    corpora = {"one": places | counts}
    (recipe / "data/folds.json").write_text(
        json.dumps({"protocol": "p", "description": "", "sets": ["one"], "folds": {}, "corpora": corpora})
    )
    (one / "dump/audio/.done").touch()
    assert steps_of(joined)["audio"]().inputs == ["../one/dump/audio/.done", "data/@set"]
