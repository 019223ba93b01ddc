"""The contract of an objective."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from m4ser.models.representations import Representations


class Targets(NamedTuple):
    """What objectives may compare with. Text labels are None when the data has no error labels."""

    emotion: Tensor  # (B,), class index
    ids: Tensor | None = None  # (B, N), piece ids
    word_index: Tensor | None = None  # (B, N), word of each piece, see m4ser.models.text.EncodedText
    tags: Tensor | None = None  # (B, N), index into m4ser.models.text.TAGS, -1 where there is none
    slots: Tensor | None = None  # (B, C), positions of CHANGE in the pieces, -1 padded
    corrections: Tensor | None = None  # (B, C, P), pieces of the missing words, -1 padded
    speech: Tensor | None = None  # (B, T, ...), input of the speech encoder
    speech_lengths: Tensor | None = None  # (B,)
    text_lengths: Tensor | None = None  # (B,)
    confidence: Tensor | None = None  # (B, N), the recogniser's in the word of each piece, see m4ser.models.text
    letters: Tensor | None = None  # (B, L), letters of the reference, see m4ser.models.letters, -1 padded


class Sizes(NamedTuple):
    """What an objective needs to know of the model to build its layers."""

    size: int  # D of the fusion's specific and invariant representations
    text_size: int  # D of the text encoder
    utterance_size: int  # U
    num_classes: int
    speech_size: int = 0  # D of the speech encoder
    speech_input: tuple[int, int] | None = None  # layers and size of each in a frame of precomputed features


class Tools(NamedTuple):
    """Parts of the model that an objective uses and does not own."""

    embed: Callable[[Tensor], Tensor] | None = None  # piece ids (B, T) -> (B, T, D)
    word_embeddings: Callable[[], Tensor] | None = None  # -> (V, D)
    start: int = 0  # piece that starts a correction
    end: int = 0  # piece that ends it
    words: Callable[[list[int]], list[str]] | None = None  # pieces -> words
    mask: int = 0  # piece that stands for a hidden one
    represent: Callable[..., Representations] | None = None  # encoder inputs by name -> representations
    encode_speech: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None  # input, lengths -> states, mask


class Loss(NamedTuple):
    """What one objective asks for in one batch."""

    loss: Tensor  # scalar; the model multiplies it with the objective's weight
    stats: dict[str, Tensor]  # averaged over the epoch by the trainer
    unweighted: Tensor | None = None  # scalar added as it is: a loss on parts that only the objective owns


class Objective(nn.Module, ABC):
    """``forward`` gives the loss and what to log; ``evaluate`` counts what an epoch's metric needs.

    The loss is always a finite tensor connected to the graph, also when a batch has nothing to learn from.
    """

    needs_edits = False  # labels of recognition errors on the pieces
    needs_reference = False  # letters of the reference transcript
    needs_speech = False  # the speech encoder or its input

    @abstractmethod
    def forward(self, reps: Representations, targets: Targets, tools: Tools) -> Loss:
        """Loss and statistics of one batch."""

    def evaluate(self, reps: Representations, targets: Targets, tools: Tools) -> list[Any]:
        """Per-batch records for :meth:`summarise`; plain Python or CPU arrays."""
        return []

    @staticmethod
    def summarise(records: Sequence[Any]) -> dict[str, float]:
        """Metrics of an epoch from all records of :meth:`evaluate`."""
        return {}
