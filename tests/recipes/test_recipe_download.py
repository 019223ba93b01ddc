import pytest

from m4ser.data.datadir import DataDir, Utterance
from m4ser.recipes import recipe
from m4ser.recipes.splits import automatic_folds


def utterances(corpus_dir, args):
    for path in sorted(corpus_dir.glob("*.wav")):
        yield Utterance(path.stem, path, path.stem[0], path.stem[2:])


def folds(found):
    emotion, speaker = ({utt.utt_id: getattr(utt, what) for utt in found} for what in ("emotion", "speaker"))
    return automatic_folds("toy", speaker, emotion)


def download(folder):
    for speaker in "abc":
        for emotion in ("happy", "sad"):
            (folder / f"{speaker}-{emotion}.wav").write_bytes(b"audio")


def run(tmp_path, *words, **kwargs):
    words = ["--corpus-dir", str(tmp_path / "downloads"), "--out", str(tmp_path / "data"), *words]
    recipe.run(utterances, folds, ["happy", "sad"], obtain="https://example.org (folder wav)", cmd=words, **kwargs)


def test_fetches_the_corpus_when_asked(tmp_path):
    with pytest.raises(SystemExit, match=r"no such corpus folder; .*or fetch the corpus with --download true"):
        run(tmp_path, download=download)
    run(tmp_path, "--download", "true", download=download)
    assert len(DataDir.read(tmp_path / "data" / "all").utts) == 6


def test_a_corpus_that_needs_a_form(tmp_path):
    with pytest.raises(SystemExit, match=r"cannot be fetched by a program; get it from https://example.org \(folder"):
        run(tmp_path, "--download", "true")
    assert not (tmp_path / "downloads").exists()
