"""Late fusions: experts whose probabilities are averaged, and the gate."""

import torch

from m4ser.models.fusion.late import AveragedExperts, GatedFusion, LateFusion


def test_late_fusion_averages_probabilities(states):
    torch.manual_seed(0)
    fusion = LateFusion(12, 16)
    classifier = fusion.build_classifier(3)
    assert isinstance(classifier, AveragedExperts)
    vectors = fusion(*states()).utterance
    speech, text = (torch.softmax(logits, -1) for logits in classifier.experts(vectors))
    torch.testing.assert_close(torch.softmax(classifier(vectors), -1), (speech + text) / 2)
    # the answer of one expert does not move with the other modality
    tensors = states()
    tensors[2] = tensors[2] + 1.0
    torch.testing.assert_close(classifier.experts(fusion(*tensors).utterance)[0].softmax(-1), speech)


def test_gate_takes_one_side_or_the_other(states):
    fusion = GatedFusion(12, 16, size=8)
    tensors = states()
    fusion.gate.weight.data.zero_()
    halves = fusion(*tensors).utterance
    speech = torch.tanh(fusion.speech(fusion.pool_speech(*tensors[:2])))
    text = torch.tanh(fusion.text(fusion.pool_text(*tensors[2:])))
    torch.testing.assert_close(halves, (speech + text) / 2)
