"""Names of what depends on options."""

import subprocess

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
