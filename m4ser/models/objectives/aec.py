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

KEEP_INDEX, CHANGE_INDEX, DELETE_INDEX = TAGS.index("K"), TAGS.index("C"), TAGS.index("D")
# How much surer than the recogniser the model has to be; the first takes every change, the last none.
MARGINS = (-1.0, -0.5, *(tenth / 10 for tenth in range(10)), 1.01)
UNSURE = 0.5  # confidence of a recogniser that says nothing of a word, and where it heard none


class ErrorCorrection(Objective):
    """z_t = W dropout([e_t; h_T^k]); decoder(z_1..z_t, memory H_T); P(y) = softmax over pieces.

    Args:
        layers, heads, feed_forward, dropout: of the Transformer decoder (PyTorch's post-norm layer).
        input_dropout: on [e_t; h_T^k].
        tied_output: score pieces with the text encoder's embedding matrix. ConstDecoder has a matrix of its own
            (false); with small corpora and a frozen vocabulary the tied one learns faster and costs less.
        apply: which changes count in the word error rate of dev: "all", as ConstDecoder, or "surer": where the model's
            probability exceeds the recogniser's confidence in the word by a margin, the best of :data:`MARGINS` on dev.
            One of them is to change nothing, so "surer" never raises the word error rate there.
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
        apply: str = "all",
        vocabulary_size: int = 0,
    ):
        super().__init__()
        if apply not in ("all", "surer"):
            raise ValueError(f"apply must be all or surer, not {apply!r}")
        self.margins = MARGINS if apply == "surer" else MARGINS[:1]
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
        corrections = required(targets.corrections)[row, column]  # (K, P)
        start = corrections.new_full((len(row), 1), tools.start)
        previous = torch.cat([start, corrections[:, :-1].clamp(min=0)], dim=1)
        state = text[row, slots[row, column]]
        hidden = self.decode(previous, state, text[row], text_mask[row], tools)
        written = corrections != IGNORE
        loss = nn.functional.cross_entropy(self.score(hidden[written], tools).float(), corrections[written])
        return Loss(loss, {"loss_aec": loss.detach()})

    @torch.no_grad()
    def greedy(
        self, state: Tensor, memory: Tensor, memory_mask: Tensor, tools: Tools, steps: int = 10
    ) -> list[tuple[list[int], float]]:
        """Best piece after best piece until the end piece or ``steps``.

        Returns:
            For each of K places the pieces and their mean probability (geometric, with the end piece).
        """
        pieces = torch.full((len(state), 1), tools.start, dtype=torch.long, device=state.device)
        logprob, count = torch.zeros(len(state), device=state.device), torch.zeros(len(state), device=state.device)
        unfinished = torch.arange(len(state), device=state.device)
        for _ in range(steps):
            hidden = self.decode(
                pieces[unfinished], state[unfinished], memory[unfinished], memory_mask[unfinished], tools
            )[:, -1]
            best = torch.full_like(pieces[:, :1], tools.end)
            value, best[unfinished] = self.score(hidden, tools).float().log_softmax(-1).max(-1, keepdim=True)
            logprob[unfinished] += value[:, 0]
            count[unfinished] += 1
            pieces = torch.cat([pieces, best], dim=1)
            unfinished = (pieces[:, 1:] != tools.end).all(1).nonzero()[:, 0]
            if not len(unfinished):
                break
        rows = [row[: row.index(tools.end)] if tools.end in row else row for row in pieces[:, 1:].tolist()]
        return list(zip(rows, (logprob / count.clamp(min=1)).exp().tolist(), strict=True))

    @torch.no_grad()
    def correct(
        self,
        reps: Representations,
        targets: Targets,
        tools: Tools,
        probabilities: Tensor,
        margins: Sequence[float] = MARGINS[:1],
    ) -> list[list[list[str]]]:
        """Words of every utterance after error detection's likeliest tags and, at CHANGE, what is written greedily.

        Args:
            reps: of the batch.
            targets: of the batch.
            tools: of the model.
            probabilities: of the tags, (B, N, 3).
            margins: how much surer than the recogniser a change has to be.

        Returns:
            By utterance, by margin: the words.
        """
        text, ids, word_index = required(reps.text), required(targets.ids), required(targets.word_index)
        sure, tags = probabilities.max(-1)
        first = starts(word_index)
        row, position = ((tags == CHANGE_INDEX) & first).nonzero(as_tuple=True)
        written: dict[tuple[int, int], list[int]] = {}
        if len(row):
            phrases = self.greedy(text[row, position], text[row], required(reps.text_mask)[row], tools)
            places = list(zip(row.tolist(), position.tolist(), strict=True))
            written = {place: pieces for place, (pieces, _) in zip(places, phrases, strict=True)}
            sure = sure.clone()
            sure[row, position] *= torch.tensor([certain for _, certain in phrases], dtype=sure.dtype)
        heard = torch.full_like(sure, UNSURE) if targets.confidence is None else targets.confidence.to(sure.dtype)
        lead = sure - torch.where(heard >= 0, heard, UNSURE)
        nothing = torch.where(word_index == INSERTION, DELETE_INDEX, KEEP_INDEX)
        corrected: list[list[list[str]]] = []
        columns = (ids, word_index, tags, nothing, lead, first & (tags != nothing))
        for utterance, values in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            pieces, index, tag, unchanged, leads, changed = values
            phrases_here = {p: phrase for (b, p), phrase in written.items() if b == utterance}
            corrected.append([])
            for margin in margins:
                chosen = [
                    t if not c or lead_here >= margin else u
                    for t, u, lead_here, c in zip(tag, unchanged, leads, changed, strict=True)
                ]
                corrected[-1].append(apply_tags(pieces, index, chosen, phrases_here, tools))
        return corrected

    def evaluate(
        self, reps: Representations, targets: Targets, tools: Tools, detection: ErrorDetection | None = None
    ) -> list[dict[str, Any]]:
        """Count one batch: exact corrections at the true CHANGE positions; word errors when ``detection`` decides.

        Detection may not say KEEP at an insertion point, where nothing stands that could be kept.
        """
        counts: dict[str, Any] = dict.fromkeys(("slots", "exact", "before", "words"), 0)
        counts["after"] = dict.fromkeys(self.margins, 0)
        text, slots = required(reps.text), required(targets.slots)
        row, column = (slots != IGNORE).nonzero(as_tuple=True)
        if len(row):
            phrases = self.greedy(text[row, slots[row, column]], text[row], required(reps.text_mask)[row], tools)
            corrections = required(targets.corrections)[row, column].tolist()
            right_phrases = [[p for p in c if p not in (IGNORE, tools.end)] for c in corrections]
            exact = sum(pieces == right for (pieces, _), right in zip(phrases, right_phrases, strict=True))
            counts["slots"], counts["exact"] = len(right_phrases), exact
        if detection is None:
            return [counts]
        logits = detection.logits(reps).float().clone()
        insertion = required(targets.word_index) == INSERTION
        logits[..., KEEP_INDEX] = logits[..., KEEP_INDEX].masked_fill(insertion, -torch.inf)
        corrected = self.correct(reps, targets, tools, logits.softmax(-1), self.margins)
        for utterance, versions in enumerate(corrected):
            if (required(targets.tags)[utterance] == IGNORE).all():
                continue  # its reference is not known
            hypothesis, reference = source_and_reference(targets, utterance, tools)
            counts["before"] += Levenshtein.distance(hypothesis, reference)
            for margin, fixed in zip(self.margins, versions, strict=True):
                counts["after"][margin] += Levenshtein.distance(fixed, reference)
            counts["words"] += len(reference)
        return [counts]

    @staticmethod
    def summarise(records: Sequence[Any]) -> dict[str, float]:
        """``aec_exact``: share of exact corrections; ``wer_asr``, ``wer_aec``: error rates before and after.

        Where there is a choice, ``wer_aec`` is the best one and ``aec_margin`` its margin, the larger of equal ones.
        """
        total = {key: sum(record[key] for record in records) for key in ("slots", "exact", "before", "words")}
        metrics = {}
        if total["slots"]:
            metrics["aec_exact"] = total["exact"] / total["slots"]
        if total["words"]:
            margins = records[0]["after"]
            after = {margin: sum(record["after"][margin] for record in records) for margin in margins}
            best = min(after, key=lambda margin: (after[margin], -margin))
            metrics |= {"wer_asr": total["before"] / total["words"], "wer_aec": after[best] / total["words"]}
            if len(after) > 1:
                metrics["aec_margin"] = best
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
