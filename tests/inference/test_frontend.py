"""What the front end makes of recordings and words."""

import json

import numpy as np
import pytest

from m4ser.inference.frontend import Frontend
from m4ser.utils.errors import UserError


def test_words_are_normalised_as_for_training():
    frontend = Frontend({"speech": {}, "text": {"source": "ref", "normaliser": "english", "asr": None}})
    assert json.loads(frontend.edits("I don't KNOW!")) == {"words": ["i", "do", "not", "know"]}
    confident = json.loads(frontend.edits("I don't KNOW!", (0.5, 0.25, 0.75)))
    assert confident["confidences"] == [0.5, 0.25, 0.25, 0.75]
    with pytest.raises(UserError, match="reference transcripts: give the text"):
        frontend.transcribe([np.zeros(16000)])
    with pytest.raises(UserError, match="no recogniser is chosen: give the text"):
        Frontend({"speech": {}, "text": None}).transcribe([np.zeros(16000)])
    samples = np.ones(10, np.float32)
    assert frontend.speech(samples) is samples
