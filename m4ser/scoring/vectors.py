"""What a trained model makes of the utterances of its test part, as vectors and as a map of two dimensions."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score

from m4ser.utils.errors import UserError

METHODS = ("tsne", "pca")
MAX_UTTERANCES = 600  # of more, this many are drawn by lot (t-SNE takes seconds per thousand points)
KINDS = {"speech_specific": "speech-specific", "text_specific": "text-specific", "invariant": "invariant"}


def run_vectors(folder: str | Path, part: str = "test", limit: int = MAX_UTTERANCES) -> dict[str, Any]:
    """Pass utterances of a finished run through its model.

    Returns:
        ``utts``; ``ref`` and ``hyp`` (N,) class indices; ``utterance`` (N, U), what the classifier reads; and, of a
        model that has them, the means over time of ``speech_specific``, ``text_specific``, ``invariant``, each (N, D).

    Raises:
        UserError: the run is not finished, or the features of stage 1 are gone.
    """
    from m4ser.data.scp import read_scp
    from m4ser.models.checkpoint import load_run
    from m4ser.models.representations import masked_mean
    from m4ser.training.evaluation import represent
    from m4ser.training.lists import data_options

    folder = Path(folder)
    model, conf = load_run(folder)
    if not (folder / "data" / part / "utt2emo").exists():
        raise UserError(f"{folder / 'data' / part}: is missing; run stage 4 again")
    emotions = read_scp(folder / "data" / part / "utt2emo")
    utts = list(emotions)
    if len(utts) > limit:
        drawn = np.random.default_rng(0).choice(len(utts), limit, replace=False)
        utts = [utts[i] for i in sorted(drawn)]
    data = [entry for entry in data_options(folder / "data", part, conf) if entry[1] != "emotion"]
    found: dict[str, list[np.ndarray]] = {}
    for _, reps in represent(model, conf, data, utts):
        found.setdefault("utterance", []).append(reps.utterance.cpu().numpy())
        found.setdefault("hyp", []).append(model.logits(reps).argmax(-1).cpu().numpy())
        if reps.invariant is not None and reps.speech_specific is not None and reps.text_specific is not None:
            masks = (reps.speech_mask, reps.text_mask, reps.invariant_mask)
            for kind, mask in zip(KINDS, masks, strict=True):
                found.setdefault(kind, []).append(masked_mean(getattr(reps, kind), mask).cpu().numpy())
    index = {label: i for i, label in enumerate(model.labels)}
    arrays = {name: np.concatenate(parts) for name, parts in found.items()}
    return {"utts": utts, "ref": np.array([index[emotions[utt]] for utt in utts]), **arrays}


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
    panels = [
        {
            "title": "utterance vectors, read by the classifier",
            "points": {"utterance": project(vectors["utterance"], method)},
            "separation": {"by emotion": separation(vectors["utterance"], ref)},
        }
    ]
    if all(kind in vectors for kind in KINDS):
        joined = np.concatenate([vectors[kind] for kind in KINDS])
        points = np.split(project(joined, method), len(KINDS))
        by_kind = np.repeat(np.arange(len(KINDS)), len(ref))
        separations = {"by representation": separation(joined, by_kind)}
        separations |= {f"{name}, by emotion": separation(vectors[kind], ref) for kind, name in KINDS.items()}
        panels.append(
            {
                "title": "specific and invariant representations",
                "points": dict(zip(KINDS.values(), points, strict=True)),
                "separation": separations,
            }
        )
    return {
        "of": of,
        "method": method,
        "utts": vectors["utts"],
        "ref": ref.tolist(),
        "hyp": vectors["hyp"].tolist(),
        "panels": panels,
    }
