"""How a model is loaded, and what is loaded with it."""

import argparse
import subprocess
import sys

import pytest

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
