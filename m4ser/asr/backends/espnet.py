"""Recognisers trained with ESPnet2 (attention and CTC, or transducer), decoded by its own beam search.

A model is what `espnet2.bin.pack asr` makes: an archive, the folder it was unpacked to, a hub id (a repository with a
meta.yaml), or a name of ESPnet's model zoo if the package espnet_model_zoo is there. Of its weights the tensors are
read and nothing is run. But its configuration may name other models, which libraries that ESPnet uses fetch and run:
use models of people you trust.

The utterance is decoded as a whole, whatever its length, and resampled if the model wants another rate. Confidence is
exp(mean log probability of the tokens) without the language model: attention and CTC weighted as in the search. That of
a CTC prefix is a sum over alignments, so compare within one model only.
"""

import contextlib
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from m4ser.asr.backends.base import Backend, Hypothesis
from m4ser.data.audio import RATE, resample
from m4ser.pretrained import resolve
from m4ser.pretrained.load import only_tensors
from m4ser.utils.errors import UserError, first_line
from m4ser.utils.modules import stand_in

SHORTEST = 0.1  # seconds; what is shorter is padded, the Fourier transform fails on less than one window
META = "meta.yaml"
PACKED = (".zip", ".tgz", ".tar", ".gz", ".tbz2", ".bz2", ".txz", ".xz")
FILES = ["*.yaml", "*.pth", "*.npz", "*.model", "*.txt", "*.json"]  # what a packed model consists of
ZOO = "pip install --no-deps espnet_model_zoo==0.1.7"


class EspnetAsr(Backend):
    """A packed ESPnet2 ASR model.

    Args:
        model: archive, folder, hub id such as espnet/some_model, or name in the model zoo.
        pretrained_dir: where local copies of models are looked for first.
        device: cpu or cuda.
        beam_size: hypotheses kept in the search.
        ctc_weight: of CTC against attention; a model without attention decoder takes 1.
        lm_weight: of the language model, if the model brings one.
        penalty: added for each token.
        maxlenratio: most tokens for each encoder frame, 0 for as many as frames.
    """

    def __init__(
        self,
        model: str | None = None,
        pretrained_dir: str | Path | None = None,
        device: str = "cpu",
        beam_size: int = 10,
        ctc_weight: float = 0.3,
        lm_weight: float = 0.6,
        penalty: float = 0.0,
        maxlenratio: float = 0.0,
    ) -> None:
        if not model:
            raise UserError("--asr espnet: name a model with --asr-model: a packed model, its folder, or a hub id")
        if beam_size < 1 or not 0 <= ctc_weight <= 1:
            raise UserError("--asr-conf: beam_size must be 1 or more and ctc_weight from 0 to 1")
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UserError(f"--asr-conf device={device}: PyTorch finds no GPU; use device=cpu")
        self._unpacked = tempfile.TemporaryDirectory(prefix="m4ser_espnet_")
        files = packed_files(model, pretrained_dir, Path(self._unpacked.name))
        config = yaml.safe_load(Path(files["asr_train_config"]).read_text(encoding="utf-8"))
        self.rate = sampling_rate(config)
        if float((config.get("model_conf") or {}).get("ctc_weight", 0.5)) == 1.0:
            ctc_weight = 1.0
        speech2text, self.too_short = _import_decoder()
        try:
            with only_tensors():  # it would run what is in the weights
                self.decoder = speech2text(
                    **files,
                    device=device,
                    beam_size=beam_size,
                    ctc_weight=ctc_weight,
                    lm_weight=lm_weight,
                    penalty=penalty,
                    maxlenratio=maxlenratio,
                )
            if self.decoder.tokenizer is not None:
                self.decoder.tokenizer.tokens2text([])  # reads its file now, not at the first utterance
        except Exception as error:  # whatever the model's classes, its pickle or its tokenizer raise
            reason = first_line(error)
            raise UserError(f"{model}: ESPnet cannot build this model ({reason}); pack it again") from error
        asr = self.decoder.asr_model
        self.ends = {asr.token_list[asr.sos], asr.token_list[asr.eos]}
        self.weights = {"decoder": 1 - ctc_weight, "ctc": ctc_weight}

    def decode(self, batch: Sequence[np.ndarray], utts: Sequence[str]) -> list[Hypothesis]:
        """Decode one utterance after the other."""
        return [self._decode(samples) for samples in batch]

    def _decode(self, samples: np.ndarray) -> Hypothesis:
        if not len(samples):
            return Hypothesis("", 0.0)
        samples = np.asarray(resample(samples, RATE, self.rate), dtype=np.float32)
        samples = np.pad(samples, (0, max(0, int(SHORTEST * self.rate) - len(samples))))
        try:
            hypotheses = self.decoder(samples)
        except self.too_short:
            return Hypothesis("", 0.0)
        if isinstance(hypotheses, tuple):  # with the outputs of intermediate CTC
            hypotheses = hypotheses[0]
        if not hypotheses:
            return Hypothesis("", 0.0)
        _, tokens, _, best = hypotheses[0]
        # At the length limit the end of the sentence is there twice and stays once.
        tokens = [token for token in tokens if token not in self.ends]
        tokenizer = self.decoder.tokenizer
        text = tokenizer.tokens2text(tokens) if tokenizer is not None else " ".join(map(str, tokens))
        scores = {name: float(value) for name, value in (getattr(best, "scores", None) or {}).items()}
        known = [weight * scores[name] for name, weight in self.weights.items() if name in scores]
        logprob = sum(known) if known else float(best.score)  # a transducer has the one score only
        return Hypothesis(text, min(1.0, math.exp(logprob / (len(tokens) + 1))))


