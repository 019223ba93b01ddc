"""What exceptions say, on one line."""

import pytest

from m4ser.utils.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("no such key\nTraceback ..."), "no such key"),
        (ValueError("\n  first of two\r\nsecond"), "first of two"),
        (RuntimeError(), "RuntimeError"),
        (OSError(" "), "OSError"),
    ],
)
def test_first_line(error, line):
    assert first_line(error) == line
