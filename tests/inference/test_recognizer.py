"""EmotionRecognizer: the same numbers as stage 5, all kinds of input, bad recordings, long recordings."""

import json

import numpy as np
import pytest
import soundfile
import torch

from m4ser import EmotionRecognizer
from m4ser.asr.backends import Hypothesis
from m4ser.bin import extract_feats, format_audio
from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.scp import write_scp
from m4ser.hub.opening import find_model
from m4ser.inference.results import Failure
from m4ser.models.checkpoint import load_run
from m4ser.training.evaluation import predict as stage_5
from m4ser.utils.errors import UserError

TEXT = "I am SO happy, today!"


@pytest.fixture(scope="module")
def recognizer(toy_run):
    return EmotionRecognizer.from_pretrained(toy_run, device="cpu", batch_size=3)


def test_same_numbers_as_stage_5(toy_run, recognizer, wavs, tmp_path, monkeypatch):
    """The commands of stages 1 and 5 on the same files; stage 3's lines are written as make_targets does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("M4SER_DEBUG", "1")
    utterances = [Utterance(path.stem, path, path.stem[:2], "sad", TEXT) for path in sorted(wavs.iterdir())]
    DataDir.write("data/all", utterances, tmp_path)
    format_audio.main([])
    (encoder,) = [find_model(toy_run).pipeline["speech"]["encoder"]]
    extract_feats.main(["--out", "feats", "--speech-encoder", encoder, "--pool", "4"])
    words = TEXT.lower().replace(",", "").replace("!", "").split()
    write_scp("edits", {utt.utt_id: json.dumps({"words": words}) for utt in utterances})
    model, args = load_run(toy_run / "fold1/seed1")
    data = [("feats/all/feats.scp", "speech", "m4ser_feats"), ("edits", "text", "text")]
    expected = torch.cat([p for _, p in stage_5(model, args, data, [utt.utt_id for utt in utterances])])

    found = recognizer(wavs, text={utt.utt_id: TEXT for utt in utterances})
    assert [result.name for result in found] == [str(utt.audio) for utt in utterances]
    chances = torch.tensor([list(result.probabilities.values()) for result in found])
    assert expected.std(0).min() > 1e-4  # utterances do differ
    torch.testing.assert_close(chances, expected, atol=2e-6, rtol=0)
    assert [result.label for result in found] == [model.labels[i] for i in expected.argmax(-1)]


def test_arrays_and_files_and_lists_agree(recognizer, wavs, tmp_path):
    path = wavs / "s0-a.wav"
    samples, rate = soundfile.read(path, dtype="float32")
    whole, _ = soundfile.read(path, dtype="int16")
    one = recognizer(path, text=TEXT)
    assert recognizer(samples, rate, text=TEXT).probabilities == one.probabilities
    assert recognizer(torch.from_numpy(whole), rate, text=TEXT).probabilities == one.probabilities
    write_scp(tmp_path / "wav.scp", {"a": path, "b": path})
    listed = recognizer(tmp_path / "wav.scp", text={"a": TEXT, "b": TEXT})
    assert [result.name for result in listed] == ["a", "b"]
    assert all(result.probabilities == pytest.approx(one.probabilities, abs=1e-6) for result in listed)
    (tmp_path / "segments").write_text("a-1 a 0.00 0.20\na-2 a 0.20 0.40\n")
    parts = recognizer(tmp_path, text={"a-1": TEXT, "a-2": TEXT})
    assert [(result.name, result.duration) for result in parts] == [("a-1", 0.2), ("a-2", 0.2)]
    assert one.text == TEXT
    assert one.confidence is None
    assert one.duration == pytest.approx(0.4)
    assert sum(one.probabilities.values()) == pytest.approx(1)
    assert list(one.seconds) == ["read", "features", "recognition", "model"]


def test_results_do_not_depend_on_batches_and_threads(toy_run, recognizer, wavs):
    texts = {f"s{k}-a": "i am " * k for k in range(4)}
    alone = EmotionRecognizer.from_pretrained(toy_run / "fold1/seed1", device="cpu", batch_size=1, prefetch=False)
    for a, b in zip(recognizer(wavs, text=texts), alone(wavs, text=texts), strict=True):
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-6)


def test_recogniser_is_asked_where_no_text_is_given(toy_run, wavs):

    class Recogniser:
        def transcribe_batch(self, batch):
            return [Hypothesis(f"{len(samples)} samples", 0.5) for samples in batch]

    own = EmotionRecognizer.from_pretrained(toy_run, device="cpu")
    own.frontend.recogniser = Recogniser()
    found = own([wavs / "s0-a.wav", wavs / "s3-a.wav"], text={"s3-a": TEXT})
    assert [(result.text, result.confidence) for result in found] == [("6400 samples", 0.5), (TEXT, None)]


def test_without_recogniser_the_text_is_asked_for(recognizer, wavs):
    with pytest.raises(UserError, match="give the text"):
        recognizer(wavs / "s0-a.wav")


def test_a_recording_without_its_text_costs_itself_only(recognizer, wavs):
    source = sorted(wavs.iterdir())[:3]
    found = list(recognizer.stream(source, text={path.stem: TEXT for path in (source[0], source[2])}))
    assert [type(result) is Failure for result in found] == [False, True, False]
    assert "give the text" in found[1].reason


def test_long_recordings_become_a_timeline(recognizer, tone, monkeypatch):
    samples = tone(3.0)
    monkeypatch.setattr("m4ser.inference.recognizer.speech_spans", lambda samples: [(0, 16000), (24000, 48000)])
    monkeypatch.setattr(recognizer, "split", 2.0)
    monkeypatch.setattr(
        recognizer.frontend, "transcribe", lambda batch: [Hypothesis(f"part {len(s)}", 0.5) for s in batch]
    )
    found = recognizer(samples, 16000)
    assert [(part.start, part.end, part.text) for part in found.segments] == [
        (0.0, 1.0, "part 16000"),
        (1.5, 3.0, "part 24000"),
    ]
    assert found.text == "part 16000 part 24000"
    parts = [part.probabilities["sad"] for part in found.segments]
    assert found.probabilities["sad"] == pytest.approx((1.0 * parts[0] + 1.5 * parts[1]) / 2.5)
    monkeypatch.setattr("m4ser.inference.recognizer.speech_spans", lambda samples: [])
    with pytest.raises(UserError, match="nobody speaks in its 3 s"):
        recognizer(samples, 16000)


def test_outputs_are_logits(recognizer, wavs):
    source = [wavs / "s0-a.wav", wavs / "missing.wav", wavs / "s1-a.wav"]
    texts = {f"s{k}-a": TEXT for k in range(2)}
    first, missing, second = recognizer.outputs(source, text=texts)
    assert isinstance(missing, Failure) and "no such file" in missing.reason
    for (name, logits), path in ((first, source[0]), (second, source[2])):
        assert name == str(path)
        probabilities = torch.softmax(torch.from_numpy(logits).double(), -1)
        assert probabilities.tolist() == pytest.approx(list(recognizer(path, text=TEXT).probabilities.values()))


def test_outputs_of_a_split_recording_are_its_parts_weighted_by_seconds(recognizer, tone, monkeypatch):
    monkeypatch.setattr("m4ser.inference.recognizer.speech_spans", lambda samples: [(0, 16000), (24000, 48000)])
    monkeypatch.setattr(recognizer, "split", 2.0)
    monkeypatch.setattr(recognizer.frontend, "transcribe", lambda batch: [Hypothesis("so", 0.5) for _ in batch])
    outputs = iter([np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.array([[np.nan, 0, 0], [0, 1.0, 0]])])
    monkeypatch.setattr(recognizer, "forward", lambda batch: next(outputs))
    (result,) = recognizer.outputs(tone(3.0), 16000)
    assert result[1].tolist() == pytest.approx([0.4, 0.6, 0])
    (failure,) = recognizer.outputs(tone(3.0), 16000)
    assert failure.reason == "the model cannot predict it (ValueError: what it gives are no finite numbers)"


def test_stream_goes_on_and_call_stops(recognizer, wavs):
    source = [wavs / "s0-a.wav", wavs / "missing.wav", wavs / "s1-a.wav"]
    texts = {f"s{k}-a": TEXT for k in range(4)}
    results = list(recognizer.stream(source, text=texts))
    assert [type(result) is Failure for result in results] == [False, True, False]
    with pytest.raises(UserError, match=r"missing\.wav: no such file"):
        recognizer(source, text=texts)
