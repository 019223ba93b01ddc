"""The content of the files of results: `metrics.json` of an experiment, `comparison.json` of several."""

from pathlib import Path
from typing import Any, TypedDict, cast

from m4ser.training.metrics import Metric
from m4ser.utils.errors import DamagedFileError, UserError
from m4ser.utils.files import read_json


class Spread(TypedDict):
    """Mean over runs and standard deviation of a sample, None for one run."""

    mean: float
    sd: float | None


class Measured(Spread):
    """The same with a 95 % interval."""

    ci: tuple[float, float]


class Pooled(TypedDict):
    """Scores of some utterances, all folds pooled; ``resampled`` is the unit of the intervals."""

    utterances: int
    speakers: int
    resampled: str
    wa: Measured
    ua: Measured
    macro_f1: Measured
    weighted_f1: Measured


class WordErrors(TypedDict):
    """Word error rate of the recognised text of the scored utterances."""

    wer: float
    words: int
    normaliser: str


class Difference(TypedDict, total=False):
    """Difference of one score, its paired bootstrap 95 % interval and permutation p, ``p_holm`` once corrected."""

    difference: float
    ci: tuple[float, float]
    p: float
    p_holm: float


class Pair(TypedDict, total=False):
    """Two systems on the utterances that both have predicted; ``clusters`` counts what is ``resampled``.

    ``mcnemar`` is there where each has a single seed.
    """

    system: str
    reference: str
    utterances: int
    resampled: str
    clusters: int
    smallest_p: float
    scores: dict[Metric, Difference]
    mcnemar: dict[str, float]


class Result(TypedDict):
    """What `metrics.json` holds of any experiment; scores are fractions of one."""

    kind: str
    tag: str
    partition: str
    protocol: str
    protocol_description: str
    labels: list[str]
    seeds: list[str]
    partial: bool
    missing: list[dict[str, str]]
    definitions: str
    ci: dict[str, float]
    setup: dict[str, Any]
    trained_with: dict[str, list[str]]


class Metrics(Result):
    """`metrics.json` of an experiment on one corpus."""

    speaker_disjoint: bool
    folds: list[str]
    skipped_recordings: int
    pooled: Pooled
    over_folds: dict[Metric, Spread]
    per_seed: dict[str, dict[str, Any]]
    per_fold: dict[str, dict[str, Any]]
    per_class: dict[str, dict[str, float]]
    confusion_summed_over_seeds: list[list[int]]
    calibration_error: Spread
    by_domain: dict[str, Pooled]
    asr_word_errors: WordErrors | None
    by_wer: dict[str, Pooled]
    majority: dict[Metric, float]
    comparison: Pair | None


class Crossed(Result):
    """`metrics.json` of crossed corpora: a cell for what was trained on (rows) and what was tested (columns)."""

    rows: list[str]
    columns: list[str]
    cells: list[dict[str, Any]]
    corpora: dict[str, dict[str, Any]]


class System(TypedDict, total=False):
    """One system of a comparison; what it costs as far as it is known."""

    system: str
    tag: str
    seeds: list[str]
    partial: bool
    pooled: Pooled
    difference: Pair | None
    parameters: float
    trained_parameters: float
    seconds: float
    real_time_factor: float


class Comparison(TypedDict, total=False):
    """All numbers of a comparison; files of version 0.1 hold just this."""

    kind: str
    partition: str
    protocol: str
    labels: list[str]
    reference: str
    setup: dict[str, Any]
    setup_differs: dict[str, dict[str, list[str]]]
    wer: dict[str, float]
    trained_with: dict[str, list[str]]
    systems: list[System]


def read_metrics(exp: Path) -> Metrics:
    """`metrics.json` of stage 5 in `exp/<tag>`, of one corpus.

    Raises:
        UserError: it is missing or damaged.
    """
    path = exp / "metrics.json"
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder; name one that stages 4 and 5 have made: exp/<tag>")
    if not path.exists():
        raise UserError(f"{path}: no such file; run stage 5 first")
    try:
        metrics = read_json(path)
    except DamagedFileError:
        raise UserError(f"{path}: is damaged; run stage 5 again") from None
    if metrics.get("kind") != "metrics":
        raise UserError(f"{path}: is not the result of one experiment; run stage 5 again")
    return cast(Metrics, metrics)
