"""From words to the pieces a text encoder reads, with the labels of error detection and correction on them.

The source of error detection is the hypothesis with a dummy token before every word and after the last one,
``d1 w1 d2 w2 ... dn wn d(n+1)`` (ConstDecoder, Yang et al. 2022): a CHANGE label on a dummy says "words are missing
here", so substitutions, deletions and insertions all become KEEP, DELETE and CHANGE. A word's label is copied to all
its pieces; dummies are single pieces.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from m4ser.asr.alignment import CHANGE, DELETE, KEEP
from m4ser.pretrained import resolve

TAGS = (DELETE, KEEP, CHANGE)  # order of the classes of error detection
IGNORE = -1  # label of positions that have none: [CLS], [SEP], padding


@dataclass
class EncodedText:
    """One utterance as int64 arrays: N pieces, C places to change, P pieces per correction."""

    ids: np.ndarray  # (N,)
    word_index: np.ndarray  # (N,), element of the source each piece belongs to, IGNORE for [CLS] and [SEP]
    tags: np.ndarray  # (N,), index into TAGS, IGNORE where there is none
    slots: np.ndarray  # (C,), position in ids of every CHANGE
    corrections: np.ndarray  # (C, P), pieces of the missing words then [SEP], padded with IGNORE


class TextProcessor:
    """Tokenizer of a Hugging Face text encoder plus the dummy tokens.

    Args:
        tokenizer: folder or hub id.
        dummy_tokens: interleave dummies; must be the same in training and inference, they are part of the input.
        max_pieces: longest input with [CLS] and [SEP]; words beyond it are dropped (ConstDecoder: 256).
        max_correction: most pieces of one correction with its [SEP] (ConstDecoder: 10 with [CLS]); longer ones are cut.
    """

    def __init__(
        self, tokenizer: str | Path, dummy_tokens: bool = False, max_pieces: int = 256, max_correction: int = 10
    ):
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(tokenizer))
        self.dummy_tokens = dummy_tokens
        self.max_pieces = min(max_pieces, self.tokenizer.model_max_length)
        self.max_correction = max_correction
        self.start, self.end = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        self.padding = self.tokenizer.pad_token_id
        self._dummies = self._dummy_ids()
        self._pieces = lru_cache(maxsize=100_000)(self._word_pieces)

    @classmethod
    def from_name(cls, name: str, pretrained_dir: str | None = None, **conf) -> "TextProcessor":
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
        self, words: list[str], tags: str | None = None, changes: list[tuple[int, str]] | None = None
    ) -> EncodedText:
        """Pieces of ``words``; labels where the edits of stage 3 are given.

        ``tags`` has one letter for each element of ``d1 w1 ... wn d(n+1)``, ``changes`` the missing words of each
        CHANGE by its index there. Without ``dummy_tokens`` no labels are made (all IGNORE).
        """
        with_labels = tags is not None and self.dummy_tokens
        phrase = dict(changes or ())
        ids, index, labels, slots, corrections = [self.start], [IGNORE], [IGNORE], [], []
        for element in range(2 * len(words) + 1):
            is_dummy = element % 2 == 0
            if is_dummy and not self.dummy_tokens:
                continue
            if is_dummy:
                pieces = (self._dummies[(element // 2) % len(self._dummies)],)
            else:
                pieces = self._pieces(words[element // 2])
            if len(ids) + len(pieces) + 1 > self.max_pieces:
                break
            tag = tags[element] if with_labels else None
            if tag == CHANGE:
                slots.append(len(ids))
                missing = [piece for word in phrase[element].split() for piece in self._pieces(word)]
                corrections.append([*missing[: self.max_correction - 1], self.end])
            ids.extend(pieces)
            index.extend([element] * len(pieces))
            labels.extend([IGNORE if tag is None else TAGS.index(tag)] * len(pieces))
        ids, index, labels = [*ids, self.end], [*index, IGNORE], [*labels, IGNORE]
        longest = max((len(c) for c in corrections), default=1)
        table = np.full((len(corrections), longest), IGNORE, dtype=np.int64)
        for row, pieces in zip(table, corrections, strict=True):
            row[: len(pieces)] = pieces
        return EncodedText(*(np.array(x, dtype=np.int64) for x in (ids, index, labels, slots)), table)

    def encode_line(self, line: str) -> EncodedText:
        """Encode the JSON of one line of stage 3's ``edits``."""
        edits = json.loads(line)
        return self.encode(edits["words"], edits.get("tags"), [tuple(c) for c in edits.get("changes", [])])

    def words(self, ids: list[int]) -> list[str]:
        """Words of a sequence of pieces; special pieces are dropped."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False).split()
