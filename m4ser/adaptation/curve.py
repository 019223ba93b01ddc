"""What adaptation gains with how many examples: a model of other corpora, and classifiers that know none.

In each of several draws the speakers of a corpus are parted into two halves. What is adapted with k utterances of each
label of one half is tested on all of the other, and the other way round, so that a draw tests every utterance once.
The utterances of a smaller k are among those of a larger one, and all systems get the same ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from m4ser.adaptation.classifier import Layer, fit_best, prior_of
from m4ser.adaptation.examples import places_among
from m4ser.scoring.evaluation import pooled
from m4ser.scoring.intervals import RESAMPLES, distribution, percentiles
from m4ser.scoring.runs import Answers
from m4ser.scoring.table import Column, Row, Score, Table, columns, listed

COUNTS = (1, 2, 5, 10, 20)
DRAWS = 5
SCRATCH_STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # of classifiers from scratch, which have more dimensions
System = Callable[[np.ndarray, np.ndarray], np.ndarray]  # indices to learn from and to test -> classes of the latter


@dataclass(frozen=True)
class Voices:
    """A corpus as systems see it.

    Attributes:
        name: of the corpus.
        labels: its emotions.
        ref, speakers: (N,), class indices and names.
        models: for each seed of the model of other corpora its utterance vectors (N, U) and last layer.
        known: labels of these models.
        features: by name, vectors (N, F) in which no emotions have been seen.
    """

    name: str
    labels: list[str]
    ref: np.ndarray
    speakers: np.ndarray
    models: list[tuple[np.ndarray, Layer]]
    known: list[str]
    features: Mapping[str, np.ndarray] = field(default_factory=dict)

    def adapted(self, seed: int) -> System:
        """The model of a seed with a new last layer, as ``m4ser adapt`` makes it."""
        vectors, layer = self.models[seed]
        prior = prior_of(layer, places_among(self.labels, self.known))

        def system(learn: np.ndarray, test: np.ndarray) -> np.ndarray:
            fitted = fit_best(vectors[learn], self.ref[learn], prior, self.speakers[learn].tolist())
            return fitted.layer.logits(vectors[test]).argmax(1)

        return system

    def scratch(self, name: str) -> System:
        """Logistic regression on features that were standardised with those that are learned from."""
        vectors, prior = self.features[name], np.zeros((len(self.labels), self.features[name].shape[1]))

        def system(learn: np.ndarray, test: np.ndarray) -> np.ndarray:
            mean, deviation = vectors[learn].mean(0), vectors[learn].std(0)
            scaled = (vectors - mean) / np.where(deviation > 0, deviation, 1)
            speakers = self.speakers[learn].tolist()
            fitted = fit_best(scaled[learn], self.ref[learn], prior, speakers, SCRATCH_STRENGTHS)
            return fitted.layer.logits(scaled[test]).argmax(1)

        return system

    def as_it_is(self) -> np.ndarray:
        """What the models say without adaptation: (seeds, N); only where they know all labels of the corpus.

        Raises:
            ValueError: they do not.
        """
        order = [self.known.index(label) for label in self.labels]
        return np.stack([layer.logits(vectors)[:, order].argmax(1) for vectors, layer in self.models])


def halves(speakers: np.ndarray, random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of utterances of one half of the speakers and of the other, and the other way round."""
    names = random.permutation(np.unique(speakers))
    first = np.isin(speakers, names[: len(names) // 2])
    yield np.flatnonzero(first), np.flatnonzero(~first)
    yield np.flatnonzero(~first), np.flatnonzero(first)


def answers(voices: Voices, systems: Sequence[System], counts: Sequence[int], draws: int) -> dict[int, np.ndarray]:
    """What systems say of every utterance, by number of examples for a label. Shape: (systems x draws, N).

    Where half of the speakers say an emotion fewer times than that, all of these are learned from.
    """
    said = {count: np.full((len(systems) * draws, len(voices.ref)), -1) for count in counts}
    for draw in range(draws):
        random = np.random.default_rng(draw)
        for pool, test in halves(voices.speakers, random):
            shuffled = random.permutation(pool)
            by_label = [shuffled[voices.ref[shuffled] == number] for number in range(len(voices.labels))]
            for count in counts:
                learn = np.concatenate([those[:count] for those in by_label])
                for place, system in enumerate(systems):
                    said[count][place * draws + draw, test] = system(learn, test)
    return said


def curve(voices: Voices, counts: Sequence[int] = COUNTS, draws: int = DRAWS, resamples: int = RESAMPLES) -> list[Row]:
    """Rows of the table of one corpus: adapted, from scratch, and the difference to the better of these."""
    adapted = answers(voices, [voices.adapted(seed) for seed in range(len(voices.models))], counts, draws)
    scratch = {name: answers(voices, [voices.scratch(name)], counts, draws) for name in voices.features}
    rows: list[Row] = []
    if set(voices.labels) <= set(voices.known):
        zero = Score.of(pooled(_answers(voices, voices.as_it_is()), resamples)["ua"])
        chance = Score(1 / len(voices.labels))
        rows.append([voices.name, "0", zero, *(chance for _ in scratch), None])
    for count in counts:
        ours = _answers(voices, adapted[count])
        theirs = {name: _answers(voices, said[count]) for name, said in scratch.items()}
        scores = {name: pooled(each, resamples)["ua"] for name, each in theirs.items()}
        best = theirs[max(scores, key=lambda name: scores[name]["mean"])]
        row = [Score.of(pooled(ours, resamples)["ua"]), *map(Score.of, scores.values())]
        rows.append([voices.name, str(count), *row, _difference(ours, best, resamples)])
    return rows


def _answers(voices: Voices, hyp: np.ndarray) -> Answers:
    return Answers(voices.labels, voices.speakers, voices.ref, hyp)


def _difference(ours: Answers, theirs: Answers, resamples: int) -> Score:
    """Difference of UA with its interval; the same speakers are drawn for both."""
    ends = [distribution(each.cluster_confusions()[0], resamples)["ua"] for each in (ours, theirs)]
    means = [pooled(each, 1)["ua"]["mean"] for each in (ours, theirs)]
    return Score(means[0] - means[1], None, percentiles(ends[0] - ends[1]), difference=True)


def table(corpora: Sequence[Voices], counts: Sequence[int] = COUNTS, draws: int = DRAWS, what: str = "") -> Table:
    """The curves of several corpora, of which the models know nothing."""
    rows = [row for voices in corpora for row in curve(voices, counts, draws)]
    names = list(corpora[0].features)
    heads = [*columns("corpus"), Column("k", "k"), Column("UA adapted [95 % CI]", "adapted")]
    heads += [Column(f"from scratch: {name}", f"scratch_{number}") for number, name in enumerate(names, 1)]
    heads.append(Column("Δ to the better one [95 % CI]", "difference"))
    sizes = listed(f"{voices.name} {len(voices.ref)} of {len(set(voices.speakers))} speakers" for voices in corpora)
    seeds = len(corpora[0].models)
    labels = ", ".join(corpora[0].labels) if len({tuple(voices.labels) for voices in corpora}) == 1 else "their own"
    notes = [
        "k: utterances of each label that are learned from, or as many as half of the speakers say; none of their "
        f"speakers is tested. {draws} draws, in each both halves of the speakers in turn. ± sd over draws and seeds; "
        "intervals resample speakers.",
        f"Adapted: the last layer of models trained on the other corpora ({seeds} seeds), as `m4ser adapt` fits it. "
        "k 0: these models as they are.",
        "From scratch: logistic regression on the same utterances, on features that have seen no emotions, "
        f"standardised by these utterances, its strength by cross-validation among them. {what}".strip(),
        f"Utterances: {sizes}.",
    ]
    about = {"counts": list(counts), "draws": draws}
    return Table(heads, rows, caption=f"UA in per cent; labels: {labels}.", notes=notes, about=about)
