"""Where a trained model is kept: the run of an experiment, an archive, an unpacked archive, a model hub.

Unpacked, a model is a folder with ``m4ser.json`` (labels, pipeline, training, metrics, the other files with size and
SHA-256), ``config.yaml``, ``model.safetensors``, ``tokenizer/``, and what of the recordings' preparation is not to be
had by name: ``speech_encoder.safetensors``, ``asr/``. See :mod:`m4ser.hub.pack` and
:mod:`m4ser.hub.archive` for how it is made and checked.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m4ser.utils.errors import UserError

DESCRIPTION = "m4ser.json"
SPEECH_ENCODER = "speech_encoder.safetensors"
ASR = "asr"
# Recognisers whose models are read without running what is in them; an archive may name or hold no others.
SAFE_RECOGNISERS = ("faster_whisper", "hf", "pocketsphinx", "reference")


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
