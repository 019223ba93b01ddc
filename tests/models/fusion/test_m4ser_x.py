"""What the recogniser and error detection know of the words, at inference."""

import math

import pytest
import torch

from m4ser.models.fusion.gates import GatedExperts
from m4ser.models.fusion.m4ser_x import M4serXFusion
from m4ser.models.text import NOT_A_WORD, TAGS, UNKNOWN


def built(**options):
    torch.manual_seed(0)
    return M4serXFusion(12, 16, size=8, heads=2, **options).eval()


@pytest.fixture
def batch(states):
    """Speech, text, and confidences of the words between the first and the last piece."""
    speech, speech_mask, text, text_mask = states(sizes=(12, 16))
    confidence = torch.full(text.shape[:2], NOT_A_WORD)
    for row, pieces in enumerate(text_mask.sum(1).tolist()):
        confidence[row, 1 : pieces - 1] = 0.9
    return [speech, speech_mask, text, text_mask, confidence]


def test_experts_by_hand():
    experts = GatedExperts([1, 1, 2], 2)
    with torch.no_grad():
        for classifier in experts.classifiers:
            classifier.weight.copy_(torch.tensor([[1.0], [-1.0]]).expand_as(classifier.weight))
            classifier.bias.zero_()
    utterance = torch.tensor([[0.3, -0.2, 0.1, 0.4, 1.0, 1.0, 1.0, 1.0]])
    answers = experts.experts(utterance)
    torch.testing.assert_close(answers[-1], torch.full((1, 3), 1 / 3))  # the gates begin equal
    expected = sum(torch.log_softmax(torch.tensor([s, -s]), 0) for s in (0.3, -0.2, 0.5))
    torch.testing.assert_close(experts.combine(answers)[0], expected / 3)
    assert len(experts.trained(answers)) == 4
    with torch.no_grad():
        experts.gate.bias[1] = -100.0  # the words are not believed
    closed = experts.combine(experts.experts(utterance))[0]
    torch.testing.assert_close(closed, sum(torch.log_softmax(torch.tensor([s, -s]), 0) for s in (0.3, 0.5)) / 2)


def test_trust_in_a_word_by_hand():
    fusion = built()
    with torch.no_grad():
        fusion.trust.copy_(torch.tensor([2.0, -1.0]))
    delete, keep, change = (TAGS.index(tag) for tag in "DKC")
    logits = torch.zeros(1, 1, 3)
    logits[..., keep], logits[..., delete], logits[..., change] = 1.0, 0.5, -0.5
    evidence = 1.0 - math.log(math.exp(0.5) + math.exp(-0.5))
    expected = 1 / (1 + math.exp(-(2.0 * evidence - 1.0)))
    assert fusion._trust(logits).item() == pytest.approx(expected)


def test_a_word_that_is_not_trusted_counts_for_nothing(batch):
    """Whatever it is: with confidence 0 and a detector that believes the recogniser, its state is left out."""
    fusion = built()
    with torch.no_grad():
        fusion.detector.weight.zero_()
        fusion.detector.bias.zero_()
        fusion.detector.weight[TAGS.index("K"), -2] = 200.0  # of the confidence
    batch[4][0, 1] = 0.0
    before = fusion(*batch).utterance[0]
    batch[2][0, 1] += 5.0
    torch.testing.assert_close(fusion(*batch).utterance[0], before, atol=1e-4, rtol=1e-4)
    batch[4][0, 1] = 1.0
    assert not torch.allclose(fusion(*batch).utterance[0], before, atol=1e-2)


