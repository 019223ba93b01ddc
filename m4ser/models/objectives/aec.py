"""ASR error correction: write the missing words at every CHANGE position.

Reconstructed from ConstDecoder (Yang et al., Interspeech 2022): a one-layer Transformer decoder that reads the encoder
state of the CHANGE position at every step and attends to all text states; embeddings are the text encoder's own.
"""

from collections.abc import Sequence
from typing import Any

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn

from m4ser.models.objectives.aed import ErrorDetection
from m4ser.models.objectives.base import Loss, Objective, Sizes, Targets, Tools
from m4ser.models.representations import Representations, required
from m4ser.models.text import IGNORE, INSERTION, TAGS

KEEP_INDEX, CHANGE_INDEX = TAGS.index("K"), TAGS.index("C")


class ErrorCorrection(Objective):
    """z_t = W dropout([e_t; h_T^k]); decoder(z_1..z_t, memory H_T); P(y) = softmax over pieces.

    Args:
        layers, heads, feed_forward, dropout: of the Transformer decoder (PyTorch's post-norm layer).
        input_dropout: on [e_t; h_T^k].
        tied_output: score pieces with the text encoder's embedding matrix. ConstDecoder has a matrix of its own
            (false); with small corpora and a frozen vocabulary the tied one learns faster and costs less.
    """

    needs_edits = True

    def __init__(
        self,
        sizes: Sizes,
        layers: int = 1,
        heads: int = 12,
        feed_forward: int = 2048,
        dropout: float = 0.1,
        input_dropout: float = 0.2,
        tied_output: bool = True,
        vocabulary_size: int = 0,
    ):
        super().__init__()
        size = sizes.text_size
        self.input_dropout = nn.Dropout(input_dropout)
        self.input = nn.Linear(2 * size, size)
        layer = nn.TransformerDecoderLayer(size, heads, feed_forward, dropout, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers)
        if tied_output:
            self.output_bias = nn.Parameter(torch.zeros(vocabulary_size))
        else:
            self.output = nn.Linear(size, vocabulary_size)
        self.tied_output = tied_output

    def decode(self, pieces: Tensor, state: Tensor, memory: Tensor, memory_mask: Tensor, tools: Tools) -> Tensor:
        """What the decoder knows after each of ``pieces``.

        (K, T) previous pieces, (K, D) state of each CHANGE, (K, N, D) text states, (K, N) -> (K, T, D).
        """
        previous = required(tools.embed)(pieces)
        steps = pieces.shape[1]
        z = torch.cat([previous, state.unsqueeze(1).expand(-1, steps, -1)], dim=-1)
        causal = torch.ones(steps, steps, dtype=torch.bool, device=pieces.device).triu(1)
        return self.decoder(
            self.input(self.input_dropout(z)), memory, tgt_mask=causal, memory_key_padding_mask=~memory_mask
        )

    def score(self, hidden: Tensor, tools: Tools) -> Tensor:
        """Scores of the next piece: (..., D) -> (..., V). The costly part: ask for needed positions only."""
        if self.tied_output:
            return nn.functional.linear(hidden, required(tools.word_embeddings)(), self.output_bias)
        return self.output(hidden)

    def forward(self, reps: Representations, targets: Targets, tools: Tools) -> Loss:
        """Mean over the pieces of all corrections; zero when the batch has no CHANGE."""
        text, text_mask, slots = required(reps.text), required(reps.text_mask), required(targets.slots)
        row, column = (slots != IGNORE).nonzero(as_tuple=True)
        if len(row) == 0:
            loss = sum(p.sum() for p in self.parameters()) * 0.0 + text.sum() * 0.0
            return Loss(loss, {"loss_aec": loss.detach()})
        wanted = required(targets.corrections)[row, column]  # (K, P)
        start = wanted.new_full((len(row), 1), tools.start)
        previous = torch.cat([start, wanted[:, :-1].clamp(min=0)], dim=1)
        state = text[row, slots[row, column]]
        hidden = self.decode(previous, state, text[row], text_mask[row], tools)
        written = wanted != IGNORE
        loss = nn.functional.cross_entropy(self.score(hidden[written], tools).float(), wanted[written])
        return Loss(loss, {"loss_aec": loss.detach()})

    @torch.no_grad()
    def greedy(
        self, state: Tensor, memory: Tensor, memory_mask: Tensor, tools: Tools, steps: int = 10
    ) -> list[list[int]]:
        """Best piece after best piece until the end piece or ``steps``: a list of K lists of pieces."""
        pieces = torch.full((len(state), 1), tools.start, dtype=torch.long, device=state.device)
        unfinished = torch.arange(len(state), device=state.device)
        for _ in range(steps):
            hidden = self.decode(
                pieces[unfinished], state[unfinished], memory[unfinished], memory_mask[unfinished], tools
            )[:, -1]
            best = torch.full_like(pieces[:, :1], tools.end)
            best[unfinished] = self.score(hidden, tools).argmax(-1, keepdim=True)
            pieces = torch.cat([pieces, best], dim=1)
            unfinished = (pieces[:, 1:] != tools.end).all(1).nonzero()[:, 0]
            if not len(unfinished):
                break
        rows = pieces[:, 1:].tolist()
        return [row[: row.index(tools.end)] if tools.end in row else row for row in rows]

    @torch.no_grad()
    def correct(self, reps: Representations, targets: Targets, tools: Tools, tags: Tensor) -> list[list[str]]:
        """Words of every utterance after applying ``tags`` (B, N) and writing greedily at CHANGE."""
        text, ids, word_index = required(reps.text), required(targets.ids), required(targets.word_index)
        row, position = ((tags == CHANGE_INDEX) & starts(word_index)).nonzero(as_tuple=True)
        written: dict[tuple[int, int], list[int]] = {}
        if len(row):
            phrases = self.greedy(text[row, position], text[row], required(reps.text_mask)[row], tools)
            written = dict(zip(zip(row.tolist(), position.tolist(), strict=True), phrases, strict=True))
        return [
            apply_tags(pieces, index, tag, {p: phrase for (b, p), phrase in written.items() if b == utterance}, tools)
            for utterance, (pieces, index, tag) in enumerate(
                zip(ids.tolist(), word_index.tolist(), tags.tolist(), strict=True)
            )
        ]

    def evaluate(
        self, reps: Representations, targets: Targets, tools: Tools, detection: ErrorDetection | None = None
    ) -> list[dict[str, int]]:
        """Count one batch: exact corrections at the true CHANGE positions; word errors when ``detection`` decides.

        Detection may not say KEEP at an insertion point, where nothing stands that could be kept.
        """
        counts = dict.fromkeys(("slots", "exact", "before", "after", "words"), 0)
        text, slots = required(reps.text), required(targets.slots)
        row, column = (slots != IGNORE).nonzero(as_tuple=True)
        if len(row):
            phrases = self.greedy(text[row, slots[row, column]], text[row], required(reps.text_mask)[row], tools)
            corrections = required(targets.corrections)[row, column].tolist()
            wanted = [[p for p in c if p not in (IGNORE, tools.end)] for c in corrections]
            counts["slots"], counts["exact"] = len(wanted), sum(a == b for a, b in zip(phrases, wanted, strict=True))
        if detection is None:
            return [counts]
        logits = detection.logits(text).clone()
        insertion = required(targets.word_index) == INSERTION
        logits[..., KEEP_INDEX] = logits[..., KEEP_INDEX].masked_fill(insertion, -torch.inf)
        corrected = self.correct(reps, targets, tools, logits.argmax(-1))
        for utterance, fixed in enumerate(corrected):
            if (required(targets.tags)[utterance] == IGNORE).all():
                continue  # its reference is not known
            hypothesis, reference = source_and_reference(targets, utterance, tools)
            counts["before"] += Levenshtein.distance(hypothesis, reference)
            counts["after"] += Levenshtein.distance(fixed, reference)
            counts["words"] += len(reference)
        return [counts]

    @staticmethod
    def summarise(records: Sequence[Any]) -> dict[str, float]:
        """``aec_exact``: share of exact corrections; ``wer_asr``, ``wer_aec``: error rates before and after."""
        total = {key: sum(record[key] for record in records) for key in (records[0] if records else ())}
        metrics = {}
        if total.get("slots"):
            metrics["aec_exact"] = total["exact"] / total["slots"]
        if total.get("words"):
            metrics |= {"wer_asr": total["before"] / total["words"], "wer_aec": total["after"] / total["words"]}
        return metrics


