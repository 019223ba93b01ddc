"""The server of the demonstration page: Python's own, for one person on one machine.

====================== ===============================================================================================
GET /                  the page, and /style.css, /app.js, which is all that it loads
GET /model             the model's emotions, what is known of it, the limits
POST /predict?name=... body: a recording as it is -> what the model says about it
====================== ===============================================================================================

An answer that is not 200 is ``{"error": "one line"}``. Recordings live in a temporary file as long as they are looked
at. Requests that another web site has made the browser send are refused.
"""

import contextlib
import ipaddress
import json
import socket
import sys
import tempfile
import threading
import time
import traceback
import webbrowser
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from m4ser.inference.inputs import Item
from m4ser.inference.results import Failure
from m4ser.utils.errors import UserError

if TYPE_CHECKING:
    from m4ser.inference.recognizer import EmotionRecognizer

PAGES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self)",
    "Cache-Control": "no-store",
}
CHUNK = 1 << 16
WAITING = 4  # recordings that may be on their way at once; the model takes one after the other
TIMEOUT = 30.0  # seconds without a byte from the browser
ABOUT = ("tag", "protocol", "fusion", "speech_encoder", "text_encoder", "asr")


class RefusedError(Exception):
    """A request that gets an answer other than 200."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class DemoServer(ThreadingHTTPServer):
    """Serves the page for one recogniser.

    Args:
        recognizer: an :class:`~m4ser.inference.recognizer.EmotionRecognizer`; its `longest` limits the duration. None
            only holds the address: one must be set before requests are served.
        host, port: where to listen; port 0 takes a free one.
        max_bytes: of an upload.
    """

    recognizer: "EmotionRecognizer"
    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        recognizer: "EmotionRecognizer | None",
        host: str = "127.0.0.1",
        port: int = 0,
        max_bytes: int = 50_000_000,
    ):
        if recognizer is not None:
            self.recognizer = recognizer
        self.max_bytes, self.bound = max_bytes, host
        self.places, self.model = threading.Semaphore(WAITING), threading.Lock()
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"--host {host} --port {port}: cannot listen there ({error}); choose others") from None

    @property
    def address(self) -> str:
        """What to type into the browser."""
        host = f"[{self.bound}]" if ":" in self.bound else self.bound
        return f"http://{host}:{self.server_address[1]}/"

    def predict(self, path: Path, name: str) -> dict[str, Any]:
        """What the model says about a file.

        Raises:
            RefusedError: the file cannot be used.
        """
        with self.model:
            (result,) = self.recognizer.stream([Item(name, path)])
        if isinstance(result, Failure):
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name}: {' '.join(result.reason.split())}")
        return asdict(result)

    def describe(self) -> dict[str, Any]:
        """The model and the limits, for the page."""
        about = {key: self.recognizer.about[key] for key in ABOUT if self.recognizer.about.get(key) not in (None, "")}
        limits = {"max_bytes": self.max_bytes, "max_seconds": self.recognizer.longest}
        return {"labels": self.recognizer.labels, "about": about, **limits}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(
    model: str,
    load: "Callable[[], EmotionRecognizer]",
    host: str,
    port: int,
    max_bytes: int,
    open_page: bool = False,
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        model: its name, for the message.
        load: loads the recogniser, once it is known that one can listen at the address.
        host: where to listen.
        port: likewise; 0 takes a free one.
        max_bytes: of an upload.
        open_page: open the page in a browser.

    Raises:
        UserError: one cannot listen there, or the model cannot be loaded.
    """
    # The port first: whether it is free should be known before the model is loaded.
    with DemoServer(None, host, port, max_bytes) as server:
        server.recognizer = load()
        if not is_loopback(host):
            print(
                "note: everyone who can reach this machine can use the page; browsers do not record there, because "
                "it is not encrypted, but files can be chosen",
                file=sys.stderr,
            )
        print(f"Model {model}; open {server.address} in a browser; Ctrl-C ends it", flush=True)
        if open_page:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended", file=sys.stderr)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens at `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: DemoServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "m4ser", ""
    timeout = TIMEOUT

    def do_GET(self) -> None:
        """The page, its two files, the model."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """One recording."""
        self._answer(self._post)

    def _answer(self, work: Callable[[], tuple[str, bytes]]) -> None:
        try:
            self._check_origin()
            content_type, content = work()
            self._send(HTTPStatus.OK, content_type, content)
        except RefusedError as refusal:
            self.close_connection = True  # what is left of the request would be taken for the next one
            self._send_json(refusal.status, {"error": str(refusal)})
            self._drain()
        except TimeoutError:
            self.close_connection = True
        except ConnectionError:  # the browser went away
            raise
        except Exception:
            traceback.print_exc()  # a defect: whoever started the server can tell us
            self.close_connection = True
            reason = "this failed for a reason that the page does not know; the window of `m4ser demo` tells more"
            self._send_json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": reason})

    def _get(self) -> tuple[str, bytes]:
        path = urlsplit(self.path).path
        if path == "/model":
            return "application/json", json.dumps(self.server.describe()).encode()
        if path not in PAGES:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such page")
        name, content_type = PAGES[path]
        return content_type, resources.files("m4ser.demo").joinpath(name).read_bytes()

    def _post(self) -> tuple[str, bytes]:
        address = urlsplit(self.path)
        if address.path != "/predict":
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such page")
        name = parse_qs(address.query).get("name", ["recording"])[0]
        name = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable())[:100] or "recording"
        size = self._size(name)
        if not self.server.places.acquire(blocking=False):
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE, "other recordings are being looked at; try again in a moment"
            )
        try:
            with tempfile.TemporaryDirectory(prefix="m4ser-demo-") as folder:
                path = Path(folder) / "recording"
                self._receive(path, size)
                return "application/json", json.dumps(self.server.predict(path, name), ensure_ascii=False).encode()
        finally:
            self.server.places.release()

    def _size(self, name: str) -> int:
        length = self.headers.get("Content-Length")
        if length is None or not length.isascii() or not length.isdigit():
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "the request does not say how long it is (Content-Length)")
        size, most = int(length), self.server.max_bytes
        if size == 0:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"{name}: the file is empty")
        if size > most:
            shown = f"{size / 1e6:.1f} MB, more than the limit of {most / 1e6:g} MB"
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{name}: has {shown}")
        return size

    def _receive(self, path: Path, size: int) -> None:
        with path.open("wb", buffering=0) as file:
            left = size
            while left:
                part = memoryview(self.rfile.read(min(CHUNK, left)))
                if not part:
                    raise RefusedError(HTTPStatus.BAD_REQUEST, "the upload broke off")
                left -= len(part)
                try:
                    while part:
                        part = part[file.write(part) :]
                except OSError as error:
                    fault = f"the recording cannot be stored while it is looked at ({error.strerror})"
                    raise RefusedError(HTTPStatus.INSUFFICIENT_STORAGE, fault) from None

    def _check_origin(self) -> None:
        """Refuse names that lead here from elsewhere (DNS rebinding), and requests that other sites cause."""
        host = self.headers.get("Host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if is_loopback(self.server.bound) and not is_loopback(name):
            raise RefusedError(HTTPStatus.FORBIDDEN, f"this page is at {self.server.address} only")
        origin = self.headers.get("Origin")
        if self.command == "POST" and origin is not None and urlsplit(origin).netloc != host:
            raise RefusedError(HTTPStatus.FORBIDDEN, "requests of other web sites are not answered")

    def handle_expect_100(self) -> bool:
        """Refuse before the body is sent, for clients that ask (curl does)."""
        try:
            self._check_origin()
            self._size("the file")
        except RefusedError as refusal:
            self.close_connection = True
            self._send_json(refusal.status, {"error": str(refusal)})
            return False
        return super().handle_expect_100()

    def _drain(self) -> None:
        """Take what the browser is still sending, for a moment: it reads the answer only after that."""
        if self.command != "POST":
            return
        end = time.monotonic() + 3
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(0.5)
            while time.monotonic() < end and self.connection.recv(CHUNK):
                pass

    def _send_json(self, status: HTTPStatus, value: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(value, ensure_ascii=False).encode())

    def _send(self, status: HTTPStatus, content_type: str, content: bytes) -> None:
        self.send_response(status)
        for header, value in {"Content-Type": content_type, "Content-Length": str(len(content)), **HEADERS}.items():
            self.send_header(header, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses (other methods, broken requests) has the same form of answer."""
        self.close_connection = True
        self.command = getattr(self, "command", None) or "GET"
        self._send_json(HTTPStatus(code), {"error": message or HTTPStatus(code).phrase})

    def log_message(self, *args: Any) -> None:
        """Print nothing: names of recordings do not belong in a log."""
