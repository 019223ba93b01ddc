import argparse
from types import SimpleNamespace

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
    """Writes every id in capitals to the file `shouted`; `stop` ends it when it comes to that id."""

    def __init__(self, out, mark="!", size=1, stop=""):
        self.out, self.mark, self.size, self.stop = out, mark, size, stop
        self.made = []
        self.sets = {
            name: DataDir(name, {"utt2spk": {f"{name}{number}": "s" for number in range(count)}})
            for name, count in (("a", 3), ("b", 2))
        }

    def settings(self, share):
        return {"mark": self.mark, "inputs": parts.digest(share)}

    def batches(self, items):
        return (items[first : first + self.size] for first in range(0, len(items), self.size))

    def make(self, batches, folder, part):
        with (folder / "lines").open("w") as file:
            for batch in batches:
                utts = [utt for _, utt in batch]
                if self.stop in utts:
                    raise ZeroDivisionError
                self.made.append("+".join(utts))
                file.writelines(f"{utt.upper()}{self.mark} {part}\n" for utt in utts)

    def join(self, by_job):
        lines = [(chunk / "lines").read_text() for chunks in by_job for chunk in chunks]
        (self.out / "shouted").write_text("".join(lines))


WHOLE = "A0! 1of2\nA2! 1of2\nB1! 1of2\nA1! 2of2\nB0! 2of2\n"


def test_every_job_makes_its_part_and_the_last_call_joins_them(tmp_path, capsys):
    work = Shouting(tmp_path)
    for job in (2, 1, 1):
        parts.run(work, parts.Jobs(2, [job], merge=False))
    assert work.made == ["a1", "b0", "a0", "a2", "b1"]
    assert capsys.readouterr().out == f"{tmp_path / '.parts/1of2'}: already there\n"
    assert {path.name for path in (tmp_path / ".parts").iterdir()} == {"1of2.0", "2of2.0"}
    assert not (tmp_path / "shouted").exists()
    parts.run(work, parts.Jobs(2, [], merge=True))
    assert (tmp_path / "shouted").read_text() == WHOLE
    assert [path.name for path in tmp_path.iterdir()] == ["shouted"]


def test_kept_parts_can_be_joined_again(tmp_path, capsys):
    """A kill between the join and what vouches for its result costs nothing."""
    for _ in range(2):
        work = Shouting(tmp_path)
        parts.run(work, parts.Jobs(2, [1, 2], merge=True, keep=True))
        assert (tmp_path / "shouted").read_text() == WHOLE
    assert work.made == []
    parts.run(work, parts.Jobs(2, [], merge=True))
    assert [path.name for path in tmp_path.iterdir()] == ["shouted"]


def test_more_jobs_than_utterances(tmp_path):
    parts.run(Shouting(tmp_path), parts.Jobs(7, range(1, 8), merge=True))
    assert len((tmp_path / "shouted").read_text().splitlines()) == 5


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("stop", ["a0", "a2", "b0", "b1"])
def test_an_interrupted_job_goes_on_behind_its_last_chunk(tmp_path, size, stop, capsys):
    """The batches are those of an undisturbed run, and what was saved is not made again."""
    undisturbed = Shouting(tmp_path / "whole", size=size)
    undisturbed.out.mkdir()
    parts.run(undisturbed, parts.Jobs(1, [1], merge=True))
    every_batch = parts.Jobs(1, [1], merge=True, save_every=0)
    first, second = Shouting(tmp_path, size=size, stop=stop), Shouting(tmp_path, size=size)
    with pytest.raises(ZeroDivisionError):
        parts.run(first, every_batch)
    saved = sum(batch.count("+") + 1 for batch in first.made)
    assert len(list(tmp_path.glob(".parts/*"))) == len(first.made)
    capsys.readouterr()
    parts.run(second, every_batch)
    goes_on = f"{tmp_path / '.parts/1of1'}: {saved} of 5 utterances are there; going on\n"
    assert capsys.readouterr().out == (goes_on if saved else "")
    assert first.made + second.made == undisturbed.made
    assert (tmp_path / "shouted").read_bytes() == (tmp_path / "whole/shouted").read_bytes()


def test_a_chunk_ends_when_its_time_is_up(tmp_path, monkeypatch):
    work = Shouting(tmp_path)  # a batch takes a second
    monkeypatch.setattr(parts, "time", SimpleNamespace(monotonic=lambda: float(len(work.made))))
    parts.run(work, parts.Jobs(1, [1], merge=False, save_every=2))
    assert {path.name for path in (tmp_path / ".parts").iterdir()} == {"1of1.0", "1of1.2", "1of1.4"}


