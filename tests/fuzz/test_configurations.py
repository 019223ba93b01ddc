"""Whatever a configuration says, it can be trained with or is refused in one line: at once, and with little memory.

M4SER_FUZZ=10000 tries so many instead of a few.
"""

import copy
import json
import os
import resource
import shlex
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from m4ser.stages.needs import needs
from m4ser.training.checks import OPTIONS
from m4ser.training.configuration import check_config, find_config, parse_task, read_config, systems
from m4ser.utils.errors import UserError

EGS = Path(__file__).resolve().parents[2] / "egs"
LONG = int(os.environ.get("M4SER_FUZZ", "0"))
SECONDS, MEGABYTES = 10, 2000
SYSTEMS = [read_config(find_config(name, EGS / "mini")) for name in systems(EGS / "mini")]
NAMES = sorted({name for schema in json.loads(OPTIONS.read_text()).values() for name in schema["properties"]})
SCALARS = [None, True, False, 0, 1, -1, 3, 1 << 20, 1 << 62, 10**30, 0.5, -1.5, 1e300, 1e-300]
SCALARS += [
    float("nan"),
    float("inf"),
    "",
    "x",
    "none",
    "NULL",
    "true",
    "1e-3",
    "1",
    "../x",
    "a\nb",
    "\x1b[2J",
    "é",
    "9" * 5000,
]
SCALARS += ["m4ser", "M4SER", "m4sr", "huggingface", "transformer", "adamw", "late", "linear", "espnet_cls", "balanced"]
VALUES = [
    *SCALARS,
    [],
    {},
    [0],
    [[]],
    [1, "a", None],
    {"x": 1},
    {"": {}},
    {"weight": 0.1},
    {"lr": 1.0},
    {"a": {"b": {"c": []}}},
]
PIECES = [
    "&a ",
    "*a",
    "<<: *a\n",
    "<<: [*a, *a]\n",
    "- ",
    "? ",
    ": ",
    "!!python/name:os.system ",
    "!!set ",
    "!!float ",
    "[",
    "{",
]
PIECES += [
    "\t",
    "\0",
    "\ufeff",
    "\u2028",
    "'",
    '"',
    "|",
    ">",
    "%",
    "@",
    "`",
    "#",
    "---\n",
    "...\n",
    "1: 2\n",
    "task: ser\n",
    "{a: 1}",
]


def places(value, path=()):
    """Where values stand, as paths of keys."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(item, (*path, key))


def changed(value, random):
    """One value is replaced, removed, renamed, added or nested."""
    if not (paths := list(places(value))):
        return copy.deepcopy(random.choice(VALUES))
    *outer, key = random.choice(paths)
    parent = value
    for step in outer:
        parent = parent[step]
    how = random.randrange(8)
    if how == 0:
        del parent[key]
    elif how == 1 and isinstance(parent, dict):
        parent[str(key)[:-1] + random.choice("xeo")] = parent.pop(key)
    elif how == 2:
        parent[key] = random.choice([[parent[key]], {"x": parent[key]}, {str(key): parent[key]}])
    elif how == 3 and isinstance(value, dict):
        value[random.choice(NAMES)] = copy.deepcopy(random.choice(VALUES))
    elif how == 4 and isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
        parent[key] = parent[key] * random.choice([-1, 0, 0.1, 10, 1e6])
    else:
        parent[key] = copy.deepcopy(random.choice(VALUES))
    return value


@st.composite
def contents(draw):
    """A configuration as a file holds it: one of the recipes', with values or characters changed."""
    random = draw(st.randoms(use_true_random=False))
    config = copy.deepcopy(draw(st.sampled_from(SYSTEMS)))
    for _ in range(draw(st.integers(0, 3))):
        config = changed(config, random)
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place = random.randrange(len(text) + 1)
        lines = text.splitlines(keepends=True) or [""]
        piece = random.choice([*PIECES, random.choice(lines), lines[0] * 50, "[" * 500, "{a: " * 500])
        text = text[:place] + piece + text[place + random.choice([0, 0, 1, 5]) :]
    return text.encode("utf-8", "surrogatepass")


@st.composite
def typed(draw):
    """Options of a command line that override it."""
    words = []
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=2)):
        value = draw(st.sampled_from(VALUES))
        text = value if isinstance(value, str) else json.dumps(value)
        forms = [text, f"lr={text}", f"a.b={text}", f"{{lr: {text}}}", f"={text}", f"x={text}="]
        words += [f"--{name}", *draw(st.sampled_from([[], *([form] for form in forms), [text, text]]))]
    return draw(st.sampled_from([shlex.join(words)] * 9 + [" ".join(words)]))


def attempt(path, content, options, then=lambda path, options: None):
    """Check a configuration as a recipe does when it starts; what it says is one line, soon."""
    path.write_bytes(content)
    started = time.process_time()
    try:
        needs(str(path), options)
        check_config(path, options)
        then(path, options)
        event("accepted")
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1500
        event("refused")
    assert time.process_time() - started < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MEGABYTES * 1024


COMMON = {"deadline": None, "derandomize": not LONG, "suppress_health_check": list(HealthCheck), "database": None}


@settings(max_examples=LONG or 400, **COMMON)
@given(contents(), st.one_of(st.just(""), typed()))
@pytest.mark.timeout(0 if LONG else 300)
def test_configurations(tmp_path_factory, content, options):
    attempt(tmp_path_factory.getbasetemp() / "fuzzed.yaml", content, options)


@pytest.mark.slow
@settings(max_examples=LONG // 5 or 100, **COMMON)
@given(contents(), st.one_of(st.just(""), typed()))
@pytest.mark.timeout(0 if LONG else 300)
def test_what_is_accepted_is_parsed_by_espnet(tmp_path_factory, content, options):
    attempt(tmp_path_factory.getbasetemp() / "fuzzed.yaml", content, options, parse_task)
