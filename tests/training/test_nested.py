"""What is typed as a mapping is read as data by every task's parser; nothing of it is run."""

import shlex

import pytest

from m4ser.models.systems import SYSTEMS, system_class
from m4ser.training.configuration import parse_task
from m4ser.utils.errors import UserError

FORGED = [
    "{'lr': __import__('pathlib').Path('ran').touch()}",
    "{**{'lr': 1}, 'x': open('ran', 'w')}",
    "__import__('pathlib').Path('ran').touch()",
    "[open('ran', 'w')]",
    "(lambda: open('ran', 'w'))()",
    "lr=!!python/object/apply:os.mkdir [ran]",
    "!!python/object/apply:os.mkdir [ran]",
    "{lr: !!python/object/apply:os.mkdir [ran]}",
    "a.b=!!python/object/new:os.mkdir [ran]",
    "lr=!!python/name:os.system",
    "{lr: !!python/module:this}",
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("task", SYSTEMS)
@pytest.mark.parametrize("text", FORGED)
def test_forged_mappings_run_nothing(here, task, text):
    parser = system_class(task).get_parser()
    parser.exit_on_error = False
    option = "model_conf" if task == "linear" else "optim_conf"
    try:
        found = getattr(parser.parse_args([f"--{option}", text]), option)
    except UserError as error:
        assert str(error).startswith(f"--train-args: --{option}: ")
    else:
        assert all(isinstance(value, str | int) for value in found.values()), found
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("text", FORGED)
def test_forged_train_args_run_nothing(here, text):
    config = here / "c.yaml"
    config.write_text("optim: adamw\n", encoding="utf-8")
    with pytest.raises(UserError, match="--train-args"):
        parse_task(config, f"--optim_conf {shlex.quote(text)}")
    assert list(here.iterdir()) == [config]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["a=4"], {"a": 4}),
        (["a.b={c: true}", "a.d="], {"a": {"b": {"c": True}, "d": ""}}),
        (["{'c': None, 'd': 1e-3}"], {"c": None, "d": 1e-3}),
        (["{a: 34.5, f: [x, 1]}", "a=no"], {"a": False, "f": ["x", 1]}),
        (["model=/a b/c-d", "e=0x10"], {"model": "/a b/c-d", "e": 16}),
        (["a=1", "a.b=2"], {"a": {"b": 2}}),
    ],
)
def test_read_as_espnet_reads_them(typed, expected):
    """Expected values are what ESPnet's own action made of these."""
    parser = system_class("ser").get_parser()
    words = [word for text in typed for word in ("--optim_conf", text)]
    assert parser.parse_args(words).optim_conf == expected
    assert parser.parse_args([]).optim_conf == {}  # the default is not changed
