"""MMER's fusion: what its gate shuts off, and the published size."""

import torch

from m4ser.models.fusion.mmer import MmerFusion


def test_shut_gate_and_published_size(states):
    torch.manual_seed(0)
    fusion = MmerFusion(12, 16, heads=4).eval()
    tensors = states()
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
