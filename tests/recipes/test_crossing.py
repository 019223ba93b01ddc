"""Crossed corpora: ids, classes, folds."""

import shutil

import pytest

from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.folds import Folds, choose_dev_speakers, speaker_folds
from m4ser.data.origin import write_origins
from m4ser.recipes.crossing import (
    classes_of,
    cross,
    cross_whole,
    leave_one_out,
    origins_of,
    read_label_map,
    read_source,
    read_sources,
)
from m4ser.utils.errors import UserError


def prepare(root, name, speakers, emotions, groups=None, suffix=""):
    """A recipe's folder as its stages 0 and 1 leave it: one utterance of each speaker and emotion."""
    utts = [
        Utterance(
            f"{s}-{e}", root / f"{s}-{e}.flac", s, e, f"words of {s}", extra={"utt2domain": "x", "utt2lang": "en"}
        )
        for s in speakers
        for e in emotions
    ]
    data, audio = root / name / f"data{suffix}", root / name / f"dump{suffix}" / "audio"
    for folder in (data, audio):
        DataDir.write(folder / "all", utts)
    (audio / ".done").write_text("{}")
    groups = groups or [[s] for s in speakers]
    folds = speaker_folds({u.utt_id: u.speaker for u in utts}, groups, choose_dev_speakers(groups, 1))
    Folds(f"{name}-protocol", "", labels=sorted(emotions), folds=folds).write(data / "folds.json")
    return root / name


@pytest.fixture
def corpora(tmp_path):
    """`a`: three speakers, three folds, a class too many; `b`: three speakers, one of them tests."""
    prepare(tmp_path, "a", ("1", "2", "3"), ("anger", "joy", "calm"))
    folder = prepare(tmp_path, "b", ("1", "2", "3"), ("angry", "happy"))
    folds = Folds.read(folder / "data/folds.json")
    folds.folds = {"only": folds.folds["1"]}
    folds.write(folder / "data/folds.json")
    return tmp_path


def read(root, *words, label_map=None, text=None):
    return [read_source(word, root, label_map or {}, text or {}) for word in words]


def test_ids_classes_and_domain(corpora):
    (source,) = read(corpora, "a")
    assert sorted(source.utterances) == sorted(f"{s}-{e}" for s in "123" for e in ("anger", "joy"))
    utt = source.utterances["2-joy"]
    assert (utt.utt_id, utt.speaker, utt.emotion, utt.set) == ("a-2-joy", "a-2", "happy", "a")
    assert utt.extra == {"utt2domain": "a", "utt2lang": "en"}
    assert source.left_out == {"calm": 3}
    assert source.describe(["angry", "happy"])["classes"] == {"angry": 3, "happy": 3}


def test_every_corpus_is_always_tested_on_the_same_utterances(corpora):
    folds = cross(read(corpora, "a", "b"), ["a", "b", "a+b"], ["a", "b"])
    assert folds.trained_on == {
        **{f"a.{k}": "a" for k in "123"},
        "b.only": "b",
        **{f"a+b.{k}": "a+b" for k in "123"},
    }
    all_of_b = {"b-1-angry", "b-1-happy"}  # what its own protocol tests
    first = folds.folds["a.1"]
    assert set(first.test) == {"a-1-anger", "a-1-joy"} | all_of_b
    assert (first.train, first.dev) == (["a-3-anger", "a-3-joy"], ["a-2-anger", "a-2-joy"])
    only = folds.folds["b.only"]
    assert set(only.test) == all_of_b | {f"a-{s}-{e}" for s in "123" for e in ("anger", "joy")}
    # b has one fold: it trains in all joint folds and is tested in the first.
    assert [len(folds.folds[f"a+b.{k}"].test) for k in "123"] == [4, 2, 2]
    assert {utt[:3] for utt in folds.folds["a+b.3"].train} == {"a-2", "b-3"}
    folds.labels = ["angry", "happy"]
    folds.check({u.utt_id: u.speaker for s in read(corpora, "a", "b") for u in s.utterances.values()})
    assert folds.corpora["a"]["left_out"] == {"calm": 3}


