"""Examples of the emotions that a model shall know: a table of recordings that somebody has labelled.

The table is that of the recipe ``egs/csv``: CSV with a line for each recording.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from m4ser.recipes.labels import to_common
from m4ser.recipes.table import is_file, read_table
from m4ser.utils.errors import UserError

LABEL_COLUMNS = ("emotion", "label")
OPTIONAL = ("speaker", "text", "split")
TRAIN, TEST, IGNORED = ("", "train"), ("test",), ("dev", "valid", "validation")


@dataclass(frozen=True)
class Example:
    """One labelled recording; `speaker` and `text` are empty where they are not known, `where` names its line."""

    path: Path
    label: str
    speaker: str
    text: str
    where: str


@dataclass(frozen=True)
class Examples:
    """What a table says: recordings to learn from, others to test with, labels in their order, unused columns."""

    learned: list[Example]
    tested: list[Example]
    labels: list[str]
    unused: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many recordings are learned from, by label."""
        counts = Counter(example.label for example in self.learned)
        return {label: counts[label] for label in self.labels}


def places_among(labels: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """Where labels are among those of a model, None for new ones; what is called `anger` is known to it as `angry`.

    >>> places_among(["Sad", "anger", "bored"], ["angry", "sad"])
    [1, 0, None]
    """
    exactly = {label.casefold(): place for place, label in enumerate(known)}
    alike = {common: place for place, label in enumerate(known) if (common := to_common("", label))}
    return [exactly.get(label.casefold(), alike.get(to_common("", label) or "")) for label in labels]


def read_examples(table: Path, audio: Path | None = None, known: Sequence[str] = ()) -> Examples:
    """Read the table.

    Args:
        table: columns `file`, `emotion` (or `label`), optionally `speaker`, `text` and `split`: `train` or nothing are
            learned from, `test` is tested with, `dev` is not used.
        audio: folder that files are relative to; default: that of the table.
        known: labels of the model. One that differs from them in small and capital letters only is theirs.

    Returns:
        Labels are in the order of `known`, then of the alphabet.

    Raises:
        UserError: with the line of the fault, or there are fewer than two labels.
    """
    rows, unused = read_table(table, ("file",), (*LABEL_COLUMNS, *OPTIONAL))
    column = next((name for name in LABEL_COLUMNS if name in rows[0].values), None)
    if column is None:
        raise UserError(
            f"{table}: line 1: no column emotion (or label); it has {', '.join([*rows[0].values, *unused])}"
        )
    folder = table.parent if audio is None else audio
    spelling = {label.casefold(): label for label in known}
    seen: dict[Path, str] = {}
    learned: list[Example] = []
    tested: list[Example] = []
    for row in rows:
        value = row.values
        label = " ".join(value[column].split())
        if not label:
            raise UserError(f"{row.where}: {column} is empty; fill it in or delete the line")
        if not label.isprintable():
            raise UserError(f"{row.where}: {column} {label!r} holds characters that cannot be shown")
        first = spelling.setdefault(label.casefold(), label)
        if first != label and first not in known:
            raise UserError(f"{row.where}: {column} {label} is written {first} above; use one spelling")
        path = folder / value["file"].replace("\\", "/")
        if not is_file(path):
            raise UserError(f"{row.where}: no such recording: {path!s:.500}; correct the line, or give --audio-dir")
        if path in seen:
            raise UserError(f"{row.where}: {value['file']} is in {seen[path]} too; delete one")
        seen[path] = row.where.rpartition(": ")[2]
        part = value.get("split", "").casefold()
        if part not in (*TRAIN, *TEST, *IGNORED):
            raise UserError(f"{row.where}: split is {value['split']!r}; it must be train, dev or test")
        example = Example(path, first, value.get("speaker", ""), value.get("text", ""), row.where)
        if part not in IGNORED:
            (learned if part in TRAIN else tested).append(example)
    there = {example.label for example in learned}
    labels = [label for label in known if label in there] + sorted(there - set(known))
    if len(labels) < 2:
        raise UserError(f"{table}: {len(labels)} label to learn ({', '.join(labels)}); at least two are needed")
    if strange := [example for example in tested if example.label not in there]:
        raise UserError(f"{strange[0].where}: {strange[0].label} is tested, and no recording to learn from has it")
    return Examples(learned, tested, labels, unused)
