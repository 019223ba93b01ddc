"""ESPnet encoders on log mel features: padding, normalisation, edges."""

import pytest
import torch

from m4ser.models.encoders.fbank import ConformerEncoder, EBranchformerEncoder, RunningNorm


def make(encoder_class, **conf):
    torch.manual_seed(0)
    defaults = {"n_mels": 20, "output_size": 16, "num_blocks": 2, "attention_heads": 2, "espnet": {"linear_units": 24}}
    return encoder_class(**{**defaults, **conf})


def noise(*lengths):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(len(lengths), max(lengths), generator=generator) * 0.1, torch.tensor(lengths)


@pytest.mark.parametrize("kind", [ConformerEncoder, EBranchformerEncoder])
@pytest.mark.parametrize("normalise", ["global", "utterance", "none"])
def test_padding_changes_nothing(kind, normalise):
    encoder = make(kind, normalise=normalise)
    encoder.train()(*noise(16000, 9000))
    encoder.eval()
    samples, lengths = noise(8000, 12345, 300, 16000)
    together, frames, _ = encoder(samples, lengths)
    for row, (length, count) in enumerate(zip(lengths, frames, strict=True)):
        alone, one, _ = encoder(samples[row : row + 1, :length], lengths[row : row + 1])
        assert one[0] == count == alone.shape[1]
        torch.testing.assert_close(together[row, :count], alone[0], atol=1e-5, rtol=1e-5)
        assert together[row, count:].abs().sum() == 0


@pytest.mark.parametrize("kind", [ConformerEncoder, EBranchformerEncoder])
def test_training_ignores_padding_too(kind):
    """Losses and gradients of a batch are the mean of those of its utterances alone; nothing is shared by padding."""
    encoder = make(kind, time_mask=0.0, freq_mask=0, dropout_rate=0.0, normalise="utterance",
                   espnet={"linear_units": 24, "positional_dropout_rate": 0.0}).train()  # fmt: skip
    samples, lengths = noise(6000, 9000)
    together, frames, _ = encoder(samples, lengths)
    alone, _, _ = encoder(samples[:1, :6000], lengths[:1])
    torch.testing.assert_close(together[:1, : frames[0]], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [ConformerEncoder, EBranchformerEncoder])
def test_short_silent_and_long_recordings_train(kind):
    encoder = make(kind).train()
    samples, lengths = noise(800, 16000, 60)
    samples[1] = 0.0
    states, frames, _ = encoder(samples, lengths)
    assert frames.tolist() == [1, 25, 1]
    states.square().mean().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)
    assert not [n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
    with torch.no_grad():
        states, frames, _ = encoder.eval()(torch.randn(1, 60 * 16000), torch.tensor([60 * 16000]))
    assert frames.tolist() == [1500]
    assert encoder.frame_rate == 25.0


def test_running_norm_is_that_of_all_valid_frames():
    norm = RunningNorm(3).train()
    x, mask = torch.randn(2, 2, 5, 3) * 4 + 2, torch.ones(2, 2, 5, dtype=torch.bool)
    mask[:, 1, 3:] = False
    for part in range(2):
        norm(x[part], mask[part])
    frames = x[mask]
    found = norm.eval()(x[0], mask[0])
    torch.testing.assert_close(found, (x[0] - frames.mean(0)) / frames.std(0, correction=0), atol=1e-4, rtol=1e-4)


def test_wrong_choices():
    with pytest.raises(ValueError, match="unknown key 'blocks'"):
        make(ConformerEncoder, espnet={"blocks": 3})
    with pytest.raises(ValueError, match="global, utterance or none"):
        make(EBranchformerEncoder, normalise="batch")
