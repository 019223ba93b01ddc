"""Hugging Face text encoder: padding, freezing, and life without the folder it came from."""

import pytest
import torch

from m4ser.encoders.huggingface_text import HuggingFaceTextEncoder
from m4ser.errors import UserError


def test_padding_changes_nothing(tiny_bert):
    encoder = HuggingFaceTextEncoder(str(tiny_bert)).eval()
    ids = torch.randint(25, 50, (2, 7))
    alone, _, _ = encoder(ids[:1, :4], torch.tensor([4]))
    together, lengths, _ = encoder(ids, torch.tensor([4, 7]))
    torch.testing.assert_close(together[:1, :4], alone, atol=1e-5, rtol=1e-5)
    assert together[0, 4:].abs().sum() == 0
    assert lengths.tolist() == [4, 7]


@pytest.mark.parametrize(("trained", "expected"), [(0, 0), (1, 1), (2, 2), (-1, 2)])
def test_only_the_upper_layers_are_trained(tiny_bert, trained, expected):
    encoder = HuggingFaceTextEncoder(str(tiny_bert), trained_layers=trained)
    layers = encoder.model.encoder.layer
    assert [all(p.requires_grad for p in layer.parameters()) for layer in layers].count(True) == expected
    assert encoder.word_embeddings.requires_grad == (trained == -1)


def test_rebuilt_from_its_configuration_alone(tiny_bert):
    first = HuggingFaceTextEncoder(str(tiny_bert)).eval()
    second = HuggingFaceTextEncoder("no/such/folder", hf_config=first.hf_config).eval()
    second.load_state_dict(first.state_dict())
    ids, lengths = torch.randint(25, 50, (1, 5)), torch.tensor([5])
    torch.testing.assert_close(second(ids, lengths)[0], first(ids, lengths)[0])


def test_too_many_trained_layers_and_missing_model(tiny_bert):
    with pytest.raises(ValueError, match="has 2 layers"):
        HuggingFaceTextEncoder(str(tiny_bert), trained_layers=3)
    with pytest.raises(UserError):
        HuggingFaceTextEncoder("offline:no-such-model")
