"""The tokenizer of a stored graph: its ``tokenizer.json``, read by the package tokenizers, without transformers."""

from pathlib import Path

from m4ser.utils.errors import UserError, first_line

# What the special pieces are called in the vocabularies of BERT and of RoBERTa and their relatives.
SPECIAL = {
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "pad": ("[PAD]", "<pad>"),
    "mask": ("[MASK]", "<mask>"),
    "unk": ("[UNK]", "<unk>"),
}
LONGEST = 1 << 20  # pieces: as good as no limit; the graph's own is in its settings


class WordPieces:
    """What :class:`.TextProcessor` asks of a tokenizer, under the names that transformers gives it.

    Raises:
        UserError: the file is damaged, or lacks one of the pieces that stand at the beginning and the end of a text.
    """

    model_max_length = LONGEST

    def __init__(self, path: str | Path) -> None:
        from tokenizers import Tokenizer

        try:
            self.tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers, written in Rust, knows no other type of error
            raise UserError(f"{path}: is not a tokenizer ({first_line(error)}); get the model again") from None
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        ids = {role: number for role, names in SPECIAL.items() if (number := self._first(names)) is not None}
        if missing := [names[0] for role, names in SPECIAL.items() if role not in ids]:
            raise UserError(f"{path}: has no piece {missing[0]}; use an encoder such as BERT or RoBERTa")
        self.cls_token_id, self.sep_token_id, self.pad_token_id = ids["cls"], ids["sep"], ids["pad"]
        self.mask_token_id, self.unk_token_id = ids["mask"], ids["unk"]

    def _first(self, names: tuple[str, ...]) -> int | None:
        ids = (self.tokenizer.token_to_id(name) for name in names)
        return next((number for number in ids if number is not None), None)

    def __len__(self) -> int:
        """Number of pieces."""
        return int(self.tokenizer.get_vocab_size())

    def get_vocab(self) -> dict[str, int]:
        """Pieces with their numbers."""
        return dict(self.tokenizer.get_vocab())

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Pieces of a text."""
        return list(self.tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)
