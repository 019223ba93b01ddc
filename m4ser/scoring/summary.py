"""One table over several recipes: systems by corpora, gathered from their `comparison.json` (or `ablation.json`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from m4ser.scoring import tables
from m4ser.scoring.comparison import setup_lines
from m4ser.scoring.report import trained_lines
from m4ser.training.metrics import NAMES
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json

KIND = "summary"


def collect(sources: Mapping[str, Path], metric: str = "ua") -> dict[str, Any]:
    """Scores of all systems of all tables; `sources` maps the name of a corpus to its table.

    Raises:
        UserError: a table is missing or is not a comparison.
    """
    columns, rows = [], {}
    for name, path in sources.items():
        comparison = _read(path)
        data = comparison["systems"][0]["pooled"]
        columns.append(
            {
                "name": name,
                "protocol": comparison["protocol"],
                "partition": comparison["partition"],
                "classes": len(comparison["labels"]),
                "utterances": data["utterances"],
                "speakers": data["speakers"],
                "resampled": data["resampled"],
                "command": comparison["made_by"]["command"],
                **{key: comparison[key] for key in ("setup", "setup_differs", "wer", "trained_with")},
            }
        )
        for row in comparison["systems"]:
            score = {"seeds": len(row["seeds"]), "partial": row["partial"], **row["pooled"][metric]}
            rows.setdefault(row["system"], {})[name] = score
    return {
        "kind": KIND,
        "metric": metric,
        "columns": columns,
        "rows": [{"system": system, "scores": scores} for system, scores in rows.items()],
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except OSError:
        raise UserError(f"{path}: no such table; ../TEMPLATE/compare.sh or run_ablation.sh makes it") from None
    if found.get("kind") != "comparison" or "trained_with" not in found:
        raise UserError(
            f"{path}: is not a table of compare.sh or run_ablation.sh as this version writes it; make it again"
        )
    return found


def markdown(summary: dict[str, Any]) -> str:
    """The summary as a Markdown table, and for each corpus what was tested and the command that made its table."""
    columns = summary["columns"]
    header = ["system", *(f"{column['name']} [95 % CI]" for column in columns)]
    lines = [[row["system"], *(_score(row["scores"].get(c["name"])) for c in columns)] for row in summary["rows"]]
    notes = [f"{NAMES[summary['metric']]} in per cent: mean over seeds (± sd where several), all folds pooled."]
    for column in columns:
        seeds = [row["scores"][column["name"]]["seeds"] for row in summary["rows"] if column["name"] in row["scores"]]
        several = f"{min(seeds)} to {max(seeds)} seeds" if len(set(seeds)) > 1 else tables.count(seeds[0], "seed")
        few = column["resampled"] == "utterance"
        narrow = "; too few speakers to resample, so the intervals are too narrow" if few else ""
        notes.append(
            f"{column['name']}: `{column['protocol']}`, {column['partition']}, "
            f"{tables.count(column['utterances'], 'utterance')} of {tables.count(column['speakers'], 'speaker')}, "
            f"{column['classes']} classes, {several}{narrow}; `{column['command']}`. "
            + " ".join([*setup_lines(column), *trained_lines(column["trained_with"])])
        )
    if any(score["partial"] for row in summary["rows"] for score in row["scores"].values()):
        notes.append("**(partial): runs are missing; not the result of the protocol.**")
    return tables.table(header, lines) + "\n" + "\n\n".join(notes) + "\n"


def _score(value: dict[str, Any] | None) -> str:
    if value is None:
        return tables.NOTHING
    text = f"{tables.plus_minus(value['mean'], value['sd'])} {tables.interval(value['ci'])}"
    return text + (" (partial)" if value["partial"] else "")
