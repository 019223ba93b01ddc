"""Statistics of representations, on constructed vectors whose answers are known."""

import numpy as np
import pytest

from m4ser.scoring import similarity


def once(statistic, count):
    return statistic(np.ones((1, count)))[0]


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_mean_and_larger_share_by_hand():
    values = np.array([1.0, 0.0, 0.0, 0.5])
    weights = np.array([[1, 1, 1, 1], [2, 0, 0, 0], [0, 1, 1, 2], [0, 0, 0, 0]], dtype=float)
    assert similarity.mean(values)(weights) == pytest.approx([0.375, 1, 0.25, np.nan], nan_ok=True)
    assert similarity.larger_share(values)(weights) == pytest.approx([0.625, 1, 0.75, np.nan], nan_ok=True)


def test_movement_by_hand():
    before, after = np.array([[0.0, 0], [2, 0]]), np.array([[0.0, 3], [2, 1]])
    # ways 3 and 1, root mean square sqrt(5); spread 1
    assert once(similarity.movement(before, after), 2) == pytest.approx(np.sqrt(5))
    assert np.isnan(once(similarity.movement(before * 0 + 7, after), 2))
    assert once(similarity.movement(before, before + 1e-6), 2) == 0  # rounding


def test_what_changes_places_at_random_moves_by_the_square_root_of_two(rng):
    vectors = rng.normal(size=(4000, 5)) + 100
    moved = similarity.movement(vectors, vectors[rng.permutation(4000)])
    assert once(moved, 4000) == pytest.approx(np.sqrt(2), abs=0.03)


def test_ratio_of_a_mixed_part_is_one_and_of_a_part_of_words_zero(rng):
    voice, words, other = rng.normal(size=(3000, 4)), rng.normal(size=(3000, 4)), np.roll(np.arange(3000), 1)

    def exchanged(part):
        changed = part(voice[other], words), part(voice, words[other])
        moved = [similarity.movement(part(voice, words), after) for after in changed]
        return once(similarity.ratio(*moved), 3000)

    assert exchanged(lambda v, w: v + w) == pytest.approx(1, abs=0.03)
    assert exchanged(lambda v, w: 3 * v + w) == pytest.approx(3, abs=0.1)
    assert exchanged(lambda v, w: w) == 0
    assert np.isnan(exchanged(lambda v, w: v))


def reference_cka(x, y):
    """As Kornblith et al. write it."""
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def reference_debiased(x, y):
    """By the unbiased estimator's definition: kernels centred without their diagonals (Szekely and Rizzo 2014)."""
    n = len(x)

    def centred(a):
        k = a @ a.T
        np.fill_diagonal(k, 0)
        rows, total = k.sum(1) / (n - 2), k.sum() / ((n - 1) * (n - 2))
        k = k - rows[:, None] - rows[None] + total
        np.fill_diagonal(k, 0)
        return k

    k, m = centred(x), centred(y)
    return (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())


def test_cka_by_hand():
    x, y = np.array([[1.0], [2], [3], [6]]), np.array([[1.0], [2], [4], [1]])
    # of one dimension: squared correlation; deviations -2 -1 0 3 and -1 0 2 -1
    assert once(similarity.linear_cka(x, y, debiased=False), 4) == pytest.approx((2 + 0 + 0 - 3) ** 2 / (14 * 6))


@pytest.mark.parametrize("debiased", [False, True])
def test_cka_is_that_of_its_definition(rng, debiased):
    x, y = rng.normal(size=(30, 7)) + 5, rng.normal(size=(30, 3))
    y[:, 0] += x[:, 1]
    expected = (reference_debiased if debiased else reference_cka)(x, y)
    assert 0.05 < expected < 0.9
    assert once(similarity.linear_cka(x, y, debiased), 30) == pytest.approx(expected)
    turned = np.linalg.qr(rng.normal(size=(7, 7)))[0]
    assert once(similarity.linear_cka(x, 3 * x @ turned + 2, debiased), 30) == pytest.approx(1)
    assert np.isnan(once(similarity.linear_cka(x, np.ones((30, 4)), debiased), 30))


def test_unrelated_vectors_of_many_dimensions_are_alike_only_with_bias(rng):
    x, y = rng.normal(size=(40, 200)), rng.normal(size=(40, 200))
    assert once(similarity.linear_cka(x, y, debiased=False), 40) > 0.7
    assert abs(once(similarity.linear_cka(x, y), 40)) < 0.1


@pytest.mark.parametrize("speaker", [np.arange(12), np.array([2, 0, 1, 2, 2, 0, 1, 1, 3, 3, 3, 0])])
def test_weights_are_repetitions(rng, speaker):
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(12, 3))
    weights = rng.integers(0, 4, size=(5, 12))[:, speaker]
    for make in (similarity.movement, lambda a, b: similarity.linear_cka(a, b, debiased=False)):
        each = [once(make(np.repeat(x, row, 0), np.repeat(y, row, 0)), row.sum()) for row in weights]
        assert make(x, y)(weights.astype(float)) == pytest.approx(each)


def test_copies_in_a_resample_do_not_look_alike(rng):
    """Plain CKA of resamples lies above that of the sample; debiased it stays around it."""
    x, y = rng.normal(size=(60, 50)), rng.normal(size=(60, 50))
    drawn = np.stack([np.bincount(rng.integers(60, size=60), minlength=60) for _ in range(300)]).astype(float)
    plain, debiased = (similarity.linear_cka(x, y, kind) for kind in (False, True))
    assert plain(drawn).mean() > once(plain, 60) + 0.05
    assert debiased(drawn).mean() == pytest.approx(once(debiased, 60), abs=0.02)


def test_cosine_by_hand():
    x, y = np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2]]), np.array([[5.0, 1], [5, -1], [6, 0], [4, 0]])
    # without their means: y is (0, 1), (0, -1), (1, 0), (-1, 0), at right angles to x
    assert once(similarity.cosine(x, y), 4) == pytest.approx(0)
    assert once(similarity.cosine(x, y[[2, 3, 0, 1]]), 4) == pytest.approx(1)
    assert once(similarity.cosine(x, -2 * x + 9), 4) == pytest.approx(-1)


def test_models_count_as_their_utterances_do():
    halves = [(np.array([0]), similarity.mean(np.array([1.0]))), (np.array([1, 2, 3]), similarity.mean(np.zeros(3)))]
    weights = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 1, 1], [2, 2, 0, 0], [0, 0, 0, 0]], dtype=float)
    assert similarity.average(halves, weights) == pytest.approx([0.25, 1, 0, 0.5, np.nan], nan_ok=True)
