"""How a model is loaded, and what is loaded with it."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from m4ser.bin import predict
from m4ser.inference.loading import add_arguments, load_recognizer


@pytest.mark.slow
def test_importing_the_package_is_light():
    code = "import sys, m4ser; assert 'torch' not in sys.modules; m4ser.EmotionRecognizer"
    code += (
        "; assert not {'espnet2', 'm4ser.training', 'm4ser.hub.pack', 'm4ser.hub.card', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_options_reach_the_recogniser(toy_run, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--device", "cpu", "--split", "7"])
    args.max_duration = 9.0
    recognizer = load_recognizer(str(toy_run), args, batch_size=2)
    assert (recognizer.split, recognizer.longest, recognizer.batch_size) == (7.0, 9.0, 2)
    assert not capsys.readouterr().out


def test_speakers_are_for_models_that_normalise_by_them(capsys):
    recording = Path(__file__).resolve().parents[2] / "m4ser/demo/examples/angry.opus"
    with pytest.raises(SystemExit, match="takes single recordings; leave the speakers away"):
        predict.main([str(recording), "--speakers", "one"])  # with the model of the package
    with pytest.raises(SystemExit):
        predict.main(["--live", "-", "--speakers", "one"])
    assert "a stream has no other recordings of its speaker" in capsys.readouterr().err
