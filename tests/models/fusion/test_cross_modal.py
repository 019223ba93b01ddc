"""Cross-modal layer against plain numpy, and its behaviour under padding."""

import numpy as np
import torch

from m4ser.models.fusion.cross_modal import CrossModalEncoder, CrossModalLayer


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def layer_norm(x, norm):
    w, b = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + norm.eps) * w + b


def attention(module, query, other, heads):
    """Multi-head attention of one utterance, (T, D) and (S, D) -> (T, D), from the weights of ``module``."""
    size = query.shape[-1]
    w, b = module.in_proj_weight.detach().numpy(), module.in_proj_bias.detach().numpy()
    q, k, v = (
        x @ w[i * size : (i + 1) * size].T + b[i * size : (i + 1) * size] for i, x in enumerate([query, other, other])
    )
    out = []
    for h in range(heads):
        part = slice(h * size // heads, (h + 1) * size // heads)
        out.append(softmax(q[:, part] @ k[:, part].T / np.sqrt(size // heads)) @ v[:, part])
    return np.concatenate(out, -1) @ module.out_proj.weight.detach().numpy().T + module.out_proj.bias.detach().numpy()


def feed_forward(net, x):
    first, last = net[0], net[3]
    hidden = np.maximum(x @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    return hidden @ last.weight.detach().numpy().T + last.bias.detach().numpy()


def test_layer_is_cross_attention_then_feed_forward_with_post_norm():
    torch.manual_seed(1)
    for self_attention in (False, True):
        layer = CrossModalLayer(8, 2, 16, 0.1, self_attention).eval()
        own, other = torch.randn(1, 3, 8), torch.randn(1, 4, 8)
        full = torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 4, dtype=torch.bool)
        x, w = own[0].numpy().astype(np.float64), other[0].numpy().astype(np.float64)
        if self_attention:
            x = layer_norm(x + attention(layer.self_attention, x, x, 2), layer.self_norm)
        x = layer_norm(x + attention(layer.cross_attention, x, w, 2), layer.cross_norm)
        x = layer_norm(x + feed_forward(layer.feed_forward, x), layer.feed_forward_norm)
        np.testing.assert_allclose(layer(own, full[0], other, full[1])[0].detach().numpy(), x, atol=1e-5)


def test_each_stream_reads_the_other_of_the_layer_before():
    torch.manual_seed(2)
    encoder = CrossModalEncoder(8, 2, 2, 16, 0.0).eval()
    speech, text = torch.randn(1, 3, 8), torch.randn(1, 4, 8)
    masks = torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 4, dtype=torch.bool)
    s1 = encoder.speech_layers[0](speech, masks[0], text, masks[1])
    t1 = encoder.text_layers[0](text, masks[1], speech, masks[0])
    s2 = encoder.speech_layers[1](s1, masks[0], t1, masks[1])
    torch.testing.assert_close(encoder(speech, masks[0], text, masks[1])[0], s2)
