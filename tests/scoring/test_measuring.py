"""What is measured of a model's parts, on constructed parts whose answers are known."""

import numpy as np
import pytest

from m4ser.scoring import measuring
from m4ser.training.states import Part, RunStates

COUNT = 600


@pytest.fixture
def speakers():
    return np.array([f"s{i % 12}" for i in range(COUNT)])


@pytest.fixture
def model():
    """A model whose parts are what they are called; the text says the emotion, the classifier reads nothing else."""
    rng = np.random.default_rng(0)
    voice, words, other = rng.normal(size=(COUNT, 4)), rng.normal(size=(COUNT, 4)), np.roll(np.arange(COUNT), 1)
    ref = np.arange(COUNT) // 5 % 2
    words[:, 3] += np.where(ref, 8, -8)
    makers = {
        "speech": lambda v, w: v + np.array([20, 0, 0, 0]),
        "text": lambda v, w: w + np.array([0, 20, 0, 0]),
        "invariant": lambda v, w: v + w * [1, 1, 1, 0.1] + [10, 10, 0, 0],
    }
    exchanged = (voice, words), (voice[other], words), (voice, words[other])
    parts = {name: Part(*(make(*inputs) for inputs in exchanged)) for name, make in makers.items()}
    for name, sign in (("speech", 1), ("text", -1)):
        positions = rng.normal(size=(COUNT, 4)) + sign * np.array([0, 0, 9, 0])
        parts[f"invariant_{name}"] = Part(positions, positions, positions, positions, np.arange(COUNT))
    utterance = np.concatenate([parts[name].pooled for name in makers], axis=1).astype(np.float32)
    places = {"speech": np.arange(4), "text": np.arange(4, 8), "invariant": np.arange(8, 12)}

    def classify(vectors):
        return (vectors[:, 7] > 0).astype(int)

    hyp = classify(utterance)
    utts = [f"u{i}" for i in range(COUNT)]
    return RunStates(utts, ["calm", "angry"], ref, hyp, utterance, True, parts, places, classify)


def test_parts_that_are_what_they_are_called(model, speakers):
    found = measuring.statistics(model, speakers)
    value = {key: statistic(np.ones((1, COUNT)))[0] for key, statistic in found.items()}
    assert value["right/pooled"] == 1 == value["positions/pooled"]
    share = value["speech_side/pooled"]
    assert value["larger/pooled"] == max(share, 1 - share) < 0.6
    assert value["place/pooled"] == pytest.approx(0.5, abs=0.02)
    assert value["words/speech"] == 0 == value["voices/text"]
    assert value["voices/speech"] == pytest.approx(np.sqrt(2), abs=0.1)
    assert np.isnan(value["ratio/speech"]) and np.isnan(value["ratio/text"])  # the other one does not move it at all
    assert value["ratio/invariant"] == pytest.approx(1, abs=0.15)
    assert value["cka/speech-text"] == pytest.approx(0, abs=0.02)
    assert value["cka/speech-invariant"] > 0.1 and value["cka/text-invariant"] > 0.01
    assert abs(value["cosine/speech-text"]) < 0.1 < value["cosine/speech-invariant"]


def test_emotion_is_found_where_it_is(model, speakers):
    found = measuring.answers(model, speakers, shuffles=4)
    right = {key: (rows == model.ref).mean(1) for key, rows in found.items()}
    assert right["model"].tolist() == [1.0]
    assert right["probe/text"][0] > 0.99 < right["probe/all"][0] and abs(right["probe/speech"][0] - 0.5) < 0.08
    assert right["shuffled/speech"].tolist() == [1.0] * 4 == right["shuffled/invariant"].tolist()
    assert found["shuffled/text"].shape == (4, COUNT) and abs(right["shuffled/text"].mean() - 0.5) < 0.05
    again = measuring.answers(model, speakers, shuffles=4)
    assert all((rows == again[key]).all() for key, rows in found.items())


def test_a_model_without_specific_states_has_no_sides(model, speakers):
    parts = {
        "speech": Part(*(each[:, :3] for each in (model.parts["speech"].pooled,) * 3)),
        "text": model.parts["text"],
    }
    plain = RunStates(**{**vars(model), "parts": parts, "specific": False, "places": {}})
    found = measuring.statistics(plain, speakers)
    assert set(found) == {
        *(f"{what}/{part}" for what in ("voices", "words", "ratio") for part in ("speech", "text")),
        "cka/speech-text",
        "plain_cka/speech-text",
    }
    assert set(measuring.answers(plain, speakers)) == {"model", "probe/speech", "probe/text", "probe/all"}


def test_a_value_as_a_cell_and_paired():
    rng = np.random.default_rng(0)
    one = measuring.Value([0.5, 0.7], rng.normal(0.6, 0.1, 1000))
    score = one.score()
    assert (score.value, score.sd) == (pytest.approx(0.6), pytest.approx(0.1414, abs=1e-4))
    assert score.ci == pytest.approx([0.4, 0.8], abs=0.03)
    shifted = measuring.Value([0.4, 0.6], one.drawn - 0.1).minus(one).score(difference=True)
    assert shifted.value == pytest.approx(-0.1) and shifted.ci == pytest.approx([-0.1, -0.1])
    assert measuring.Value([0.3], one.drawn).minus(one).seeds == [pytest.approx(-0.3)]
    assert measuring.Value([np.nan], one.drawn).score() is None
    assert measuring.Value([1.0], np.full(9, np.nan)).score() is None


def test_curves_of_all_runs_by_phase():
    """The trainer's own gradient norm alone is no curve of a discriminator."""
    made = measuring.Measured("it", [], np.array([]), True, [], ["1"])
    train = [{"grad_norm": 3.0, "disc_acc_speech": 0.5 + k / 10, "disc_acc_text": 0.5, "loss": 1.0} for k in (0, 1)]
    epochs = {"10": {"train": train[1], "valid": {"loss": 1.0}}, "9": {"train": train[0], "valid": {"loss": 2.0}}}
    plain = {"1": {"train": {"grad_norm": 1.0}, "valid": {"disc_invariant": 0.4}}}
    history = {"criterion": [], "best_epoch": 9}
    measuring._follow(made, [{**history, "epochs": epochs}, {**history, "epochs": plain}])
    assert made.curves == {
        "train disc_acc_speech": [[0.5, 0.6]],
        "train disc_acc_text": [[0.5, 0.5]],
        "train disc_acc_specific": [[0.5, pytest.approx(0.55)]],
        "train grad_norm": [[3.0, 3.0]],
        "valid disc_invariant": [[0.4]],
    }
