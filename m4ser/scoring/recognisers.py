"""Several recognisers of one corpus side by side, from their `wer.json`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from m4ser.scoring.table import Cell, Column, Score, Table, columns
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

COLUMNS = [
    *columns("recogniser", "WER", "sub", "del", "ins", "raw WER", "empty", "looping"),
    Column("RTF", digits=3),
    Column("RTF (CPU)", digits=3),
]
NOTES = (
    "WER with the {normaliser} normaliser, raw WER of the words as they are written.",
    "RTF: seconds of one job for each second of audio as it ran, other load included; RTF (CPU): processor seconds.",
)


def table(folders: Sequence[Path], names: Sequence[str] = (), sets: Sequence[str] = ()) -> Table:
    """Word error rates, their kinds, empty and looping texts and speed; then the rates by emotion and by words.

    A row for each folder dump/asr/<asr> and set.

    Raises:
        UserError: a folder has no `wer.json`, or one without references.
    """
    every_report: dict[str, dict[str, Any]] = {}
    for name, folder in zip(names or [folder.name for folder in folders], folders, strict=True):
        paths = [path for path in sorted(folder.glob("*/wer.json")) if not sets or path.parent.name in sets]
        if not paths:
            raise UserError(f"{folder}: no wer.json in its sets; run stage 2 (speech recognition) with it first")
        for path in paths:
            report = read_json(path)
            if report["normalised"] is None:
                raise UserError(f"{path}: the corpus has no reference transcripts, so no word error rate")
            every_report[name if len(paths) == 1 else f"{name}, {path.parent.name}"] = report
    rows: list[list[Cell]] = []
    for name, report in every_report.items():
        errors = report["normalised"]
        kinds = [Score(errors[error] / max(errors["words"], 1)) for error in ("sub", "del", "ins")]
        more = ("empty_hypotheses", "looping_hypotheses", "real_time_factor", "cpu_real_time_factor")
        rows.append([name, _rate(errors), *kinds, _rate(report["raw"]), *(report.get(key) for key in more)])
    more_tables = []
    for title, key, fewest in (("WER by emotion", "by_emotion", 1), ("WER by words", "by_length", 2)):
        reports = {name: report.get(key, {}) for name, report in every_report.items()}
        groups = list(dict.fromkeys(group for report in reports.values() for group in report))
        if len(groups) >= fewest:
            groups = sorted(groups) if key == "by_emotion" else groups
            rates = [[n, *(_rate(r.get(g, {}).get("normalised")) for g in groups)] for n, r in reports.items()]
            more_tables.append(Table(columns(title, *groups), rates))
    first = next(iter(every_report.values()))
    rules = dict.fromkeys(report["loop_rule"] for report in every_report.values() if report.get("loop_rule"))
    notes = [note.format(**first) for note in NOTES] + [
        f"Looping: texts changed by the rule: {rule}." for rule in rules
    ]
    caption = f"Word error rates in per cent, {first['utterances']} utterances."
    keep = ("asr", "model", "settings", "audio_seconds")
    about = {name: {key: report[key] for key in keep if key in report} for name, report in every_report.items()}
    return Table(COLUMNS, rows, caption=caption, notes=notes, more=more_tables, about={"recognisers": about})


def _rate(errors: Mapping[str, Any] | None) -> Score | None:
    return Score(errors["wer"]) if errors and errors["wer"] is not None else None
