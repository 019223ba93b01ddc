"""A run whose configuration or weights are damaged is named in one line, and nothing in it runs."""

import shutil

import pytest
import torch
import yaml

from m4ser.models.checkpoint import load_run, no_larger_than, read_tensors
from m4ser.utils.errors import UserError


@pytest.fixture
def run(toy_run, tmp_path):
    return shutil.copytree(toy_run, tmp_path / "exp") / "fold1/seed1"


DAMAGED = {
    "empty": (b"", "is not a configuration"),
    "a list": (b"- 1\n", "is not a configuration"),
    "text": (b"x", "is not a configuration"),
    "binary": (b"\x00\xff\xfe\x80" * 20, "not valid YAML"),
    "cut": (b"labels: [happy, sad, {", "not valid YAML"),
    "a tag": (b"labels: !!python/object/apply:os.system [ls]", "is of the type python/object"),
    "nothing in it": (b"labels: null\nfusion: m4ser\n", "config.yaml: "),
    "numbers": (b"labels: 5\nfusion: 1\n", "config.yaml: "),
    "another key twice": (b"labels: [a]\nlabels: [b]\n", "line 2: the key 'labels' is there twice"),
    "huge": (b"a: " + b"x" * (3 << 20), "is longer than 524288 bytes"),
    "a task": (b"task: [ser]\n", "config.yaml: "),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_configuration(run, kind):
    content, reason = DAMAGED[kind]
    (run / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match=reason) as error:
        load_run(run)
    assert "\n" not in str(error.value) and str(run / "config.yaml") in str(error.value)


def test_a_missing_value_of_the_configuration(run):
    """Whichever is missing: a default, or a line that names the file."""
    whole = yaml.safe_load((run / "config.yaml").read_text())
    ours = ("labels", "fusion", "fusion_conf", "speech_encoder", "text_encoder_conf", "text_conf", "model_conf")
    for key in ours:
        (run / "config.yaml").write_text(yaml.safe_dump({k: v for k, v in whole.items() if k != key}))
        with pytest.raises(UserError) as error:
            load_run(run)
        assert "\n" not in str(error.value) and key in str(error.value)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers(run, value):
    weights = torch.load(run / "model.pth", weights_only=True)
    weights["classifier.bias"][0] = value
    torch.save(weights, run / "model.pth")
    with pytest.raises(UserError, match=r"the weights are damaged \(classifier.bias is not finite\)"):
        load_run(run)


@pytest.mark.parametrize("content", [[torch.ones(1)], {"a": 1}, {"a": {"b": torch.ones(1)}}, 3])
def test_a_file_of_something_else(tmp_path, content):
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(UserError, match="does not hold tensors by name"):
        read_tensors(tmp_path / "model.pth")


def test_a_model_much_larger_than_its_weights_is_stopped(tmp_path):
    weights = {"weight": torch.zeros(3)}
    with no_larger_than(weights, tmp_path):
        torch.nn.Linear(1000, 1000)
        with pytest.raises(UserError, match="describes a much larger model than its weights"):
            torch.nn.Linear(10**5, 10**4)
    with pytest.raises(UserError, match="much larger model"), no_larger_than(weights, tmp_path):
        torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(10**9))
    torch.nn.Linear(10**4, 10**4, device="meta")  # outside of it, models may be as large as they like
