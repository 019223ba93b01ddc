"""Fusions of other systems: what each reads, how it is put together, and how large the published one is."""

import pytest
import torch

from m4ser.models.fusion.lamer import AttentionPooling, LamerFusion
from m4ser.models.fusion.late import AveragedExperts, GatedFusion, LateFusion
from m4ser.models.fusion.mmer import MmerFusion

LENGTHS = ((5, 4), (9, 2), (1, 7))


def batch(extra=0, fill=0.0):
    """Random states of three utterances, padded to the longest plus ``extra`` with ``fill``."""
    generator = torch.Generator().manual_seed(3)
    tensors = []
    for column, size in enumerate((12, 16)):
        longest = max(pair[column] for pair in LENGTHS) + extra
        states, mask = torch.full((3, longest, size), fill), torch.zeros(3, longest, dtype=torch.bool)
        for row, pair in enumerate(LENGTHS):
            states[row, : pair[column]] = torch.randn(pair[column], size, generator=generator)
            mask[row, : pair[column]] = True
        tensors += [states, mask]
    return tensors


def test_late_fusion_averages_probabilities():
    torch.manual_seed(0)
    fusion = LateFusion(12, 16)
    classifier = fusion.build_classifier(3)
    assert isinstance(classifier, AveragedExperts)
    vectors = fusion(*batch()).utterance
    speech, text = (torch.softmax(logits, -1) for logits in classifier.experts(vectors))
    torch.testing.assert_close(torch.softmax(classifier(vectors), -1), (speech + text) / 2)
    # the answer of one expert does not move with the other modality
    tensors = batch()
    tensors[2] = tensors[2] + 1.0
    torch.testing.assert_close(classifier.experts(fusion(*tensors).utterance)[0].softmax(-1), speech)


def test_gate_takes_one_side_or_the_other():
    fusion = GatedFusion(12, 16, size=8)
    tensors = batch()
    fusion.gate.weight.data.zero_()
    halves = fusion(*tensors).utterance
    speech = torch.tanh(fusion.speech(fusion.pool_speech(*tensors[:2])))
    text = torch.tanh(fusion.text(fusion.pool_text(*tensors[2:])))
    torch.testing.assert_close(halves, (speech + text) / 2)


def test_lamer_is_the_published_size():
    """257 spectral bins, 300-d words, the sizes of the published configuration, counted by hand from its layers."""

    def recurrence(gates, inputs, hidden):
        return 2 * gates * (inputs * hidden + hidden * hidden + 2 * hidden)

    for cell, gates in (("gru", 3), ("lstm", 4)):
        expected = 257 * 512 + 512  # dense
        expected += recurrence(gates, 512, 100) + recurrence(gates, 300, 100)
        expected += 4 * (200 * 200 + 200)  # query, key, value, output
        expected += recurrence(gates, 400, 100)
        expected += 200 * 200 + 200 + 200  # attention pooling
        fusion = LamerFusion(257, 300, cell=cell)
        assert sum(p.numel() for p in fusion.parameters()) == expected
        assert fusion.output_size == 200


def test_lamer_aligns_speech_to_words():
    fusion = LamerFusion(12, 16, speech_hidden=10, hidden=8, heads=4).eval()
    speech, speech_mask, text, text_mask = batch()
    heard, read = fusion.speech_rnn(fusion.speech_layer(speech), speech_mask), fusion.text_rnn(text, text_mask)
    aligned, weights = fusion.align(heard, speech_mask, read)
    assert aligned.shape == (3, 7, 16) and weights.shape == (3, 7, 9)  # one mixture of frames per word
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 7))
    assert weights[0, :, 5:].abs().max() == 0  # padding is never heard


def test_attention_pooling_of_equal_scores_is_the_mean():
    pool = AttentionPooling(4)
    pool.context.weight.data.zero_()
    x, mask = torch.randn(2, 3, 4), torch.tensor([[True, True, False], [False] * 3])
    torch.testing.assert_close(pool(x, mask)[0], x[0, :2].mean(0))
    assert pool(x, mask)[1].abs().max() == 0


def test_mmer_with_the_gate_shut_and_its_size():
    torch.manual_seed(0)
    fusion = MmerFusion(12, 16, heads=4).eval()
    tensors = batch()
    fusion.gate.weight.data.zero_()
    fusion.gate.bias.data.fill_(-100.0)
    vector = fusion(*tensors).utterance
    assert vector[:, 16:32].abs().max() < 1e-6  # gated speech view
    assert vector[:, :16].abs().max() > 0.1  # text view stays
    torch.testing.assert_close(vector[0, 32:], tensors[0][0, :5].amax(0))  # max-pooled encoder output
    # the published sizes: 768, FFN 3072, four blocks and the gate; no projections
    block = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
    published = MmerFusion(768, 768)
    assert sum(p.numel() for p in published.parameters()) == 4 * block + 2 * 768 * 768 + 768


def test_wrong_cell_is_named():
    with pytest.raises(ValueError, match="cell must be lstm or gru"):
        LamerFusion(12, 16, cell="rnn")
