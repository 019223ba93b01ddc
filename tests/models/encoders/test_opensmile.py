"""Functionals of openSMILE."""

import sys

import numpy as np
import pytest

from m4ser.models.encoders.frozen import load_frozen
from m4ser.utils.errors import UserError


def test_functionals_of_a_tone():
    pytest.importorskip("opensmile", reason="optional: make -C tools opensmile")
    encoder = load_frozen("opensmile:eGeMAPSv02")
    assert (encoder.num_layers, encoder.dim) == (1, 88)
    time = np.arange(16000) / 16000
    voice = sum(np.sin(2 * np.pi * 200 * k * time) / k for k in range(1, 20)).astype(np.float32)
    found = encoder.layers(0.1 * voice)
    assert found.shape == (1, 1, 88) and found.dtype == np.float32
    pitch = found[0, 0, encoder.smile.feature_names.index("F0semitoneFrom27.5Hz_sma3nz_amean")]
    assert pitch == pytest.approx(12 * np.log2(200 / 27.5), abs=0.5)
    assert np.isfinite(encoder.layers(np.zeros(800, np.float32))).all()  # silence, shorter than a window


def test_missing_package_and_unknown_set_are_told(monkeypatch):
    with pytest.raises(UserError, match="opensmile:EGEMAPS: no such feature set; there are eGeMAPSv02"):
        load_frozen("opensmile:EGEMAPS")
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(UserError, match="make -C tools opensmile"):
        load_frozen("opensmile:eGeMAPSv02")
