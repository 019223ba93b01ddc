"""What every fusion must do: ignore padding, follow the order of the batch, keep its declared sizes."""

import pytest
import torch

from m4ser.models.fusion.attention import CrossAttentionFusion
from m4ser.models.fusion.lamer import LamerFusion
from m4ser.models.fusion.late import GatedFusion, LateFusion
from m4ser.models.fusion.m4ser import M4serFusion
from m4ser.models.fusion.m4ser_x import M4serXFusion
from m4ser.models.fusion.mmer import MmerFusion
from m4ser.models.fusion.plain import ConcatFusion, SpeechFusion, TextFusion

FUSIONS = {
    "speech": lambda: SpeechFusion(12),
    "speech attentive": lambda: SpeechFusion(12, pooling="attentive"),
    "text": lambda: TextFusion(0, 16),
    "concat": lambda: ConcatFusion(12, 16),
    "m4ser": lambda: M4serFusion(12, 16),
    "m4ser text query": lambda: M4serFusion(12, 16, mir_query="text"),
    "m4ser as MIR-GAN": lambda: M4serFusion(
        12,
        16,
        size=8,
        heads=2,
        cme_layers=3,
        cme_self_attention=True,
        hma_layers=3,
        hma_norm="batch",
        pooling="statistics",
    ),
    "m4ser mixed seed": lambda: M4serFusion(12, 16, mir_query="mixed"),
    "m4ser learned seed": lambda: M4serFusion(12, 16, mir_query="learned", mir_queries=3, cme_cross_scale=0.1),
    "m4ser specific parts": lambda: M4serFusion(12, 16, parts=["text", "speech"]),
    "m4ser invariant part": lambda: M4serFusion(12, 16, parts=["invariant"]),
    "m4ser_x": lambda: M4serXFusion(12, 16, size=8, heads=2),
    "m4ser projections": lambda: M4serFusion(16, 16, hma_projections=True),
    "late": lambda: LateFusion(12, 16),
    "gated": lambda: GatedFusion(12, 16, size=8),
    "cross_attention": lambda: CrossAttentionFusion(12, 16, layers=2),
    "lamer": lambda: LamerFusion(12, 16, speech_hidden=10, hidden=8, heads=4),
    "lamer gru": lambda: LamerFusion(12, 16, speech_hidden=10, hidden=8, heads=4, cell="gru"),
    "mmer": lambda: MmerFusion(12, 16, heads=4),
}


@pytest.fixture(name="batch")
def states_of_its_sizes(states):
    """A function from a fusion and options of `states` to what the fusion reads."""

    def make(fusion, **options):
        same = isinstance(fusion, M4serFusion) and isinstance(fusion.project_speech, torch.nn.Identity)
        return states(sizes=(16 if same else 12, 16), **options)

    return make


@pytest.fixture(params=FUSIONS, name="fusion")
def built(request):
    torch.manual_seed(0)
    return FUSIONS[request.param]().eval()


def test_padding_changes_nothing(fusion, batch):
    reference = fusion(*batch(fusion)).utterance
    padded = fusion(*batch(fusion, extra=6, fill=37.0)).utterance
    torch.testing.assert_close(padded, reference, atol=1e-5, rtol=1e-5)


def test_alone_equals_in_a_batch(fusion, batch):
    speech, speech_mask, text, text_mask = batch(fusion)
    together = fusion(speech, speech_mask, text, text_mask).utterance
    for row, (frames, pieces) in enumerate(((5, 4), (9, 2), (1, 7))):
        alone = fusion(
            speech[row : row + 1, :frames],
            speech_mask[row : row + 1, :frames],
            text[row : row + 1, :pieces],
            text_mask[row : row + 1, :pieces],
        )
        torch.testing.assert_close(alone.utterance[0], together[row], atol=1e-5, rtol=1e-5)


