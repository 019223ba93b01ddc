"""Word error rate of recognised text (stage 2): writes `wer.json` beside it and prints a table."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m4ser import cli
from m4ser.asr import wer
from m4ser.asr.normalise import NAMES
from m4ser.data.datadir import DataDir, find_sets
from m4ser.data.scp import read_scp
from m4ser.errors import UserError
from m4ser.files import read_json, write_json


def get_parser() -> argparse.ArgumentParser:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", type=Path, default=Path("dump/audio"), help="references (default: dump/audio)")
    parser.add_argument("--sets", type=cli.words, default=[], help="sets, e.g. 'train dev test' (default: all there)")
    parser.add_argument("--asr-dir", type=Path, required=True, help="recognised text, e.g. dump/asr/whisper-tiny.en")
    parser.add_argument("--normaliser", default="english", help=f"one of {', '.join(NAMES)} (default: english)")
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Score every set."""
    args = get_parser().parse_args(cmd)
    for name in args.sets or find_sets(args.data_dir):
        data = DataDir.read(args.data_dir / name)
        data.validate(need=("utt2spk",), check_audio=False)
        if not any(data.maps.get("text", {}).values()):
            write_json(args.asr_dir / name / "wer.json", {"normaliser": args.normaliser, "normalised": None})
            print(f"{name}: there are no reference transcripts, so no word error rate")
            continue
        hypotheses = read_hypotheses(args.asr_dir / name, data)
        result = wer.report(
            data.maps["text"], hypotheses, args.normaliser, data.maps.get("utt2emo"), data.maps["utt2spk"]
        )
        decoding = args.asr_dir / name / "decode.json"
        if decoding.is_file():
            result |= {key: read_json(decoding)[key] for key in ("looping_hypotheses", "loop_rule")}
        print(wer.table(result, name))
        write_json(args.asr_dir / name / "wer.json", result)


def read_hypotheses(folder: Path, data: DataDir) -> dict[str, str]:
    """Recognised text of exactly the utterances of `data`.

    Raises:
        UserError: the file is missing or malformed, or lacks an utterance.
    """
    path = folder / "text"
    if not path.is_file():
        raise UserError(f"{path}: no such file; run stage 2 (speech recognition) first")
    texts = read_scp(path, allow_empty=True)
    missing = [utt for utt in data.utts if utt not in texts]
    if missing:
        raise UserError(
            f"{path}: lacks {len(missing)} utterance(s) of {data.path}, e.g. {missing[0]!r}; run stage 2 again"
        )
    return {utt: texts[utt] for utt in data.utts}


if __name__ == "__main__":
    main()
