"""Pieces without transformers are those that transformers gives."""

import pytest

from m4ser.models.pieces import WordPieces
from m4ser.models.text import TextProcessor
from m4ser.utils.errors import UserError


@pytest.mark.parametrize("dummy_tokens", [False, True])
def test_pieces_are_those_of_transformers(tiny_bert, dummy_tokens):
    usual = TextProcessor(tiny_bert, dummy_tokens=dummy_tokens)
    light = TextProcessor(WordPieces(tiny_bert / "tokenizer.json"), dummy_tokens, usual.max_pieces)
    for words in (["i", "AM", "so", "happyish"], [], ["漢字", "sad"], ["am"] * 300):
        assert light.encode(words).ids.tolist() == usual.encode(words).ids.tolist()
    assert (light.padding, light.start, light.end, light.mask) == (usual.padding, usual.start, usual.end, usual.mask)


def test_byte_level_pieces(tmp_path):
    """As RoBERTa has them: a blank in front of a word is part of it."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "Ġ": 4, "a": 5, "b": 6, "Ġa": 7, "<mask>": 8}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "a")], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    text = TextProcessor(WordPieces(tmp_path / "tokenizer.json"))
    assert text.encode(["a", "ab"]).ids.tolist() == [0, 7, 7, 6, 2] and text.padding == 1


def test_what_is_no_tokenizer(tmp_path, tiny_bert):
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer\.json: is not a tokenizer"):
        WordPieces(path)
    path.write_text((tiny_bert / "tokenizer.json").read_text().replace("[MASK]", "[MASC]"))
    with pytest.raises(UserError, match=r"tokenizer\.json: has no piece \[MASK\]"):
        WordPieces(path)
