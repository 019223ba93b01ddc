"""Write the hidden layers of a frozen speech encoder for every utterance, as Kaldi ark/scp (stage 1)."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m4ser.data import parts
from m4ser.data.audio import at_speed, load_16k
from m4ser.data.datadir import DataDir, find_sets
from m4ser.data.features import FeatureWriter, read_feats_scp
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json, write_json
from m4ser.utils.progress import track
from m4ser.utils.provenance import made_by


def get_parser() -> argparse.ArgumentParser:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", type=Path, default=Path("dump/audio"), help="sets to read (default: dump/audio)")
    parser.add_argument("--sets", type=cli.words, default=[], help="sets, e.g. 'train dev test' (default: all there)")
    parser.add_argument("--out", type=Path, required=True, help="where to write, e.g. dump/feats/whisper-tiny.en")
    parser.add_argument(
        "--speech-encoder",
        default="offline:whisper-tiny.en",
        help="model: offline:NAME, local folder or hub id (default: offline:whisper-tiny.en)",
    )
    parser.add_argument("--pretrained-dir", type=Path, help="where local copies of models are looked for first")
    parser.add_argument(
        "--layers", default="all", help="hidden layers, e.g. 0,2,4 (0: before the first) (default: all)"
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, help="play the recordings so many times faster, pitch included (default: 1)"
    )
    parser.add_argument("--pool", type=int, default=1, help="average this many consecutive frames (default: 1)")
    parts.add_arguments(parser)
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Extract a share of the utterances, or join the shares."""
    args = get_parser().parse_args(cmd)
    jobs, merge = parts.steps(args)
    if args.pool < 1:
        raise UserError(f"--pool {args.pool}: must be 1 (no averaging) or more")
    if not 0.5 <= args.speed <= 2:
        raise UserError(f"--speed {args.speed:g}: must be from 0.5 to 2")
    sets = {name: DataDir.read(args.data_dir / name) for name in args.sets or find_sets(args.data_dir)}
    for data in sets.values():
        data.validate(need=("wav.scp", "utt2spk"))
    items = [(name, utt) for name, data in sets.items() for utt in data.utts]
    shares = [parts.share(items, job, args.nj) for job in range(1, args.nj + 1)]
    for job in jobs:
        extract_share(sets, shares[job - 1], args, parts.part(args.out, job, args.nj), job)
    if merge:
        folders = parts.finished(args.out, [_settings(sets, share, args) for share in shares])
        for name in sets:
            join(args.out / name, [folder / name for folder in folders])
        parts.remove(args.out)


def extract_share(
    sets: dict[str, DataDir], share: Sequence[tuple[str, str]], args: argparse.Namespace, folder: Path, job: int
) -> None:
    """Write the features of some utterances to `folder`."""
    settings = _settings(sets, share, args)
    if parts.is_finished(folder, settings):
        print(f"{folder}: already there")
        return
    import transformers  # slow to import, and not needed to join

    from m4ser.models.encoders.frozen import frozen_features, load_frozen

    transformers.utils.logging.disable_progress_bar()
    encoder = load_frozen(args.speech_encoder, args.pretrained_dir)
    layers = choose_layers(args.layers, encoder.num_layers)
    with parts.writing(folder, settings) as temporary:
        writers = {
            name: FeatureWriter(temporary / name, f"feats.{job}of{args.nj}", final=args.out / name) for name in sets
        }
        for name, utt in track(share, "extract features"):
            samples = at_speed(load_16k(*sets[name].audio(utt)), args.speed)
            writers[name].write(utt, frozen_features(encoder, samples, layers, args.pool))
        for name, writer in writers.items():
            writer.close()
            if writer.num_frames:
                write_scp(temporary / name / "utt2num_frames", writer.num_frames)
            info = {"encoder": args.speech_encoder, "layers": layers, "dim": encoder.dim, "speed": args.speed}
            write_json(
                temporary / name / "info.json",
                {**info, "frame_rate": encoder.frame_rate / args.pool, "pool": args.pool},
            )


def join(out: Path, folders: Sequence[Path]) -> None:
    """Move the archives of all parts to `out` and list them."""
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
        return sorted({range(num_layers)[int(word)] for word in cli.words(text)})
    except (ValueError, IndexError):
        raise UserError(f"--layers {text}: must be all or numbers from 0 to {num_layers - 1}, e.g. 0,2") from None


def _settings(sets: dict[str, DataDir], share: Sequence[tuple[str, str]], args: argparse.Namespace) -> dict[str, Any]:
    samples = {name: data.maps.get("utt2num_samples", {}) for name, data in sets.items()}
    return {
        "inputs": parts.digest((name, utt, *sets[name].audio(utt), samples[name].get(utt)) for name, utt in share),
        "encoder": args.speech_encoder,
        "pretrained_dir": str(args.pretrained_dir or ""),
        "layers": args.layers,
        "pool": args.pool,
        "speed": args.speed,
    }


if __name__ == "__main__":
    main()
