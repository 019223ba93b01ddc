import numpy as np
import pytest
import soundfile

from m4ser.hub.opening import find_model
from m4ser.hub.pack import pack


@pytest.fixture(scope="package")
def archive(toy_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "toy.m4ser.zip"
    pack(find_model(toy_run), path)
    return path


@pytest.fixture(scope="package")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(12000) * 0.1, 16000)
    return path
