"""A configuration can name the features it is for; who names others gets those."""


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
