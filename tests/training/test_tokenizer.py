"""Sentencepiece models as Hugging Face tokenizers: the same pieces and ids."""

import pytest
import sentencepiece

from m4ser.asr.alignment import align, to_line
from m4ser.data.folds import Fold, Folds
from m4ser.data.scp import write_scp
from m4ser.models.text import TextProcessor
from m4ser.training.tokenizer import MODEL, train_tokenizer, train_tokenizers
from m4ser.utils.errors import UserError

LINES = ["i am so very happy today", "we are sad and so angry", "you are not happy now", "the dogs are sitting", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer") / "spm"
    assert 24 < train_tokenizer(LINES * 20, 60, folder) <= 60
    return folder


@pytest.mark.parametrize("text", ["i am happy", "so  sad ", "unhappiness", "¿qué?", ""])
def test_ids_are_those_of_sentencepiece(folder, text):
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / MODEL))
    tokenizer = TextProcessor(folder).tokenizer
    assert tokenizer.encode(text, add_special_tokens=False) == model.encode(text)


def test_words_come_back_and_labels_go_to_all_pieces(folder):
    text = TextProcessor(folder)
    words = "i am unhappy today".split()
    encoded = text.encode(words, "DKDKDDCKD"[: 2 * len(words) + 1], [(6, "very")])
    assert encoded.ids[0] == text.start and encoded.ids[-1] == text.end
    assert text.words(encoded.ids.tolist()) == words
    assert sorted(set(encoded.word_index[1:-1].tolist())) == [0, 1, 2, 3]
    for number in range(4):
        assert len(set(encoded.tags[encoded.word_index == number].tolist())) == 1
    assert text.encode([]).ids.tolist() == [text.start, text.end]


def test_training_is_the_same_every_time(folder, tmp_path):
    train_tokenizer(LINES * 20, 60, tmp_path / "again")
    assert (tmp_path / "again" / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


def test_too_little_text(tmp_path):
    assert train_tokenizer(["a b"], 500, tmp_path / "small") < 20
    with pytest.raises(UserError, match="no words"):
        train_tokenizer(["", " "], 100, tmp_path / "none")
    with pytest.raises(UserError, match="sentencepiece"):
        train_tokenizer(LINES, 8, tmp_path / "tiny")


def test_a_fold_knows_the_words_of_its_training_part_only(tmp_path):
    """What was recognised and what was said, of training utterances; letters of the others are unknown."""
    folds = Folds("p", "", labels=["calm"], folds={"1": Fold(["a"], ["b"], ["c"])})
    folds.write(tmp_path / "data/folds.json")
    write_scp(tmp_path / "data/all/utt2spk", {"a": "a", "b": "b", "c": "c"})
    heard = ["now", "here"]
    edits = {"a": to_line(heard, align(heard, ["now", "i", "ham"])), "b": '{"words": ["xyz"]}'}
    write_scp(tmp_path / "text/all/edits", {**edits, "c": '{"words": ["xyz"]}'})
    train_tokenizers(str(tmp_path / "data"), str(tmp_path / "text"), 40, tmp_path / "out")
    vocabulary = "".join(TextProcessor(tmp_path / "out/fold1").tokenizer.get_vocab())
    assert set("nowherim") <= set(vocabulary)
    assert not set("xyz") & set(vocabulary)
