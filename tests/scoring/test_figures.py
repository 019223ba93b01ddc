"""Figures are drawn, readable as images, and the same for the same numbers."""

import matplotlib.image
import pytest

from m4ser.scoring import comparison, figures, report
from m4ser.scoring.experiment import Corpus, collect


@pytest.fixture
def corpus(scoring_lab):
    return Corpus.read(scoring_lab.data)


def test_experiment(scoring_lab, corpus, tmp_path):
    experiment = collect(scoring_lab.system("one", 0.7), corpus)
    metrics = report.evaluate(experiment, corpus, scoring_lab.asr, "basic", resamples=50)
    names = figures.draw(metrics, tmp_path)
    assert names == ["confusion.png", "per_fold.png", "wer_bins.png"]
    first = [(tmp_path / name).read_bytes() for name in names]
    assert all(matplotlib.image.imread(tmp_path / name).shape[1] > 500 for name in names)
    figures.draw(metrics, tmp_path)
    assert first == [(tmp_path / name).read_bytes() for name in names]


def test_only_figures_that_say_something(scoring_lab, corpus, tmp_path):
    metrics = report.evaluate(collect(scoring_lab.system("one", 0.7), corpus, folds=["1"]), corpus, resamples=50)
    assert figures.draw(metrics, tmp_path, "_dev") == ["confusion_dev.png"]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["confusion_dev.png"]


def test_comparison(scoring_lab, corpus, tmp_path):
    experiments = [collect(scoring_lab.system(tag, 0.7), corpus) for tag in ("a", "b")]
    figures.comparison(comparison.compare(experiments, corpus, resamples=50, permutations=50), tmp_path / "c.png")
    assert matplotlib.image.imread(tmp_path / "c.png").ndim == 3
