"""What is asked of the model that is adapted."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from m4ser.adaptation.examples import Example
from m4ser.adaptation.source import outputs
from m4ser.inference.results import Failure
from m4ser.utils.errors import UserError


def recognizer(normalised=""):
    """Gives the length of the text, and fails without one."""

    def outputs(items):
        for item in items:
            yield (item.name, np.array([len(item.text)])) if item.text else Failure(item.name, "is silent")

    return SimpleNamespace(normalised=normalised, speakers=None, outputs=outputs)


def examples(*texts, speaker="eva"):
    return [Example(Path(f"{i}.wav"), "sad", speaker, text, f"t.csv: line {i + 2}") for i, text in enumerate(texts)]


def test_rows_in_the_order_of_the_examples_and_faults_with_their_line():
    assert outputs(recognizer(), examples("so", "very")).tolist() == [[2], [4]]
    with pytest.raises(UserError, match=r"^t\.csv: line 3: 1\.wav: is silent$"):
        outputs(recognizer(), examples("so", ""))


@pytest.mark.parametrize(("normalised", "who"), [("", None), ("corpus", "corpus"), ("speaker", {"0.wav": "eva"})])
def test_who_speaks_is_said_to_models_that_normalise(normalised, who):
    network = recognizer(normalised)
    outputs(network, examples("so"))
    assert network.speakers == who


def test_models_that_normalise_by_speaker_need_the_column():
    with pytest.raises(UserError, match="line 2: has no speaker, and the model normalises features by speaker; fill"):
        outputs(recognizer("speaker"), examples("so", speaker=""))
    assert outputs(recognizer("corpus"), examples("so", speaker="")).tolist() == [[2]]