def starts(word_index: Tensor) -> Tensor:
    """(B, N) -> (B, N), True on insertion points and on the first piece of every word."""
    before = torch.nn.functional.pad(word_index[:, :-1], (1, 0), value=IGNORE)
    return (word_index == INSERTION) | ((word_index >= 0) & (word_index != before))


def apply_tags(
    ids: list[int], index: list[int], tags: list[int], written: dict[int, list[int]], tools: Tools
) -> list[str]:
    """Words that remain: kept ones, and the ``written`` pieces at CHANGE. A word follows the tag of its first piece."""
    result: list[int] = []
    decision = None
    for position, (piece, number, tag) in enumerate(zip(ids, index, tags, strict=True)):
        if number == IGNORE:
            continue
        if number == INSERTION or index[position - 1] != number:
            decision = tag
            if tag == CHANGE_INDEX:
                result.extend(written.get(position, []))
        if number != INSERTION and decision == KEEP_INDEX:
            result.append(piece)
    return required(tools.words)(result)


def source_and_reference(targets: Targets, utterance: int, tools: Tools) -> tuple[list[str], list[str]]:
    """Words of the hypothesis and of the reference, rebuilt from one utterance's pieces and labels."""
    labels = (targets.ids, targets.word_index, targets.slots, targets.corrections, targets.tags)
    ids, index, slots, corrections, tags = (required(of)[utterance].tolist() for of in labels)
    hypothesis = required(tools.words)([piece for piece, number in zip(ids, index, strict=True) if number >= 0])
    written = {
        slot: [p for p in pieces if p not in (IGNORE, tools.end)]
        for slot, pieces in zip(slots, corrections, strict=True)
        if slot != IGNORE
    }
    return hypothesis, apply_tags(ids, index, tags, written, tools)
