import json
import sys
import types

import numpy as np
import pytest
import soundfile

from m4ser.asr.backends import BACKENDS, Backend, Hypothesis
from m4ser.bin.asr_decode import main
from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.scp import read_scp, write_scp


class Length(Backend):
    """Answers with the number of milliseconds; a clip of 50 ms is nothing, one of 40 ms drives it mad."""

    decoded: list = []  # noqa: RUF012

    def __init__(self, model="m", batch_size: int = 2):
        self.batch_size = batch_size

    def decode(self, batch, utts):
        assert len(batch) <= self.batch_size
        self.decoded.extend(utts)
        milliseconds = [len(samples) // 16 for samples in batch]
        texts = [{40: "ha " * 20, 50: ""}.get(ms, f"{ms} ms") for ms in milliseconds]
        return [
            Hypothesis(text, ms / 1000, words=tuple(i / 100 for i in range(len(text.split()))))
            for text, ms in zip(texts, milliseconds, strict=True)
        ]


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Sets `train` (5 clips) and `test` (2 clips) of 10 to 70 ms, and the recogniser `length`."""
    module = types.ModuleType("length_backend")
    module.Length = Length
    monkeypatch.setitem(sys.modules, "length_backend", module)
    monkeypatch.setitem(BACKENDS, "length", ("length_backend", "Length"))
    monkeypatch.setattr(Length, "decoded", [])
    clips = tmp_path / "clips with ünicode"
    clips.mkdir()
    utterances = {"train": [], "test": []}
    for i in range(1, 8):
        soundfile.write(clips / f"{i}.flac", np.full(160 * i, 0.1), 16000)
        name = "train" if i <= 5 else "test"
        utterances[name].append(Utterance(f"s{i % 2}-{i}", clips / f"{i}.flac", f"s{i % 2}", "sad", f"Text {i}."))
    for name, some in utterances.items():
        DataDir.write(tmp_path / "audio" / name, some)
    return tmp_path


def run(corpus, *words, asr="length", out="asr"):
    main(["--data-dir", str(corpus / "audio"), "--out", str(corpus / out), "--asr", asr, *map(str, words)])


def test_lists_of_every_set(corpus, capsys):
    run(corpus, "--asr-model", "x", "--asr-conf", "batch_size=3")
    out = corpus / "asr"
    expected = {"s0-2": "20 ms", "s0-4": "ha", "s1-1": "10 ms", "s1-3": "30 ms", "s1-5": ""}
    assert read_scp(out / "train/text", allow_empty=True) == expected
    assert read_scp(out / "test/text") == {"s0-6": "60 ms", "s1-7": "70 ms"}
    assert read_scp(out / "test/confidence") == {"s0-6": "0.0600", "s1-7": "0.0700"}
    assert read_scp(out / "test/word_confidence") == {"s0-6": "0.0000 0.0100", "s1-7": "0.0000 0.0100"}
    assert read_scp(out / "train/word_confidence", allow_empty=True) | {} == {
        utt: " ".join(f"{i / 100:.4f}" for i in range(len(text.split()))) for utt, text in expected.items()
    }
    info = json.loads((out / "train/decode.json").read_text(encoding="utf-8"))
    assert info["asr"] == "length" and info["model"] == "x" and info["settings"] == {"batch_size": 3}
    assert info["empty_hypotheses"] == 1 and info["looping_hypotheses"] == 1
    assert info["untreated"] == {"s0-4": " ".join(["ha"] * 20)}
    assert info["audio_seconds"] == 0.15 and info["real_time_factor"] > 0 and info["cpu_real_time_factor"] >= 0
    assert not (out / ".parts").exists()
    assert "train: text of 5 utterances" in capsys.readouterr().out


def test_jobs_and_merge_give_the_same_as_one_process(corpus):
    run(corpus, out="whole")
    for job in (2, 1, 3):
        run(corpus, "--nj", 3, "--job", job)
    assert not (corpus / "asr/train").exists()
    run(corpus, "--nj", 3, "--merge")
    for name in ("train/text", "test/text", "train/confidence", "train/word_confidence"):
        assert (corpus / "asr" / name).read_bytes() == (corpus / "whole" / name).read_bytes()


def test_finished_part_is_not_decoded_again_unless_the_settings_change(corpus):
    run(corpus, "--nj", 2, "--job", 1)
    once = len(Length.decoded)
    run(corpus, "--nj", 2, "--job", 1)
    assert len(Length.decoded) == once == 4
    run(corpus, "--nj", 2, "--job", 1, "--asr-conf", "batch_size=1")
    assert len(Length.decoded) == 8


def test_batches_are_of_like_length(corpus):
    """The result does not depend on it; a recogniser decodes windows of equal length together."""
    samples = {"s0-2": "9", "s0-4": "7", "s1-1": "5", "s1-3": "3", "s1-5": "1"}
    write_scp(corpus / "audio/train/utt2num_samples", samples)
    run(corpus, "--sets", "train", "--asr-conf", "batch_size=2")
    assert Length.decoded == sorted(samples, key=samples.get)
    assert read_scp(corpus / "asr/train/text", allow_empty=True)["s0-2"] == "20 ms"


def test_merge_without_all_parts(corpus):
    run(corpus, "--nj", 2, "--job", 1)
    with pytest.raises(SystemExit, match="the part of job 2 is missing; run --job 2 --nj 2 first"):
        run(corpus, "--nj", 2, "--merge")
    assert not (corpus / "asr/train").exists()


def test_reference_needs_no_audio_and_sees_all_sets(corpus):
    for file in corpus.glob("clips*/*"):
        file.unlink()
    run(corpus, asr="reference")
    assert read_scp(corpus / "asr/test/text") == {"s0-6": "Text 6.", "s1-7": "Text 7."}
    whole = corpus / "whole"
    run(corpus, "--asr-conf", "wer=0.3 seed=2", asr="reference", out="whole")
    for job in (1, 2):
        run(corpus, "--asr-conf", "wer=0.3", "seed=2", "--nj", 2, "--job", job, asr="reference", out="split")
    run(corpus, "--asr-conf", "wer=0.3", "seed=2", "--nj", 2, "--merge", asr="reference", out="split")
    assert (whole / "train/text").read_bytes() == (corpus / "split/train/text").read_bytes()


def test_empty_conf_is_no_conf(corpus):
    run(corpus, "--asr-conf", "", "--asr-model", "")
    assert json.loads((corpus / "asr/test/decode.json").read_text(encoding="utf-8"))["settings"] == {}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--asr", "kaldi"], "error: --asr kaldi: unknown; choose one of faster_whisper"),
        (["--asr-conf", "beams=2"], "error: --asr-conf beams=2: must be NAME=VALUE"),
        (["--asr", "faster_whisper", "--asr-model", "./none"], "error: ./none: no such folder"),
        (["--data-dir", "nowhere"], "error: nowhere: no data directories in it; run stage 1"),
        (["--sets", "dev"], "dev/utt2spk: no such file; run stage 1"),
    ],
)
def test_one_line_of_error_and_nothing_written(corpus, words, why):
    with pytest.raises(SystemExit) as error:
        run(corpus, *words)
    assert why in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(corpus.glob("asr/**/text"))


def test_unusable_audio_is_named(corpus):
    (corpus / "clips with ünicode/3.flac").write_bytes(b"")
    with pytest.raises(SystemExit, match=r"3\.flac: the file is empty"):
        run(corpus)