def test_one_way(corpora):
    folds = cross(read(corpora, "a", "b"), ["b"], ["a"])
    assert list(folds.folds) == ["b.only"]
    assert {utt[0] for utt in folds.folds["b.only"].test} == {"a"}
    # What would test nothing is not trained.
    assert list(cross(read(corpora, "a", "b"), ["a+b"], ["b"]).folds) == ["a+b.1"]


def test_written_and_read_again(corpora, tmp_path):
    folds = cross(read(corpora, "a", "b"), ["a"], ["b"])
    folds.write(tmp_path / "folds.json")
    assert Folds.read(tmp_path / "folds.json") == folds
    assert "trained_on" not in (corpora / "a/data/folds.json").read_text()  # of an ordinary protocol


def test_label_map(corpora):
    table = corpora / "map.csv"
    table.write_text("corpus,label,class\na,Calm,neutral\na,joy,\n")
    label_map = read_label_map(table)
    sources = read(corpora, "a", "b", label_map=label_map)
    assert {u.emotion for u in sources[0].utterances.values()} == {"angry", "neutral"}
    assert sources[0].left_out == {"joy": 3}
    assert classes_of(sources) == ["angry", "happy", "neutral"]


def test_names_and_other_data_folders(corpora):
    prepare(corpora, "b", ("1", "2", "3"), ("sad", "happy"), suffix="_zh")
    found = read(corpora, "a", "b/data_zh", f"again={corpora}/a", text={"b_zh": "ref"})
    assert [source.name for source in found] == ["a", "b_zh", "again"]
    assert (found[1].dump, found[1].text) == (corpora / "b/dump_zh", "ref")
    with pytest.raises(UserError, match="a-b cannot be the name of a corpus; give one as NAME=a"):
        read(corpora, "a-b=a")


def test_data_folders_within_the_folder_of_data(corpora):
    for folder in ("data", "dump"):
        shutil.copytree(corpora / "a" / folder, corpora / "c" / folder / "9988/clean")
    (source,) = read(corpora, "c/data/9988/clean")
    assert (source.name, source.dump) == ("c_9988_clean", corpora / "c/dump/9988/clean")


def test_recordings_left_out_by_stage_1(corpora):
    audio = corpora / "a/dump/audio/all"
    data = DataDir.read(audio)
    data.subset([utt for utt in data.utts if not utt.startswith("1-j")]).save(audio)
    (source,) = read(corpora, "a")
    assert source.skipped == 1
    assert "a-1-joy" not in cross([source], ["a"], ["a"]).folds["a.1"].test


def test_whose_they_are_goes_by_the_names_of_the_crossing(corpora):
    origin = {"name": "A", "licence": "odbl", "languages": ["en"], "address": "https://a"}
    write_origins(corpora / "a/data", {"alpha": origin})
    assert origins_of(read(corpora, "first=a", "b")) == {"first": origin}


def test_each_corpus_is_left_out_once(corpora):
    for name in ("c", "new"):
        prepare(corpora, name, ("1", "2", "3"), ("angry", "happy"))
    sources = read(corpora, "a", "b", "c", "new")
    folds = leave_one_out(sources, ["new"])
    assert folds.trained_on == {"a": "b+c", "b": "a+c", "c": "a+b", "all": "a+b+c"}
    new = {f"new-{s}-{e}" for s in "123" for e in ("angry", "happy")}
    parts = {
        name: [{u.rsplit("-", 1)[0] for u in part} for part in vars(fold).values()]
        for name, fold in folds.folds.items()
    }
    train, dev, test = parts["a"]  # everybody who is not dev in the first fold trains
    assert (train, dev) == ({"b-1", "b-3", "c-1", "c-3"}, {"b-2", "c-2"})
    assert test == {"a-1", "a-2", "a-3", "new-1", "new-2", "new-3"}
    assert new < set(folds.folds["b"].test)
    assert set(folds.folds["b"].test) - new == {"b-1-angry", "b-1-happy"}  # what its own protocol tests
    train, dev, test = parts["all"]  # the first fold of each
    assert (train, dev) == ({"a-3", "b-3", "c-3"}, {"a-2", "b-2", "c-2"})
    assert test == {"a-1", "b-1", "c-1", "new-1", "new-2", "new-3"}
    assert folds.protocol == "leave-one-out-a-b-c-2class"
    folds.labels = ["angry", "happy"]
    folds.check({u.utt_id: u.speaker for s in sources for u in s.utterances.values()})
    with pytest.raises(UserError, match="--unheard: there is no corpus d; --corpora has a, b, c, new"):
        leave_one_out(sources, ["d"])
    with pytest.raises(UserError, match="takes three at least, not 2"):
        leave_one_out(sources, ["new", "a"])


