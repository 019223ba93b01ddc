"""M4SER and what the recogniser and error detection know of the words: ``m4ser_x``, which is this project's own.

The paper trains detection of recognition errors and throws its knowledge away at inference. Here it stays, together
with the recogniser's own confidence c_i in every word:

    o_i = W [h_T^i; logit(c_i)]                      error detection, learned by the objective ``aed``
    w_i = sigmoid(a (o_i(keep) - logsumexp of the others) + b)      trust in a word
    H_T <- w_i h_T^i, and text is pooled with the weights w_i
    r = [mean w_i, mean c_i, least c_i, known]       reliability of the words of an utterance
    q = U pool(H_S)                                  words as the voice has them, learned by the objective ``lexical``
    z = sum_e g_e(r) log p_e,  e: speech alone, words (recognised and q), both, M4SER's three parts (with both or alone)

q is there because the recogniser writes one word where it heard something between two, and the frames still know: a
linear map learns from the reference which words they are, as far as it can be learned. No emotion trains it.

The experts are trained each by itself and together; their gates are fitted to the development set when training has
ended (:mod:`m4ser.models.fusion.gates`). Where the words are mostly wrong, their expert's gate closes. Modality dropout
shows training what that is like.
"""

import torch
from torch import Tensor, nn

from m4ser.asr.alignment import KEEP
from m4ser.models.fusion.base import Classifier
from m4ser.models.fusion.gates import RELIABILITY, GatedExperts
from m4ser.models.fusion.m4ser import M4serFusion
from m4ser.models.pooling import build_pooling
from m4ser.models.representations import Representations
from m4ser.models.text import NOT_A_WORD, TAGS


