"""``normalise_features``: by speaker over all that they say, by corpus over what is trained on."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from m4ser.bin import infer, train
from m4ser.data.features import Features, FeatureWriter
from m4ser.data.folds import Fold
from m4ser.data.scp import read_scp, write_scp
from m4ser.hub.opening import find_model
from m4ser.hub.pack import pack
from m4ser.hub.stored import StoredModel
from m4ser.inference.inputs import Item
from m4ser.inference.recognizer import EmotionRecognizer
from m4ser.inference.results import Failure
from m4ser.training.configuration import parse_task
from m4ser.training.lists import check_inputs, read_folds, write_data
from m4ser.training.normalising import measure
from m4ser.training.predictions import read_predictions
from m4ser.training.settings import Settings
from m4ser.utils.errors import UserError

CONFIG = {
    "fusion": "speech",
    "speech_encoder": "precomputed",
    "speech_encoder_conf": {"output_size": 8},
    "batch_type": "unsorted",
    "batch_size": 8,
    "max_epoch": 1,
    "num_workers": 0,
    "use_tensorboard": False,
    "use_matplotlib": False,
    "num_att_plot": 0,
    "best_model_criterion": [["valid", "ua", "max"]],
    "normalise_features": "speaker",
}


@pytest.fixture
def dumps(toy_dumps, monkeypatch):
    """The toy dumps, where each speaker has a level of their own; the current folder."""
    monkeypatch.chdir(toy_dumps)
    folder, speaker = Path("dump/feats/toy/all"), read_scp("data/all/utt2spk")
    matrices = dict(Features(folder / "feats.scp"))
    with FeatureWriter(folder) as writer:
        for utt, matrix in matrices.items():
            writer.write(utt, matrix + 10 * int(speaker[utt][1:]))
    write(CONFIG)
    return toy_dumps


def write(config):
    Path("toy.yaml").write_text(yaml.safe_dump(config))


def cut(**settings):
    settings = Settings("exp/toy", "toy.yaml", feats="dump/feats/toy", text_source="none", **settings)
    task, folds = parse_task("toy.yaml", ""), read_folds("data")
    check_inputs(settings, task)
    write_data(settings, task, folds, folds.folds["1"], Path("lists"))


def test_every_speaker_of_every_part_by_themselves(dumps):
    cut()
    for part in ("train", "dev", "test"):
        speaker = read_scp("data/all/utt2spk")
        features = Features(f"lists/{part}/feats.scp")
        for name in {speaker[utt] for utt in features}:
            together = np.concatenate([matrix for utt, matrix in features.items() if speaker[utt] == name])
            np.testing.assert_allclose(together.mean(0), 0, atol=1e-4)
            np.testing.assert_allclose(together.std(0), 1, atol=1e-3)


def test_off_nothing_lies_beside_the_list(dumps):
    write({**CONFIG, "normalise_features": "none"})
    cut()
    assert not list(Path("lists").rglob("normalisation*"))
    assert Features("lists/test/feats.scp")["s5-0"].mean() > 40


def test_a_corpus_that_is_trained_on_is_measured_on_its_training_part(tmp_path):
    levels = {"a-1": 0, "a-2": 2, "a-3": 100, "b-1": 7, "b-2": 9}
    with FeatureWriter(tmp_path) as writer:
        for utt, level in levels.items():
            writer.write(utt, np.full((2, 1), level))
    group, fold = {utt: utt[0] for utt in levels}, Fold(["a-1", "a-2"], [], ["a-3", "b-1", "b-2"])
    places = measure("corpus", group, writer.positions, fold, tmp_path / "s", tmp_path / "s")
    write_scp(tmp_path / "normalisation.scp", places)
    write_scp(tmp_path / "feats.scp", writer.positions)
    got = {utt: matrix[0, 0].item() for utt, matrix in Features(tmp_path / "feats.scp").items()}
    assert got == {"a-1": -1, "a-2": 1, "a-3": 99, "b-1": -1, "b-2": 1}


def test_what_cannot_be_normalised_is_refused(dumps):
    write({**CONFIG, "normalise_features": "corpus"})
    with pytest.raises(UserError, match="normalise_features corpus: is for crossed corpora"):
        cut()
    assert not Path("lists").exists()
    write({**CONFIG, "speech_encoder": "conformer", "speech_encoder_conf": {}})
    with pytest.raises(UserError, match=r"toy.yaml: reads no features of stage 1; leave normalise_features speaker"):
        cut()


@pytest.mark.slow
def test_new_recordings_are_predicted_with_others_of_their_speaker(dumps, monkeypatch):
    words = ["--feats", "dump/feats/toy", "--exp", "exp/toy", "--config", "toy.yaml", "--text-source", "none"]
    train.main([*words, "--plan", "--job", "1"])
    infer.main(["--exp", "exp/toy", "--job", "1"])
    features = Features("dump/feats/toy/all/feats.scp")
    tested = {f"s5-{k}": np.full(1600, 0.01 * (k + 1), dtype=np.float32) for k in range(8)}
    expected = read_predictions(Path("exp/toy/fold1/seed1/predictions_test.tsv"), ["happy", "sad"], list(tested))
    by_level = {round(float(samples[0]), 2): utt for utt, samples in tested.items()}
    # The encoder is not there: what stage 1 would make of a recording is looked up by its level.
    monkeypatch.setattr(StoredModel, "speech_encoder", lambda *_: None)
    items = [Item(utt, samples) for utt, samples in tested.items()]

    def load(speakers):
        recognizer = EmotionRecognizer.from_pretrained("exp/toy", speakers=speakers, batch_size=3)
        recognizer.frontend.features = lambda samples: features[by_level[round(float(samples[0]), 2)]]
        return recognizer

    for speakers in ("one", dict.fromkeys(tested, "s5")):
        results = list(load(speakers).stream(items))
        assert [result.name for result in results] == list(tested)
        got = [list(result.probabilities.values()) for result in results]
        np.testing.assert_allclose(got, expected.probabilities, atol=1e-4)
    (unknown, *_) = load(dict.fromkeys(list(tested)[1:], "s5")).stream(items)
    assert isinstance(unknown, Failure) and "nobody says who speaks" in unknown.reason
    with pytest.raises(UserError, match="normalises features by speaker, over several recordings of each"):
        load(None)(items)
    with pytest.raises(UserError, match="takes no streams"):
        list(load("one").segments(tested["s5-0"]))
    with pytest.raises(UserError, match="which a whole graph cannot; pack with --weights torch"):
        pack(find_model(Path("exp/toy"), None, None), Path("toy.zip"), weights="onnx")
    assert not Path("toy.zip").exists()
