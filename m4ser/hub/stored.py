"""Where a trained model is kept: the run of an experiment, an archive, an unpacked archive, a model hub.

Unpacked, a model is a folder with ``m4ser.json`` (labels, pipeline, training, metrics, the other files with size and
SHA-256), ``config.yaml``, ``model.safetensors``, ``tokenizer/``, and what of the recordings' preparation is not to be
had by name: ``speech_encoder.safetensors``, ``asr/``. See :mod:`m4ser.hub.packing` for how it is made and checked.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import m4ser
from m4ser.training.experiment import PLAN
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

DESCRIPTION = "m4ser.json"
SPEECH_ENCODER = "speech_encoder.safetensors"
ASR = "asr"
# Recognisers whose models are read without running what is in them; an archive may name or hold no others.
SAFE_RECOGNISERS = ("faster_whisper", "hf", "pocketsphinx", "reference")
DEFAULT_MODEL = "egs/mini/exp/m4ser"  # what `make -C tools demo` trains


@dataclass(frozen=True)
class StoredModel:
    """A model in a folder.

    Attributes:
        folder: has ``config.yaml`` and the weights.
        about: ``run.json`` of the experiment, or ``m4ser.json``.
        packed: whether the folder is an unpacked archive.
        fold, seed: of the run, empty and 0 where they are not known.
    """

    folder: Path
    about: dict[str, Any]
    packed: bool = False
    fold: str = ""
    seed: int = 0

    @property
    def pipeline(self) -> dict[str, Any]:
        """What is done to recordings first, see :mod:`m4ser.inference.frontend`.

        Raises:
            UserError: the run does not say.
        """
        if "pipeline" not in self.about:
            raise UserError(
                f"{self.folder}: its run.json does not say how features and text were made; train again (stage 4)"
            )
        return self.about["pipeline"]

    def speech_encoder(self, pretrained_dir: str | Path | None = None, device: str = "cpu") -> Any:
        """The frozen encoder of the speech features, None where the model needs none."""
        described = self.pipeline["speech"]
        if not described:
            return None
        from m4ser.models.encoders.backbones import backbone_from_architecture
        from m4ser.models.encoders.frozen import FrozenEncoder, load_frozen

        if "architecture" not in described:
            encoder = load_frozen(described["encoder"], pretrained_dir)
        else:
            from safetensors.torch import load_file

            encoder = FrozenEncoder(backbone_from_architecture(**described["architecture"]))
            weights = {name: value.float() for name, value in load_file(self.folder / SPEECH_ENCODER).items()}
            try:
                encoder.backbone.load_state_dict(weights)
            except RuntimeError as error:
                reason = " ".join(str(error).split())
                raise UserError(f"{self.folder / SPEECH_ENCODER}: does not fit {DESCRIPTION} ({reason})") from None
        return encoder.to(device)

    def recogniser(self) -> dict[str, Any] | None:
        """`name`, `model` and `settings` of the recogniser the model was trained with."""
        described = (self.pipeline["text"] or {}).get("asr")
        if described and self.packed:
            if described["name"] not in SAFE_RECOGNISERS:
                raise UserError(
                    f"{self.folder}: was trained with text of the recogniser {described['name']} {described['model']}, "
                    f"whose files can run code; if you trust them: --asr {described['name']} --asr-model ..."
                )
            if described.get("packed"):
                return {**described, "model": str(self.folder / ASR)}
        return described


@contextlib.contextmanager
def open_model(name: str | Path, fold: str | None = None, seed: int | None = None) -> Iterator[StoredModel]:
    """Find a model by folder, archive or hub id; what had to be unpacked is deleted when the block ends.

    Raises:
        UserError: there is none, or it is not intact.
    """
    path = Path(name).expanduser()
    if path.is_file():
        from m4ser.hub.packing import unpack

        with tempfile.TemporaryDirectory(prefix="m4ser-") as folder:
            yield unpack(path, Path(folder) / "model")
    elif path.is_dir():
        yield find_model(path, fold, seed)
    elif str(name).count("/") == 1 and not str(name).startswith((".", "/", "~")):
        from m4ser.hub.remote import download

        yield download(str(name))
    else:
        raise UserError(f"{name}: no such model; give exp/<tag>, one of its runs, an archive, or a hub id org/name")


def find_model(path: Path, fold: str | None = None, seed: int | None = None) -> StoredModel:
    """The model in a folder: an unpacked archive, an experiment or one of its runs."""
    path = path.resolve()
    if (path / DESCRIPTION).is_file():
        from m4ser.hub.packing import check_folder

        return check_folder(path)
    if (path / "config.yaml").is_file() and (path.parents[1] / PLAN).is_file():
        run_fold, run_seed = path.parent.name.removeprefix("fold"), int(path.name.removeprefix("seed") or 0)
        return StoredModel(path, read_json(path.parents[1] / PLAN), False, run_fold, run_seed)
    if not (path / PLAN).is_file():
        raise UserError(f"{path}: no trained model in this folder; give exp/<tag>, one of its runs, or an archive")
    plan = read_json(path / PLAN)
    fold = str(fold) if fold is not None else plan["folds"][0]
    seed = seed if seed is not None else plan["seeds"][0]
    run = path / f"fold{fold}" / f"seed{seed}"
    if not (run / "model.pth").is_file():
        there = ", ".join(sorted(str(p.parent.relative_to(path)) for p in path.glob("fold*/seed*/model.pth")))
        raise UserError(f"{run}: is not trained; trained runs: {there or 'none, run stage 4 first'}")
    return StoredModel(run, plan, False, fold, seed)


def default_model() -> str:
    """What to use without a name: ``$M4SER_MODEL``, else the demonstration's in this checkout.

    Raises:
        UserError: neither is there.
    """
    if os.environ.get("M4SER_MODEL"):
        return os.environ["M4SER_MODEL"]
    demonstration = Path(m4ser.__file__).resolve().parents[1] / DEFAULT_MODEL
    if not (demonstration / PLAN).is_file():
        raise UserError(
            "no model: give --model (exp/<tag>, an archive, a folder or a hub id), set M4SER_MODEL, or train the small "
            "one of the demonstration: make -C tools demo"
        )
    return str(demonstration)
