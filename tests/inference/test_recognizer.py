"""EmotionRecognizer: the same numbers as stage 5, all kinds of input, bad recordings, long recordings."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from m4ser import EmotionRecognizer
from m4ser.bin import extract_feats, format_audio, predict
from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.scp import write_scp
from m4ser.hub.opening import find_model
from m4ser.inference.inputs import read_texts
from m4ser.inference.results import Failure
from m4ser.inference.timeline import speech_spans
from m4ser.models.checkpoint import load_run
from m4ser.training.evaluation import predict as stage_5
from m4ser.utils.errors import UserError

TEXT = "I am SO happy, today!"


def tone(seconds=0.7, rate=16000, hertz=300.0, seed=0):
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(time)) * 0.05
    return (0.4 * np.sin(2 * np.pi * hertz * time) + noise).astype(np.float32)


@pytest.fixture(scope="module")
def recognizer(toy_run):
    return EmotionRecognizer.from_pretrained(toy_run, device="cpu", batch_size=3)


@pytest.fixture
def wavs(tmp_path):
    """Four recordings of different lengths, rates and channels."""
    folder = tmp_path / "my wävs"
    folder.mkdir()
    for k, rate in enumerate((16000, 8000, 44100, 16000)):
        samples = tone(0.4 + 0.3 * k, rate, seed=k)
        soundfile.write(folder / f"s{k}-a.wav", np.stack([samples, samples], 1) if k == 3 else samples, rate)
    return folder


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
    from m4ser.asr.backends import Hypothesis

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


def test_texts_of_names_with_blanks(tmp_path):
    (tmp_path / "texts").write_text("my call.wav\thello there\na.wav good bye\nb.wav\n")
    expected = read_texts(tmp_path / "texts")
    (tmp_path / "marked").write_text("\ufeff" + (tmp_path / "texts").read_text(), encoding="utf-8")
    assert read_texts(tmp_path / "marked") == expected
    assert expected == {"my call.wav": "hello there", "a.wav": "good bye", "b.wav": ""}


def test_long_recordings_become_a_timeline(recognizer, tmp_path, monkeypatch):
    samples = tone(3.0)
    monkeypatch.setattr("m4ser.inference.recognizer.speech_spans", lambda samples: [(0, 16000), (24000, 48000)])
    monkeypatch.setattr(recognizer, "split", 2.0)
    monkeypatch.setattr(recognizer.frontend, "transcribe", lambda batch: [(f"part {len(s)}", 0.5) for s in batch])
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


def test_speech_is_found_between_silence():
    """Bursts like syllables are speech to the detector or not, silence and a steady hiss are not."""
    assert speech_spans(np.zeros(16000, np.float32)) == []
    assert speech_spans((np.random.default_rng(0).standard_normal(32000) * 1e-3).astype(np.float32)) == []


HEADS = [
    *(b"", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"fLaC\0\0\0\x22", b"OggS\0\x02", b"\xff\xfb\x90\x64", b"ID3\x03\0"),
    *(b"\0\0\0\x18ftypmp42", b"\x1aE\xdf\xa3", b"FORM\xff\xff\xff\xffAIFF", b".snd\0\0\0\x18", b"RF64"),
]


def bad_inputs(folder, count):
    """`count` paths that cannot be predicted, of every kind."""
    rng = np.random.default_rng(0)
    good = folder.parent / "good.wav"
    soundfile.write(good, tone(), 16000)
    made = []
    endings = [".wav", ".flac", ".ogg", ".mp3", ".opus", ".m4a", ".aiff", ".mp4", ".au", ".w64"]
    while len(made) < count - 16:
        path = folder / f"{len(made):03d}{endings[len(made) % len(endings)]}"
        content = rng.integers(0, 256, int(rng.integers(0, 5000)), dtype=np.uint8).tobytes()
        path.write_bytes(HEADS[len(made) % len(HEADS)] + content)
        made.append(path)
    for name, make in {
        "empty.wav": lambda p: p.write_bytes(b""),
        "cut.wav": lambda p: p.write_bytes(good.read_bytes()[:5000]),
        "head.wav": lambda p: p.write_bytes(good.read_bytes()[:30]),
        "claim.wav": lambda p: p.write_bytes(good.read_bytes()[:40] + b"\xff\xff\xff\x6f" + good.read_bytes()[44:]),
        "slow.wav": lambda p: soundfile.write(p, tone(), 1),
        "fast.wav": lambda p: soundfile.write(p, tone(), 2_000_000),
        "zeros.wav": lambda p: soundfile.write(p, np.zeros(1000), 16000),
        "quiet.wav": lambda p: soundfile.write(p, tone() * 1e-6, 16000, subtype="FLOAT"),
        "nan.wav": lambda p: soundfile.write(p, np.full(1000, np.nan), 16000, subtype="FLOAT"),
        "none.wav": lambda p: soundfile.write(p, np.zeros((0, 1)), 16000),
        "ints.wav": lambda p: soundfile.write(p, tone() * 32768, 16000, subtype="FLOAT"),
        "long.wav": lambda p: soundfile.write(p, np.ones(9 * 1000, np.int16), 1000),
        "folder.wav": lambda p: p.mkdir(),
        "loop.wav": lambda p: p.symlink_to(p.name),
        "gone.wav": lambda p: p.symlink_to("nowhere.wav"),
        "pipe.wav": os.mkfifo,
    }.items():
        make(folder / name)
        made.append(folder / name)
    return made


def test_bad_inputs_cost_one_line_each(toy_run, wavs, tmp_path, monkeypatch, capsys):
    """200 bad inputs between good ones: no crash, no hang, all good ones predicted, exit status 1."""
    (tmp_path / "bad").mkdir()
    bad = bad_inputs(tmp_path / "bad", 200)
    (tmp_path / "text").write_text("".join(f"{path.stem} i am sad\n" for path in [*wavs.iterdir(), *bad]))
    good = sorted(map(str, wavs.iterdir()))
    words = [*good[:2], *map(str, bad), *good[2:]]
    options = ["--model", str(toy_run), "--text", str(tmp_path / "text"), "--max-duration", "8", "--json"]
    with pytest.raises(SystemExit) as stopped:
        predict.main([*options, "--", *words])
    assert stopped.value.code == 1
    output, messages = capsys.readouterr()
    results = [json.loads(line) for line in output.splitlines()]
    assert [result["name"] for result in results if "label" in result] == good
    failed = {result["name"]: result["error"] for result in results if "error" in result}
    assert set(failed) == set(map(str, bad))
    assert "error: 200 could not be used:" in messages
    assert len([line for line in messages.splitlines() if line.startswith("  ")]) == 200
    reasons = {path.name: failed[str(path)] for path in bad}
    expected = {
        "cut.wav": "truncated",
        "claim.wav": "truncated",
        "slow.wav": "sampling rate of 1 Hz",
        "pipe.wav": "not an ordinary",
        "loop.wav": "no such file",
        "gone.wav": "no such file",
        "long.wav": "more than the limit of 8 s",
        "quiet.wav": "so quiet",
        "folder.wav": "no recordings in this folder",
        "empty.wav": "empty (0 bytes)",
    }
    for name, said in expected.items():
        assert said in reasons[name], reasons[name]
    assert not any("\n" in reason or "Traceback" in reason for reason in reasons.values())


def test_stream_goes_on_and_call_stops(recognizer, wavs):
    source = [wavs / "s0-a.wav", wavs / "missing.wav", wavs / "s1-a.wav"]
    texts = {f"s{k}-a": TEXT for k in range(4)}
    results = list(recognizer.stream(source, text=texts))
    assert [type(result) is Failure for result in results] == [False, True, False]
    with pytest.raises(UserError, match=r"missing\.wav: no such file"):
        recognizer(source, text=texts)


@pytest.mark.parametrize("form", ["--csv", "--rttm", None])
def test_forms_of_the_command(toy_run, wavs, tmp_path, capsys, form):
    (tmp_path / "text").write_text("s0-a i am sad\ns1-a\n")
    words = [str(wavs / "s0-a.wav"), str(wavs / "s1-a.wav"), "--model", str(toy_run), "--text", str(tmp_path / "text")]
    predict.main([*words, *([form] if form else [])])
    lines = capsys.readouterr().out.splitlines()
    if form == "--csv":
        assert lines[0] == "name,start,end,label,p_happy,p_sad,p_angry,text"
        assert lines[1].startswith(f"{wavs / 's0-a.wav'},0.000,0.400,")
    elif form == "--rttm":
        kind, name, channel, start, length, *_ = lines[0].split()
        assert (kind, name, channel, start, length) == ("SPEAKER", "s0-a", "1", "0.000", "0.400")
    else:
        label, chance, *_ = lines[0].split()
        assert label in ("happy", "sad", "angry")
        assert 1 / 3 <= float(chance) <= 1
    assert len(lines) == 2 + (form == "--csv")


@pytest.mark.slow
def test_importing_the_package_is_light():
    code = "import sys, m4ser; assert 'torch' not in sys.modules; m4ser.EmotionRecognizer"
    code += "; assert 'espnet2.train.trainer' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_no_model_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("M4SER_MODEL", str(tmp_path / "nothing"))
    with pytest.raises(SystemExit) as stopped:
        predict.main(["a.wav"])
    assert "nothing: no such model; give exp/<tag>" in str(stopped.value)