def test_a_chunk_of_other_settings_or_utterances_is_made_again(tmp_path):
    every_batch = parts.Jobs(1, [1], merge=False, save_every=0)
    parts.run(Shouting(tmp_path), every_batch)
    other = Shouting(tmp_path, mark="?")
    parts.run(other, every_batch)
    assert len(other.made) == 5
    settings = tmp_path / ".parts/1of1.2/settings.json"
    for damaged in (settings.read_text().replace('"utterances": "', '"utterances": "0'), "{}", "[]", "[", '{"end": 9}'):
        settings.write_text(damaged)
        again = Shouting(tmp_path, mark="?")
        parts.run(again, every_batch)
        assert again.made == ["a2", "b0", "b1"]
    settings.write_text("{}")
    with pytest.raises(UserError, match="the part of job 1 has only 2 of 5 utterances; run --job 1 --nj 1 first"):
        parts.run(other, parts.Jobs(1, [], merge=True))


def test_parts_of_other_settings_are_not_joined(tmp_path):
    parts.run(Shouting(tmp_path), parts.Jobs(1, [1], merge=False))
    with pytest.raises(UserError, match="1of1: the part of job 1 was made with other options or inputs"):
        parts.run(Shouting(tmp_path, mark="?"), parts.Jobs(1, [], merge=True))
    with pytest.raises(UserError, match=r"1of2: the part of job 1 is missing; run --job 1 --nj 2 first"):
        parts.run(Shouting(tmp_path), parts.Jobs(2, [], merge=True))
    assert not (tmp_path / "shouted").exists()


@given(st.lists(st.floats(0, 30)), st.integers(1, 8))
def test_shares_make_up_everything_and_are_balanced(seconds, nj):
    items = list(range(len(seconds)))
    durations = dict(zip(items, seconds, strict=True))
    shares = parts.shares(items, nj, durations)
    assert sorted(item for share in shares for item in share) == items
    assert all(share == sorted(share) for share in shares)
    times = [sum(durations[item] for item in share) for share in shares]
    assert max(times) - min(times) <= max(seconds, default=0) + 1e-9


def test_without_durations_a_job_has_every_njth():
    assert parts.shares("abcdefg", 3, {}) == [["a", "d", "g"], ["b", "e"], ["c", "f"]]
    assert parts.shares("abcdefg", 3, dict.fromkeys("abcdefg", 2.5)) == [["a", "d", "g"], ["b", "e"], ["c", "f"]]


class Talks(Shouting):
    """Two speakers take turns, one of whom speaks ten times as long."""

    def __init__(self, out, lists):
        super().__init__(out)
        self.sets = {"a": DataDir("a", {"utt2spk": {f"a{number:03}": "s" for number in range(400)}})}
        for name in lists:
            values = [(10 if number % 2 else 1) + number / 4000 for number in range(400)]
            of_list = {
                "utt2num_samples": lambda seconds: str(int(16000 * seconds)),
                "segments": lambda seconds: f"r 1.5 {1.5 + seconds:.3f}",
                "wav.scp": str,
            }[name]
            self.sets["a"].maps[name] = {
                utt: of_list(seconds) for utt, seconds in zip(self.sets["a"].utts, values, strict=True)
            }
        if "segments" in lists:
            self.sets["a"].maps["wav.scp"] = {"r": "r.wav"}


@pytest.mark.parametrize("lists", [["utt2num_samples"], ["segments"], ["utt2num_samples", "wav.scp"]])
def test_jobs_are_balanced_by_duration(tmp_path, lists):
    work = Talks(tmp_path, lists)
    seconds = work.durations()
    assert seconds["a", "a003"] == pytest.approx(10.00075, abs=1e-3)
    for job in range(1, 9):
        parts.run(work, parts.Jobs(8, [job], merge=False))
    times = dict.fromkeys(range(1, 9), 0.0)
    for path in tmp_path.glob(".parts/*/lines"):
        for line in path.read_text().splitlines():
            name, part = line.split("! ")
            times[int(part[0])] += seconds["a", name.lower()]
    assert max(times.values()) / (sum(times.values()) / 8) < 1.01


def test_durations_are_not_guessed(tmp_path):
    assert Talks(tmp_path, ["wav.scp"]).durations() == {}
    assert Shouting(tmp_path).durations() == {}


def test_digest_tells_inputs_apart():
    assert parts.digest([("a", 1), ("b", None)]) == parts.digest(iter([("a", 1), ("b", None)]))
    assert parts.digest(["ab", "c"]) != parts.digest(["a", "bc"])
