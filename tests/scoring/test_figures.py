"""Figures are drawn, readable as images, and the same for the same numbers."""

import re

import matplotlib.image
import matplotlib.pyplot
import pytest

from m4ser.data.corpus import Corpus
from m4ser.scoring import comparison, figures
from m4ser.scoring.evaluation import evaluate
from m4ser.scoring.runs import collect


@pytest.fixture
def corpus(scoring_lab):
    return Corpus.read(scoring_lab.data)


def test_experiment(scoring_lab, corpus, tmp_path):
    experiment = collect(scoring_lab.system("one", 0.7), corpus)
    metrics = evaluate(experiment, corpus, scoring_lab.asr, "basic", resamples=50)
    names = figures.draw(metrics, tmp_path)
    assert names == ["confusion.png", "per_fold.png", "wer_bins.png"]
    first = [(tmp_path / name).read_bytes() for name in names]
    assert all(matplotlib.image.imread(tmp_path / name).shape[1] > 500 for name in names)
    figures.draw(metrics, tmp_path)
    assert first == [(tmp_path / name).read_bytes() for name in names]


def test_only_figures_that_say_something(scoring_lab, corpus, tmp_path):
    metrics = evaluate(collect(scoring_lab.system("one", 0.7), corpus, folds=["1"]), corpus, resamples=50)
    assert figures.draw(metrics, tmp_path, "_dev") == ["confusion_dev.png"]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["confusion_dev.png"]


def test_comparison(scoring_lab, corpus, tmp_path):
    experiments = [collect(scoring_lab.system(tag, 0.7), corpus) for tag in ("a", "b")]
    table = comparison.fill(comparison.compare(experiments, corpus, resamples=50, permutations=50))
    assert figures.illustrated(table, tmp_path / "c", figures.comparison).figure == "c.png"
    assert matplotlib.image.imread(tmp_path / "c.png").ndim == 3


HISTORY = {
    "criterion": ["valid", "ua", "max"],
    "best_epoch": 2,
    "epochs": {
        "1": {"train": {"loss": 2.0}, "valid": {"loss": 2.1, "ua": 0.4}},
        "2": {"train": {"loss": 1.0}, "valid": {"ua": 0.6}},  # the loss was not finite
    },
}


def test_training_draws_what_there_is(scoring_lab, corpus, tmp_path):
    metrics = evaluate(collect(scoring_lab.system("one", 0.7), corpus), corpus, resamples=50)
    assert figures.training_panels([HISTORY]) == ["loss", "dev scores, %"]
    figure = figures.training(metrics, [HISTORY, HISTORY | {"best_epoch": None}])
    assert [axes.get_title() for axes in figure.axes] == ["loss", "dev scores, %"]
    train, dev = figure.axes[0].get_lines()[:2]
    assert train.get_xydata().tolist() == [[1, 2.0], [2, 1.0]] and dev.get_xydata().tolist() == [[1, 2.1]]
    assert figure.axes[1].get_lines()[0].get_ydata().tolist() == [40, 60]
    figures.save(figure, tmp_path / "t.png")
    assert matplotlib.image.imread(tmp_path / "t.png").ndim == 3


@pytest.mark.parametrize("count", [3, 100])
def test_speakers_as_bars_or_as_a_histogram(scoring_lab, corpus, count):
    metrics = evaluate(collect(scoring_lab.system("one", 0.7), corpus), corpus, resamples=50)
    speaker = {"utterances": 5, "ua": {"mean": 0.5, "sd": None, "ci": [0.2, 0.8]}}
    figure = figures.per_speaker(metrics, {f"s{i}": speaker for i in range(count)})
    assert figure.axes[0].get_ylabel() == ("speakers" if count > 60 else "")
    matplotlib.pyplot.close(figure)


def test_svg_takes_the_colour_of_its_page_and_has_ids_of_its_own(scoring_lab, corpus):
    metrics = evaluate(collect(scoring_lab.system("one", 0.7), corpus), corpus, resamples=50)
    first, second = (figures.svg(name, figures.per_fold, metrics) for name in ("one", "two"))
    assert first.startswith('<svg viewBox="0 0 ') and first.rstrip().endswith("</svg>")
    assert "currentColor" in first and figures.INK not in first and "#000000" not in first
    assert "one, test" not in first  # the page has a heading
    ids = [set(re.findall(r'id="([^"]+)"', text)) for text in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', first))
    assert used and used <= ids[0]
    assert first == figures.svg("one", figures.per_fold, metrics)


def test_names_are_shown_as_they_are(scoring_lab, corpus):
    metrics = evaluate(collect(scoring_lab.system("one", 0.7), corpus), corpus, resamples=50)
    speaker = {"utterances": 5, "ua": {"mean": 0.5, "sd": None, "ci": [0.2, 0.8]}}
    drawn = figures.svg("s", figures.per_speaker, metrics, {r"a$\frac$b": speaker, "<c>&": speaker})
    assert r"a$\frac$b (5)" in drawn and "&lt;c&gt;&amp; (5)" in drawn
