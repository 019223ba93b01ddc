import pytest
from hypothesis import given
from hypothesis import strategies as st

from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.errors import UserError

KEYS = st.text(st.characters(min_codepoint=0x21, exclude_categories=("Cs", "Z", "Cc")), min_size=1, max_size=8).filter(
    lambda key: key.split() == [key]
)
VALUES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n"), max_size=20).map(str.strip)


@given(st.dictionaries(KEYS, VALUES, max_size=20))
def test_reads_back_what_was_written(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("scp") / "text"
    write_scp(path, entries)
    if entries:
        assert read_scp(path, allow_empty=True) == entries
        lines = path.read_bytes().split(b"\n")[:-1]
        keys = [line.split(b" ")[0] for line in lines]
        assert keys == sorted(keys)  # the order of LC_ALL=C sort


def test_file_is_plain_lines(tmp_path):
    write_scp(tmp_path / "wav.scp", {"b": "/with space/ü.wav", "a": 3})
    assert (tmp_path / "wav.scp").read_bytes() == "a 3\nb /with space/ü.wav\n".encode()
    (tmp_path / "tabs").write_text("a\t1\nb   2  \n")
    assert read_scp(tmp_path / "tabs") == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbfa 1\n", "byte order mark"),
        (b"a 1\nb 2\r\n", "line 2 ends in CRLF"),
        (b"a 1\nb \xe9\n", "line 2 is not UTF-8"),
        (b"a 1\na 2\n", "line 2: 'a' is there twice"),
        (b"a 1\nc 2\na 3\n", "line 3: 'a' is there twice"),
        (b"b 1\na 2\n", "line 2: 'a' must not come after 'b'; sort the file"),
        (b"a 1\n\nb 2\n", "line 2 is empty"),
        (b"a 1\nb\n", "line 2: 'b' has no value"),
        (b"", "the file is empty"),
    ],
)
def test_malformed_file_is_refused_with_its_name_and_line(tmp_path, content, message):
    path = tmp_path / "utt2spk"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_scp(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"nothing: no such file; run the stage"):
        read_scp(tmp_path / "nothing")


def test_empty_values_only_where_allowed(tmp_path):
    write_scp(tmp_path / "text", {"a": "", "b": "x"})
    assert read_scp(tmp_path / "text", allow_empty=True) == {"a": "", "b": "x"}


@pytest.mark.parametrize("entries", [{"a b": "1"}, {"": "1"}, {"a": "two\nlines"}])
def test_unwritable_entry_leaves_nothing_behind(tmp_path, entries):
    with pytest.raises(UserError):
        write_scp(tmp_path / "text", entries)
    assert list(tmp_path.iterdir()) == []


def test_line_separators_inside_a_value_survive(tmp_path):
    write_scp(tmp_path / "text", {"a": "one\u2028two\x85three", "b": "x"})
    assert read_scp(tmp_path / "text")["a"] == "one\u2028two\x85three"


@pytest.mark.parametrize("space", ["\u2028", "\xa0", "\x0b"])
def test_keys_have_no_white_space_of_any_kind(tmp_path, space):
    """Such a key could be read, and then not be written."""
    path = tmp_path / "text"
    path.write_text(f"a{space}b so{space}it is\n", encoding="utf-8")
    assert read_scp(path) == {"a": f"b so{space}it is"}
    path.write_text(f"a so{space}it is\n", encoding="utf-8")
    assert read_scp(path) == {"a": f"so{space}it is"}
    path.write_text(f"{space} so\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"line 1: 'so' has no value"):
        read_scp(path)
