"""States of a few utterances as encoders give them to a fusion."""

import pytest
import torch


@pytest.fixture
def states():
    """A function: random states and masks (speech, its mask, text, its mask) of three utterances.

    Their lengths are 5, 9, 1 frames of size 12 and 4, 2, 7 pieces of size 16; the same at every call.
    """

    def make(lengths=((5, 4), (9, 2), (1, 7)), sizes=(12, 16), extra=0, fill=0.0):
        """Padded to the longest plus ``extra`` with ``fill``."""
        generator = torch.Generator().manual_seed(3)
        tensors = []
        for column, size in enumerate(sizes):
            longest = max(pair[column] for pair in lengths) + extra
            padded = torch.full((len(lengths), longest, size), fill)
            mask = torch.zeros(len(lengths), longest, dtype=torch.bool)
            for row, pair in enumerate(lengths):
                padded[row, : pair[column]] = torch.randn(pair[column], size, generator=generator)
                mask[row, : pair[column]] = True
            tensors += [padded, mask]
        return tensors

    return make
