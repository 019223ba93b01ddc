"""Values standardised by what was seen in training, by hand."""

import torch

from m4ser.models.standard import RunningStandard


def test_corpus_normalisation_is_that_of_all_training_frames():
    standard = RunningStandard(3)
    nan = float("nan")
    first = torch.tensor([[[1.0, 500.0, 7.0], [3.0, nan, 7.0]], [[5.0, 900.0, 7.0], [99.0, 99.0, 99.0]]])
    mask = torch.tensor([[True, True], [True, False]])
    standard(first, mask)
    standard(torch.tensor([[[7.0, 700.0, 7.0]]]), torch.tensor([[True]]))
    standard.eval()
    seen = {name: value.clone() for name, value in standard.state_dict().items()}
    # of 1 3 5 7: mean 4, variance 5; of 500 900 700: mean 700, variance 80000/3; the third never varies
    out = standard(torch.tensor([[[4.0, nan, 9.0], [4.0 + 5**0.5, 700.0, 7.0]]]), torch.tensor([[True, True]]))
    torch.testing.assert_close(out, torch.tensor([[[0.0, 0.0, 2.0], [1.0, 0.0, 0.0]]]))
    high = standard(torch.tensor([[[4.0, 700.0 + (80000 / 3) ** 0.5, 7.0]]]), torch.tensor([[True]]))
    torch.testing.assert_close(high, torch.tensor([[[0.0, 1.0, 0.0]]]))
    assert all(torch.equal(value, seen[name]) for name, value in standard.state_dict().items())
