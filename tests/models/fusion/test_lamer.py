"""LAMER: the published size, the alignment of speech to words, attention pooling."""

import pytest
import torch

from m4ser.models.fusion.lamer import AttentionPooling, LamerFusion


def test_size_is_the_published_one():
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


def test_frames_are_aligned_to_words(states):
    fusion = LamerFusion(12, 16, speech_hidden=10, hidden=8, heads=4).eval()
    speech, speech_mask, text, text_mask = states()
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


def test_wrong_cell_is_named():
    with pytest.raises(ValueError, match="cell must be lstm or gru"):
        LamerFusion(12, 16, cell="rnn")
