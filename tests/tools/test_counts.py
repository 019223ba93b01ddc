import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "counts.py"


@pytest.fixture(scope="module")
def counts():
    spec = importlib.util.spec_from_file_location("counts", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_project_is_within_its_limits():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_what_is_counted(counts, tmp_path, monkeypatch, capsys):
    files = {
        "egs/TEMPLATE/conf/train_a.yaml": "fusion: late\n",
        "egs/TEMPLATE/conf/train_a_no_b.yaml": "base: train_a.yaml\nb: null\n",
        "egs/one/conf/train_a.yaml": "fusion: late\n",
        "egs/one/exp/a/config.yaml": "made: by a run\n",
        "egs/TEMPLATE/ser.sh": "#!/usr/bin/env bash\n" * 3,
        "m4ser/__init__.py": "from typing import Any\n",
        "m4ser/loose.py": "def f(x: Any) -> list[Any]: ...\n",
        "m4ser/scoring/table.py": "\n" * 7,
        "README.md": "# One\n\ntwo\n",
        "docs/page.md": "x" * 401,
        "tools/venv/lib/notes.md": "x" * 999,
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert [count.number for count in counts.counts(tmp_path)] == [3, 1, 2, 1, 401, 3, 5, 3, 7, 2]
    monkeypatch.setattr(counts, "ROOT", tmp_path)
    with pytest.raises(SystemExit) as end:
        counts.main()
    above = "copies among them, modules loose in m4ser/, characters of the longest line of a page"
    assert str(end.value) == f"error: above the limit: {above}"
    assert "copies among them                              1  of at most 0\n" in capsys.readouterr().out
