"""The demonstration's server over real HTTP on the loopback interface."""

import contextlib
import errno
import http.client
import json
import socket
import threading
import time
import tracemalloc

import numpy as np
import pytest
import soundfile

from m4ser.bin import demo
from m4ser.demo.server import WAITING, DemoServer, is_loopback
from m4ser.utils.errors import UserError


@pytest.fixture
def serve(loudness_recognizer):
    """Start a server with options; it ends with the test."""
    running = []

    def start(**options):
        server = DemoServer(loudness_recognizer, **options)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join(10)


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    kind = response.getheader("Content-Type")
    return response, json.loads(content) if kind == "application/json" else content.decode()


def raw(server, data, half_close=False):
    """Send bytes, return all that comes back."""
    with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=20) as connection:
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer.decode()


def sound(tmp_path, seconds=1.0, level=0.5, name="a.wav", **options):
    samples = level * np.sin(2 * np.pi * 200 * np.arange(int(16000 * seconds)) / 16000)
    soundfile.write(tmp_path / name, samples, 16000, **options)
    return (tmp_path / name).read_bytes()


def test_page_and_its_files(serve):
    server = serve()
    for path, kind in (("/", "text/html"), ("/style.css", "text/css"), ("/app.js", "text/javascript")):
        response, content = ask(server, "GET", path)
        assert response.status == 200 and response.getheader("Content-Type").startswith(kind) and content
        assert "default-src 'none'" in response.getheader("Content-Security-Policy")
        assert "http:" not in content and "https:" not in content and "//cdn" not in content
    assert ask(server, "GET", "/../server.py")[0].status == 404
    assert ask(server, "GET", "/server.py")[0].status == 404


def test_model(serve):
    assert ask(serve(max_bytes=5), "GET", "/model")[1] == {
        "labels": ["calm", "excited"],
        "about": {"tag": "loudness", "protocol": "by ear", "asr": "none"},
        "max_bytes": 5,
        "max_seconds": 20.0,
    }


@pytest.mark.parametrize(("level", "label"), [(0.5, "excited"), (0.05, "calm")])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_a_recording(serve, tmp_path, level, label, name):
    response, answer = ask(serve(), "POST", f"/predict?name={name}", sound(tmp_path, level=level, name=name))
    assert response.status == 200
    assert (answer["label"], answer["name"], answer["text"]) == (label, name, "well <b>hello</b>")
    assert answer["duration"] == pytest.approx(1.0, abs=0.1)
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0)
    assert len(answer["segments"]) == 1 and set(answer["seconds"]) == {"read", "features", "recognition", "model"}


def test_video_as_browsers_record(serve, tmp_path, write_mp4):
    write_mp4(tmp_path / "a.mp4", np.float32(0.5 * np.sin(np.arange(48000) / 20))[None])
    assert ask(serve(), "POST", "/predict", (tmp_path / "a.mp4").read_bytes())[1]["label"] == "excited"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("C%3A%5Cmine%5Cx.wav", "x.wav"),
        ("a%0Ab%00c.wav", "abc.wav"),
        ("x" * 500, "x" * 100),
        ("", "recording"),
        ("%C3%A9t%C3%A9.wav", "été.wav"),
    ],
)
def test_names_are_only_shown(serve, tmp_path, given, shown):
    assert ask(serve(), "POST", f"/predict?name={given}", sound(tmp_path))[1]["name"] == shown


def test_unusable_recordings_end_in_one_line(serve, tmp_path):
    server = serve()
    whole = sound(tmp_path, 1.0)
    bodies = {
        b"no sound at all" * 40: "x.wav: ",
        np.random.default_rng(0).bytes(5000): "x.wav: ",
        whole[:9000]: "x.wav: ",
        sound(tmp_path, 21.0): "more than the limit of 20 s",
        sound(tmp_path, 1.0, level=0.0): "zero",
    }
    for body, part in bodies.items():
        response, answer = ask(server, "POST", "/predict?name=x.wav", body)
        assert response.status == 422 and list(answer) == ["error"]
        assert part in answer["error"] and "\n" not in answer["error"]
        assert "/tmp" not in answer["error"] and str(tmp_path) not in answer["error"]
    response, answer = ask(server, "POST", "/predict?name=x.wav", b"")
    assert response.status == 400 and answer == {"error": "x.wav: the file is empty"}
    assert ask(server, "POST", "/predict?name=x.wav", whole)[0].status == 200