def test_permuting_the_batch_permutes_the_output(fusion, batch):
    order = torch.tensor([2, 0, 1])
    tensors = batch(fusion)
    expected = fusion(*tensors).utterance[order]
    torch.testing.assert_close(fusion(*(t[order] for t in tensors)).utterance, expected, atol=1e-5, rtol=1e-5)


def test_sizes_and_gradients(fusion, batch):
    tensors = batch(fusion)
    inputs = [t.requires_grad_() for t in tensors if t.is_floating_point()]
    used = [t for t, uses in zip(inputs, (fusion.uses_speech, fusion.uses_text), strict=True) if uses]
    reps = fusion.train()(*tensors)
    assert reps.utterance.shape == (3, fusion.output_size)
    learned = reps.utterance.square().sum()
    if reps.heard_words is not None:  # no emotion trains it
        learned = learned + reps.heard_words.square().sum()
    learned.backward()
    assert all(t.grad.abs().sum() > 0 for t in used)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in fusion.parameters())


def test_m4ser_lengths_of_the_invariant_representation(batch):
    for query, length in (("concat", 9 + 7), ("text", 7), ("mixed", 7), ("learned", 4)):
        fusion = M4serFusion(12, 16, mir_query=query).eval()
        reps = fusion(*batch(fusion))
        assert reps.invariant.shape == (3, length, 16)
        assert reps.speech_specific.shape == (3, 9, 16)
        assert reps.text_specific.shape == (3, 7, 16)


def test_utterance_vector_is_the_three_means(batch):
    fusion = M4serFusion(12, 16).eval()
    reps = fusion(*batch(fusion))
    row, frames, pieces = 0, 5, 4
    valid = reps.invariant[row][reps.invariant_mask[row]]
    expected = torch.cat(
        [reps.speech_specific[row, :frames].mean(0), reps.text_specific[row, :pieces].mean(0), valid.mean(0)]
    )
    torch.testing.assert_close(reps.utterance[row], expected, atol=1e-5, rtol=1e-5)


def test_parts_of_the_utterance_vector(batch):
    torch.manual_seed(0)
    whole = M4serFusion(12, 16).eval()
    for parts, expected in ((["invariant"], slice(32, 48)), (["text", "speech"], slice(0, 32))):
        fusion = M4serFusion(12, 16, parts=parts).eval()
        fusion.load_state_dict(
            {name: value for name, value in whole.state_dict().items() if name in fusion.state_dict()}
        )
        tensors = batch(fusion)
        reps = fusion(*tensors)
        torch.testing.assert_close(reps.utterance, whole(*tensors).utterance[:, expected])
        assert (reps.invariant is None) == ("invariant" not in parts)
    for parts in ([], ["voice"], ["text", "text"]):
        with pytest.raises(ValueError, match="parts must be some of speech, text, invariant"):
            M4serFusion(12, 16, parts=parts)


def test_nothing_is_read_in_the_other_stream_where_the_scale_is_zero(batch):
    fusion = M4serFusion(12, 16, cme_cross_scale=0.0, parts=["speech", "text"]).eval()
    speech, speech_mask, text, text_mask = batch(fusion)
    before, after = (fusion(speech, speech_mask, some, text_mask) for some in (text, torch.randn_like(text)))
    torch.testing.assert_close(before.speech_specific, after.speech_specific)
    assert not torch.allclose(before.text_specific, after.text_specific)


def test_learned_seed_reads_both_streams_alike(batch):
    """Exchanging the streams and their weights changes nothing."""
    fusion = M4serFusion(16, 16, mir_query="learned").eval()
    speech, speech_mask, text, text_mask = batch(fusion)
    seed, mask = fusion.seed(speech, speech_mask, text, text_mask)
    assert mask.all() and seed.shape == (3, 4, 16)
    fusion.seed.speech, fusion.seed.text = fusion.seed.text, fusion.seed.speech
    torch.testing.assert_close(fusion.seed(text, text_mask, speech, speech_mask)[0], seed)
