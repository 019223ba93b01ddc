"""What is shown of long work, and where."""

import pytest

from m4ser.utils import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes by 0.6 s a look."""
    times = iter(0.6 * tick for tick in range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))


def test_a_job_writes_countable_lines_at_most_once_a_second(clock, monkeypatch, capsys):
    monkeypatch.setenv(progress.LAUNCHED, "1")
    assert list(progress.track("abcde", "read")) == list("abcde")
    lines = ["@progress 0 5", "@progress 2 5", "@progress 4 5", "@progress 5 5"]
    assert capsys.readouterr().err.splitlines() == lines


def test_elsewhere_a_plain_line_every_ten_seconds(clock, monkeypatch, capsys):
    monkeypatch.delenv(progress.LAUNCHED, raising=False)
    assert len(list(progress.track(range(40), "read"))) == 40
    assert capsys.readouterr().err.splitlines() == ["read: 16 of 40", "read: 33 of 40"]
    assert list(progress.track(iter("ab"), "read")) == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_unknown_total(clock, monkeypatch, capsys):
    monkeypatch.setenv(progress.LAUNCHED, "1")
    list(progress.track(iter("ab"), "read"))
    assert capsys.readouterr().err.splitlines() == ["@progress 0 0", "@progress 2 2"]
