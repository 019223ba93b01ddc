"""One table over several recipes: systems by corpora, from their `comparison.json` (or `ablation.json`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from m4ser.scoring.comparison import PARTIAL, read
from m4ser.scoring.table import Column, Table, count, data_text
from m4ser.training.metrics import NAMES, Metric
from m4ser.utils.errors import UserError


def sources(texts: Sequence[str]) -> dict[str, Path]:
    """Names and files that are written as NAME=JSON.

    Raises:
        UserError: one is not, or a name occurs twice.
    """
    paths: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise UserError(f"--table {text}: write it as NAME=JSON")
        if name in paths:
            raise UserError(f"--table {text}: there is a column {name} already; give each a name of its own")
        paths[name] = Path(path)
    return paths


def table(sources: Mapping[str, Path], metric: Metric = "ua") -> Table:
    """One score of all systems of all comparisons; `sources` maps the name of a corpus to its file.

    Raises:
        UserError: a file is missing or is no comparison.
    """
    comparisons = {name: read(path) for name, path in sources.items()}
    systems = dict.fromkeys(system for one in comparisons.values() for system in one.about["seeds"])
    rows = [
        [system, *(one.cell(system, metric) if system in one.about["seeds"] else None for one in comparisons.values())]
        for system in systems
    ]
    notes = []
    for name, one in comparisons.items():
        about, seeds = one.about, sorted({len(seeds) for seeds in one.about["seeds"].values()})
        several = f"{seeds[0]} to {seeds[-1]} seeds" if len(seeds) > 1 else count(seeds[0], "seed")
        narrow = (
            "; too few speakers to resample, so intervals are too narrow" if about["resampled"] == "utterance" else ""
        )
        notes.append(
            f"{name}: `{about['protocol']}`, {about['partition']}, {data_text(about)}, {len(about['labels'])} classes, "
            f"{several}{narrow}."
        )
    if any(one.about["partial"] for one in comparisons.values()):
        notes.append(PARTIAL)
    return Table(
        [Column("system"), *(Column(f"{name} [95 % CI]", name) for name in comparisons)],
        rows,
        caption=f"{NAMES[metric]} in per cent: mean over seeds (± sd where several), all folds pooled.",
        notes=notes,
        about={"metric": metric, "corpora": {name: {**one.about, **one.made_by} for name, one in comparisons.items()}},
    )
