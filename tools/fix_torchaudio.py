"""Make torchaudio importable where torch has no CUDA.

The torchaudio wheel carries libraries that are linked against CUDA; on a CPU-only torch they fail to load and with them
``import torchaudio``, which espnet2 needs. Without the libraries torchaudio falls back on its Python code, which
is all that is used here. With a CUDA torch nothing is touched.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path


def imports() -> str:
    """Import torchaudio in a process of its own; return the last line of the error, empty if it works."""
    run = subprocess.run([sys.executable, "-c", "import torchaudio"], capture_output=True, text=True)
    return "" if run.returncode == 0 else (run.stderr.strip().splitlines() or ["unknown error"])[-1]


def main() -> None:
    """Remove the libraries if, and only if, they are what is in the way."""
    if not imports():
        return
    import torch

    spec = importlib.util.find_spec("torchaudio")
    if spec is not None and spec.origin and torch.version.cuda is None and torch.version.hip is None:
        for library in (Path(spec.origin).parent / "lib").glob("*.so"):
            library.unlink()
    error = imports()
    if error:
        sys.exit(f"error: torchaudio does not import: {error}")


if __name__ == "__main__":
    main()
