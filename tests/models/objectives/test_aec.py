"""Error correction, alone and together with detection: values, empty cases, padding, and that it can be learned."""

import json
import math
import random

import numpy as np
import pytest
import torch

from m4ser.models.arrays import SERPreprocessor
from m4ser.models.batches import Collate
from m4ser.models.objectives.aec import ErrorCorrection, source_and_reference
from m4ser.models.objectives.aed import ErrorDetection
from m4ser.models.objectives.base import Targets
from m4ser.models.representations import Representations, length_mask
from m4ser.models.text import IGNORE, NOT_A_WORD, TAGS

VOCABULARY = (
    "i we you am are so very really happy glad angry mad sad down today now here the it is not was bad good".split()
)


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@pytest.mark.parametrize("tied", [True, False])
def test_correction_loss_equals_one_slot_at_a_time(make_bench, tied, pairs):
    bench = make_bench(tied_output=tied).eval()
    reps, targets = bench.batch(pairs)
    nll, pieces = 0.0, 0
    for row in range(len(pairs)):
        memory = reps.text[row : row + 1][:, reps.text_mask[row]]
        for slot, wanted in zip(targets.slots[row].tolist(), targets.corrections[row].tolist(), strict=True):
            if slot == IGNORE:
                continue
            wanted = [piece for piece in wanted if piece != IGNORE]
            for step, piece in enumerate(wanted):  # one step more each time: checks the causal mask as well
                previous = torch.tensor([[bench.text.start, *wanted[:step]]])
                z = torch.cat(
                    [bench.encoder.embed(previous), memory[:, slot].unsqueeze(1).expand(-1, step + 1, -1)], -1
                )
                mask = torch.nn.Transformer.generate_square_subsequent_mask(step + 1)
                hidden = bench.aec.decoder(bench.aec.input(z), memory, tgt_mask=mask)[0, -1]
                if tied:
                    scores = bench.encoder.word_embeddings @ hidden + bench.aec.output_bias
                else:
                    scores = bench.aec.output(hidden)
                nll -= log_softmax(scores.detach().numpy().astype(np.float64))[piece]
                pieces += 1
    assert bench.aec(reps, targets, bench.tools).loss.item() == pytest.approx(nll / pieces, abs=1e-5)


def test_padding_changes_nothing(bench, pairs):
    plain, padded = bench.batch(pairs), bench.batch(pairs, extra=5)
    for objective in (bench.aed, bench.aec):
        expected = objective(*plain, bench.tools).loss
        torch.testing.assert_close(objective(*padded, bench.tools).loss, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "pairs", [[("we are sad", "we are sad")], [("", "")], [("sad", "")], [("", "sad")], [("so", "bad")]]
)
def test_nothing_to_change_one_word_and_empty_stay_finite(make_bench, pairs):
    bench = make_bench()
    reps, targets = bench.batch(pairs)
    loss = bench.aed(reps, targets, bench.tools).loss + bench.aec(reps, targets, bench.tools).loss
    loss.backward()
    assert torch.isfinite(loss)
    used = [p for m in (bench.encoder, bench.aed, bench.aec) for p in m.parameters() if p.grad is not None]
    assert used
    assert all(torch.isfinite(p.grad).all() for p in used)


def test_no_change_means_no_correction_loss(bench):
    assert bench.aec(*bench.batch([("we are sad", "we are sad")]), bench.tools).loss.item() == 0.0


def test_words_come_back_from_pieces_and_labels(bench, pairs):
    _, targets = bench.batch(pairs)
    for row, (hypothesis, reference) in enumerate(pairs):
        assert source_and_reference(targets, row, bench.tools) == (hypothesis.split(), reference.split())


def test_a_corpus_without_transcripts_can_be_trained_on(bench):
    """Stage 3 writes words without targets then: nothing to learn, nothing to measure, no failure."""
    prepare = SERPreprocessor(["x"], bench.text, with_edits=True)
    data = [(str(i), prepare(str(i), {"text": json.dumps({"words": w.split()})})) for i, w in enumerate(["so sad", ""])]
    batch = Collate(bench.text.padding)(data)[1]
    states, lengths, _ = bench.encoder(batch["text"], batch["text_lengths"])
    reps = Representations(torch.zeros(2, 1), text=states, text_mask=length_mask(lengths, states.shape[1]))
    names = ("word_index", "tags", "slots", "corrections")
    targets = Targets(torch.zeros(2), batch["text"], *(batch[n] for n in names))
    for objective, given in ((bench.aed, {}), (bench.aec, {"detection": bench.aed})):
        assert objective(reps, targets, bench.tools).loss.item() == 0.0
        assert objective.summarise(objective.evaluate(reps, targets, bench.tools, **given)) == {}


def test_metrics_by_hand():
    counts = [{"slots": 2, "exact": 1, "before": 4, "after": {-1.0: 1}, "words": 10}] * 2
    assert ErrorCorrection.summarise(counts) == {"aec_exact": 0.5, "wer_asr": 0.4, "wer_aec": 0.1}


def test_the_margin_is_the_best_of_all_and_the_larger_of_equal_ones():
    first = {"slots": 0, "exact": 0, "before": 4, "after": {-1.0: 9, 0.5: 2, 0.9: 3, 1.01: 4}, "words": 10}
    second = {**first, "after": {-1.0: 1, 0.5: 3, 0.9: 2, 1.01: 4}}
    metrics = {"wer_asr": 0.4, "wer_aec": 0.25, "aec_margin": 0.9}
    assert ErrorCorrection.summarise([first, second]) == metrics


