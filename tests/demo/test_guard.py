"""What is let through to Gradio: asked of the guard alone, with nothing behind it but a page that says ok."""

import asyncio

import pytest

pytest.importorskip("starlette")

from m4ser.demo.server import Guard, is_loopback


def ask(path="/", method="GET", here=True, max_bytes=1000, behind=None, **fields):
    """Status, headers and body of the answer."""
    sent = []

    async def app(scope, receive, send):
        if behind:
            raise behind
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Referrer-Policy", b"unsafe-url")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def send(message):
        sent.append(message)

    fields = {"host": "127.0.0.1:7860", **{name.replace("_", "-"): value for name, value in fields.items()}}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(Guard(app, max_bytes, here)(scope, None, send))
    if not sent:
        return None
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"].decode()


def post(path="/gradio_api/upload", size="5", **options):
    return ask(path, "POST", content_length=size, **options)[0]


@pytest.mark.parametrize(
    "path",
    "/ /config /theme.css /assets/a/b.js /static/fonts/a.woff2 /gradio_api/upload /gradio_api/queue/data "
    "/gradio_api/run/predict /gradio_api/file=/tmp/a.wav /gradio_api/heartbeat/ab1".split(),
)
def test_what_the_page_uses_is_let_through(path):
    assert ask(path)[0] == 200


@pytest.mark.parametrize(
    "path",
    [*"/gradio_api/file=http://example.org/a.wav /gradio_api/proxy=https://example.org/ /gradio_api/vibe-edit /login "
     "/monitoring /gradio_api/dev/reload /gradio_api/stream/x /docs /openapi.json //config /gradio_api/runs".split(),
     "", "*", "/\n", "//[", "/\x00", "http://[/"],
)  # fmt: skip
def test_all_else_is_not(path):
    status, _, body = ask(path)
    assert status == 404 and body == "there is no such page"


def test_the_browser_is_told_to_ask_nobody_else_and_to_keep_nothing():
    for status, headers, _ in (ask(), ask("/nowhere")):
        policy = dict(part.split(" ", 1) for part in headers[b"content-security-policy"].decode().split("; "))
        assert status in (200, 404)
        assert all("http" not in sources and "*" not in sources and "//" not in sources for sources in policy.values())
        assert "'self'" in policy["default-src"]
        assert headers[b"referrer-policy"] == b"no-referrer" and b"Referrer-Policy" not in headers
        assert headers[b"cache-control"] == b"no-store"
    assert b"cache-control" not in ask("/assets/a.js")[1]  # these never change


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "[", "]", "[::1", "::::", "a b", "\xff"],
)
def test_names_that_lead_here_from_elsewhere(host):
    assert ask(host=host)[0] == 403
    assert ask(host=host, here=False)[0] == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "127.0.0.1", "127.8.0.1:1", "[::1]", "[::1]:7860"])
def test_names_of_this_machine(host):
    assert ask(host=host)[0] == 200


def test_requests_that_other_web_sites_cause():
    assert post(origin="http://127.0.0.1:7860") == 200
    for origin in ("http://evil.example", "http://127.0.0.1:8000", "null", "http://["):
        assert post(origin=origin) == 403
        assert post(origin=origin, here=False) == 200


def test_sizes():
    assert [post(size=size) for size in ("1000", "11000", "11001", "-5", "", "1e3", "\xb2", "9" * 5000)] == [
        200, 200, 413, 411, 411, 411, 411, 411,
    ]  # fmt: skip
    assert post("/gradio_api/queue/join", size="2000000") == 413
    assert ask("/gradio_api/upload", "POST")[0] == 411
    assert "more than the limit of 50 MB" in ask(
        "/gradio_api/upload", "POST", content_length=str(60 * 2**20), max_bytes=50 * 2**20
    )[2]  # fmt: skip


def test_what_gradio_does_not_understand_is_one_line(capsys):
    assert ask(behind=TypeError("no\nfile")) is None
    assert capsys.readouterr().err == "note: a request could not be answered: GET /: TypeError: no file\n"


def test_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "127.8.0.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "", "::", "192.168.1.5", "localhost.evil.example")))
