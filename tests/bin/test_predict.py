"""The command that predicts: many inputs, bad ones, the forms of its output."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.bin import predict

ROOT = Path(__file__).resolve().parents[2]
HEADS = [
    *(b"", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"fLaC\0\0\0\x22", b"OggS\0\x02", b"\xff\xfb\x90\x64", b"ID3\x03\0"),
    *(b"\0\0\0\x18ftypmp42", b"\x1aE\xdf\xa3", b"FORM\xff\xff\xff\xffAIFF", b".snd\0\0\0\x18", b"RF64"),
]


def bad_inputs(folder, count, tone):
    """`count` paths that cannot be predicted, of every kind."""
    rng = np.random.default_rng(0)
    good = folder.parent / "good.wav"
    soundfile.write(good, tone, 16000)
    paths = []
    endings = [".wav", ".flac", ".ogg", ".mp3", ".opus", ".m4a", ".aiff", ".mp4", ".au", ".w64"]
    while len(paths) < count - 16:
        path = folder / f"{len(paths):03d}{endings[len(paths) % len(endings)]}"
        content = rng.integers(0, 256, int(rng.integers(0, 5000)), dtype=np.uint8).tobytes()
        path.write_bytes(HEADS[len(paths) % len(HEADS)] + content)
        paths.append(path)
    for name, make in {
        "empty.wav": lambda p: p.write_bytes(b""),
        "cut.wav": lambda p: p.write_bytes(good.read_bytes()[:5000]),
        "head.wav": lambda p: p.write_bytes(good.read_bytes()[:30]),
        "claim.wav": lambda p: p.write_bytes(good.read_bytes()[:40] + b"\xff\xff\xff\x6f" + good.read_bytes()[44:]),
        "slow.wav": lambda p: soundfile.write(p, tone, 1),
        "fast.wav": lambda p: soundfile.write(p, tone, 2_000_000),
        "zeros.wav": lambda p: soundfile.write(p, np.zeros(1000), 16000),
        "quiet.wav": lambda p: soundfile.write(p, tone * 1e-6, 16000, subtype="FLOAT"),
        "nan.wav": lambda p: soundfile.write(p, np.full(1000, np.nan), 16000, subtype="FLOAT"),
        "none.wav": lambda p: soundfile.write(p, np.zeros((0, 1)), 16000),
        "ints.wav": lambda p: soundfile.write(p, tone * 32768, 16000, subtype="FLOAT"),
        "long.wav": lambda p: soundfile.write(p, np.ones(9 * 1000, np.int16), 1000),
        "folder.wav": lambda p: p.mkdir(),
        "loop.wav": lambda p: p.symlink_to(p.name),
        "gone.wav": lambda p: p.symlink_to("nowhere.wav"),
        "pipe.wav": os.mkfifo,
    }.items():
        make(folder / name)
        paths.append(folder / name)
    return paths


def test_bad_inputs_cost_one_line_each(toy_run, wavs, tone, tmp_path, monkeypatch, capsys):
    """200 bad inputs between good ones: no crash, no hang, all good ones predicted, exit status 1."""
    (tmp_path / "bad").mkdir()
    bad = bad_inputs(tmp_path / "bad", 200, tone())
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


def test_no_model_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("M4SER_MODEL", str(tmp_path / "nothing"))
    with pytest.raises(SystemExit) as stopped:
        predict.main(["a.wav"])
    assert "nothing: no such model; give exp/<tag>" in str(stopped.value)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Three clips of a synthetic voice with a second of silence before, between and after them, 16 bit."""
    from m4ser.data.audio import load_16k, to_16_bit

    clips = [load_16k(ROOT / f"egs/mini/corpus/f01/f01-00{number}.opus") for number in range(3)]
    pause = np.zeros(16000, np.float32)
    path = tmp_path_factory.mktemp("spoken") / "three clips.wav"
    soundfile.write(
        path, to_16_bit(np.concatenate([pause, *(part for clip in clips for part in (clip, pause))])), 16000
    )
    return path


@pytest.fixture
def voice_alone(loudness_recognizer, monkeypatch):
    """The command's model is the one that hears how loud it is."""
    monkeypatch.setattr(predict, "load_recognizer", lambda *words, **options: loudness_recognizer)
    loudness_recognizer.split = 1.0
    return loudness_recognizer


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"], ["--rttm"]])
def test_live_forms(spoken, voice_alone, capsys, form):
    """The segments of a stream are written as those of a file are."""
    segments = voice_alone(spoken).segments
    assert len(segments) == 3
    with pytest.raises(SystemExit) as stopped:
        predict.main(["--model", "x", "--live", *form, str(spoken)])
    assert stopped.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    if form == ["--json"]:
        assert [json.loads(line) for line in lines] == [
            {"name": str(spoken), **{key: pytest.approx(value) for key, value in asdict(segment).items()}}
            for segment in segments
        ]
        return
    predict.main(["--model", "x", *form, str(spoken)])
    of_file = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines] == [line.strip() for line in of_file[0 if form else 1 :]]


def test_live_refusals(capsys):
    for words, says in {
        ("--live", "a", "b"): "--live takes one stream",
        ("--live", "--text", "t", "-"): "the text of a stream",
        ("--raw", "16000", "a"): "--raw is for --live -",
        ("--live", "--raw", "x", "-"): "must be a sampling rate in Hz",
    }.items():
        with pytest.raises(SystemExit) as stopped:
            predict.main(list(words))
        assert stopped.value.code == 2 and says in capsys.readouterr().err


def test_live_file_that_ends_too_early(spoken, voice_alone, tmp_path, capsys):
    """What was heard until then is written; one line says what is wrong."""
    (tmp_path / "cut.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    for name in ("cut.mp4", "none.wav"):
        with pytest.raises(SystemExit, match=f"error: .*{name}"):
            predict.main(["--model", "x", "--live", str(tmp_path / name)])


@pytest.mark.slow
def test_live_from_a_pipe_in_real_time(toy_run, spoken):
    """A process of its own: the first segment is written while the others have not been said, Ctrl-C ends it well."""
    command = [sys.executable, "-m", "m4ser.bin.predict", "--model", str(toy_run), "--device", "cpu"]
    command += ["--asr", "faster_whisper", "--live", "--json", "-"]
    samples, _ = soundfile.read(spoken, dtype="int16")
    header = spoken.read_bytes()[:40] + b"\xff\xff\xff\x7f"  # as arecord's
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        end = 5 * 16000 + 8000
        process.stdin.write(header + samples[:end].tobytes())
        process.stdin.flush()
        first = json.loads(process.stdout.readline())  # the pipe is still open
        process.send_signal(signal.SIGINT)
        output, messages = process.communicate(timeout=120)
    assert (
        first["name"] == "stream"
        and 0.5 < first["start"] < 1.6
        and set(first["probabilities"]) == {"happy", "sad", "angry"}
    )
    assert process.returncode == 0, messages
    assert b"Traceback" not in messages
    assert all(json.loads(line)["start"] > first["end"] for line in output.splitlines())
