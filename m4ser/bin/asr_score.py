"""Word error rate of recognised text (stage 2): writes `wer.json` beside it and prints a table."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m4ser.asr import wer
from m4ser.asr.normalise import NAMES
from m4ser.data.datadir import DataDir, find_sets
from m4ser.data.scp import read_scp
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json, write_json

# What decode.json tells of the recogniser and goes into wer.json too.
FROM_DECODING = (
    *("asr", "model", "settings", "audio_seconds", "real_time_factor", "cpu_real_time_factor"),
    *("looping_hypotheses", "loop_rule"),
)


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
    sets = read_references(args.data_dir, args.sets)
    results = {name: score(data, args.asr_dir / name, args.normaliser) for name, data in sets.items()}
    for name, result in results.items():
        if result["normalised"] is None:
            print(f"{name}: there are no reference transcripts, so no word error rate")
        else:
            print(wer.table(result, name))
        write_json(args.asr_dir / name / "wer.json", result)


def score(data: DataDir, folder: Path, normalise: str) -> dict[str, Any]:
    """Content of `wer.json` of one set, whose recognised text is in `folder`; `normalised` is None without references.

    Raises:
        UserError: see :func:`read_hypotheses`, or there is no such normaliser.
    """
    hypotheses = read_hypotheses(folder, data)
    references = transcribed(data)
    if not references:
        return {"normaliser": normalise, "normalised": None}
    result = wer.report(references, hypotheses, normalise, data.maps.get("utt2emo"), data.maps["utt2spk"])
    result["without_reference"] = len(hypotheses) - len(references)
    decoding = folder / "decode.json"
    if decoding.is_file():
        made = read_json(decoding)
        result |= {key: made[key] for key in FROM_DECODING if key in made}
    return result


def transcribed(data: DataDir) -> dict[str, str]:
    """References of the utterances that have one; an empty line of `text` says that nobody wrote it down."""
    return {utt: text for utt, text in data.maps.get("text", {}).items() if text}


def read_references(folder: Path, sets: Sequence[str] = ()) -> dict[str, DataDir]:
    """Lists of every set of `folder` (or of `sets`).

    Raises:
        UserError: one is missing or malformed.
    """
    if not any(folder.glob("*/wav.scp")):
        raise UserError(f"{folder}: no data directories in it; run stage 1 (16 kHz audio) first")
    found = {}
    for name in sets or find_sets(folder):
        if not (folder / name / "utt2spk").is_file():
            raise UserError(f"{folder / name / 'utt2spk'}: no such file; run stage 1 (16 kHz audio) first")
        found[name] = DataDir.read(folder / name)
        found[name].validate(need=("utt2spk",), check_audio=False)
    return found


def read_hypotheses(folder: Path, data: DataDir) -> dict[str, str]:
    """Recognised text of exactly the utterances of `data`.

    Raises:
        UserError: the file is missing or malformed, lacks an utterance or has an additional one.
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
    if added := texts.keys() - data.maps["utt2spk"].keys():
        raise UserError(
            f"{path}: has {len(added)} utterance(s) that {data.path} has not, e.g. {min(added)!r}; run stage 2 again"
        )
    return texts


if __name__ == "__main__":
    main()
