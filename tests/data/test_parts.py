import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m4ser.data import parts
from m4ser.data.datadir import DataDir
from m4ser.utils.errors import UserError


def options(*words):
    parser = argparse.ArgumentParser()
    parts.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "count", "now", "merge"),
    [
        (["--nj", "3", "--job", "2"], 3, [2], False),
        (["--nj", "3", "--job", "2", "--merge"], 3, [2], True),
        (["--nj", "3", "--merge"], 3, [], True),
        (["--nj", "3"], 3, [1, 2, 3], True),
        ([], 1, [1], True),
    ],
)
def test_chosen_jobs(words, count, now, merge):
    jobs = parts.chosen_jobs(options(*words))
    assert (jobs.count, list(jobs.now), jobs.merge) == (count, now, merge)


@pytest.mark.parametrize("words", [["--nj", "3", "--job", "4"], ["--nj", "0"], ["--job", "-1"]])
def test_job_that_is_none(words):
    with pytest.raises(UserError, match="the job must be between 1 and NJ"):
        parts.chosen_jobs(options(*words))


class Shouting(parts.SplitWork):
    """Writes every id in capitals to the file `shouted`."""

    def __init__(self, out, mark="!"):
        self.out, self.mark, self.made = out, mark, []
        self.sets = {
            name: DataDir(name, {"utt2spk": {f"{name}{number}": "s" for number in range(count)}})
            for name, count in (("a", 3), ("b", 2))
        }

    def settings(self, share):
        return {"mark": self.mark, "inputs": parts.digest(share)}

    def make(self, share, folder, part):
        self.made.append(part)
        (folder / "lines").write_text("".join(f"{utt.upper()}{self.mark}\n" for _, utt in share))

    def join(self, folders):
        (self.out / "shouted").write_text("".join((folder / "lines").read_text() for folder in folders))


def test_every_job_makes_its_part_and_the_last_call_joins_them(tmp_path, capsys):
    work = Shouting(tmp_path)
    for job in (2, 1, 1):
        parts.run(work, parts.Jobs(2, [job], merge=False))
    assert work.made == ["2of2", "1of2"]
    assert capsys.readouterr().out == f"{tmp_path / '.parts/1of2'}: already there\n"
    assert not (tmp_path / "shouted").exists()
    parts.run(work, parts.Jobs(2, [], merge=True))
    assert (tmp_path / "shouted").read_text() == "A0!\nA2!\nB1!\nA1!\nB0!\n"
    assert [path.name for path in tmp_path.iterdir()] == ["shouted"]


def test_parts_of_other_settings_are_not_joined(tmp_path):
    parts.run(Shouting(tmp_path), parts.Jobs(1, [1], merge=False))
    with pytest.raises(UserError, match="1of1: the part of job 1 was made with other options or inputs"):
        parts.run(Shouting(tmp_path, mark="?"), parts.Jobs(1, [], merge=True))
    assert not (tmp_path / "shouted").exists()


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
