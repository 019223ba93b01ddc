#!/usr/bin/env python3
"""Count the corpus and measure what simple methods reach: word errors, logistic regression on words and on speech.

The tables go to the terminal and, with the command that made them, to FLOORS.md: what models are to be compared with.
"""

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import transformers
from rapidfuzz.distance import Levenshtein
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from m4ser.asr.backends import build_backend
from m4ser.asr.normalise import normaliser
from m4ser.asr.wer import word_errors
from m4ser.data.audio import load_16k
from m4ser.models.encoders.frozen import load_frozen
from m4ser.utils import cli
from m4ser.utils.files import atomic_write
from m4ser.utils.progress import track
from m4ser.utils.provenance import made_by

SPLITS = ("train", "dev", "test")
BEAMS = (1, 5)
REGULARISATION = {"words": (0.1, 0.3, 1, 3, 10), "speech": (3e-4, 1e-3, 3e-3, 1e-2)}  # the best on dev is taken
Rows = Sequence[Mapping[str, str]]
Texts = Mapping[str, str]


def measure(corpus: Path, rows: Rows) -> tuple[dict[int, dict[str, str]], dict[str, np.ndarray]]:
    """Normalised hypotheses of Whisper tiny.en by beam size, and mean and deviation over time of its encoder's layers.

    Shape of the features of an utterance: (2, layers, dim).
    """
    recognisers = {beam: build_backend("faster_whisper", beam_size=beam) for beam in BEAMS}
    encoder, normalise = load_frozen("offline:whisper-tiny.en"), normaliser("english")
    hyps: dict[int, dict[str, str]] = {beam: {} for beam in BEAMS}
    features = {}
    for row in track(rows, "listening"):
        samples = load_16k(corpus / row["file"])
        for beam, recogniser in recognisers.items():
            hyps[beam][row["utt_id"]] = normalise(recogniser.transcribe(samples).text)
        layers = encoder.layers(samples)
        features[row["utt_id"]] = np.stack([layers.mean(1), layers.std(1)])
    return hyps, features


def of(rows: Rows, split: str) -> list[Mapping[str, str]]:
    """The rows of a split."""
    return [row for row in rows if row["split"] == split]


def wer(rows: Rows, refs: Texts, hyps: Texts) -> float:
    """Word error rate in percent."""
    errors = word_errors([refs[row["utt_id"]] for row in rows], [hyps[row["utt_id"]] for row in rows])
    return 100 * (errors["wer"] or 0.0)


def word_by_word(train: Rows, refs: Texts, hyps: Texts) -> Callable[[str], str]:
    """A corrector without context: each recognised word becomes what it mostly was in training."""
    meant: dict[str, Counter] = defaultdict(Counter)
    for row in train:
        hyp, ref = hyps[row["utt_id"]].split(), refs[row["utt_id"]].split()
        for block in Levenshtein.opcodes(hyp, ref):
            if block.tag in ("equal", "replace"):
                for heard, said in zip(hyp[block.src_start : block.src_end], ref[block.dest_start :], strict=False):
                    meant[heard][said] += 1
    return lambda text: " ".join(meant[word].most_common(1)[0][0] if word in meant else word for word in text.split())


def classify(rows: Rows, inputs: Mapping[str, Any], modality: str) -> dict[str, np.ndarray]:
    """Logistic regression with dev-chosen regularisation: log probabilities (utterances, classes) of dev and test."""

    def fit(strength: float) -> dict[str, np.ndarray]:
        first = CountVectorizer(token_pattern=r"\S+", binary=True) if modality == "words" else StandardScaler()
        model = make_pipeline(first, LogisticRegression(C=strength, max_iter=2000))
        model.fit([inputs[row["utt_id"]] for row in of(rows, "train")], [row["emotion"] for row in of(rows, "train")])
        return {s: model.predict_log_proba([inputs[r["utt_id"]] for r in of(rows, s)]) for s in ("dev", "test")}

    return max(
        (fit(strength) for strength in REGULARISATION[modality]), key=lambda probs: ua(rows, "dev", probs["dev"])
    )


def ua(rows: Rows, split: str, log_probs: np.ndarray) -> float:
    """Unweighted accuracy in percent; columns of `log_probs` are the sorted emotions."""
    truth = [row["emotion"] for row in of(rows, split)]
    return 100 * recall_score(truth, np.array(sorted(set(truth)))[log_probs.argmax(1)], average="macro")


def by_cue(rows: Rows, log_probs: np.ndarray) -> list[float]:
    """Accuracy on test, in percent, where the words carry the emotion, carry none, and mislead."""
    emotions, test = sorted({row["emotion"] for row in rows}), of(rows, "test")
    right: dict[str, list[bool]] = defaultdict(list)
    for row, guess in zip(test, log_probs.argmax(1), strict=True):
        right[row["cue"]].append(row["emotion"] == emotions[guess])
    return [100 * float(np.mean(right[cue])) for cue in ("yes", "no", "misleading")]


