import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "check_install.py"


@pytest.fixture(scope="module")
def check_install():
    spec = importlib.util.spec_from_file_location("check_install", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def broken(message):
    def probe():
        raise OSError(message)

    return probe


def test_present_package_shows_its_version(check_install, capsys):
    import numpy

    assert check_install.report([check_install.module("numpy")])
    assert capsys.readouterr().out == f"[x] numpy                    {numpy.__version__}\n"


def test_missing_module_says_how_to_get_it(check_install, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "kaldiio", None)
    assert not check_install.report([check_install.module("kaldiio")])
    assert capsys.readouterr().out == "[ ] kaldiio                  not installed (kaldiio): run make -C tools\n"


def test_missing_model_of_the_installer(check_install, monkeypatch, tmp_path, capsys):
    from m4ser import pretrained

    monkeypatch.delenv("M4SER_PRETRAINED_DIR", raising=False)
    monkeypatch.setattr(pretrained, "default_dir", lambda: tmp_path)
    probe = check_install._encoder("offline:whisper-tiny.en")
    assert not check_install.report([check_install.Check("offline speech encoder", probe)])
    assert capsys.readouterr().out.startswith(
        "[ ] offline speech encoder   does not work (offline:whisper-tiny.en: not"
    )


def test_larger_models_are_listed(check_install, monkeypatch, tmp_path, capsys):
    from m4ser import pretrained

    monkeypatch.setenv("M4SER_PRETRAINED_DIR", str(tmp_path))
    monkeypatch.setattr(pretrained, "default_dir", lambda: tmp_path)
    checks = [check for check in check_install.CHECKS if check.name == "base models"]
    assert check_install.report(checks)  # not required
    assert capsys.readouterr().out == (
        "[ ] base models              offline:whisper-base is not installed: make -C tools base-models\n"
    )
    for name in pretrained.OPTIONAL_NAMES:
        (tmp_path / name).mkdir()
    check_install.report(checks)
    assert capsys.readouterr().out.startswith("[x] base models              offline:whisper-base, offline:")


def test_only_required_capabilities_count(check_install, capsys):
    checks = [
        check_install.Check("GPU", broken("none found"), required=False),
        check_install.Check("python", lambda: "3.11"),
    ]
    assert check_install.report(checks)
    assert capsys.readouterr().out.splitlines() == [
        "[ ] GPU                      none found",
        "[x] python                   3.11",
    ]
    assert not check_install.report([check_install.Check("torch", broken("bad library\nmore"))])
    assert "does not work (bad library): run make -C tools" in capsys.readouterr().out


def test_names_every_promised_capability(check_install):
    names = {check.name for check in check_install.CHECKS}
    assert {"torch", "torchaudio", "espnet2 training", "offline ASR", "offline speech encoder"} <= names
    assert {"offline text encoder", "linters", "GPU", "PocketSphinx", "speech synthesis"} <= names


def test_pocketsphinx_without_a_wheel(check_install, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    assert check_install.report([check for check in check_install.CHECKS if check.name == "PocketSphinx"])
    shown = capsys.readouterr().out
    assert shown.startswith("[ ] PocketSphinx             no wheel for Python 3.")
    assert shown.endswith("pip install --no-deps pocketsphinx==5.1.1, which compiles it\n")
