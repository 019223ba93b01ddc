"""Hybrid-modal attention against plain numpy; masked normalisation."""

import numpy as np
import pytest
import torch

from m4ser.models.fusion.hybrid_modal import HybridModalAttention, MaskedNorm


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def linear(module, x):
    return x @ module.weight.detach().numpy().T + module.bias.detach().numpy()


def layer_norm(x, norm):
    w, b = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + norm.eps) * w + b


def branch(module, x, stream):
    score = softmax(x @ stream.T / np.sqrt(x.shape[-1]))
    content = layer_norm(linear(module.content, score @ stream), module.content_norm.norm)
    content = np.where(content > 0, content, module.activation.weight.item() * content)
    gate = layer_norm(linear(module.gate, np.concatenate([content, x], -1)), module.gate_norm.norm)
    return linear(module.output, content / (1 + np.exp(-gate)))


def test_block_equals_its_equations():
    torch.manual_seed(1)
    block = HybridModalAttention(8).eval()
    joint, speech, text = torch.randn(1, 7, 8), torch.randn(1, 4, 8), torch.randn(1, 3, 8)
    masks = [torch.ones(1, n, dtype=torch.bool) for n in (7, 4, 3)]
    x, s, t = (v[0].numpy().astype(np.float64) for v in (joint, speech, text))
    expected = layer_norm(x + branch(block.speech, x, s) + branch(block.text, x, t), block.norm)
    actual = block(joint, masks[0], speech, masks[1], text, masks[2])[0].detach().numpy()
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_batch_norm_counts_valid_positions_only():
    torch.manual_seed(1)
    norm = MaskedNorm("batch", 4).train()
    valid = torch.randn(5, 4) * 3 + 1
    x, mask = torch.full((2, 4, 4), 1e6), torch.zeros(2, 4, dtype=torch.bool)
    mask[0, :3], mask[1, :2] = True, True
    x[mask] = valid
    expected = (valid - valid.mean(0)) / torch.sqrt(valid.var(0, unbiased=False) + norm.norm.eps)
    torch.testing.assert_close(norm(x, mask)[mask], expected, atol=1e-5, rtol=1e-5)


def test_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="layer or batch"):
        MaskedNorm("group", 4)