def report(rows: Rows, refs: Texts, hyps: Mapping[int, Texts], features: Mapping[str, np.ndarray]) -> str:
    """Both tables of results as Markdown."""
    corrected = {}
    for beam in BEAMS:
        correct = word_by_word(of(rows, "train"), refs, hyps[beam])
        corrected[beam] = {utt: correct(text) for utt, text in hyps[beam].items()}
    lines = [
        "Word error rate (%) of Whisper tiny.en (faster-whisper, int8, `english` normaliser), and after replacing each",
        "recognised word by the one it mostly stood for in training:",
        "",
        "| | " + " | ".join(SPLITS) + " |",
        "|---|" + "---|" * len(SPLITS),
    ]
    for beam in BEAMS:
        for name, texts in ((f"beam {beam}", hyps[beam]), (f"beam {beam}, words replaced", corrected[beam])):
            lines.append(f"| {name} | " + " | ".join(f"{wer(of(rows, s), refs, texts):.1f}" for s in SPLITS) + " |")

    beam = BEAMS[-1]
    last = {utt: values[:, -1].ravel() for utt, values in features.items()}
    every = {utt: values.ravel() for utt, values in features.items()}
    log_probs = {
        "reference words": classify(rows, refs, "words"),
        f"recognised words (beam {beam})": classify(rows, hyps[beam], "words"),
        "speech, last layer": classify(rows, last, "speech"),
        "speech, all layers": classify(rows, every, "speech"),
    }
    names = list(log_probs)
    for words in names[:2]:  # the two classifiers' opinions multiplied
        log_probs[f"{words} + speech, all layers"] = {
            s: log_probs[words][s] + log_probs[names[3]][s] for s in ("dev", "test")
        }
    lines += [
        "",
        "Logistic regression, regularisation chosen on dev; words as a bag, speech as mean and standard deviation over",
        "time of Whisper tiny.en's hidden layers, both together by multiplying probabilities. UA (%), and accuracy (%)",
        "on test where the words carry the emotion, carry none (most of these are neutral), or mislead; chance is 25:",
        "",
        "| | UA dev | UA test | carry | carry none | mislead |",
        "|---|---|---|---|---|---|",
    ]
    for name, probs in log_probs.items():
        numbers = [ua(rows, "dev", probs["dev"]), ua(rows, "test", probs["test"]), *by_cue(rows, probs["test"])]
        lines.append(f"| {name} | " + " | ".join(f"{number:.1f}" for number in numbers) + " |")
    return "\n".join(lines) + "\n"


def contents(corpus: Path, rows: Rows, refs: Texts) -> str:
    """What the corpus holds, as a Markdown table."""
    known = {word for row in of(rows, "train") for word in refs[row["utt_id"]].split()}
    lines = []
    for split in SPLITS:
        some = of(rows, split)
        texts = [refs[row["utt_id"]].split() for row in some]
        words = {word for text in texts for word in text}
        cells: list[Any] = [split, len({row["speaker"] for row in some}), len(some)]
        cells.append("/".join(str(n) for _, n in sorted(Counter(row["emotion"] for row in some).items())))
        cells.append("/".join(str(Counter(row["cue"] for row in some)[cue]) for cue in ("yes", "no", "misleading")))
        cells.append(f"{sum(soundfile.info(corpus / row['file']).duration for row in some) / 60:.1f}")
        cells += [f"{min(map(len, texts))}-{max(map(len, texts))}", len(words), len(words - known)]
        lines.append("| " + " | ".join(map(str, cells)) + " |\n")
    return (
        "| | speakers | utterances | angry/happy/neutral/sad | words carry/carry none/mislead | minutes "
        "| words a sentence | different words | not in train |\n|---|---|---|---|---|---|---|---|---|\n"
    ) + "".join(lines)


def get_parser() -> argparse.ArgumentParser:
    """Command line."""
    recipe = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--corpus-dir", type=Path, default=recipe / "corpus", help="default: this recipe's corpus")
    parser.add_argument("--out", type=Path, default=recipe / "FLOORS.md", help="default: this recipe's FLOORS.md")
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Measure and write."""
    args = get_parser().parse_args(cmd)
    with open(args.corpus_dir / "metadata.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    normalise = normaliser("english")
    refs = {row["utt_id"]: normalise(row["transcript"]) for row in rows}
    transformers.utils.logging.disable_progress_bar()
    tables = f"{contents(args.corpus_dir, rows, refs)}\n{report(rows, refs, *measure(args.corpus_dir, rows))}"
    provenance = made_by()
    version = f"m4ser {provenance['m4ser']}, git {provenance['git']}, {provenance['date']}"
    with atomic_write(args.out) as file:
        file.write(f"<!-- made by: {provenance['command']}; {version} -->\n\n")
        file.write(f"# The mini corpus: contents and what simple methods reach\n\n{tables}")
    print(tables)


if __name__ == "__main__":
    main()
