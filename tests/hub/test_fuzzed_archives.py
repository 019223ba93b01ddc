"""Whatever an intact archive holds, it predicts numbers or is refused in one line: soon, and with little memory.

M4SER_FUZZ=1000 tries so many archives instead of a few.
"""

import contextlib
import json
import os
import resource
import time

import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from m4ser import EmotionRecognizer
from m4ser.inference.results import Failure
from m4ser.utils.errors import UserError

EXAMPLES = int(os.environ.get("M4SER_FUZZ", "25"))
SECONDS, MEGABYTES = 10, 2000


def change_weights(path, random):
    """Of one tensor a value, the shape, the type or the name changes."""
    weights = load_file(path)
    name = random.choice(sorted(weights))
    tensor = weights[name].clone()
    how = random.randrange(6)
    if how < 3 and tensor.is_floating_point() and tensor.numel():
        tensor.view(-1)[random.randrange(tensor.numel())] = [float("nan"), float("inf"), 1e30][how]
        weights[name] = tensor
    elif how == 3:
        weights[name] = tensor[..., :-1].contiguous() if tensor.dim() else tensor[None]
    elif how == 4:
        weights[name] = tensor.half() if random.random() < 0.5 else tensor.double()
    else:
        weights[name + "x"] = weights.pop(name)
    save_file(weights, path)


BOMB = "\n".join(["a0: &a0 [1]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10))])
MERGES = "\n".join(
    ["m0: &m0 {k: 1}", *(f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 9)}]}}" for i in range(1, 10))]
)


def change(changed, random, fuzz):
    """One or two files of an unpacked archive."""
    folder = changed.folder
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    touched = set()
    for _ in range(random.choice([1, 1, 1, 2])):
        name = random.choice([*files, "m4ser.json", "config.yaml", "m4ser.json", "config.yaml"])
        path = folder / name
        if name in touched or name.endswith(".md"):
            continue
        touched.add(name)
        chance = random.random()
        if name.endswith(".safetensors") and chance < 0.7:
            change_weights(path, random)
        elif name.endswith(".yaml") and chance < 0.1:
            path.write_text(path.read_text() + random.choice([BOMB, MERGES, "[" * 3000, "a: " + "{b: " * 3000]))
        elif chance < 0.1:
            path.write_bytes(fuzz.damaged(path.read_bytes(), random))
        elif chance < 0.15:
            path.unlink()
        elif name.endswith(".json"):
            value = fuzz.changed_value(json.loads(path.read_text()), random)
            path.write_text(json.dumps(value))
        elif name.endswith(".yaml"):
            value = fuzz.changed_value(yaml.safe_load(path.read_text()), random)
            path.write_text(yaml.safe_dump(value))
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # the list is lost
        changed.describe(lambda description: None)  # every file is listed as it is now


@pytest.mark.slow
def test_the_archive_that_is_changed_is_good(tampered, with_recogniser, sound):
    recognizer = EmotionRecognizer.from_pretrained(tampered(with_recogniser), device="cpu")
    assert recognizer(sound).label in recognizer.labels and recognizer(sound).text is not None


@pytest.mark.slow
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False))
def test_an_archive_with_anything_in_it(tampered, with_recogniser, sound, fuzz, random):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    forged = tampered(lambda changed: (with_recogniser(changed), change(changed, random, fuzz)))
    try:
        recognizer = EmotionRecognizer.from_pretrained(forged, device="cpu", pretrained_dir=forged.parent)
        for text in (None, "so happy"):
            for result in recognizer.stream(sound, text=text):
                event(type(result).__name__)
                if isinstance(result, Failure):
                    assert result.reason and "\n" not in result.reason
                else:
                    assert 0.999 < sum(result.probabilities.values()) < 1.001 and result.label in recognizer.labels
    except UserError as error:
        event("refused")
        assert str(error) and "\n" not in str(error)
    assert time.process_time() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1000
