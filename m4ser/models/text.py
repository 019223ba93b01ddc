"""From words to the pieces a text encoder reads, with the labels of error detection and correction on them.

Stage 3 aligns a hypothesis with its reference: words are kept or deleted, and missing words stand between them. There
are two ways to say where words are missing:

- with dummy tokens (ConstDecoder, Yang et al. 2022), ``d1 w1 d2 w2 ... dn wn d(n+1)``: words are KEEP or DELETE, a
  CHANGE stands on the dummy before the next kept word. The input doubles in length, also at inference.
- without, ``w1 w2 ... wn [SEP]``: CHANGE stands on the first deleted word of the gap and replaces it; where nothing was
  deleted it stands on the next kept word, which is then written again, or at the end on [SEP].

A word's label is copied to all its pieces. Dummies and [SEP] are insertion points: DELETE there says "nothing missing".
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from m4ser.asr.alignment import CHANGE, DELETE, KEEP, apply_edits, from_line
from m4ser.pretrained import resolve
from m4ser.utils.errors import UserError
from m4ser.utils.plain import read_plain_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from m4ser.models.pieces import WordPieces

TAGS = (DELETE, KEEP, CHANGE)  # order of the classes of error detection
IGNORE = -1  # label of positions that have none: [CLS], padding
INSERTION = -2  # word_index of dummies and [SEP]
UNKNOWN, NOT_A_WORD = -1.0, -2.0  # confidence where the recogniser gave none; of [CLS], [SEP], dummies, padding
PADDING_ID = 0  # piece [PAD] of the sentencepiece models that stage 3 trains
POSITIONS_AFTER_PADDING = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "data2vec-text", "mpnet")


Element = tuple[tuple[int, ...], int, str | None, str]  # pieces, word number, tag, missing words


@dataclass
class EncodedText:
    """One utterance as int64 arrays: N pieces, C places to change, P pieces per correction."""

    ids: np.ndarray  # (N,)
    word_index: np.ndarray  # (N,), number of the word, INSERTION for dummies and [SEP], IGNORE for [CLS]
    tags: np.ndarray  # (N,), index into TAGS, IGNORE where there is none
    slots: np.ndarray  # (C,), position in ids of every CHANGE, the first piece where it is a word
    corrections: np.ndarray  # (C, P), pieces of the missing words then [SEP], padded with IGNORE
    confidence: np.ndarray  # (N,) float32, the recogniser's in the word of each piece, UNKNOWN or NOT_A_WORD


def reference_words(line: str) -> list[str]:
    """Words of the reference transcript from one line of stage 3's ``edits``: the hypothesis with its errors mended."""
    return apply_edits(*from_line(line))


def load_tokenizer(folder: str | Path) -> "PreTrainedTokenizerBase":
    """The tokenizer in a folder; ``model_max_length`` is no more than the positions of the model beside it.

    Raises:
        UserError: there is none, or it lacks the pieces that stand at the beginning and the end of a text.
    """
    # Imported here: a stored graph has its pieces without transformers, see m4ser.models.pieces.
    from m4ser.pretrained.load import load_tokenizer as load

    tokenizer = load(folder)
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # made of config.json alone, without a word
        raise UserError(f"{folder}: has no tokenizer files; put them there (tokenizer.json, vocab.txt or the like)")
    if None in (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id):
        raise UserError(
            f"{folder}: its tokenizer has no [CLS], [SEP] and [PAD]; use an encoder such as BERT or RoBERTa"
        )
    config = Path(folder) / "config.json"
    fields = read_plain_json(config) if config.is_file() else {}
    if positions := fields.get("max_position_embeddings"):
        # RoBERTa and its relatives count positions from the padding piece on.
        offset = fields.get("pad_token_id", 1) + 1 if fields.get("model_type") in POSITIONS_AFTER_PADDING else 0
        if not isinstance(positions, int) or not isinstance(tokenizer.model_max_length, int | float):
            raise UserError(f"{config}: max_position_embeddings: must be a whole number, not {positions!r}")
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions - offset)
    return tokenizer


