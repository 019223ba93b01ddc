"""Several recognisers of one corpus side by side, from their `wer.json`: what the README of a recipe shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from m4ser.scoring import tables
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

KIND = "recognisers"
KEPT = ("normaliser", "utterances", "normalised", "raw", "by_emotion", "by_length", "empty_hypotheses")
DECODING = ("asr", "model", "settings", "audio_seconds", "looping_hypotheses", "loop_rule")
SPEED = ("real_time_factor", "cpu_real_time_factor")


def collect(folders: Sequence[Path], sets: Sequence[str] = (), names: Sequence[str] = ()) -> dict[str, Any]:
    """All of the comparison: one row for each folder dump/asr/<asr> and set.

    Raises:
        UserError: a folder has no `wer.json`, or one without references.
    """
    rows = []
    for number, folder in enumerate(folders):
        found = [path for path in sorted(folder.glob("*/wer.json")) if not sets or path.parent.name in sets]
        if not found:
            raise UserError(f"{folder}: no wer.json in its sets; run stage 2 (speech recognition) with it first")
        for path in found:
            report = read_json(path)
            if report["normalised"] is None:
                raise UserError(f"{path}: the corpus has no reference transcripts, so no word error rate")
            name = names[number] if names else folder.name
            row = {"name": name if len(found) == 1 else f"{name}, {path.parent.name}", "set": path.parent.name}
            rows.append(row | {key: report[key] for key in (*KEPT, *DECODING, *SPEED) if key in report})
    return {"kind": KIND, "rows": rows}


def markdown(result: Mapping[str, Any]) -> str:
    """Word error rates, their kinds, empty and looping texts and the speed; then the rates by emotion."""
    rows = result["rows"]
    header = ["recogniser", "WER", "sub", "del", "ins", "raw WER", "empty", "looping", "RTF", "RTF (CPU)"]
    lines = []
    for row in rows:
        errors = row["normalised"]
        kinds = [tables.percent(errors[kind] / max(errors["words"], 1)) for kind in ("sub", "del", "ins")]
        counts = [row.get("empty_hypotheses", tables.NOTHING), row.get("looping_hypotheses", tables.NOTHING)]
        speed = [f"{row[key]:.3f}" if row.get(key) is not None else tables.NOTHING for key in SPEED]
        lines.append([row["name"], _rate(errors), *kinds, _rate(row["raw"]), *map(str, counts), *speed])
    text = tables.table(header, lines)
    emotions = sorted({emotion for row in rows for emotion in row.get("by_emotion", {})})
    if emotions:
        by_emotion = [
            [row["name"], *(_rate(row["by_emotion"].get(e, {}).get("normalised")) for e in emotions)] for row in rows
        ]
        text += "\n" + tables.table(["WER by emotion", *emotions], by_emotion)
    lengths = list(dict.fromkeys(length for row in rows for length in row.get("by_length", {})))
    if len(lengths) > 1:
        by_length = [
            [row["name"], *(_rate(row["by_length"].get(n, {}).get("normalised")) for n in lengths)] for row in rows
        ]
        text += "\n" + tables.table(["WER by words", *lengths], by_length)
    first = rows[0]
    notes = (
        f"Per cent; {first['utterances']} utterances; WER with the {first['normaliser']} normaliser, raw WER of the "
        "words as they are written. RTF: seconds of one job for each second of audio as it ran, other load included; "
        "RTF (CPU): processor seconds."
    )
    if rule := next((row["loop_rule"] for row in rows if "loop_rule" in row), ""):
        notes += f" Looping: texts changed by the rule: {rule}."
    return f"{text}\n{notes}\n"


def _rate(errors: Mapping[str, Any] | None) -> str:
    return tables.percent(errors["wer"] if errors else None)
