"""Maps of utterance vectors in two dimensions, and how far groups of vectors lie apart."""

from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score

METHODS = ("tsne", "pca")
KINDS = {"speech_specific": "speech-specific", "text_specific": "text-specific", "invariant": "invariant"}


def project(vectors: np.ndarray, method: str, seed: int = 0) -> np.ndarray:
    """(N, D) -> (N, 2), always the same for the same vectors. t-SNE starts from the principal components."""
    if method == "pca" or len(vectors) < 5:
        flat = PCA(min(2, *vectors.shape), random_state=seed).fit_transform(vectors)
        return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors.astype(np.float64))


def separation(vectors: np.ndarray, groups: np.ndarray) -> float | None:
    """Silhouette (cosine distance, all dimensions): 1 the groups lie apart, 0 mixed; None without two groups."""
    if not 1 < len(set(groups.tolist())) < len(vectors):
        return None
    return float(silhouette_score(vectors, groups, metric="cosine"))


def chart(vectors: dict[str, Any], method: str, of: str) -> dict[str, Any]:
    """What a map is drawn from: ``ref``, ``hyp``, ``utts`` and ``panels``, each with title, points by kind, separation.

    ``of`` says which model it is. A silhouette measures in the model's own space what a map can only suggest.
    """
    ref = vectors["ref"]
    points = {"utterance": project(vectors["utterance"], method)}
    separations = {"by emotion": separation(vectors["utterance"], ref)}
    panels = [{"title": "utterance vectors, read by the classifier", "points": points, "separation": separations}]
    if all(key in vectors for key in KINDS):
        joined = np.concatenate([vectors[key] for key in KINDS])
        points = dict(zip(KINDS.values(), np.split(project(joined, method), len(KINDS)), strict=True))
        by_kind = np.repeat(np.arange(len(KINDS)), len(ref))
        separations = {"by representation": separation(joined, by_kind)}
        separations |= {f"{name}, by emotion": separation(vectors[key], ref) for key, name in KINDS.items()}
        panels.append({"title": "specific and invariant representations", "points": points, "separation": separations})
    answers = {"utts": vectors["utts"], "ref": ref.tolist(), "hyp": vectors["hyp"].tolist()}
    return {"of": of, "method": method, **answers, "panels": panels}
