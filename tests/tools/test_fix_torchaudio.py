import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "fix_torchaudio.py"
# Fails like the real package: only while a library is there that cannot be loaded.
TORCHAUDIO = """
from pathlib import Path
if list((Path(__file__).parent / "lib").glob("*.so")):
    raise OSError("Could not load this library")
"""


@pytest.fixture
def packages(tmp_path):
    """A folder for PYTHONPATH with a stand-in for torchaudio; returns the folder and the library."""
    library = tmp_path / "torchaudio" / "lib" / "_torchaudio.abi3.so"
    library.parent.mkdir(parents=True)
    library.touch()
    (tmp_path / "torchaudio" / "__init__.py").write_text(TORCHAUDIO)
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("from torch import version\n")
    return tmp_path, library


def test_libraries_go_where_torch_has_no_cuda(packages, call):
    folder, library = packages
    (folder / "torch" / "version.py").write_text("cuda = hip = None\n")
    for _ in range(2):
        done = call(sys.executable, SCRIPT, PYTHONPATH=str(folder))
        assert done.returncode == 0 and done.stderr == ""
        assert not library.exists()


def test_libraries_stay_where_torch_has_cuda(packages, call):
    folder, library = packages
    (folder / "torch" / "version.py").write_text('cuda, hip = "13.0", None\n')
    done = call(sys.executable, SCRIPT, PYTHONPATH=str(folder))
    assert done.returncode == 1
    assert done.stderr == "error: torchaudio does not import: OSError: Could not load this library\n"
    assert library.exists()


def test_working_torchaudio_is_left_alone(packages, call):
    folder, library = packages
    (folder / "torchaudio" / "__init__.py").write_text("")
    done = call(sys.executable, SCRIPT, PYTHONPATH=str(folder))
    assert done.returncode == 0 and library.exists()
