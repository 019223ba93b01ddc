"""What is chosen on the development set when training has ended: the operating point."""

import numpy as np
import pytest
import torch

from m4ser.models.fusion.base import LinearClassifier
from m4ser.models.fusion.gates import RELIABILITY, GatedExperts
from m4ser.models.fusion.late import AveragedExperts
from m4ser.training.development import shift
from m4ser.training.metrics import NAMES, scores
from m4ser.training.operating_point import STRENGTHS, log_prior

PRIOR = torch.from_numpy(log_prior(["neutral"] * 89 + ["sad"] * 9, ["neutral", "sad"]))  # 0.9, 0.1


def one_value(reads):
    """A linear classifier of vectors of one value, which is the score of the second class over the first."""
    classifier = LinearClassifier(1, 2)
    with torch.no_grad():
        classifier.weight.copy_(torch.tensor([[0.0], [reads]]))
        classifier.bias.zero_()
    return classifier


def test_classes_are_shifted_to_where_the_score_is_best():
    """The lead of neutral over sad is log 9 t: sad is answered where the value is above -log 9 t."""
    classifier = one_value(1.0)
    utterance = torch.tensor([[-3.0], [-2.5], [-2.0], [-1.2], [-0.9], [0.5]])
    emotion = torch.tensor([0, 0, 0, 1, 1, 1])
    # -1.2 is sad from t = 1.2 / log 9 = 0.546 on, -2.0 from t = 0.910 on.
    assert shift(classifier, utterance, emotion, PRIOR, "ua") == 0.55
    assert classifier(utterance).argmax(-1).tolist() == emotion.tolist()
    assert classifier.bias.tolist() == pytest.approx((-0.55 * np.log([0.9, 0.1])).tolist(), rel=1e-6)


def test_the_weakest_of_equally_good_shifts_is_taken():
    classifier = one_value(1.0)
    assert shift(classifier, torch.tensor([[-5.0], [5.0]]), torch.tensor([0, 1]), PRIOR, "macro_f1") == 0.0
    assert classifier.bias.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("metric", NAMES)
def test_no_strength_has_a_better_score(metric):
    generator = torch.Generator().manual_seed(3)
    utterance, emotion = torch.randn(200, 1, generator=generator), torch.arange(200) % 10 // 9
    classifier = one_value(1.0)
    best = shift(classifier, utterance, emotion, PRIOR, metric)
    lead = float(PRIOR[1] - PRIOR[0])

    def score(strength):
        answers = (utterance[:, 0].double() - strength * lead > 0).long()
        return scores(emotion.numpy(), answers.numpy())[metric]

    assert score(best) == max(score(strength) for strength in STRENGTHS)


def test_a_shift_of_gated_experts_moves_their_common_scores():
    experts = GatedExperts([2, 3], 4)
    utterance = torch.randn(5, 5 + RELIABILITY, generator=torch.Generator().manual_seed(0))
    before = experts.combine(experts.experts(utterance))
    offset = torch.tensor([1.0, 0.0, -2.0, 0.5])
    experts.shift(offset)
    after = experts.combine(experts.experts(utterance))
    assert torch.allclose((before + offset).softmax(-1), after.softmax(-1), atol=1e-6)


def test_a_shift_of_averaged_experts_moves_each():
    experts = AveragedExperts([2, 3], 4)
    utterance = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    before, offset = experts.experts(utterance), torch.tensor([1.0, 0.0, -2.0, 0.5])
    experts.shift(offset)
    for earlier, later in zip(before, experts.experts(utterance), strict=True):
        assert torch.allclose(earlier + offset, later, atol=1e-6)