def test_reliability_by_hand(batch):
    fusion = built()
    with torch.no_grad():
        fusion.detector.weight.zero_()
        fusion.detector.bias.zero_()
        fusion.trust[1] = math.log(2)  # with sigmoid(-log 2 + log 2) one half
    pieces = int(batch[3][0].sum())
    batch[4][0, 1:pieces] = 0.6
    batch[4][0, 1], batch[4][0, pieces - 1] = 0.2, UNKNOWN
    found = fusion(*batch).utterance[0, -4:]
    known = pieces - 2
    mean = (0.2 + 0.6 * (known - 1)) / known
    torch.testing.assert_close(found, torch.tensor([0.5, mean, 0.2, known / (known + 1)]), atol=1e-5, rtol=1e-5)


def test_without_confidences_and_without_words_all_is_finite(batch):
    fusion = built().train()
    for text_mask, confidence in ((batch[3], None), (torch.zeros_like(batch[3]), batch[4])):
        text_mask = text_mask.clone()
        text_mask[:, 0] = True  # [CLS] is always there
        reps = fusion(*batch[:3], text_mask, confidence)
        assert torch.isfinite(reps.utterance).all()


def test_modality_dropout_in_training_only(batch):
    torch.manual_seed(0)
    fusion = built(modality_dropout=0.5)  # every utterance loses one of the two
    evaluated = fusion(*batch).utterance
    torch.testing.assert_close(fusion(*batch).utterance, evaluated)
    voice = fusion.sizes[0]
    fusion.train()
    utterance = fusion(*batch).utterance
    silent = (utterance[:, :12] == 0).all(1)
    wordless = (utterance[:, voice : voice + 16] == 0).all(1)
    assert (silent ^ wordless).all()
    assert (utterance[wordless, -4:] == 0).all()
    with pytest.raises(ValueError, match=r"modality_dropout must be from 0 to 0\.5"):
        built(modality_dropout=0.6)


def test_places_of_the_parts_fill_the_utterance_vector(batch):
    fusion = built()
    places = fusion.places()
    assert list(places) == ["voice", "words", "speech", "text", "invariant", "reliability"]
    assert sorted(place for where in places.values() for place in where) == list(range(fusion.output_size))
    reps = fusion(*batch)
    specific = reps.speech_specific[0, : int(batch[1][0].sum())]
    expected = torch.cat([specific.mean(0), (specific.var(0, unbiased=False) + 1e-5).sqrt()])
    torch.testing.assert_close(reps.utterance[0, places["speech"]], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("alone", "experts"), [(True, 4), (False, 3)])
def test_parts_answer_with_both_or_alone(batch, alone, experts):
    """Shuffling the three parts changes the answer of the last expert and of no other."""
    fusion = built(parts_alone=alone)
    torch.manual_seed(0)
    classifier = fusion.build_classifier(3)
    utterance = fusion(*batch).utterance
    parts = [place for part in fusion.parts for place in fusion.places()[part]]
    shuffled = utterance.clone()
    shuffled[:, parts] = utterance[:, parts].flip(0)
    answers = zip(classifier.experts(utterance)[:-1], classifier.experts(shuffled)[:-1], strict=True)
    changed = [not torch.allclose(before, after) for before, after in answers]
    assert changed == [False] * (experts - 1) + [True]


def test_words_in_the_voice_stand_beside_the_words_that_were_recognised(batch):
    """And no emotion trains the map from one to the other."""
    fusion = built()
    reps = fusion(*batch)
    heard = fusion.hear(reps.utterance[:, : fusion.sizes[0]])
    torch.testing.assert_close(reps.heard_words, heard)
    torch.testing.assert_close(reps.utterance[:, fusion.places()["words"][16:32]], heard)
    reps.utterance.square().sum().backward()
    assert all(p.grad is None for p in fusion.hear.parameters())
    without = built(heard_words=False)
    assert without(*batch).heard_words is None and without.output_size == fusion.output_size - 2 * 16


def test_parts_are_dropped_in_training_only(batch):
    fusion = built(part_dropout=1.0)
    parts = [place for part in fusion.parts for place in fusion.places()[part]]
    assert (fusion(*batch).utterance[:, parts] != 0).any()
    assert (fusion.train()(*batch).utterance[:, parts] == 0).all()
