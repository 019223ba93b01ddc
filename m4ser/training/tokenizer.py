"""Sentencepiece models of the training words, as tokenizer folders that :class:`.TextProcessor` reads."""

import io
import json
from collections.abc import Iterable
from pathlib import Path

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from m4ser.models.text import PADDING_ID, reference_words
from m4ser.training.experiment import read_maps
from m4ser.training.lists import read_folds
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_directory

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
MODEL = "sentencepiece.model"


def train_tokenizer(lines: Iterable[str], size: int, folder: str | Path) -> int:
    """Train a unigram sentencepiece model (Kudo 2018) and write it to ``folder``.

    The folder holds the model as sentencepiece wrote it, and as a Hugging Face tokenizer with the same pieces and ids.

    Args:
        lines: words, separated by blanks.
        size: pieces, with the special ones; fewer are made where the lines do not have as many.
        folder: is replaced.

    Returns:
        Number of pieces.

    Raises:
        UserError: the lines have no words, or more letters than pieces were asked for.
    """
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise UserError(f"{folder}: there are no words to train a sentencepiece model on")
    special = list(SPECIAL.values())
    trained = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=trained,
            vocab_size=size,
            hard_vocab_limit=False,
            model_type="unigram",
            character_coverage=1.0,
            normalization_rule_name="identity",
            num_threads=1,
            minloglevel=2,
            pad_id=PADDING_ID,
            unk_id=1,
            bos_id=-1,
            eos_id=-1,
            pad_piece=special[0],
            unk_piece=special[1],
            control_symbols=special[2:],
        )
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(f"{folder}: sentencepiece: {reason}; choose another number of tokens") from None
    model = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    pieces = [(model.id_to_piece(index), model.get_score(index)) for index in range(model.get_piece_size())]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=model.unk_id()))
    # What sentencepiece does before and after: no blanks at the ends, one between words, each word marked.
    tokenizer.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)
    with atomic_directory(Path(folder)) as temporary:
        fast.save_pretrained(temporary)
        (temporary / MODEL).write_bytes(trained.getvalue())
    return len(pieces)


def train_tokenizers(data: str, text: str, size: int, out: Path) -> None:
    """Write ``out/fold<k>`` for each fold, of the words of its training part.

    Nothing of a test speaker's text is in the vocabulary of its fold.

    Args:
        data: folder with ``folds.json``.
        text: stage 3 targets of one text source.
        size: pieces, see :func:`train_tokenizer`.
        out: where to write.

    Raises:
        UserError: stage 3 has not written its targets, or a part has no words.
    """
    folds = read_folds(data)
    edits = read_maps(text, folds.sets, "edits", stage=3)
    for name, fold in folds.folds.items():
        lines = [words for utt in fold.train if utt in edits for words in texts_of(edits[utt])]
        pieces = train_tokenizer(lines, size, out / f"fold{name}")
        print(f"{out / f'fold{name}'}: {pieces} tokens from {len(fold.train)} utterances")


def texts_of(line: str) -> list[str]:
    """What was recognised and, where it is known, what was said: of one line of stage 3's ``edits``."""
    edits = json.loads(line)
    heard = " ".join(edits["words"])
    return [heard, " ".join(reference_words(line))] if "tags" in edits else [heard]
