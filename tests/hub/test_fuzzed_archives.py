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
VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 1000, 1 << 20, 1 << 31, 1 << 63, 10**30, 0.5, -1.5, 1e300),
    *(float("nan"), float("inf"), "", "x", "bert", "whisper", "org/name", "../x", "\x1b[2J", "a\nb", [], {}, [0]),
    *([[]], [1, "a", None], {"x": 1}, {"": {}}, ["[CLS]"] * 5, "9" * 5000),
]
SIZES = ("num_hidden_layers", "hidden_size", "vocab_size", "encoder_layers", "d_model", "max_position_embeddings")


def places(value, path=()):
    """Where values stand, as paths of keys."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            yield (*path, key)
            yield from places(item, (*path, key))


def changed_value(value, random):
    """One value is replaced, removed, renamed, repeated or nested."""
    found = list(places(value))
    if not found or random.random() < 0.03:
        return random.choice(VALUES)
    sizes = [place for place in found if place[-1] in SIZES]
    path = random.choice(sizes if sizes and random.random() < 0.3 else found)
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    key, how = path[-1], random.randrange(10)
    if how == 0:
        del parent[key]
    elif how == 1 and isinstance(parent, dict):
        parent[str(key) + "x"] = parent.pop(key)
    elif how == 2 and isinstance(parent[key], list):
        parent[key] = parent[key] * random.choice([2, 100])
    elif how == 3:
        parent[key] = [parent[key]]
    elif how == 4 and isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
        parent[key] = parent[key] * random.choice([-1, 0, 2, 1000, 10**6, 0.5])
    else:
        parent[key] = random.choice(VALUES)
    return value


def damaged(content, random):
    """Bytes that are flipped, cut, repeated or exchanged."""
    how, place = random.randrange(4), random.randrange(max(1, len(content)))
    if how == 0:
        return content[:place]
    if how == 1:
        return content[:place] + content[place : place + 64] * random.choice([2, 500]) + content[place:]
    if how == 2:
        return content[:place] + bytes(random.randrange(256) for _ in range(8)) + content[place + 8 :]
    flipped = bytes(byte ^ (1 << random.randrange(8)) for byte in content[place : place + 1])
    return content[:place] + flipped + content[place + 1 :]


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


def change(changed, random):
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
        kind = random.random()
        if name.endswith(".safetensors") and kind < 0.7:
            change_weights(path, random)
        elif name.endswith(".yaml") and kind < 0.1:
            path.write_text(path.read_text() + random.choice([BOMB, MERGES, "[" * 3000, "a: " + "{b: " * 3000]))
        elif kind < 0.1:
            path.write_bytes(damaged(path.read_bytes(), random))
        elif kind < 0.15:
            path.unlink()
        elif name.endswith(".json"):
            value = changed_value(json.loads(path.read_text()), random)
            path.write_text(json.dumps(value))
        elif name.endswith(".yaml"):
            value = changed_value(yaml.safe_load(path.read_text()), random)
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
def test_an_archive_with_anything_in_it(tampered, with_recogniser, sound, random):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    forged = tampered(lambda changed: (with_recogniser(changed), change(changed, random)))
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
