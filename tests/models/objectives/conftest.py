"""A tiny text encoder with error detection and correction on it."""

import json

import pytest
import torch

from m4ser.asr.alignment import align
from m4ser.models.arrays import SERPreprocessor
from m4ser.models.batches import Collate
from m4ser.models.encoders.huggingface_text import HuggingFaceTextEncoder
from m4ser.models.objectives.aec import ErrorCorrection
from m4ser.models.objectives.aed import ErrorDetection
from m4ser.models.objectives.base import Sizes, Targets, Tools
from m4ser.models.representations import Representations, length_mask
from m4ser.models.text import IGNORE, TextProcessor


def line(hypothesis, reference):
    alignment = align(hypothesis, reference)
    changes = [[slot, w if isinstance(w, str) else " ".join(w)] for slot, w in alignment.changes]
    return json.dumps({"words": hypothesis, "tags": alignment.tags, "changes": changes})


class Bench:
    """A tiny text encoder with both objectives, and batches from (hypothesis, reference) pairs."""

    def __init__(self, folder, trained_layers=-1, dummy_tokens=False, **conf):
        torch.manual_seed(0)
        self.text = TextProcessor(folder, dummy_tokens)
        self.encoder = HuggingFaceTextEncoder(str(folder), trained_layers=trained_layers, dropout=0.0)
        sizes = Sizes(48, 48, 96, 2)
        self.aed = ErrorDetection(sizes)
        self.aec = ErrorCorrection(
            sizes, heads=4, feed_forward=64, vocabulary_size=len(self.encoder.word_embeddings), **conf
        )
        self.tools = Tools(
            self.encoder.embed, lambda: self.encoder.word_embeddings, self.text.start, self.text.end, self.text.words
        )

    def eval(self):
        for module in (self.encoder, self.aed, self.aec):
            module.eval()
        return self

    def batch(self, pairs, extra=0):
        prepare = SERPreprocessor(["x"], self.text, with_edits=True)
        data = [(str(i), prepare(str(i), {"text": line(h.split(), r.split())})) for i, (h, r) in enumerate(pairs)]
        batch = Collate(self.text.padding)(data)[1]
        if extra:
            for name, value in (("text", 0), ("word_index", IGNORE), ("tags", IGNORE), ("slots", IGNORE)):
                batch[name] = torch.nn.functional.pad(batch[name], (0, extra), value=value)
            batch["corrections"] = torch.nn.functional.pad(batch["corrections"], (0, extra, 0, extra), value=IGNORE)
        states, lengths, _ = self.encoder(batch["text"], batch["text_lengths"])
        reps = Representations(torch.zeros(len(pairs), 1), text=states, text_mask=length_mask(lengths, states.shape[1]))
        names = ("word_index", "tags", "slots", "corrections")
        return reps, Targets(torch.zeros(len(pairs)), batch["text"], *(batch[n] for n in names))


@pytest.fixture
def make_bench(tiny_bert):
    """A function from options to a :class:`Bench`."""
    return lambda **options: Bench(tiny_bert, **options)


@pytest.fixture(params=[False, True], ids=["plain", "dummies"])
def bench(make_bench, request):
    """A bench without and with dummy tokens."""
    return make_bench(dummy_tokens=request.param).eval()


@pytest.fixture
def pairs():
    """Hypotheses and references: words replaced, missing, all right, all missing."""
    return [
        ("i was so happy", "i am so happy today"),
        ("we are sad", "we are sad"),
        ("so", "you are so very bad"),
        ("", "it is good"),
    ]