class M4serXFusion(M4serFusion):
    """See the module.

    Args:
        speech_size, text_size: sizes of the encoders' states.
        modality_dropout: share of training utterances without words, and the same share without voice.
        pooling: of speech and of the invariant representation; words have a weighted mean.
        part_dropout: of the values of M4SER's three parts, which overfit before voice and words do.
        heard_words: whether the classifier sees q; to be trained by the objective ``lexical``.
        parts_alone: M4SER's three parts are an expert of their own, and the one for both reads voice and words alone.
        options: of :class:`.M4serFusion`.
    """

    uses_confidence = True
    fits_on_dev = True

    def __init__(
        self,
        speech_size: int,
        text_size: int,
        size: int = 0,
        heads: int = 4,
        feed_forward: int = 0,
        dropout: float = 0.1,
        cme_layers: int = 1,
        cme_self_attention: bool = False,
        cme_cross_scale: float | None = 0.1,
        hma_layers: int = 1,
        hma_norm: str = "layer",
        hma_projections: bool = False,
        hma_balance: bool = True,
        mir_query: str = "learned",
        mir_queries: int = 4,
        pooling: str = "statistics",
        modality_dropout: float = 0.1,
        heard_words: bool = True,
        part_dropout: float = 0.0,
        parts_alone: bool = False,
    ):
        super().__init__(
            speech_size,
            text_size,
            size=size,
            heads=heads,
            feed_forward=feed_forward,
            dropout=dropout,
            cme_layers=cme_layers,
            cme_self_attention=cme_self_attention,
            cme_cross_scale=cme_cross_scale,
            hma_layers=hma_layers,
            hma_norm=hma_norm,
            hma_projections=hma_projections,
            hma_balance=hma_balance,
            mir_query=mir_query,
            mir_queries=mir_queries,
            pooling=pooling,
        )
        if not 0 <= modality_dropout <= 0.5:
            raise ValueError(f"modality_dropout must be from 0 to 0.5, not {modality_dropout:g}")
        self.modality_dropout = modality_dropout
        self.part_dropout = nn.Dropout(part_dropout)
        self.detector = nn.Linear(text_size + 2, len(TAGS))
        self.trust = nn.Parameter(torch.tensor([1.0, 1.0]))  # a, b
        self.pool_text = build_pooling("mean", self.size)
        self.pool_voice = build_pooling(pooling, speech_size)
        voice = self.pool_voice.output_size
        self.hear = nn.Linear(voice, text_size) if heard_words else None
        words = 2 * text_size if heard_words else text_size
        parts = sum(self.pool(part).output_size for part in self.parts)
        both = voice + words
        self.sizes = [voice, words, both, parts] if parts_alone else [voice, words, both + parts]
        self.output_size = sum(self.sizes) + RELIABILITY

    def places(self) -> dict[str, list[int]]:
        """Where in the utterance vector each part is; voice and words are there twice, for two experts."""
        voice, words, *_ = self.sizes
        first = {"voice": range(voice), "words": range(voice, voice + words)}
        end = voice + words
        places = {name: [*where, *(end + place for place in where)] for name, where in first.items()}
        end += voice + words
        for part in self.parts:
            size = self.pool(part).output_size
            places[part], end = list(range(end, end + size)), end + size
        return {**places, "reliability": list(range(end, end + RELIABILITY))}

    def build_classifier(self, num_classes: int) -> Classifier:
        """Experts for voice, words, both and perhaps M4SER's parts."""
        return GatedExperts(self.sizes, num_classes)

    def forward(
        self, speech: Tensor, speech_mask: Tensor, text: Tensor, text_mask: Tensor, confidence: Tensor | None = None
    ) -> Representations:
        """As :meth:`.M4serFusion.forward`, with the confidence (B, N) of :class:`m4ser.models.text.EncodedText`."""
        if confidence is None:
            confidence = torch.full(text.shape[:2], NOT_A_WORD, dtype=text.dtype, device=text.device)
        known = (confidence >= 0) & text_mask
        logit = torch.logit(confidence.clamp(0.02, 0.98).to(text.dtype)).masked_fill(~known, 0.0) / 4
        tag_logits = self.detector(torch.cat([text, logit.unsqueeze(-1), known.unsqueeze(-1).to(text.dtype)], dim=-1))
        weight = self._trust(tag_logits).masked_fill(confidence == NOT_A_WORD, 1.0).masked_fill(~text_mask, 0.0)
        reliability = _reliability(weight, confidence, known, text_mask, confidence != NOT_A_WORD)
        seen = text
        if self.training and self.modality_dropout:
            drawn = torch.rand(len(speech), 1, 1, device=speech.device)
            silent, wordless = drawn < self.modality_dropout, drawn > 1 - self.modality_dropout
            speech = speech.masked_fill(silent, 0.0)
            seen, weight = text.masked_fill(wordless, 0.0), weight.masked_fill(wordless.squeeze(-1), 0.0)
            reliability = reliability.masked_fill(wordless.squeeze(-1), 0.0)
        trusted = seen * weight.unsqueeze(-1)
        reps = super().forward(speech, speech_mask, trusted, text_mask)
        voice = self.pool_voice(speech, speech_mask)
        words = trusted.sum(1) / weight.sum(1, keepdim=True).clamp(min=1.0)
        heard = None
        if self.hear is not None:
            heard = self.hear(voice)
            words = torch.cat([words, heard.detach()], dim=-1)
        parts = self.part_dropout(reps.utterance)
        utterance = torch.cat([voice, words, voice, words, parts, reliability], dim=-1)
        return reps._replace(utterance=utterance, text=text, tag_logits=tag_logits, heard_words=heard)

    def _trust(self, tag_logits: Tensor) -> Tensor:
        """(B, N, 3) -> w (B, N)."""
        keep = TAGS.index(KEEP)
        others = torch.logsumexp(tag_logits[..., [i for i in range(len(TAGS)) if i != keep]], dim=-1)
        return torch.sigmoid(self.trust[0] * (tag_logits[..., keep] - others) + self.trust[1])


def _reliability(weight: Tensor, confidence: Tensor, known: Tensor, text_mask: Tensor, word: Tensor) -> Tensor:
    """R (B, 4): mean trust in the words, mean and least confidence, share of words whose confidence is known."""
    word = word & text_mask
    count = word.sum(1, keepdim=True).clamp(min=1)
    sure = known.sum(1, keepdim=True).clamp(min=1)
    confidence = confidence.to(weight.dtype)
    mean_trust = weight.masked_fill(~word, 0.0).sum(1, keepdim=True) / count
    mean = confidence.masked_fill(~known, 0.0).sum(1, keepdim=True) / sure
    least = confidence.masked_fill(~known, 1.0).amin(1, keepdim=True) * known.any(1, keepdim=True)
    return torch.cat([mean_trust, mean, least, known.sum(1, keepdim=True) / count], dim=-1)