def test_size_is_limited(serve, tmp_path):
    server = serve(max_bytes=100_000)
    response, answer = ask(server, "POST", "/predict?name=x.wav", bytes(3_000_000))
    assert response.status == 413 and answer == {"error": "x.wav: has 3.0 MB, more than the limit of 0.1 MB"}
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
    # Refused before it is sent, to those who ask; without a length; with one that is no number.
    assert raw(server, head + b"Content-Length: 999999999\r\nExpect: 100-continue\r\n\r\n").startswith("HTTP/1.1 413")
    assert raw(server, head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").startswith("HTTP/1.1 411")
    assert raw(server, head + b"Content-Length: -5\r\n\r\n").startswith("HTTP/1.1 411")
    assert "broke off" in raw(server, head + b"Content-Length: 5000\r\n\r\nonly this", half_close=True)
    assert ask(server, "POST", "/predict", sound(tmp_path))[0].status == 200


def test_other_web_sites_are_refused(serve, tmp_path):
    server = serve()
    assert ask(server, "GET", "/model", Host="evil.example")[0].status == 403
    assert ask(server, "GET", "/model", Host="127.0.0.1.evil.example")[0].status == 403
    body = sound(tmp_path)
    assert ask(server, "POST", "/predict", body, Origin="http://evil.example")[0].status == 403
    assert ask(server, "POST", "/predict", body, Origin="null")[0].status == 403
    own = f"127.0.0.1:{server.server_address[1]}"
    assert ask(server, "POST", "/predict", body, Origin=f"http://{own}")[0].status == 200
    assert ask(server, "PUT", "/predict", body)[0].status == 501
    assert ask(server, "POST", "/model", body)[0].status == 404


def test_more_than_a_few_at_once_are_asked_to_wait(serve, tmp_path):
    server = serve()
    body = sound(tmp_path)
    for _ in range(WAITING):
        server.places.acquire()
    assert ask(server, "POST", "/predict", body)[0].status == 503
    for _ in range(WAITING):
        server.places.release()
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(server, "POST", "/predict", body)[0].status))
        for _ in range(WAITING)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [200] * WAITING


def test_nothing_is_kept(serve, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    server = serve()
    for body in (sound(tmp_path), b"rubbish"):
        ask(server, "POST", "/predict", body)
        assert list((tmp_path / "temporary").iterdir()) == []


def test_full_disk(serve, tmp_path, monkeypatch, capsys):
    (tmp_path / "recording").symlink_to("/dev/full")
    monkeypatch.setattr("tempfile.TemporaryDirectory", lambda **options: contextlib.nullcontext(str(tmp_path)))
    response, answer = ask(serve(), "POST", "/predict", sound(tmp_path))
    assert response.status == 507 and "cannot be stored while it is looked at (No space left" in answer["error"]
    assert capsys.readouterr().err == ""


def test_a_large_upload_takes_little_memory(serve, tmp_path):
    """Silence in eight channels of 96 kHz: some kilobytes that were gigabytes."""
    block = np.zeros((96000, 8), np.int16)
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 96000, 8, subtype="PCM_16") as file:
        for _ in range(15):
            file.write(block)
    server = serve()
    tracemalloc.start()
    try:
        response, answer = ask(server, "POST", "/predict", (tmp_path / "a.flac").read_bytes())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert response.status == 422 and "all samples are zero" in answer["error"]
    assert peak < 20e6  # decoded, the upload is 46 MB


def test_a_defect_is_answered_and_logged(serve, tmp_path, capsys):
    server = serve()
    server.recognizer.stream = lambda items: 1 / 0
    response, answer = ask(server, "POST", "/predict", sound(tmp_path))
    assert response.status == 500 and "m4ser demo" in answer["error"]
    for _ in range(50):
        if "ZeroDivisionError" in (logged := capsys.readouterr().err):
            break
        time.sleep(0.02)
    assert "ZeroDivisionError" in logged

    def full(items):
        raise OSError(errno.ENOSPC, "No space left on device")

    server.recognizer.stream = full  # an OSError, as of a browser that went away, but not that
    assert ask(server, "POST", "/predict", sound(tmp_path))[0].status == 500
    assert ask(server, "GET", "/")[0].status == 200


def test_where_it_listens(serve):
    server = serve()
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_address[1]}/"
    with pytest.raises(UserError, match=r"cannot listen there .* choose others"):
        serve(port=server.server_address[1], host="203.0.113.7")
    assert all(map(is_loopback, ("127.0.0.1", "127.8.0.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "", "::", "192.168.1.5", "localhost.evil.example")))


def test_command_tells_of_a_taken_port_before_it_loads_a_model(monkeypatch):
    monkeypatch.setattr(demo, "load_recognizer", lambda model, args: pytest.fail("loaded"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(SystemExit, match="cannot listen there"):
            demo.main(["exp/m4ser", "--port", str(other.getsockname()[1])])


def test_command_serves_and_ends(monkeypatch, loudness_recognizer, capsys):
    def interrupted(server):
        assert server.recognizer is loudness_recognizer
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "load_recognizer", lambda model, args: loudness_recognizer)
    monkeypatch.setattr(DemoServer, "serve_forever", interrupted)
    demo.main(["exp/m4ser", "--port", "0"])
    assert capsys.readouterr().out.startswith("Model exp/m4ser; open http://127.0.0.1:")


def test_command_defaults_and_wrong_options():
    args = demo.get_parser().parse_args(["exp/m4ser"])
    assert args.host == "127.0.0.1" and args.max_mb == 50 and args.max_duration == 600 and not args.open
    with pytest.raises(SystemExit, match="must be more than 0"):
        demo.main(["exp/m4ser", "--max-mb", "0"])
    with pytest.raises(SystemExit, match=r"^error: .*nowhere"):
        demo.main(["nowhere/at-all", "--port", "0"])
