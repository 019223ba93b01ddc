"""What error detection and correction can learn from: the targets of stage 3, and which of dev's training has seen."""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from m4ser.asr.alignment import Edits, from_line
from m4ser.data.folds import Fold
from m4ser.scoring import report, tables
from m4ser.training.experiment import choose_folds, read_maps
from m4ser.training.lists import read_folds
from m4ser.utils import cli
from m4ser.utils.errors import UserError

COUNTS = {  # what it is called in the table
    "words": "training words",
    "superfluous": "superfluous",
    "corrections": "corrections",
    "different": "different ones",
    "dev_corrections": "dev corrections",
}
SHARES = {("dev_seen", "dev_corrections"): "seen in training", ("dev_words_seen", "dev_words"): "their words seen"}
NOTE = (
    "Mean over folds. Superfluous: words that detection has to remove; corrections: places where words have to be "
    "written. Seen in training: per cent of the dev corrections that write what some training correction writes; "
    "their words seen: the same of single words. What was never seen has to be guessed from the sentence."
)


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="folders dump/text/<asr> of stage 3")
    parser.add_argument("--names", nargs="+", default=[], help="names of the rows (default: those of the folders)")
    parser.add_argument("--data", default="data", help="folder with folds.json (default: data)")
    parser.add_argument("--folds", type=cli.words, default=[], help="folds (default: all)")
    parser.add_argument("--out", type=Path, default=Path("exp/targets"), help="writes OUT.md and OUT.json")
    return parser


def counts(edits: Mapping[str, Edits], fold: Fold) -> dict[str, int]:
    """Targets of one fold; an utterance without is left out."""
    train, dev = ([edits[utt] for utt in part if utt in edits] for part in (fold.train, fold.dev))
    learned, wanted = _phrases(train), _phrases(dev)
    known, known_words = set(learned), {word for phrase in learned for word in phrase.split()}
    words = [word for phrase in wanted for word in phrase.split()]
    return {
        "words": sum(len(one.tags) // 2 for one in train),
        "superfluous": sum(one.tags[1::2].count("D") for one in train),
        "corrections": len(learned),
        "different": len(known),
        "dev_corrections": len(wanted),
        "dev_seen": sum(phrase in known for phrase in wanted),
        "dev_words": len(words),
        "dev_words_seen": sum(word in known_words for word in words),
    }


def _phrases(edits: Iterable[Edits]) -> list[str]:
    return [phrase for one in edits for _, phrase in one.changes]


def collect(texts: Sequence[Path], names: Sequence[str], data: str, chosen: Sequence[str] = ()) -> dict[str, Any]:
    """The table as data: one row for each text.

    Raises:
        UserError: a text is missing or has no targets, as without reference transcripts.
    """
    folds = read_folds(data)
    rows = []
    for name, text in zip(names, texts, strict=True):
        lines = read_maps(text, folds.sets, "edits", stage=3)
        edits = {utt: from_line(line)[1] for utt, line in lines.items() if "tags" in json.loads(line)}
        if not edits:
            raise UserError(f"{text}: has no targets, for the corpus has no reference transcripts; choose another")
        found = [counts(edits, folds.folds[fold]) for fold in choose_folds(folds, chosen)]
        total = {key: sum(one[key] for one in found) for key in found[0]}
        per_fold = [f"{total[key] / len(found):.0f}" for key in COUNTS]
        seen = [tables.percent(total[part] / total[whole] if total[whole] else None) for part, whole in SHARES]
        rows.append([name, *per_fold, *seen])
    return {"kind": tables.KIND, "header": ["text", *COUNTS.values(), *SHARES.values()], "rows": rows, "note": NOTE}


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    result = collect(args.text, cli.row_names(args.names, args.text), args.data, args.folds)
    report.write_table(args.out, tables.markdown(result), result)


if __name__ == "__main__":
    main()
