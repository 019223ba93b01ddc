"""A configuration can name the features it is for; who names others gets those."""

import pytest

pytestmark = pytest.mark.slow


def extractions(recipe):
    """Arguments of extract_feats since the last look."""
    lines = recipe.calls_file.read_text().splitlines()
    recipe.calls_file.unlink()
    return [line for line in lines if line.startswith("extract_feats") and "--merge" in line]


def test_features_of_a_configuration(recipe):
    config = recipe.path / "conf/train_functionals.yaml"
    config.write_text("task: linear\nfeatures: opensmile:eGeMAPSv02  # 88 functionals\n")
    options = ("--corpus-dir", "corpus", "--train-config", "conf/train_functionals.yaml")
    recipe.ok(*options)
    (line,) = extractions(recipe)
    assert "--speech-encoder opensmile:eGeMAPSv02 " in line and "--pool 1" in line
    assert (recipe.path / "exp/functionals/RESULTS.md").is_file()  # no other name than the configuration's
    recipe.ok(*options, "--speech-encoder", "offline:whisper-tiny.en")
    (line,) = extractions(recipe)
    assert "--speech-encoder offline:whisper-tiny.en " in line and "--pool 8" in line


def test_copies_at_other_speeds(recipe):
    recipe.ok("--corpus-dir", "corpus", "--stop-stage", 1)
    extractions(recipe)
    recipe.ok("--speed-perturb", "0.9,1.1", "--stop-stage", 4)
    calls = recipe.calls_file.read_text()
    feats = "dump/feats/whisper-tiny.en_pool8"
    slow, fast = extractions(recipe)  # and not once more at the speed of the recordings
    assert f"--out {feats}_speed0.9 " in slow and "--speed 0.9" in slow
    assert f"--out {feats}_speed1.1 " in fast and "--speed 1.1" in fast
    (train,) = [line for line in calls.splitlines() if line.startswith("train") and "--job 1 " in line]
    assert f"--feats {feats} --perturbed {feats}_speed0.9 --perturbed {feats}_speed1.1 " in train
    assert "--exp exp/m4ser_speed0.9_1.1 " in train
    (recipe.path / "conf/train_wave.yaml").write_text("speech_encoder: huggingface\n")
    shown = recipe.ok("--speed-perturb", "0.9", "--stop-stage", 4, "--train-config", "conf/train_wave.yaml")
    assert "note: --speed-perturb alters features of stage 1, and conf/train_wave.yaml reads none" in shown
    assert "--perturbed" not in recipe.calls_file.read_text()


def test_altered_copies(recipe):
    recipe.ok("--corpus-dir", "corpus", "--stop-stage", 1)
    extractions(recipe)
    recipe.ok("--altered-copies", "2", "--stop-stage", 4)
    calls = recipe.calls_file.read_text()
    feats = "dump/feats/whisper-tiny.en_pool8"
    first, second = extractions(recipe)
    assert f"--out {feats}_altered1 " in first and "--altered 1" in first and "--speed" not in first
    assert f"--out {feats}_altered2 " in second and "--altered 2" in second
    (train,) = [line for line in calls.splitlines() if line.startswith("train") and "--job 1 " in line]
    assert f"--feats {feats} --perturbed {feats}_altered1 --perturbed {feats}_altered2 " in train


def test_a_recipe_with_speeds_of_its_own(recipe):
    """They are its default, so names do not tell of them, and what has no use for them needs no note."""
    script = recipe.path / "run.sh"
    script.write_text(script.read_text().replace("--nj 1 --", "--nj 1 --speed-perturb '0.9 1.1' --"))

    def trainings(*options):
        shown = recipe.ok("--corpus-dir", "corpus", "--stop-stage", 4, *options)
        lines = [line for line in recipe.calls_file.read_text().splitlines() if line.startswith("train")]
        recipe.calls_file.unlink()
        return shown, lines[-1]

    assert "--perturbed" in (own := trainings()[1]) and "--exp exp/m4ser " in own
    assert "--perturbed" not in (none := trainings("--speed-perturb", "")[1]) and "--exp exp/m4ser_speed1 " in none
    assert "--exp exp/m4ser_speed0.8 " in trainings("--speed-perturb", "0.8")[1]
    (recipe.path / "conf/train_wave.yaml").write_text("speech_encoder: huggingface\n")
    shown, last = trainings("--train-config", "conf/train_wave.yaml")
    assert "note" not in shown and "--exp exp/wave " in last
