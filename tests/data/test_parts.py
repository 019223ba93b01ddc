import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m4ser.data import parts
from m4ser.utils.errors import UserError


def options(*words):
    parser = argparse.ArgumentParser()
    parts.add_arguments(parser)
    return parser.parse_args(words)


def test_steps():
    assert parts.steps(options("--nj", "3", "--job", "2")) == ([2], False)
    assert parts.steps(options("--nj", "3", "--merge")) == ([], True)
    assert parts.steps(options("--nj", "3")) == ([1, 2, 3], True)
    assert parts.steps(options()) == ([1], True)
    with pytest.raises(UserError, match=r"--job 4 --nj 3"):
        parts.steps(options("--nj", "3", "--job", "4"))


@given(st.lists(st.integers()), st.integers(1, 8))
def test_shares_make_up_everything(items, nj):
    shares = [parts.share(items, job, nj) for job in range(1, nj + 1)]
    assert sorted(item for share in shares for item in share) == sorted(items)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_part_is_whole_or_absent(tmp_path):
    folder = parts.part(tmp_path, 1, 2)
    with pytest.raises(ZeroDivisionError), parts.writing(folder, {"a": 1}) as temporary:
        (temporary / "half").touch()
        raise ZeroDivisionError
    assert not folder.exists()
    with parts.writing(folder, {"a": 1}) as temporary:
        (temporary / "whole").touch()
    assert parts.is_finished(folder, {"a": 1})
    assert not parts.is_finished(folder, {"a": 2})
    assert (folder / "whole").exists()


def test_joining_needs_all_parts_of_the_same_settings(tmp_path):
    with parts.writing(parts.part(tmp_path, 1, 2), {"a": 1}):
        pass
    with pytest.raises(UserError, match=r"2of2: the part of job 2 is missing; run --job 2 --nj 2 first"):
        parts.finished(tmp_path, [{"a": 1}, {"a": 1}])
    with parts.writing(parts.part(tmp_path, 2, 2), {"a": 2}):
        pass
    with pytest.raises(UserError, match=r"2of2: the part of job 2 was made with other options"):
        parts.finished(tmp_path, [{"a": 1}, {"a": 1}])
    assert len(parts.finished(tmp_path, [{"a": 1}, {"a": 2}])) == 2
    parts.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_digest_tells_inputs_apart():
    assert parts.digest([("a", 1), ("b", None)]) == parts.digest(iter([("a", 1), ("b", None)]))
    assert parts.digest(["ab", "c"]) != parts.digest(["a", "bc"])
