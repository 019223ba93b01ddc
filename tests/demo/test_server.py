"""The page's server over real HTTP, asked as the page asks it."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.bin import demo
from m4ser.demo import server
from m4ser.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]

httpx = pytest.importorskip("httpx")


def raw(address, data):
    """Send bytes, return all that comes back."""
    with socket.create_connection(("127.0.0.1", int(address.rstrip("/").rpartition(":")[2])), timeout=20) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer.decode("latin-1")


@pytest.mark.slow
def test_recordings(serve_demo, tmp_path, write_mp4, sound, ask, left):
    address = serve_demo()
    for name, level, label in (("a.wav", 0.5, "excited"), ("b.flac", 0.05, "calm"), ("c.ogg", 0.5, "excited")):
        answer = ask(address, sound(tmp_path / name, level=level))
        assert answer["label"]["label"] == label
        assert sum(part["confidence"] for part in answer["label"]["confidences"]) == pytest.approx(1.0)
        assert answer["text"] == "well <b>hello</b>" and answer["note"].startswith(f"{name}: 1 s of sound")
        assert answer["timeline"]["visible"] is False and answer["plot"] is None
        assert left(tmp_path / "uploads") == []
    write_mp4(tmp_path / "a.mp4", np.float32(0.5 * np.sin(np.arange(48000) / 20))[None])  # as browsers record
    assert ask(address, tmp_path / "a.mp4")["label"]["label"] == "excited"


@pytest.mark.slow
def test_timeline(serve_demo, tmp_path, ask):
    from m4ser.data.audio import load_16k

    corpus = sorted((ROOT / "egs/mini/corpus").rglob("*.opus"))[:5]
    parts = [part for path in corpus for part in (load_16k(path), np.zeros(16000))]
    soundfile.write(tmp_path / "long.flac", np.concatenate(parts), 16000)
    answer = ask(serve_demo(), tmp_path / "long.flac")
    assert answer["timeline"]["visible"] is True
    assert answer["plot"]["columns"] == ["seconds", "probability", "emotion"] and len(answer["plot"]["data"]) > 10
    rows = answer["parts"]["data"]
    assert len(rows) >= 3 and all(row[4] == "well <b>hello</b>" for row in rows)


@pytest.mark.slow
def test_unusable_recordings_end_in_one_line_and_are_not_kept(serve_demo, tmp_path, capfd, sound, ask, left):
    address = serve_demo()
    (tmp_path / "text.wav").write_text("no sound " * 50)
    (tmp_path / "cut.wav").write_bytes(sound(tmp_path / "whole.wav").read_bytes()[:9000])
    sound(tmp_path / "long.wav", 21.0)
    sound(tmp_path / "silent.wav", level=0.0)
    for name, part in {
        "text.wav": "decoded",
        "cut.wav": "",
        "long.wav": "the limit of 20 s",
        "silent.wav": "zero",
    }.items():
        error = ask(address, tmp_path / name)
        assert error.startswith(f"{name}: ") and part in error and "\n" not in error and str(tmp_path) not in error
        assert left(tmp_path / "uploads") == []
    assert "Traceback" not in capfd.readouterr().err
    assert ask(address, tmp_path / "whole.wav")["label"]["label"] == "excited"


@pytest.mark.slow
def test_only_uploads_are_read(serve_demo, tmp_path, sound, predict, left):
    """Neither files of this machine nor addresses of others."""
    address = serve_demo()
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=lambda: asked.append(other.accept()), daemon=True).start()
        away = f"http://127.0.0.1:{other.getsockname()[1]}/a.wav"
        own = sound(tmp_path / "own.wav")
        for path in (away, own, "/etc/passwd", tmp_path / "uploads/../own.wav"):
            assert predict(address, path) == "only uploads are looked at"
            assert httpx.get(f"{address}gradio_api/file={path}").status_code in (403, 404)
        assert own.exists() and left(tmp_path / "uploads") == []
        assert asked == []


@pytest.mark.slow
def test_names_are_only_shown(serve_demo, tmp_path, sound, ask, left):
    address, path = serve_demo(), sound(tmp_path / "a.wav")
    for name in ("../../etc/passwd", "C:\\mine\\x.wav", "x" * 300 + ".wav", "<img src=x>.wav", "été.wav"):
        note = ask(address, path, name)["note"]
        assert ": 1 s of sound" in note and "<" not in note and "/" not in note
        assert left(tmp_path / "uploads") == []


@pytest.mark.slow
def test_size_is_limited(serve_demo, tmp_path, sound, ask, left):
    address = serve_demo(max_bytes=100_000)
    many = [("files", (f"{number}.wav", bytes(90_000))) for number in range(10)]
    for files in ({"files": ("x.wav", bytes(3_000_000))}, {"files": ("x.wav", bytes(105_000))}, many):
        assert httpx.post(f"{address}gradio_api/upload", files=files).status_code == 413
        assert left(tmp_path / "uploads") == []
    assert ask(address, sound(tmp_path / "a.wav"))["label"]["label"] == "excited"


@pytest.mark.slow
def test_malformed_requests_have_no_traceback(serve_demo, capfd):
    address = serve_demo()
    end = b"\r\nConnection: close\r\n\r\n"
    for host in (b"[", b"]", b"[::1", b"::::", b"a b", b"\xff\xfe", b"x" * 5000, b""):
        assert raw(address, b"GET / HTTP/1.1\r\nHost: " + host + end).startswith("HTTP/1.1 403")
    for host in (b"127.0.0.1:abc", b"127.0.0.1:99999999", b"user@127.0.0.1", b"localhost:", b"[::1]"):
        assert raw(address, b"GET / HTTP/1.1\r\nHost: " + host + end).startswith("HTTP/1.1 200")
    for path in (b"//[", b"http://[/", b"/%ff", b"/%00", b"*", b"http://evil.example/", b"/gradio_api/proxy=http://["):
        for method in (b"GET", b"POST", b"HEAD", b"OPTIONS", b"BREW"):
            answer = raw(address, method + b" " + path + b" HTTP/1.1\r\nHost: localhost" + end)
            assert answer.startswith("HTTP/1.1 404"), (method, path, answer)
    for path in (
        b"/?view=api&__theme=%ff",
        b"/?deep_link=../..",
        b"/config?x=[",
        b"/gradio_api/file=/%00",
        b"/assets/[",
    ):
        assert raw(address, b"GET " + path + b" HTTP/1.1\r\nHost: localhost" + end)[:10] in ("HTTP/1.1 2", "HTTP/1.1 4")
    for junk in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
    ):
        assert raw(address, junk).startswith("HTTP/1.1 400")
    for body in (b"", b"[", b"\xff", b'{"data": [], "fn_index": 99, "session_hash": "a"}', b"[" * 100000):
        fields = b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
        answer = raw(address, fields + b"\r\nContent-Length: " + str(len(body)).encode() + end + body)
        assert answer[:10] in ("HTTP/1.1 4", "HTTP/1.1 5")
    for body in (
        b"--x\r\n\r\n",
        b"\xff" * 100,
        b"--x\r\nContent-Disposition: form-data; name=files\r\n\r\na\r\n--x--\r\n",
    ):
        fields = b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x"
        answer = raw(address, fields + b"\r\nContent-Length: " + str(len(body)).encode() + end + body)
        assert answer[:10] in ("HTTP/1.1 4", "HTTP/1.1 5")
    assert "Traceback" not in capfd.readouterr().err
    assert httpx.get(address).status_code == 200


@pytest.mark.slow
def test_memory_is_flat(serve_demo, tmp_path, sound, ask):
    """What 20 uploads of 10 s leave behind, after the first few."""
    address, path = serve_demo(), sound(tmp_path / "a.wav", 10.0)

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for _ in range(5):
        ask(address, path)
    before = resident()
    for _ in range(20):
        ask(address, path)
    assert resident() - before < 10e6  # each upload is 0.3 MB, and 0.6 MB once decoded


@pytest.mark.slow
def test_several_at_once(serve_demo, tmp_path, sound, ask):
    """The model takes one after the other."""
    address, answers = serve_demo(), []
    paths = [sound(tmp_path / f"{number}.wav", level=0.5 - 0.01 * number) for number in range(4)]
    threads = [threading.Thread(target=lambda path=path: answers.append(ask(address, path))) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [answer["label"]["label"] for answer in answers] == ["excited"] * 4


@pytest.mark.slow
def test_a_large_recording_takes_little_memory(serve_demo, tmp_path, ask, left):
    """Silence in eight channels of 96 kHz: some kilobytes that were gigabytes."""
    block = np.zeros((96000, 8), np.int16)
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 96000, 8, subtype="PCM_16") as file:
        for _ in range(15):
            file.write(block)
    address = serve_demo()
    ask(address, tmp_path / "a.flac")
    tracemalloc.start()
    try:
        error = ask(address, tmp_path / "a.flac")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "all samples are zero" in error and left(tmp_path / "uploads") == []
    assert peak < 20e6  # decoded, the upload is 46 MB


@pytest.mark.slow
def test_full_disk(serve_demo, tmp_path, monkeypatch, capfd, sound, ask, left):
    address, path = serve_demo(), sound(tmp_path / "a.wav")

    async def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("gradio.route_utils.GradioUploadFile.write", full)
        answer = httpx.post(f"{address}gradio_api/upload", files={"files": ("a.wav", path.read_bytes())})
    assert answer.status_code == 500
    errors = ""
    for _ in range(100):  # the answer comes first
        errors += capfd.readouterr().err
        if errors:
            break
        time.sleep(0.05)
    place = "POST /gradio_api/upload"
    assert errors == f"note: a request could not be answered: {place}: OSError: No space left on device\n"
    server.sweep(tmp_path / "uploads", -1.0)
    assert ask(address, path)["label"]["label"] == "excited" and left(tmp_path / "uploads") == []


@pytest.mark.slow
def test_a_defect_is_answered_and_logged(serve_demo, loudness_recognizer, tmp_path, capfd, sound, ask, left):
    address = serve_demo()
    loudness_recognizer.stream = lambda items: 1 / 0
    error = ask(address, sound(tmp_path / "a.wav"))
    assert "\n" not in (error or "") and left(tmp_path / "uploads") == []
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert httpx.get(address).status_code == 200


def test_uploads_that_nobody_asks_about_are_deleted(tmp_path, left):
    for name in ("a/old", "b/new"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    os.utime(tmp_path / "a/old", (time.time() - 100, time.time() - 100))
    server.sweep(tmp_path, 50.0)
    assert left(tmp_path) == [str(tmp_path / "b/new")]
    with server.sweeping(tmp_path, 0.05):
        for _ in range(100):
            if not left(tmp_path):
                break
            time.sleep(0.05)
    assert left(tmp_path) == []


def test_where_it_listens():
    fault = r"--port .* cannot listen there .* choose others"
    with server.listen("127.0.0.1", 0) as one, pytest.raises(UserError, match=fault):
        server.listen("127.0.0.1", one.getsockname()[1])
    for host, port in (("203.0.113.7", 0), ("127.0.0.1", 70000), ("127.0.0.1", -1), ("a" * 70, 0)):
        with pytest.raises(UserError, match="cannot listen there"):
            server.listen(host, port)


def test_command_tells_of_a_taken_port_before_it_loads_a_model(monkeypatch):
    monkeypatch.setattr(demo, "load_recognizer", lambda *args, **options: pytest.fail("loaded"))
    with server.listen("127.0.0.1", 0) as other, pytest.raises(SystemExit, match="cannot listen there"):
        demo.main(["exp/m4ser", "--port", str(other.getsockname()[1])])


def test_command_without_gradio(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"^error: m4ser demo needs .* gradio; run: pip install 'm4ser\[demo\]' "):
        demo.main(["exp/m4ser"])


@pytest.mark.parametrize(
    ("installed", "options", "words"),
    [("/a", [], True), (None, [], False), (None, ["--words", "true"], True), ("/a", ["--words", "false"], False)],
)
def test_words_are_shown_where_they_can_be_recognised(monkeypatch, installed, options, words):
    asked = {}
    monkeypatch.setattr("m4ser.pretrained.packaged_dir", lambda name: installed)
    monkeypatch.setattr(demo, "load_recognizer", lambda model, args, **options: asked.update(options))
    monkeypatch.setattr(server, "serve", lambda model, load, *rest: load())
    demo.main(["exp/m4ser", *options])
    assert asked == {"words": words}


def test_command_defaults_and_wrong_options():
    args = demo.get_parser().parse_args(["exp/m4ser"])
    assert args.host == "127.0.0.1" and args.max_mb == 50 and args.max_duration == 600 and not args.open
    with pytest.raises(SystemExit, match="must be more than 0"):
        demo.main(["exp/m4ser", "--max-mb", "0"])
    with pytest.raises(SystemExit, match=r"^error: .*nowhere"):
        demo.main(["--model", "nowhere/at-all", "--port", "0"])


# Writes down whom the process asks, from before the first import to the end.
START = """
import sys