class TextProcessor:
    """Tokenizer of a Hugging Face text encoder plus the dummy tokens.

    Args:
        tokenizer: a folder, which transformers reads, or a tokenizer.
        dummy_tokens: interleave dummies; the same in training and inference, they are part of the input.
        max_pieces: longest input with [CLS] and [SEP]; words beyond it are dropped (ConstDecoder: 256).
        max_correction: most pieces of one correction with its [SEP] (ConstDecoder: 10 with [CLS]); longer ones are cut.
    """

    def __init__(
        self,
        tokenizer: "str | Path | PreTrainedTokenizerBase | WordPieces",
        dummy_tokens: bool = False,
        max_pieces: int = 256,
        max_correction: int = 10,
    ):
        self.tokenizer: Any = load_tokenizer(tokenizer) if isinstance(tokenizer, str | Path) else tokenizer
        self.dummy_tokens = dummy_tokens
        self.max_pieces = min(max_pieces, self.tokenizer.model_max_length)
        self.max_correction = max_correction
        self.start, self.end = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        self.padding = self.tokenizer.pad_token_id
        mask, unknown = self.tokenizer.mask_token_id, self.tokenizer.unk_token_id
        self.mask = unknown if mask is None else mask
        self._dummies = self._dummy_ids()
        self._pieces = lru_cache(maxsize=100_000)(self._word_pieces)

    @classmethod
    def from_name(cls, name: str, pretrained_dir: str | None = None, **conf: Any) -> "TextProcessor":
        """Build from a model's name as :func:`m4ser.pretrained.resolve` understands it."""
        return cls(resolve(name, pretrained_dir), **conf)

    def _dummy_ids(self) -> list[int]:
        """BERT's unused pieces [unused1], [unused2], ...; a vocabulary without them lends its mask piece."""
        vocabulary = self.tokenizer.get_vocab()
        unused = [vocabulary[f"[unused{i}]"] for i in range(1, 994) if f"[unused{i}]" in vocabulary]
        return unused or [self.tokenizer.mask_token_id]

    def _word_pieces(self, word: str) -> tuple[int, ...]:
        # The blank makes byte-level and sentencepiece vocabularies mark the word's start; WordPiece drops it.
        return tuple(self.tokenizer.encode(" " + word, add_special_tokens=False)) or (self.tokenizer.unk_token_id,)

    def encode(
        self,
        words: list[str],
        tags: str | None = None,
        changes: Iterable[tuple[int, str]] = (),
        confidences: Sequence[float] | None = None,
    ) -> EncodedText:
        """Pieces of ``words``; labels where the edits of stage 3 are given.

        ``tags`` has one letter for each element of ``d1 w1 ... wn d(n+1)``, ``changes`` the missing words of each
        CHANGE by its index there, ``confidences`` one number for each word.
        """
        elements = self._with_dummies if self.dummy_tokens else self._without_dummies
        ids, index, classes = [self.start], [IGNORE], [IGNORE]
        slots: list[int] = []
        corrections: list[list[int]] = []
        for pieces, number, tag, missing in elements(words, tags, dict(changes)):
            at_end = pieces == (self.end,)
            if len(ids) + len(pieces) + (not at_end) > self.max_pieces:
                pieces, number, tag, at_end = (self.end,), IGNORE, None, True  # the rest of the words does not fit
            if tag == CHANGE:
                slots.append(len(ids))
                written = [piece for word in missing.split() for piece in self._pieces(word)]
                corrections.append([*written[: self.max_correction - 1], self.end])
            ids.extend(pieces)
            index.extend([number] * len(pieces))
            classes.extend([IGNORE if tag is None else TAGS.index(tag)] * len(pieces))
            if at_end:
                break
        longest = max((len(c) for c in corrections), default=1)
        table = np.full((len(corrections), longest), IGNORE, dtype=np.int64)
        for row, correction in zip(table, corrections, strict=True):
            row[: len(correction)] = correction
        known = [UNKNOWN] * len(words) if confidences is None else confidences
        confidence = np.array([known[number] if number >= 0 else NOT_A_WORD for number in index], dtype=np.float32)
        return EncodedText(_array(ids), _array(index), _array(classes), _array(slots), table, confidence)

    def _with_dummies(self, words: list[str], tags: str | None, missing: dict[int, str]) -> Iterator[Element]:
        """``d1 w1 d2 w2 ... wn d(n+1) [SEP]``; the tags are those of stage 3."""
        for element in range(2 * len(words) + 1):
            tag = tags[element] if tags else None
            if element % 2:
                yield self._pieces(words[element // 2]), element // 2, tag, ""
            else:
                dummy = self._dummies[(element // 2) % len(self._dummies)]
                yield (dummy,), INSERTION, tag, missing.get(element, "")
        yield (self.end,), IGNORE, None, ""

    def _without_dummies(self, words: list[str], tags: str | None, missing: dict[int, str]) -> Iterator[Element]:
        """``w1 w2 ... wn [SEP]``; a CHANGE moves from the dummy to the word it replaces, see the module."""
        kept = [tag == KEEP for tag in tags[1::2]] if tags else []
        phrase = {}
        for element, words_missing in missing.items():
            gap_end = first = element // 2
            while first > 0 and not kept[first - 1]:
                first -= 1
            again = f" {words[gap_end]}" if first == gap_end < len(words) else ""
            phrase[first] = words_missing + again
        for number, word in enumerate(words):
            tag = (CHANGE if number in phrase else KEEP if kept[number] else DELETE) if tags else None
            yield self._pieces(word), number, tag, phrase.get(number, "")
        tag = (CHANGE if len(words) in phrase else DELETE) if tags else None
        yield (self.end,), INSERTION, tag, phrase.get(len(words), "")

    def encode_line(self, line: str) -> EncodedText:
        """Encode the JSON of one line of stage 3's ``edits``."""
        edits = json.loads(line)
        return self.encode(edits["words"], edits.get("tags"), edits.get("changes", ()), edits.get("confidences"))

    def words(self, ids: list[int]) -> list[str]:
        """Words of a sequence of pieces; special pieces are dropped."""
        text = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text).split()


def _array(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)