def test_whole_corpora_test_models_of_others(corpora):
    prepare(corpora, "c", ("1", "2", "3"), ("angry", "happy"))
    sources = read(corpora, "a", "b", "c")
    folds = cross_whole(sources, ["a", "b+c"], ["a", "b", "c"])
    assert folds.trained_on == {"a": "a", "b+c": "b+c"}
    assert folds.protocol == "cross-corpus-whole-a-b-c-2class"
    one, two = folds.folds.values()
    assert [{u[:3] for u in part} for part in (one.train, one.dev, one.test)] == [
        {"a-1", "a-3"},  # everybody who is not dev in the first fold
        {"a-2"},
        {"b-1", "c-1", "c-2", "c-3"},  # what their own protocols test
    ]
    assert [{u[:3] for u in part} for part in (two.train, two.dev, two.test)] == [
        {"b-1", "b-3", "c-1", "c-3"},
        {"b-2", "c-2"},
        {"a-1", "a-2", "a-3"},
    ]
    folds.labels = ["angry", "happy"]
    folds.check({u.utt_id: u.speaker for s in sources for u in s.utterances.values()})
    with pytest.raises(UserError, match="--whole: a trains on all that is tested"):
        cross_whole(sources, ["a", "b", "c"], ["a"])
    with pytest.raises(UserError, match="there is no corpus d"):
        cross_whole(sources, ["d"], ["a"])


def test_what_is_left_out_is_told(corpora, capsys):
    assert [source.name for source in read_sources(["a", "b"], corpora)] == ["a", "b"]
    assert "note: 3 utterances of a have none of the classes: calm 3" in capsys.readouterr().err
    with pytest.raises(UserError, match="which corpora"):
        read_sources([], corpora)
    with pytest.raises(UserError, match="two corpora are named a"):
        read_sources(["a", "a"], corpora)
    with pytest.raises(UserError, match="there is no corpus c; --corpora has a, b"):
        read_sources(["a", "b"], corpora, texts=["c=ref"])


def test_faults(corpora):
    with pytest.raises(UserError, match=r"c/data/folds.json: no such file; run stages 0 to 2 of that recipe first \("):
        read(corpora, "c")
    sources = read(corpora, "a", "b")
    for train, test, message in (
        (["c"], ["a"], "there is no corpus c; --corpora has a, b"),
        (["a"], ["a"], "b is neither in --train nor in --test"),
        (["a+a"], ["b"], r"--train a\+a: has a corpus twice"),
    ):
        with pytest.raises(UserError, match=message):
            cross(sources, train, test)
    path = corpora / "a/data/folds.json"
    folds = Folds.read(path)
    folds.folds["3"] = folds.folds["2"]
    folds.write(path)
    with pytest.raises(UserError, match="tests utterances in several folds"):
        cross(read(corpora, "a", "b"), ["a"], ["a", "b"])
    folds.trained_on = {"1": "a"}
    folds.write(path)
    with pytest.raises(UserError, match="is crossed itself"):
        read(corpora, "a")
    (corpora / "a/dump/audio/.done").unlink()
    with pytest.raises(UserError, match=r"dump/audio/.done: no such file; run stages 0 to 2"):
        read(corpora, "a")