def test_words_are_changed_where_the_model_is_surer_than_the_recogniser(bench):
    """Error detection deletes every word with probability 0.9; the recogniser was sure of the second one only."""
    reps, targets = bench.batch([("we are sad", "we are sad")])
    delete, keep = TAGS.index("D"), TAGS.index("K")
    probabilities = torch.full((*targets.ids.shape, 3), 0.05)
    probabilities[..., delete] = 0.9
    confidence = torch.full(targets.ids.shape, NOT_A_WORD)
    for piece, word in enumerate(targets.word_index[0].tolist()):
        if word >= 0:
            confidence[0, piece] = (0.1, 0.95, 0.5)[word]
    margins = (-1.0, 0.0, 0.6, 1.01)
    (versions,) = bench.aec.correct(reps, targets._replace(confidence=confidence), bench.tools, probabilities, margins)
    assert versions == [[], ["are"], ["are", "sad"], ["we", "are", "sad"]]
    # Without confidences every word counts as heard with one half: 0.9 is surer by 0.4.
    (versions,) = bench.aec.correct(reps, targets, bench.tools, probabilities, (0.39, 0.41))
    assert versions == [[], ["we", "are", "sad"]]
    assert keep != delete


def test_surer_changes_never_raise_the_word_error_rate(make_bench, pairs):
    """Of an untrained model, whose corrections are nonsense."""
    for apply, worse in (("all", True), ("surer", False)):
        bench = make_bench(apply=apply).eval()
        reps, targets = bench.batch(pairs)
        metrics = ErrorCorrection.summarise(bench.aec.evaluate(reps, targets, bench.tools, bench.aed))
        assert (metrics["wer_aec"] > metrics["wer_asr"]) is worse


def test_unknown_way_to_apply_corrections(make_bench):
    with pytest.raises(ValueError, match="apply must be all or surer, not 'some'"):
        make_bench(apply="some")


def damage(reference, rng):
    words = list(reference)
    for _ in range(rng.randint(1, 2)):
        position = rng.randrange(len(words))
        error = rng.choice(["swap", "drop", "add"])
        if error == "swap":
            words[position] = rng.choice(VOCABULARY)
        elif error == "drop" and len(words) > 1:
            words.pop(position)
        else:
            words.insert(position, rng.choice(VOCABULARY))
    return words


@pytest.mark.parametrize("dummy_tokens", [False, True])
def test_edits_rebuild_random_references(make_bench, dummy_tokens):
    rng = random.Random(5)
    bench = make_bench(dummy_tokens=dummy_tokens).eval()
    pairs = []
    for _ in range(300):
        hypothesis, reference = ([rng.choice(VOCABULARY[:6]) for _ in range(rng.randint(0, 6))] for _ in range(2))
        pairs.append((" ".join(hypothesis), " ".join(reference)))
    _, targets = bench.batch(pairs)
    for row, (hypothesis, reference) in enumerate(pairs):
        assert source_and_reference(targets, row, bench.tools) == (hypothesis.split(), reference.split())


def test_phrases_end_one_by_one(bench, monkeypatch):
    """Each as long as it wants to be or ``steps`` pieces; what has ended is not computed any more."""
    phrases = [[5], [], [7, 8, 9], [6] * 20]
    plan = [[*phrase, bench.text.end] for phrase in phrases]
    computed = []

    def decode(pieces, state, memory, memory_mask, tools):
        computed.append(len(pieces))
        assert len(state) == len(memory) == len(memory_mask) == len(pieces)
        assert all(row[1:] == plan[int(i)][: len(row) - 1] for row, i in zip(pieces.tolist(), state[:, 0], strict=True))
        step = torch.full_like(state, pieces.shape[1] - 1)
        return torch.cat([state, step], dim=1).unsqueeze(1)

    def score(hidden, tools):
        wanted = torch.tensor([plan[int(i)][int(step)] for i, step in hidden])
        return torch.nn.functional.one_hot(wanted, len(bench.encoder.word_embeddings)).float()

    monkeypatch.setattr(bench.aec, "decode", decode)
    monkeypatch.setattr(bench.aec, "score", score)
    memory = torch.zeros(4, 2, 48)
    found = bench.aec.greedy(torch.arange(4.0).unsqueeze(1), memory, memory[..., 0] == 0, bench.tools, steps=10)
    assert [pieces for pieces, _ in found] == [[5], [], [7, 8, 9], [6] * 10]
    # Every score was 1 against 0 of all other pieces.
    certain = math.e / (math.e + len(bench.encoder.word_embeddings) - 1)
    assert [probability for _, probability in found] == pytest.approx([certain] * 4)
    assert computed == [4, 3, 2, 2, 1, 1, 1, 1, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("dummy_tokens", [False, True])
def test_overtrained_correction_writes_its_references(make_bench, dummy_tokens):
    rng = random.Random(3)
    references = [[rng.choice(VOCABULARY) for _ in range(rng.randint(4, 8))] for _ in range(20)]
    pairs = [(" ".join(damage(r, rng)), " ".join(r)) for r in references]
    bench = make_bench(dummy_tokens=dummy_tokens)
    parameters = [p for m in (bench.encoder, bench.aed, bench.aec) for p in m.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    for _ in range(250):
        reps, targets = bench.batch(pairs)
        loss = bench.aed(reps, targets, bench.tools).loss + bench.aec(reps, targets, bench.tools).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    bench.eval()
    reps, targets = bench.batch(pairs)
    found = ErrorCorrection.summarise(bench.aec.evaluate(reps, targets, bench.tools, detection=bench.aed))
    assert found["wer_asr"] > 0.1
    assert found["wer_aec"] == 0.0
    assert found["aec_exact"] == 1.0
    assert ErrorDetection.summarise(bench.aed.evaluate(reps, targets, bench.tools))["aed_f1"] > 0.95
