"""Several systems on crossed corpora, from results that are written by hand."""

import pytest

from m4ser.scoring import crossings
from m4ser.utils.errors import UserError


def cell(train, test, ua):
    score = {"mean": ua, "sd": None, "ci": [ua - 0.1, ua + 0.1]}
    speakers = "utterance" if test == "c" else "speaker"
    return {
        "train": train, "test": test, "in_corpus": test in train.split("+"), "classes": 4, "ua": score,
        "resampled": speakers,
    }  # fmt: skip


def result(shift=0.0, **more):
    cells = [cell("a", "b", 0.3 + shift), cell("a", "c", 0.4), cell("a+b", "c", 0.6 + shift), cell("b+c", "a", 0.5)]
    cells += [cell("a+c", "b", 0.7), cell("a+c", "a", 0.9)]
    return {
        "protocol": "p", "labels": ["angry", "sad"], "seeds": ["1"], "rows": ["a", "a+b", "b+c", "a+c"],
        "partial": False, "columns": ["a", "b", "c"], "cells": cells, "trained_with": {"git": ["abc"]}, **more,
    }  # fmt: skip


def test_each_corpus_by_the_models_of_most_others():
    table = crossings.table({"off": result(), "on": result(0.1)})
    assert [column.name for column in table.columns] == ["system", "a", "b", "c", "mean"]
    assert table.texts()[1:] == [
        ["off", "50.00 [40.00, 60.00]", "70.00 [60.00, 80.00]", "60.00 [50.00, 70.00]", "60.00"],
        ["on", "50.00 [40.00, 60.00]", "70.00 [60.00, 80.00]", "70.00 [60.00, 80.00]", "63.33"],
        ["chance", "25.00", "25.00", "25.00", "–"],
    ]
    assert "a by b+c; b by a+c; c by a+b" in table.markdown()
    assert "of c, utterances, which is too narrow" in table.markdown()


def test_everything_that_was_trained_on():
    table = crossings.table({"off": result(), "on": result(0.1)}, every_row=True)
    texts = table.texts()
    assert texts[0] == ["system", "trained on", "a", "b", "c"] and len(texts) == 9
    assert texts[1] == ["off", "a", "–", "30.00 [20.00, 40.00]", "40.00 [30.00, 50.00]"]
    assert texts[8][2].startswith("**90.00**") and "Bold: other speakers" in table.markdown()


def test_what_is_not_one_protocol_or_not_complete():
    with pytest.raises(UserError, match="on: has protocol q, not p"):
        crossings.table({"off": result(), "on": result(protocol="q")})
    assert "**PARTIAL: on.**" in crossings.table({"off": result(), "on": result(partial=True)}).caption
