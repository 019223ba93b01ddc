"""Dumped features as an encoder: weighted sum, padding, time masks."""

import pytest
import torch

from m4ser.models.encoders.precomputed import PrecomputedEncoder


def make(**conf):
    torch.manual_seed(0)
    return PrecomputedEncoder(num_layers=3, input_size=4, output_size=5, **conf).eval()


@pytest.mark.parametrize(
    "conf", [{}, {"layers": "concat"}, {"normalise": "utterance"}, {"normalise": "corpus"}, {"normalise": "none"}]
)
def test_padding_changes_nothing(conf):
    encoder = make(**conf)
    x = torch.randn(2, 6, 12)
    alone, lengths, _ = encoder(x[:1, :4], torch.tensor([4]))
    x[0, 4:] = 50.0
    together, _, _ = encoder(x, torch.tensor([4, 6]))
    torch.testing.assert_close(together[:1, :4], alone, atol=1e-5, rtol=1e-5)
    assert together[0, 4:].abs().sum() == 0
    assert lengths.tolist() == [4]


def test_weighted_sum_by_hand():
    encoder = PrecomputedEncoder(num_layers=2, input_size=2, output_size=0, normalise="none").eval()
    with torch.no_grad():
        encoder.layer_weights.copy_(torch.tensor([0.0, 3.0]).log1p())
    x = torch.tensor([[[1.0, 2.0, 10.0, 20.0]]])  # layer-major: [1, 2] then [10, 20], weights 1/5 and 4/5
    torch.testing.assert_close(encoder(x, torch.tensor([1]))[0], torch.tensor([[[8.2, 16.4]]]))


def test_time_mask_hides_at_most_its_share_and_only_in_training():
    encoder = make(time_mask=0.5, dropout=0.0)
    x, lengths = torch.randn(8, 20, 12), torch.full((8,), 20)
    assert (encoder(x, lengths)[0].abs().sum(-1) > 0).all()
    torch.manual_seed(1)
    hidden = (encoder.train()(x, lengths)[0].abs().sum(-1) == 0).sum(1)
    assert hidden.max() <= 10
    assert hidden.sum() > 0


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="weighted or concat"):
        make(layers="mean")
    with pytest.raises(ValueError, match="frame, utterance, corpus or none"):
        make(normalise="batch")


def test_missing_values_give_finite_gradients_from_the_first_batch_on():
    encoder = PrecomputedEncoder(1, 2, output_size=4, layers="concat", normalise="corpus", dropout=0.0)
    x = torch.tensor([[[float("nan"), 1.0]], [[float("nan"), 3.0]]])
    out, _, _ = encoder(x, torch.tensor([1, 1]))
    out.sum().backward()
    assert out.isfinite().all() and all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)