def listen(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        with open("asked", "a") as file:
            print(event, args[1] if event in ("socket.connect", "socket.sendto") else args[0], file=file)

sys.addaudithook(listen)
sys.path.insert(0, {tests!r})
from conftest import make_loudness_recognizer
from m4ser.demo.server import serve
serve("loudness", make_loudness_recognizer, "127.0.0.1", 0, 2 * 2**20)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_asks_nobody_ends_and_leaves_nothing(tmp_path, number, sound, upload, ask):
    (tmp_path / "start.py").write_text(START.format(tests=str(ROOT / "tests")))
    (tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, "start.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    line = process.stdout.readline()
    assert line.startswith("Model loudness; open http://127.0.0.1:"), process.stderr.read()
    address = line.split()[3]
    for _ in range(100):
        try:
            httpx.get(address)
            break
        except httpx.TransportError:
            time.sleep(0.1)
    assert ask(address, sound(tmp_path / "a.wav"))["label"]["label"] == "excited"
    upload(address, tmp_path / "a.wav")  # and never asked about
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0 and errors == "ended\n"
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / "asked").exists(), (tmp_path / "asked").read_text()


@pytest.mark.slow
def test_prediction_does_not_import_gradio():
    program = (
        "import sys, m4ser.bin.predict, m4ser.bin.demo, m4ser.inference.recognizer, m4ser.demo.server\n"
        "assert not {'gradio', 'fastapi', 'starlette', 'uvicorn', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
