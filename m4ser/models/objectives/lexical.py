"""Which words are said, from speech: the mean word embedding of the reference transcript.

This project's own. Frames of a pretrained speech encoder know more of the words than one hypothesis of a recogniser
says; what of that a sentence's vector can tell is learned here, from the references that error detection and
correction are trained with. The targets are frozen: the embeddings of the text encoder's pieces, before any layer.
"""

import torch
from torch import Tensor

from m4ser.asr.alignment import KEEP
from m4ser.models.objectives.base import Loss, Objective, Sizes, Targets, Tools
from m4ser.models.representations import Representations, required
from m4ser.models.standard import RunningStandard
from m4ser.models.text import IGNORE, TAGS


class LexicalObjective(Objective):
    """Mean squared error between q and the standardised mean embedding of the reference's pieces.

    Every dimension of the targets has mean zero and deviation one over what training has seen, so that the loss is one
    where nothing is known. An utterance whose reference is unknown or empty does not count.
    """

    needs_edits = True

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.standard = RunningStandard(sizes.text_size)

    def forward(self, reps: Representations, targets: Targets, tools: Tools) -> Loss:
        """Mean over utterances and dimensions; zero, with a gradient of zero, when no reference is known."""
        embedding, known = reference_embedding(targets, required(tools.word_embeddings)().detach())
        target = self.standard(embedding.unsqueeze(1), known.unsqueeze(1)).squeeze(1)
        error = (required(reps.heard_words).float() - target).square().mean(-1).masked_fill(~known, 0.0)
        loss = error.sum() / known.sum().clamp(min=1)
        return Loss(loss, {"loss_lexical": loss.detach()})


def reference_embedding(targets: Targets, embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Mean embedding of the pieces of each reference: those that are kept, and those that corrections write.

    Args:
        targets: of the batch, with edits.
        embeddings: of all pieces, (V, D).

    Returns:
        (B, D), and (B,) True where there is a reference with at least one piece.
    """
    ids, index, tags = required(targets.ids), required(targets.word_index), required(targets.tags)
    corrections = required(targets.corrections)
    end_of_each = torch.nn.functional.pad(corrections[..., 1:], (0, 1), value=IGNORE) == IGNORE
    written = (corrections != IGNORE) & ~end_of_each  # the last piece of a correction says that it ends
    kept = (tags == TAGS.index(KEEP)) & (index >= 0)
    pieces = torch.cat([ids, corrections.clamp(min=0).flatten(1)], dim=1)
    counted = torch.cat([kept, written.flatten(1)], dim=1)
    total = (embeddings[pieces] * counted.unsqueeze(-1).to(embeddings.dtype)).sum(1)
    count = counted.sum(1)
    return total / count.clamp(min=1).unsqueeze(-1), count > 0
