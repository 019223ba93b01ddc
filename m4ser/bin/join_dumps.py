"""Stages 1 and 2 of crossed corpora: the lists of what their own recipes have made, under the ids of the joint data.

Nothing is computed and no audio or features are copied: the lists point to the files in the dumps of the corpora.
`--markers true` prints the done-markers of what is joined: if one of them changes, it has to be joined again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m4ser.data.datadir import DataDir
from m4ser.data.folds import Folds
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json, write_json

REFERENCE = "ref"


def get_parser() -> argparse.ArgumentParser:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with folds.json (default: data)")
    parser.add_argument("--dump", type=Path, default=Path("dump"), help="folder of all dumps (default: dump)")
    parser.add_argument("--out", type=Path, required=True, help="audio, feats/ENCODER or asr/ASR in it")
    parser.add_argument("--markers", type=cli.boolean, default=False, help="true: only print the markers of the inputs")
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Join one kind of dump, or print what it depends on."""
    args = get_parser().parse_args(cmd)
    folds = Folds.read(args.data / "folds.json")
    if not folds.corpora:
        raise UserError(f"{args.data / 'folds.json'}: has no corpora to join; run stage 0 of egs/cross_corpus first")
    step = args.out.relative_to(args.dump)
    sources = {name: source_of(name, corpus, step) for name, corpus in folds.corpora.items()}
    if args.markers:
        for source in sources.values():
            if source is not None:
                print(source / ".done")
        return
    join = {"audio": join_audio, "feats": join_features, "asr": join_text}[step.parts[0]]
    for name, source in sources.items():
        data = DataDir.read((args.data if step.parts[0] == "audio" else args.dump / "audio") / name)
        join(data, source, args.out / name)
        print(f"{args.out / name}: {len(data.utts)} utterances of {source or 'the reference transcripts'}")
    if step.parts[0] == "feats":
        check_same(args.out, list(sources))


def source_of(name: str, corpus: dict[str, Any], step: Path) -> Path | None:
    """Folder of the step in the dump of a corpus; None for reference text.

    Raises:
        UserError: it is not there or not finished.
    """
    texts = step.parts[0] == "asr"
    if texts and corpus["text"] == REFERENCE:
        return None
    folder = Path(corpus["dump"]) / (Path("asr", corpus["text"]) if texts and corpus["text"] else step)
    if not (folder / ".done").is_file():
        made = Path(corpus["data"]).parent / "run.sh"
        other = f", or choose another text for it (--texts {name}=ref, or a folder of its dump/asr)" if texts else ""
        raise UserError(f"{folder}: is not there or not finished; run {made} --stop-stage 2 with these options{other}")
    return folder


def read_list(data: DataDir, source: Path, name: str, allow_empty: bool = False) -> dict[str, str]:
    """One list of all sets of a corpus, under the new ids, of the utterances of `data`.

    Raises:
        UserError: it lacks some.
    """
    prefix = f"{data.path.name}-"
    found: dict[str, str] = {}
    for path in sorted(source.glob(f"*/{name}")):
        found |= {prefix + utt: value for utt, value in read_scp(path, allow_empty).items()}
    if missing := [utt for utt in data.utts if utt not in found]:
        raise UserError(f"{source}: {name} lacks {len(missing)} utterance(s), e.g. {missing[0]}; run its recipe again")
    return {utt: found[utt] for utt in data.utts}


def join_audio(data: DataDir, source: Path, out: Path) -> None:
    """The data directory itself, with lengths: its audio is that of the dump already."""
    data.maps["utt2num_samples"] = read_list(data, source, "utt2num_samples")
    data.validate()
    data.save_into(out)


def join_features(data: DataDir, source: Path, out: Path) -> None:
    """`feats.scp` with the archives of the corpus."""
    info = read_json(sorted(source.glob("*/info.json"))[0])
    write_json(out / "info.json", {key: value for key, value in info.items() if key != "made_by"})
    write_scp(out / "utt2num_frames", read_list(data, source, "utt2num_frames"))
    write_scp(out / "feats.scp", read_list(data, source, "feats.scp"))


def check_same(out: Path, names: Sequence[str]) -> None:
    """Features of different models cannot be mixed.

    Raises:
        UserError: naming the corpora that differ.
    """
    infos = {name: read_json(out / name / "info.json") for name in names}
    for name, info in infos.items():
        for key in ("encoder", "layers", "dim", "frame_rate"):
            if info[key] != infos[names[0]][key]:
                raise UserError(
                    f"{out}: {key} is {infos[names[0]][key]} for {names[0]} and {info[key]} for {name}; "
                    "make the features of all corpora with the same options"
                )


def join_text(data: DataDir, source: Path | None, out: Path) -> None:
    """Recognised text, or the reference transcripts instead."""
    (out / "decode.json").unlink(missing_ok=True)
    if source is None:
        write_scp(out / "text", data.maps["text"])
        return
    decoded = [read_json(path) for path in sorted(source.glob("*/decode.json"))]
    looping = sum(part["looping_hypotheses"] for part in decoded)
    kept = {key: decoded[0][key] for key in ("asr", "model", "settings", "loop_rule")} if decoded else {}
    if decoded:
        write_json(out / "decode.json", {**kept, "looping_hypotheses": looping})
    write_scp(out / "text", read_list(data, source, "text", allow_empty=True))


if __name__ == "__main__":
    main()
