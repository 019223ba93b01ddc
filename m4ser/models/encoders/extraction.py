"""Stage 1: the hidden layers of a frozen speech encoder for every utterance, as Kaldi ark/scp."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import NotRequired, TypedDict

from m4ser.data import parts
from m4ser.data.audio import at_speed, load_16k
from m4ser.data.channel import altered
from m4ser.data.contents import CONTENTS, append, remedy, write_contents
from m4ser.data.datadir import DataDir
from m4ser.data.features import POSITIONS, FeatureWriter, read_checksums, read_feats_scp, write_checksums
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.cli import words
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write, read_json, write_json
from m4ser.utils.provenance import made_by

if TYPE_CHECKING:
    from m4ser.models.encoders.frozen import SpeechFeatures


class FeatureInfo(TypedDict):
    """Content of `info.json` beside features: `dim` values of each of `layers` side by side, `frame_rate` in Hz."""

    encoder: str
    layers: list[int]
    dim: int
    speed: float
    frame_rate: float
    pool: int
    altered: NotRequired[int]  # number of the copy


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
        altered: number of a copy whose recordings are altered at random (:mod:`m4ser.data.channel`); 0: as they are.

    Raises:
        UserError: `pool`, `speed` or `altered` is out of range.
    """

    sets: Mapping[str, DataDir]
    out: Path
    encoder: str
    pretrained_dir: Path | None = None
    layers: str = "all"
    pool: int = 1
    speed: float = 1.0
    altered: int = 0
    doing = "extract features"

    def __post_init__(self) -> None:
        if self.pool < 1:
            raise UserError(f"--pool {self.pool}: must be 1 (no averaging) or more")
        if not 0.5 <= self.speed <= 2:
            raise UserError(f"--speed {self.speed:g}: must be from 0.5 to 2")
        if self.altered < 0:
            raise UserError(f"--altered {self.altered}: must be 0 (as they are) or more")

    def settings(self, share: parts.Share) -> parts.Settings:
        """Audio of the utterances, encoder and options."""
        return {
            "inputs": self.inputs(share),
            "encoder": self.encoder,
            "pretrained_dir": str(self.pretrained_dir or ""),
            "layers": self.layers,
            "pool": self.pool,
            "speed": self.speed,
            **({"altered": self.altered} if self.altered else {}),
        }

    @cached_property
    def frozen(self) -> "SpeechFeatures":
        """The encoder.

        Raises:
            UserError: there is no such encoder.
        """
        import transformers  # slow to import, and not needed to join

        from m4ser.models.encoders.frozen import load_frozen

        transformers.utils.logging.disable_progress_bar()
        return load_frozen(self.encoder, self.pretrained_dir)

    def make(self, batches: Iterable[parts.Share], folder: Path, part: str) -> None:
        """Write archives and lists of the features to `folder`.

        Raises:
            UserError: there is no such encoder or layer, or audio cannot be used.
        """
        from m4ser.models.encoders.frozen import frozen_features

        encoder = self.frozen
        layers = choose_layers(self.layers, encoder.num_layers)
        writers = {name: FeatureWriter(folder / name, f"feats.{part}", final=self.out / name) for name in self.sets}
        for name, utt in chain.from_iterable(batches):
            samples = at_speed(load_16k(*self.sets[name].audio(utt)), self.speed)
            if self.altered:
                samples = altered(samples, self.altered, utt)
            writers[name].write(utt, frozen_features(encoder, samples, layers, self.pool))
        info: FeatureInfo = {
            "encoder": self.encoder,
            "layers": layers,
            "dim": encoder.dim,
            "speed": self.speed,
            "frame_rate": encoder.frame_rate / self.pool,
            "pool": self.pool,
        }
        if self.altered:
            info["altered"] = self.altered
        for name, writer in writers.items():
            writer.close()
            if writer.num_frames:
                write_scp(folder / name / "utt2num_frames", writer.num_frames)
            write_json(folder / name / "info.json", info)

    def join(self, by_job: Sequence[Sequence[Path]]) -> None:
        """Make one archive of the chunks of each job and list them in `out`, `feats.scp` last but for contents."""
        for name in self.sets:
            _join_set(self.out / name, [[chunk / name for chunk in chunks] for chunks in by_job])


def _join_set(out: Path, by_job: Sequence[Sequence[Path]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in (POSITIONS, CONTENTS):  # they must not speak of new archives
        (out / name).unlink(missing_ok=True)
    positions: dict[str, str] = {}
    num_frames: dict[str, str] = {}
    archives: dict[str, int] = {}
    lists = [POSITIONS, "utt2num_frames"]
    for chunks in by_job:
        parts = [scp for chunk in chunks for scp in chunk.glob("feats.*.scp")]
        if not parts:
            continue
        archive = out / parts[0].with_suffix(".ark").name
        offsets, archives[archive.name] = _join_archives([scp.with_suffix(".ark") for scp in parts], archive)
        checksums: dict[int, str] = {}
        for scp, offset in zip(parts, offsets, strict=True):
            for utt, position in read_feats_scp(scp).items():
                path, _, place = position.rpartition(":")
                positions[utt] = f"{path}:{int(place) + offset}"
            num_frames |= read_scp(scp.with_name("utt2num_frames"))
            checksums |= {int(place) + offset: crc for place, crc in read_checksums(scp).items()}
        write_checksums(archive, checksums)
        lists.append(archive.with_suffix(".crc32").name)
    for file in [*out.glob("*.ark"), *out.glob("*.crc32")]:
        if file.with_suffix(".ark").name not in archives:
            file.unlink()
    first = next(chunks[0] for chunks in by_job if chunks)
    write_json(out / "info.json", {**read_json(first / "info.json"), "made_by": made_by()})
    write_scp(out / "utt2num_frames", num_frames)
    write_scp(out / POSITIONS, positions)
    write_contents(out, lists, archives)
    print(f"{out}: features of {len(positions)} utterances")


def _join_archives(sources: Sequence[Path], archive: Path) -> tuple[list[int], int]:
    """Write several archives one behind the other and remove them; where each begins, and the CRC-32 of the whole.

    Those of a join that was killed are gone already: what it left says the same.

    Raises:
        UserError: what it left is gone, too.
    """
    joined = sources[0].with_suffix(".joined")
    if not joined.exists():
        offsets: list[int] = []
        crc = 0
        with atomic_write(archive, "wb") as target:
            for source in sources:
                offsets.append(target.tell())
                with source.open("rb") as content:
                    crc = append(content, target, crc)
        write_json(joined, {"offsets": offsets, "crc": crc})
    if not archive.exists():
        raise UserError(f"{archive}: has been deleted while it was made; {remedy(1)}")
    known = read_json(joined)
    for source in sources:
        source.unlink(missing_ok=True)
    return known["offsets"], known["crc"]


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
