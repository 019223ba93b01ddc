"""Training text and the targets of ASR error detection and correction (stage 3): writes `edits` and `stats.json`.

The text is what was recognised (or the reference itself), normalised; the targets say what makes the normalised
reference of it (see m4ser.asr.alignment). Every line is checked to do so before anything is written.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from m4ser.asr.alignment import align, apply_edits, from_line, to_line
from m4ser.asr.normalise import NAMES, normaliser
from m4ser.bin.asr_score import read_hypotheses, read_references, transcribed
from m4ser.data.scp import write_scp
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json


def get_parser() -> argparse.ArgumentParser:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", type=Path, default=Path("dump/audio"), help="references (default: dump/audio)")
    parser.add_argument("--sets", type=cli.words, default=[], help="sets, e.g. 'train dev test' (default: all there)")
    parser.add_argument(
        "--source", choices=["asr", "ref"], default="asr", help="text: recognised or the reference (default: asr)"
    )
    parser.add_argument("--asr-dir", type=Path, help="recognised text, e.g. dump/asr/whisper-tiny.en")
    parser.add_argument("--out", type=Path, required=True, help="where to write, e.g. dump/text/whisper-tiny.en")
    parser.add_argument("--normaliser", default="english", help=f"one of {', '.join(NAMES)} (default: english)")
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Write the targets of every set."""
    args = get_parser().parse_args(cmd)
    if args.source == "asr" and not args.asr_dir:
        raise UserError("--asr-dir is needed: the folder that stage 2 (speech recognition) wrote; or --source ref")
    normalise = normaliser(args.normaliser)
    made = {}
    for name, data in read_references(args.data_dir, args.sets).items():
        references = {utt: normalise(text).split() for utt, text in transcribed(data).items()}
        if args.source == "ref":
            if not any(references.values()):
                raise UserError(f"{data.path / 'text'}: has no transcripts; use recognised text (--text-source asr)")
            texts = {utt: references.get(utt, []) for utt in data.maps["text"]}
        else:
            hypotheses = read_hypotheses(args.asr_dir / name, data)
            texts = {utt: normalise(text).split() for utt, text in hypotheses.items()}
        made[name] = targets(texts, references)
    for name, (lines, stats) in made.items():
        # The statistics first: who finds `edits` finds everything.
        write_json(args.out / name / "stats.json", {"source": args.source, "normaliser": args.normaliser, **stats})
        write_scp(args.out / name / "edits", lines)
        print(f"{name}: {describe(stats)}")


def targets(
    texts: Mapping[str, list[str]], references: Mapping[str, list[str]]
) -> tuple[dict[str, str], dict[str, int]]:
    """Lines of `edits` by utterance, and counts.

    A line without reference has the words only: it can be used, but not to learn error detection and correction.
    """
    lines: dict[str, str] = {}
    tags: Counter[str] = Counter()
    stats: Counter[str] = Counter()
    for utt, words in texts.items():
        edits = align(words, references[utt]) if utt in references else None
        lines[utt] = to_line(words, edits) if edits else json.dumps({"words": words}, ensure_ascii=False)
        stats["words"] += len(words)
        stats["empty"] += not words
        if edits is None:
            continue
        stats["with_targets"] += 1
        stats["compared_words"] += len(words)
        if apply_edits(*from_line(lines[utt])) != references[utt]:
            raise RuntimeError(f"{utt}: {lines[utt]} does not give back {' '.join(references[utt])!r}")
        tags.update(edits.tags)
        stats["reference_words"] += len(references[utt])
        stats["changed"] += words != references[utt]
        stats["missing_words"] += sum(len(phrase.split()) for _, phrase in edits.changes)
    counts = {key: stats[key] for key in ("words", "reference_words", "missing_words", "empty", "changed")}
    return lines, {
        "utterances": len(lines),
        "with_targets": stats["with_targets"],
        **counts,
        "keep": tags["K"],
        "delete": tags["D"],
        "change": tags["C"],
        "deleted_words": stats["compared_words"] - tags["K"],
    }


def describe(stats: Mapping[str, int]) -> str:
    """Counts in one line."""
    start = f"{stats['utterances']} utterances, {stats['words']} words"
    if not stats["with_targets"]:
        return f"{start}; no reference transcripts, so no targets of error detection and correction"
    if without := stats["utterances"] - stats["with_targets"]:
        start += f"; {without} without reference transcript have no targets"
    return (
        f"{start}; {stats['changed']} utterances differ from the reference; {stats['keep']} words kept, "
        f"{stats['deleted_words']} deleted, {stats['missing_words']} to add at {stats['change']} places"
    )


if __name__ == "__main__":
    main()
