"""Names of what depends on options."""

import subprocess
from pathlib import Path

import pytest

from m4ser.stages import names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("offline:whisper-tiny.en", "whisper-tiny.en"),
        ("facebook/wav2vec2-base", "facebook_wav2vec2-base"),
        ("../my models/a  b/", "a_b"),
        ("/", "_"),
        ("a__b é", "a_b_"),
        ("language=de beam=5", "language_de_beam_5"),
    ],
)
def test_a_name_as_part_of_a_file_name(name, expected):
    assert names.part(name) == expected


def test_long_tags_end_in_their_checksum():
    assert names.shortened("x" * 120) == "x" * 120
    long = "y" * 121
    printed = subprocess.run(["cksum"], input=long, capture_output=True, text=True, check=True).stdout
    assert names.shortened(long) == "y" * 100 + "_" + printed.split()[0]


def test_checksum_of_posix():
    assert names.cksum(b"") == 4294967295
    assert names.cksum(b"123456789") == 930766865


@pytest.mark.parametrize(
    ("data", "dump"),
    [
        ("data", "dump"),
        ("data_zh", "dump_zh"),
        ("data/babble0", "dump/babble0"),
        ("data_zh/9988/babble0", "dump_zh/9988/babble0"),
        ("../meld_tts/data/9988/clean", "../meld_tts/dump/9988/clean"),
        ("/data/corpora/egs/x/prepared/clean", "/data/corpora/egs/x/dump/clean"),
    ],
)
def test_the_dump_of_a_data_folder(data, dump):
    assert names.dump_of(Path(data)) == Path(dump)