def packed_files(model: str, pretrained_dir: str | Path | None, folder: Path) -> dict[str, str]:
    """Arguments of ESPnet's Speech2Text: the files of the model. What has to be written goes to `folder`.

    Raises:
        UserError: there is no such model, or it is none of speech recognition.
    """
    path = Path(model).expanduser()
    if path.is_file():
        files = _unpack(path, folder)
    else:
        try:
            files = _from_folder(Path(resolve(model, pretrained_dir, files=FILES, proof=META)), folder)
        except UserError as error:
            if path.is_dir() or model.startswith((".", "/", "~")):
                raise
            files = _from_zoo(model, error)
    if "asr_train_config" not in files or "asr_model_file" not in files:
        raise UserError(f"{model}: is no packed ASR model but has {', '.join(sorted(files))}; choose another one")
    return files


def _unpack(path: Path, folder: Path) -> dict[str, str]:
    from espnet2.main_funcs.pack_funcs import unpack

    if path.suffix not in PACKED:
        raise UserError(f"{path}: is no packed model; give the archive that espnet2.bin.pack made, such as a .zip")
    try:
        return unpack(path, folder)
    except Exception as error:  # of zipfile, tarfile, YAML, and those of ESPnet itself
        reason = first_line(error)
        raise UserError(f"{path}: cannot be unpacked ({reason}); pack or download it again") from error


def _from_folder(source: Path, folder: Path) -> dict[str, str]:
    """Files of an unpacked model; copies of its configurations have paths that hold from everywhere."""
    if not (source / META).is_file():
        raise UserError(f"{source}: has no {META}; give a folder to which a packed ESPnet model was unpacked")
    meta = yaml.safe_load((source / META).read_text(encoding="utf-8"))
    files = {}
    for key, name in {**meta["files"], **meta["yaml_files"]}.items():
        if not (source / name).is_file():
            raise UserError(f"{source / name}: no such file, but {META} names it; unpack or download the model again")
        files[key] = str(source / name)
    for key in meta["yaml_files"]:
        config = yaml.safe_load(Path(files[key]).read_text(encoding="utf-8"))
        files[key] = str(folder / f"{key}.yaml")
        Path(files[key]).write_text(yaml.safe_dump(_anchored(config, source)), encoding="utf-8")
    return files


def _anchored(value: Any, source: Path) -> Any:
    """The configuration with names of files in `source` as absolute paths."""
    if isinstance(value, dict):
        return {key: item if key == "token_list" else _anchored(item, source) for key, item in value.items()}
    if isinstance(value, list):
        return [_anchored(item, source) for item in value]
    if isinstance(value, str) and value and not value.startswith("/") and (source / value).is_file():
        return str(source / value)
    return value


def _from_zoo(name: str, not_found: UserError) -> dict[str, str]:
    try:
        from espnet_model_zoo.downloader import ModelDownloader
    except ModuleNotFoundError:
        raise UserError(f"{not_found}; for a name of ESPnet's model zoo run `{ZOO}` first") from not_found
    try:
        return ModelDownloader().download_and_unpack(name)
    except Exception as error:  # of requests, pandas, the hub
        reason = first_line(error)
        raise UserError(f"{not_found}; ESPnet's model zoo does not have it either ({reason})") from error


def sampling_rate(config: dict[str, Any]) -> int:
    """Hz that a model was trained at, of its `frontend_conf`: 16000, "8k", "22.05k"."""
    rate = str((config.get("frontend_conf") or {}).get("fs", RATE))
    return round(float(rate[:-1]) * 1000) if rate.lower().endswith("k") else round(float(rate))


@contextlib.contextmanager
def _light_imports() -> Iterator[None]:
    """Keep away what ESPnet's decoder imports and does not need here.

    Its phonemiser downloads word lists by NLTK (half a minute without a network), and joint speech enhancement needs
    packages that we do not install.
    """
    import nltk

    download, nltk.download = nltk.download, lambda *_, **__: False
    try:
        with stand_in("espnet2.tasks.enh_s2t", EnhS2TTask=None):
            yield
    finally:
        nltk.download = download


def _import_decoder() -> tuple[Any, type[Exception]]:
    with _light_imports(), contextlib.redirect_stdout(sys.stderr):
        from espnet2.bin import asr_inference
    return asr_inference.Speech2Text, asr_inference.TooShortUttError
