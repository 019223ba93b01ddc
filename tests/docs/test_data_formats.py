"""docs/data_formats.md names everything that the files of stages 0 to 3 hold."""

import dataclasses
import re
from pathlib import Path

import pytest

from m4ser.asr.decoding import DecodeInfo
from m4ser.asr.wer import Group, Report, WordErrors
from m4ser.data.contents import ArchiveContents, ListContents
from m4ser.data.datadir import BY_UTTERANCE, NEEDED
from m4ser.data.folds import Folds
from m4ser.models.encoders.extraction import FeatureInfo
from m4ser.scoring.table import Column, Score, Table
from m4ser.training.targets import TargetStats

PAGE = (Path(__file__).resolve().parents[2] / "docs/data_formats.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"[\w.]+", " ".join(re.findall(r"`([^`]+)`", PAGE))))


@pytest.mark.parametrize(
    "content", [DecodeInfo, Report, Group, WordErrors, FeatureInfo, TargetStats, ListContents, ArchiveContents]
)
def test_every_key_of_a_json_file_is_named(content):
    assert set(content.__annotations__) - NAMED == set()


@pytest.mark.parametrize("part", [Table, Column, Score])
def test_every_key_of_a_table_is_named(part):
    assert {field.name for field in dataclasses.fields(part)} - NAMED == set()


def test_lists_and_folds_are_named():
    assert {*NEEDED, *BY_UTTERANCE, *(field.name for field in dataclasses.fields(Folds))} - NAMED == set()
