"""Words to pieces and labels, by hand on a tiny vocabulary."""

import json

import numpy as np
import pytest

from m4ser.asr.alignment import align
from m4ser.models.text import IGNORE, TAGS, TextProcessor


@pytest.fixture
def text(tiny_bert):
    return TextProcessor(tiny_bert, dummy_tokens=True)


def names(text, ids):
    return text.tokenizer.convert_ids_to_tokens(list(ids))


def test_dummies_surround_every_word_and_labels_follow_pieces(text):
    # reference: "i am really sad"; hypothesis lost "really" and has "an" for "am"
    encoded = text.encode(["i", "an", "sad"], "DKDDCKD", [(4, "am really")])
    assert names(text, encoded.ids) == "[CLS] [unused1] i [unused2] a ##n [unused3] sad [unused4] [SEP]".split()
    assert encoded.word_index.tolist() == [-1, -2, 0, -2, 1, 1, -2, 2, -2, -1]
    letters = ["-" if tag == IGNORE else TAGS[tag] for tag in encoded.tags]
    assert "".join(letters) == "-DKDDDCKD-"
    assert encoded.slots.tolist() == [6]
    assert names(text, encoded.corrections[0]) == ["am", "really", "[SEP]"]


@pytest.fixture
def plain(tiny_bert):
    return TextProcessor(tiny_bert)


def labels(encoded):
    return "".join("-" if tag == IGNORE else TAGS[tag] for tag in encoded.tags)


def test_without_dummies_a_change_replaces_the_first_wrong_word(plain):
    # reference "i am really sad", hypothesis "i an was sad": the gap is "an was" -> "am really"
    encoded = plain.encode(["i", "an", "was", "sad"], "DKDDDDCKD", [(6, "am really")])
    assert names(plain, encoded.ids) == "[CLS] i a ##n was sad [SEP]".split()
    assert encoded.word_index.tolist() == [-1, 0, 1, 1, 2, 3, -2]
    assert labels(encoded) == "-KCCDKD"
    assert encoded.slots.tolist() == [2]
    assert names(plain, encoded.corrections[0]) == ["am", "really", "[SEP]"]


def test_without_dummies_an_insertion_is_written_with_the_next_word_or_at_the_end(plain):
    encoded = plain.encode(["i", "sad"], "DKCKC", [(2, "am"), (4, "today")])
    assert labels(encoded) == "-KCC"
    assert names(plain, encoded.corrections[0]) == ["am", "sad", "[SEP]"]
    assert names(plain, encoded.corrections[1][:2]) == ["today", "[SEP]"]
    assert encoded.corrections[1, 2] == IGNORE
    assert encoded.slots.tolist() == [2, 3]


def test_text_without_labels_has_none(plain):
    assert labels(plain.encode(["i", "sad"])) == "----"


def test_words_that_do_not_fit_are_dropped_without_dummies_too(tiny_bert):
    short = TextProcessor(tiny_bert, max_pieces=4)
    encoded = short.encode(["i", "am", "so", "sad"], "DKDKDKDKC", [(8, "today")])
    assert names(short, encoded.ids) == ["[CLS]", "i", "am", "[SEP]"]
    assert labels(encoded) == "-KK-"
    fits = TextProcessor(tiny_bert, max_pieces=6).encode(["i", "am", "so", "sad"], "DKDKDKDKC", [(8, "today")])
    assert labels(fits) == "-KKKKC"


def test_empty_hypothesis_keeps_one_dummy_to_write_at(text):
    encoded = text.encode([], "C", [(0, "i am sad")])
    assert names(text, encoded.ids) == ["[CLS]", "[unused1]", "[SEP]"]
    assert names(text, encoded.corrections[0]) == ["i", "am", "sad", "[SEP]"]


def test_long_input_is_cut_between_words_and_long_corrections_too(tiny_bert):
    short = TextProcessor(tiny_bert, dummy_tokens=True, max_pieces=6, max_correction=3)
    encoded = short.encode(["i", "am", "sad"], "CKDKDKD", [(0, "we are so very mad")])
    assert names(short, encoded.ids) == ["[CLS]", "[unused1]", "i", "[unused2]", "am", "[SEP]"]
    assert names(short, encoded.corrections[0]) == ["we", "are", "[SEP]"]


def test_corrections_of_different_lengths_are_padded(text):
    encoded = text.encode(["sad"], "CKC", [(0, "i am"), (2, "today")])
    assert encoded.corrections.shape == (2, 3)
    assert encoded.corrections[1, 2] == IGNORE


def test_line_of_stage_three(text):
    words, reference = ["i", "was", "so", "happy"], ["i", "am", "so", "happy", "today"]
    found = align(words, reference)
    line = json.dumps(
        {
            "words": words,
            "tags": found.tags,
            "changes": [[slot, w if isinstance(w, str) else " ".join(w)] for slot, w in found.changes],
        }
    )
    encoded = text.encode_line(line)
    assert len(encoded.slots) == 2
    np.testing.assert_array_equal(
        encoded.ids[encoded.slots], text.tokenizer.convert_tokens_to_ids(["[unused3]", "[unused5]"])
    )
