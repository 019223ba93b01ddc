"""Where a trained model is kept: the run of an experiment, an archive, an unpacked archive, a model hub.

Unpacked, a model is a folder with ``m4ser.json`` (labels, pipeline, training, metrics, the other files with size and
SHA-256), ``config.yaml``, ``model.safetensors``, ``tokenizer/``, and what of the recordings' preparation is not to be
had by name: ``speech_encoder.safetensors``, ``asr/``. See :mod:`m4ser.hub.pack` and
:mod:`m4ser.hub.archive` for how it is made and checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m4ser.models.description import GraphDescription, Pipeline, RecogniserDescription
from m4ser.utils.errors import UserError

if TYPE_CHECKING:
    from m4ser.models.encoders.frozen import SpeechFeatures

DESCRIPTION = "m4ser.json"
SPEECH_ENCODER = "speech_encoder.safetensors"
ASR = "asr"
TOKENIZER = "tokenizer/tokenizer.json"  # of a whole graph that reads words
CONFIDENCE = "text_confidence"  # input of a graph that weighs words: the recogniser's in the word of each piece
# Recognisers whose models are read without running what is in them; an archive may name or hold no others.
SAFE_RECOGNISERS = ("faster_whisper", "hf", "pocketsphinx", "reference")


@dataclass(frozen=True)
class StoredModel:
    """A model in a folder.

    Attributes:
        folder: has ``config.yaml`` and the weights.
        about: ``run.json`` of the experiment (:class:`.Plan`), or ``m4ser.json`` (:class:`.ArchiveDescription`).
        packed: whether the folder is an unpacked archive.
        fold, seed: of the run, empty and 0 where they are not known.
    """

    folder: Path
    about: Mapping[str, Any]
    packed: bool = False
    fold: str = ""
    seed: int = 0

    @property
    def labels(self) -> list[str]:
        """The emotions, in the order of the model's outputs."""
        return self.about["labels"]

    @property
    def pipeline(self) -> Pipeline:
        """What is done to recordings first.

        Raises:
            UserError: the run does not say.
        """
        if "pipeline" not in self.about:
            raise UserError(
                f"{self.folder}: its run.json does not say how features and text were made; train again (stage 4)"
            )
        return self.about["pipeline"]

    @property
    def normalised(self) -> str:
        """Over whose recordings features are normalised: ``speaker``, ``corpus``, or empty: each for itself."""
        return (self.pipeline["speech"] or {}).get("normalised", "")

    @property
    def graph(self) -> GraphDescription | None:
        """What an archive says of the whole graph that it holds instead of weights; None where it holds those."""
        return self.about.get("graph")

    def speech_encoder(self, pretrained_dir: str | Path | None = None, device: str = "cpu") -> "SpeechFeatures | None":
        """The frozen encoder of the speech features, None where the model needs none."""
        features = self.pipeline["speech"]
        if not features:
            return None
        from m4ser.models.encoders.backbones import backbone_from_architecture
        from m4ser.models.encoders.frozen import FrozenEncoder, load_frozen

        if "architecture" not in features:
            return load_frozen(features["encoder"], pretrained_dir).to(device)
        from m4ser.models.checkpoint import no_larger_than, read_tensors

        weights = {name: value.float() for name, value in read_tensors(self.folder / SPEECH_ENCODER).items()}
        with no_larger_than(weights, self.folder / DESCRIPTION):
            encoder = FrozenEncoder(backbone_from_architecture(**features["architecture"]))
        try:
            encoder.backbone.load_state_dict(weights, assign=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{self.folder / SPEECH_ENCODER}: does not fit {DESCRIPTION} ({reason})") from None
        if features["layers"][-1] >= encoder.num_layers:
            raise UserError(
                f"{self.folder / DESCRIPTION}: names layer {features['layers'][-1]} of an encoder with "
                f"{encoder.num_layers}; get the model again"
            )
        return encoder.to(device)

    def recogniser(self) -> RecogniserDescription | None:
        """The recogniser the model was trained with.

        Raises:
            UserError: the model is packed, and the recogniser's files could run code.
        """
        text = self.pipeline["text"]
        asr = text.get("asr") if text else None
        if asr and self.packed:
            if asr["name"] not in SAFE_RECOGNISERS:
                raise UserError(
                    f"{self.folder}: was trained with text of the recogniser {asr['name']} {asr['model']}, "
                    f"whose files can run code; if you trust them: --asr {asr['name']} --asr-model ..."
                )
            if asr.get("packed"):
                return {**asr, "model": str(self.folder / ASR)}
        return asr
