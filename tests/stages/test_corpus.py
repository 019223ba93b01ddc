"""Where the corpus is: given, in db.local.sh, used before, to be downloaded."""

import json

import pytest

from m4ser.stages.corpus import find_corpus
from m4ser.utils.errors import UserError


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    path = tmp_path / "my-corpus"
    (path / "local").mkdir(parents=True)
    monkeypatch.chdir(path)
    monkeypatch.setenv("PWD", str(path))
    monkeypatch.delenv("MY_CORPUS", raising=False)
    return path


def find(given="", corpus="", download=False):
    return find_corpus(given, corpus, "data", download, "/egs/TEMPLATE")


def test_the_first_that_is_known(recipe, monkeypatch):
    (recipe / "data").mkdir()
    record = {"id": "1", "stage": "0", "options": {"corpus-dir": "/earlier"}, "inputs": {}, "after": {}, "cells": []}
    (recipe / "data/.done").write_text(json.dumps(record))
    assert find() == "/earlier"
    monkeypatch.setenv("MY_CORPUS", "of db.local.sh")
    assert find() == "of db.local.sh"
    assert find(corpus="another") == "/earlier"
    assert find(given="given") == "given"  # as typed: it is not there
    (recipe / "given").mkdir()
    assert find(given="given") == find(given="./given/") == str(recipe / "given")


def test_a_link_keeps_its_name(recipe, tmp_path, monkeypatch):
    (recipe / "corpus").mkdir()
    (tmp_path / "link").symlink_to(recipe)
    monkeypatch.setenv("PWD", str(tmp_path / "link"))
    assert find(given="corpus") == str(tmp_path / "link/corpus")


def test_a_download_makes_its_folder(recipe):
    assert find(download=True) == str(recipe / "downloads")
    assert find(given="else where/x", download=True) == str(recipe / "else where/x")
    assert (recipe / "else where/x").is_dir()


def test_nothing_known(recipe):
    message = "no corpus folder: give --corpus-dir DIR, or put MY_CORPUS=DIR into /egs/TEMPLATE/db.local.sh"

    def said():
        with pytest.raises(UserError) as error:
            find()
        return str(error.value)

    assert said() == message
    program = recipe / "local/prepare.py"
    program.write_text('OBTAIN = "https://corpus.example/ (form)"  # licence\n')
    assert said() == f"{message}; the corpus is to be had from https://corpus.example/ (form)"
    program.write_text("recipe.run(\n    utterances,\n    download=[ARCHIVE],\n)\n")
    assert said() == f"{message}, or is fetched with --download true"
