"""Maps of utterance vectors: the same for the same vectors, and with a measure that needs no map."""

import numpy as np
import pytest

from m4ser.scoring import vectors


def three_groups(count=30, size=8):
    rng = np.random.default_rng(0)
    groups = np.arange(count) % 3
    return (10 * np.eye(size)[groups] + rng.normal(size=(count, size))).astype(np.float32), groups


@pytest.mark.parametrize("method", vectors.METHODS)
def test_projection_keeps_groups_and_is_repeatable(method):
    data, groups = three_groups()
    flat = vectors.project(data, method)
    assert flat.shape == (30, 2)
    assert np.array_equal(flat, vectors.project(data, method))
    centres = np.stack([flat[groups == g].mean(0) for g in range(3)])
    nearest = np.linalg.norm(flat[:, None] - centres, axis=-1).argmin(-1)
    assert np.array_equal(nearest, groups)


@pytest.mark.parametrize("shape", [(1, 8), (2, 8), (4, 8), (3, 1)])
def test_few_vectors(shape):
    flat = vectors.project(np.ones(shape, dtype=np.float32), "tsne")
    assert flat.shape == (shape[0], 2) and np.isfinite(flat).all()


def test_separation():
    data, groups = three_groups()
    assert vectors.separation(data, groups) > 0.8
    assert abs(vectors.separation(data, np.arange(30) // 3 % 2)) < 0.1
    assert vectors.separation(data, np.zeros(30, dtype=int)) is None
    assert vectors.separation(data[:1], groups[:1]) is None


def test_chart_has_a_second_panel_only_for_models_with_parts():
    data, groups = three_groups()
    plain = {"utts": [f"u{i}" for i in range(30)], "ref": groups, "hyp": groups, "utterance": data}
    assert len(vectors.chart(plain, "pca", "it")["panels"]) == 1
    parts = {"speech_specific": data, "text_specific": data + 20, "invariant": data - 20}
    chart = vectors.chart(plain | parts, "pca", "it")
    assert list(chart["panels"][1]["points"]) == ["speech-specific", "text-specific", "invariant"]
    assert all(points.shape == (30, 2) for points in chart["panels"][1]["points"].values())
    assert chart["panels"][1]["separation"]["by representation"] > 0
