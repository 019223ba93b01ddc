import codecs

import pytest

from m4ser.recipes.table import read_table
from m4ser.utils.errors import UserError

NEEDED, OPTIONAL = ("file", "emotion"), ("text", "id")


def read(tmp_path, content, needed=NEEDED, optional=OPTIONAL):
    path = tmp_path / "my table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, needed, optional)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(tmp_path, delimiter):
    rows, unused = read(tmp_path, 'FILE;note; Emotion\na b.wav;1; sad \n"x;y.wav";2;happy\n'.replace(";", delimiter))
    assert [row.values for row in rows] == [
        {"file": "a b.wav", "emotion": "sad"},
        {"file": f"x{delimiter}y.wav", "emotion": "happy"},
    ]
    assert rows[1].where.endswith("my table.csv: line 3")
    assert unused == ["note"]


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + "file,emotion\r\né.wav,sad\r\n".encode(),
        "file,emotion\né.wav,sad".encode("utf-16"),
        "\ufefffile\temotion\r\né.wav\tsad\r\n\r\n\t\r\n".encode("utf-16-le"),
    ],
)
def test_what_spreadsheets_write(tmp_path, content):
    assert [row.values["file"] for row in read(tmp_path, content)[0]] == ["é.wav"]


def test_only_line_ends_end_lines(tmp_path):
    rows, _ = read(tmp_path, "file,emotion,text\na,sad,one\u2028two\x85three\x0bfour\r\nb,sad,x\n")
    assert [row.values["text"] for row in rows] == ["one\u2028two\x85three\x0bfour", "x"]


def test_line_breaks_in_text(tmp_path):
    rows, _ = read(tmp_path, 'file,emotion,text\na,sad,"one\ntwo ""2"""\n\nb,sad,"a, b"\n')
    assert [(row.where[-6:], row.values["text"]) for row in rows] == [("line 2", 'one\ntwo "2"'), ("line 5", "a, b")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty; its first line must name the columns: file, emotion"),
        ("file,emotion\n", "has no lines after the first"),
        ("path,emotion\nx,y\n", "line 1: no column file; it has path, emotion"),
        ("file,emotion,File\nx,y,z\n", "line 1: column file is there twice"),
        ("file,emotion,text\na,sad,ok\nb,sad,no, no\n", "line 3: 4 fields instead of 3; put text that contains"),
        ("file,emotion,text\na,sad\n", "line 2: 2 fields instead of 3"),
        ("file,emotion\na,sad\nb, \n", "line 3: emotion is empty; fill it in or delete the line"),
        (b"file,emotion\na,sad\n\xe9.wav,sad\n", "line 3 is not UTF-8; save the table as `CSV UTF-8`"),
        ('file,emotion\n"a"b,sad\n', "line 2: "),
        ('file,emotion\na,"sad\n', "line 2: unexpected end of data; check the double quotes"),
    ],
)
def test_faults_are_named_by_line(tmp_path, content, message):
    with pytest.raises(UserError) as error:
        read(tmp_path, content)
    assert str(error.value).startswith(f"{tmp_path / 'my table.csv'}: {message}")


def test_missing_table(tmp_path):
    with pytest.raises(UserError, match="no such file; correct the path"):
        read_table(tmp_path / "my.csv", NEEDED)
