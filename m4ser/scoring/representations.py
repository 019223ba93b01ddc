"""Tables of what representations are: one row per experiment, then its parts, see :mod:`m4ser.scoring.measuring`."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from m4ser.data.corpus import Corpus
from m4ser.scoring.intervals import RESAMPLES, clusters
from m4ser.scoring.measuring import PHASES, SPECIFIC, TOTAL, WHOLE, Measured, measure
from m4ser.scoring.table import Cell, Column, Score, Table, count
from m4ser.utils.errors import UserError

PHASE_NAMES = dict(zip(PHASES, ("training", "dev"), strict=True))
SHARES = ("disc_acc", "disc_invariant")  # beginnings of the statistics that are shares
PLACES = {"first epoch": 0.0, "at 25 %": 0.25, "at 50 %": 0.5, "at 75 %": 0.75, "last epoch": 1.0}
CURVE_NAMES = {
    SPECIFIC: "D right on specific states",
    "disc_noise": "noise in front of D",
    "grad_invariant": "gradient at invariant states",
    "grad_specific": "gradient at speech-specific states",
    "cka_specific": "CKA of specific states in a batch",
    "disc_acc_speech": "D right on speech-specific",
    "disc_acc_text": "D right on text-specific",
    "disc_invariant": "D on invariant",
    TOTAL: "gradient norm, all losses and parameters",
}
HEADLINE = [
    Column("system"),
    Column("speech from text", "right_pooled"),
    Column("the same, single states", "right_states"),
    Column("invariant on one side", "larger_pooled"),
    Column("the same, single states", "larger_states"),
    Column("of these on the speech side", "speech_side"),
    Column("between text (0) and speech (1)", "place"),
    Column("invariant positions by modality", "positions"),
    Column("invariant: voices / words", "ratio_invariant"),
    Column("speech-specific: voices / words", "ratio_speech"),
    Column("text-specific: words / voices", "ratio_text"),
]


def table(
    folders: Sequence[Path],
    corpus: Corpus,
    names: Sequence[str] = (),
    reference: Path | None = None,
    partition: str = "test",
    seeds: Sequence[str] = (),
    folds: Sequence[str] = (),
    resamples: int = RESAMPLES,
) -> Table:
    """The parts of several experiments; ``reference`` is the one whose similarities are compared with the others'.

    Raises:
        UserError: see :func:`measure`; or the reference is not among ``folders`` or has other test utterances.
    """
    names = names or [folder.name for folder in folders]
    paths = [folder.resolve() for folder in folders]
    if reference is not None and reference.resolve() not in paths:
        raise UserError(f"--reference {reference}: is not one of --exp")
    chosen = partition, seeds, folds, resamples
    every = [measure(folder, corpus, name, *chosen) for name, folder in zip(names, folders, strict=True)]
    first = every[0] if reference is None else every[paths.index(reference.resolve())]
    against = None if reference is None else first
    if against and any(one.items != against.items for one in every):
        raise UserError(f"--reference {reference}: has other {partition} utterances than the rest; compare alike ones")
    _, unit = clusters(first.speakers)
    caption = (
        f"Protocol `{corpus.folds.protocol}`, {partition}: {count(len(first.items), 'utterance')} of "
        f"{count(len(set(first.speakers.tolist())), 'speaker')}, seeds {' '.join(first.seeds)}. Per cent, ratios as "
        "they are; mean over folds and seeds (± sd over seeds)."
    )
    notes = [
        "Probe: logistic regression trained afresh on other test speakers. It tells speech- from text-specific states "
        "(50 is chance), averaged over time or single, and says on which side it finds invariant ones (50: neither), "
        "and where on the way between the means of both (0.5: halfway), which is the steadier number.",
        "Ratio: how far a part moves when voices are exchanged between utterances over how far with the words; for the "
        "text-specific part words over voices.",
        f"Interval: bootstrap over {unit}s, 95 %.",
    ]
    more = _moved(every), _emotion(every), _alike(every, against), _over_training(every), _pull(every)
    curves = {one.name: {k: _mean_curve(v) for k, v in sorted(one.curves.items())} for one in every if one.curves}
    return Table(
        HEADLINE,
        [_headline(one) for one in every],
        caption=caption,
        notes=notes,
        more=[one for one in more if one.rows],
        about={
            "protocol": corpus.folds.protocol,
            "partition": partition,
            "utterances": len(first.items),
            "seeds": first.seeds,
            "resampled": unit,
            "reference": against.name if against else "",
            "curves": curves,
        },
    )


def _headline(one: Measured) -> list[Cell]:
    shares = ("right/pooled", "right/states", "larger/pooled", "larger/states", "speech_side/pooled")
    cells: list[Cell] = [one.name, *(one.cell(key) for key in shares)]
    cells += [one.cell("place/pooled", plain=True), one.cell("positions/pooled")]
    return [*cells, *(one.cell(f"ratio/{name}", plain=True) for name in ("invariant", "speech", "text"))]


def _named(one: Measured, *parts: str) -> str:
    """Row of a part, or of a pair of parts."""
    shown = {"speech": "speech-specific", "text": "text-specific"} if one.specific else {}
    return f"{one.name}: {' and '.join(shown.get(part, part) for part in parts)}"


def _moved(every: Sequence[Measured]) -> Table:
    rows: list[list[Cell]] = [
        [_named(one, part), *(one.cell(f"{what}/{part}", plain=True) for what in ("voices", "words"))]
        for one in every
        for part in one.parts
    ]
    columns = [Column("movement of"), Column("voices exchanged", "voices"), Column("words exchanged", "words")]
    note = (
        "Root mean square way of the states' mean over time, in units of its spread over utterances: 0 nothing moves, "
        "1.41 the part is that of the other utterance."
    )
    return Table(columns, rows, "How far each part moves", notes=[note])


def _emotion(every: Sequence[Measured]) -> Table:
    rows: list[list[Cell]] = []
    for one in every:
        rows.append([f"{one.name}: all", one.cell(f"ua/probe/{WHOLE}"), one.cell("ua/model"), None])
        others = [key.removeprefix("change/") for key in one.values if key.startswith("change/")]
        for part in [*one.parts, *(part for part in others if part not in one.parts)]:
            change = one.cell(f"change/{part}", difference=True)
            rows.append([_named(one, part), one.cell(f"ua/probe/{part}"), one.cell(f"ua/shuffled/{part}"), change])
    columns = [
        Column("emotion from"),
        Column("UA of a probe", "ua_probe"),
        Column("UA of the model, part shuffled", "ua_model"),
        Column("Δ to the model", "d_ua"),
    ]
    note = (
        "The probe reads this part alone and has learned from other test speakers, so from few. Shuffled: the "
        "classifier gets this part of the utterance vector from another utterance, the rest as it is; in the rows "
        "`all` nothing is."
    )
    return Table(columns, rows, "What each part says of the emotion", notes=[note])


def _alike(every: Sequence[Measured], against: Measured | None) -> Table:
    rows: list[list[Cell]] = []
    for one in every:
        for pair in combinations(one.parts, 2):
            key = "-".join(pair)
            row: list[Cell] = [_named(one, *pair), one.cell(f"cka/{key}", plain=True)]
            plain = one.cell(f"plain_cka/{key}", plain=True)
            row += [plain and plain.value, one.cell(f"cosine/{key}", plain=True)]
            if against:
                row += [_difference(one, against, f"{similarity}/{key}") for similarity in ("cka", "cosine")]
            rows.append(row)
    columns = [
        Column("similarity of"),
        Column("linear CKA, debiased", "cka"),
        Column("linear CKA", "plain_cka"),
        Column("cosine", "cosine"),
    ]
    if against:
        columns += [Column(f"Δ CKA to {against.name}", "d_cka"), Column(f"Δ cosine to {against.name}", "d_cosine")]
    notes = [
        "Of the states' means over time, each part without its mean over utterances: CKA 1 is the same up to rotation "
        "and scale, 0 unrelated. Debiased: without what every utterance has in common with itself, which lifts plain "
        "CKA when utterances are few.",
        "Differences are paired by speaker." if against else "",
    ]
    return Table(columns, rows, "How alike the parts are", notes=notes)


def _difference(one: Measured, against: Measured, key: str) -> Cell:
    ours, theirs = one.values.get(key), against.values.get(key)
    if one is against or ours is None or theirs is None:
        return None
    return ours.minus(theirs).score(plain=True, difference=True)


def _over_training(every: Sequence[Measured]) -> Table:
    rows: list[list[Cell]] = []
    for one in every:
        for key in sorted(one.curves, key=lambda key: (not key.endswith(SPECIFIC), "disc" not in key, key)):
            phase, statistic = key.split(" ", 1)
            runs_of = one.curves[key]
            places = [np.mean([c[round(share * (len(c) - 1))] for c in runs_of]) for share in PLACES.values()]
            # of each run the highest, for a mean of runs hides what one of them does
            highest = np.mean([max(curve[len(curve) // 2 :]) for curve in runs_of])
            cells = [float(value) for value in (*places, highest)]
            share = statistic.startswith(SHARES)
            name = f"{one.name}: {CURVE_NAMES.get(statistic, statistic)}, {PHASE_NAMES[phase]}"
            rows.append([name, *(Score(v) if share else v for v in cells)])
    columns = [Column("over training"), *(Column(name, digits=4) for name in PLACES)]
    columns.append(Column("highest in the second half", "highest", digits=4))
    note = "D: discriminator. Mean over runs; from `history.json`."
    return Table(columns, rows, "Discriminator and gradients over training", notes=[note])


def _pull(every: Sequence[Measured]) -> Table:
    keys = ("generator", "generator_cross_modal", "emotion")
    rows: list[list[Cell]] = [
        [one.name, *(one.gradients[key] for key in keys), one.gradients["generator"] / one.gradients["emotion"]]
        for one in every
        if one.gradients.get("emotion")
    ]
    columns = [
        Column("gradient norms at the trained model"),
        Column("generator term, at the fusion", "generator", digits=5),
        Column("of it at the cross-modal encoder", "cross_modal", digits=5),
        Column("emotion loss, at the fusion", "emotion", digits=5),
        Column("generator / emotion", "share", digits=4),
    ]
    note = "Mean over a few batches of 32, without dropout; the generator term with its weight."
    return Table(columns, rows, "What the generator term trains", notes=[note])


def _mean_curve(runs_of: Sequence[Sequence[float]]) -> list[float]:
    """Mean of the runs that have come so far, for each epoch."""
    longest = max(map(len, runs_of))
    return [float(np.mean([curve[i] for curve in runs_of if i < len(curve)])) for i in range(longest)]
