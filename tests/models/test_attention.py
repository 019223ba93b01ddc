"""Which implementation of attention is used."""

import pytest
import torch

from m4ser.models.attention import short_attention


@pytest.mark.parametrize(
    ("precision", "positions", "fused"), [("medium", 25, False), ("medium", 600, True), ("highest", 25, True)]
)
def test_short_attention_in_bfloat16_is_not_fused(processor, precision, positions, fused):
    processor(precision)
    with short_attention(torch.zeros(2, positions, 4)):
        assert torch.backends.cuda.flash_sdp_enabled() is fused  # the switch of the CPU's fused attention as well
    assert torch.backends.cuda.flash_sdp_enabled()
