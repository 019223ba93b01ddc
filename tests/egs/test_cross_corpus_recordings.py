"""How many recordings of a speaker it takes: what is given of each, and by which model."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from m4ser.utils.errors import UserError


@pytest.fixture(scope="module")
def recordings(load_program):
    return load_program("cross_corpus/local/recordings.py")


def test_each_utterance_with_so_many_of_its_speaker(recordings):
    matrices = {
        f"{s}{k}": np.array([[k + level], [k + level + 2.0]]) for s, level in (("a", 0), ("b", 50)) for k in range(4)
    }
    speaker = {utt: utt[0] for utt in matrices}

    def got(number):
        return dict(recordings.normalised_with_others(matrices, speaker, number, np.random.default_rng(0)))

    for utt, matrix in got(1).items():  # itself alone
        np.testing.assert_allclose(matrix, [[-1], [1]], err_msg=utt)
    whole = got(recordings.ALL)
    for name in "ab":
        together = np.concatenate([whole[f"{name}{k}"] for k in range(4)])
        assert together.mean() == pytest.approx(0, abs=1e-5) and together.std() == pytest.approx(1, abs=1e-5)
    for utt, matrix in got(9).items():  # there are not so many
        np.testing.assert_allclose(matrix, whole[utt])
    some = got(2)
    assert any(not np.allclose(some[utt], whole[utt]) for utt in some)


def test_the_model_of_most_others(recordings):
    corpora = dict.fromkeys("abc")
    folds = SimpleNamespace(corpora=corpora, trained_on={"1": "a", "2": "b+c", "3": "a+b", "4": "a+b+c"})
    corpus = SimpleNamespace(folds=folds, path=Path("data"))
    assert recordings.folds_left_out(corpus) == {"a": "2", "b": "1", "c": "3"}
    folds.trained_on = {}
    with pytest.raises(UserError, match=r"data/folds.json: is of one corpus"):
        recordings.folds_left_out(corpus)
