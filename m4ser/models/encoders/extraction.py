"""Stage 1: the hidden layers of a frozen speech encoder for every utterance, as Kaldi ark/scp."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from m4ser.data import parts
from m4ser.data.audio import at_speed, load_16k
from m4ser.data.datadir import DataDir
from m4ser.data.features import FeatureWriter, read_feats_scp
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.cli import words
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json, write_json
from m4ser.utils.progress import track
from m4ser.utils.provenance import made_by


class FeatureInfo(TypedDict):
    """Content of `info.json` beside features: `dim` values of each of `layers` side by side, `frame_rate` in Hz."""

    encoder: str
    layers: list[int]
    dim: int
    speed: float
    frame_rate: float
    pool: int


@dataclass
class FeatureExtraction(parts.SplitWork):
    """Features of all utterances.

    Args:
        sets: validated data directories of 16 kHz audio by name.
        out: where to write, such as `dump/feats/whisper-tiny.en`.
        encoder: offline:NAME, local folder or hub id, or opensmile:SET.
        pretrained_dir: where local copies of models are looked for first.
        layers: `all`, or numbers as :func:`choose_layers` takes them.
        pool: this many consecutive frames are averaged.
        speed: recordings are played so many times faster, pitch included.

    Raises:
        UserError: `pool` or `speed` is out of range.
    """

    sets: Mapping[str, DataDir]
    out: Path
    encoder: str
    pretrained_dir: Path | None = None
    layers: str = "all"
    pool: int = 1
    speed: float = 1.0

    def __post_init__(self) -> None:
        if self.pool < 1:
            raise UserError(f"--pool {self.pool}: must be 1 (no averaging) or more")
        if not 0.5 <= self.speed <= 2:
            raise UserError(f"--speed {self.speed:g}: must be from 0.5 to 2")

    def settings(self, share: parts.Share) -> parts.Settings:
        """Audio of the utterances, encoder and options."""
        return {
            "inputs": self.inputs(share),
            "encoder": self.encoder,
            "pretrained_dir": str(self.pretrained_dir or ""),
            "layers": self.layers,
            "pool": self.pool,
            "speed": self.speed,
        }

    def make(self, share: parts.Share, folder: Path, part: str) -> None:
        """Write archives and lists of the features to `folder`.

        Raises:
            UserError: there is no such encoder or layer, or audio cannot be used.
        """
        import transformers  # slow to import, and not needed to join

        from m4ser.models.encoders.frozen import frozen_features, load_frozen

        transformers.utils.logging.disable_progress_bar()
        encoder = load_frozen(self.encoder, self.pretrained_dir)
        layers = choose_layers(self.layers, encoder.num_layers)
        writers = {name: FeatureWriter(folder / name, f"feats.{part}", final=self.out / name) for name in self.sets}
        for name, utt in track(share, "extract features"):
            samples = at_speed(load_16k(*self.sets[name].audio(utt)), self.speed)
            writers[name].write(utt, frozen_features(encoder, samples, layers, self.pool))
        info: FeatureInfo = {
            "encoder": self.encoder,
            "layers": layers,
            "dim": encoder.dim,
            "speed": self.speed,
            "frame_rate": encoder.frame_rate / self.pool,
            "pool": self.pool,
        }
        for name, writer in writers.items():
            writer.close()
            if writer.num_frames:
                write_scp(folder / name / "utt2num_frames", writer.num_frames)
            write_json(folder / name / "info.json", info)

    def join(self, folders: Sequence[Path]) -> None:
        """Move the archives of all parts to `out` and list them; `feats.scp` comes last."""
        for name in self.sets:
            _join_set(self.out / name, [folder / name for folder in folders])


def _join_set(out: Path, folders: Sequence[Path]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "feats.scp").unlink(missing_ok=True)  # it must not point into new archives
    positions: dict[str, str] = {}
    num_frames: dict[str, str] = {}
    archives = set()
    for folder in folders:
        for scp in folder.glob("feats.*.scp"):
            archive = scp.with_suffix(".ark")
            archives.add(archive.name)
            if archive.exists():  # else moved before a kill
                archive.replace(out / archive.name)
            positions |= read_feats_scp(scp)
            num_frames |= read_scp(folder / "utt2num_frames")
    for archive in out.glob("*.ark"):
        if archive.name not in archives:
            archive.unlink()
    write_json(out / "info.json", {**read_json(folders[0] / "info.json"), "made_by": made_by()})
    write_scp(out / "utt2num_frames", num_frames)
    write_scp(out / "feats.scp", positions)
    print(f"{out}: features of {len(positions)} utterances")


def choose_layers(text: str, num_layers: int) -> list[int]:
    """Layer numbers of `--layers`: `all`, or numbers (negative ones count from the last).

    Raises:
        UserError: not a number, or there is no such layer.
    """
    if text == "all":
        return list(range(num_layers))
    try:
        return sorted({range(num_layers)[int(word)] for word in words(text)})
    except (ValueError, IndexError):
        raise UserError(f"--layers {text}: must be all or numbers from 0 to {num_layers - 1}, e.g. 0,2") from None
