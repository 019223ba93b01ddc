"""The server of the page: Gradio's application in uvicorn, for one process and one model.

Gradio serves more than the page needs, and some of it asks other machines for files. :class:`Guard` in front of it lets
through what the page uses, refuses what another web site makes the browser send and what is too large, and forbids the
browser to ask anyone else. Uploads lie in a temporary folder until they have been answered.
"""

import contextlib
import ipaddress
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from m4ser.data.audio import error_text
from m4ser.utils.errors import UserError
from m4ser.utils.extras import missing
from m4ser.utils.printing import printable

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from m4ser.inference.recognizer import EmotionRecognizer

# What the page asks for.
PATHS = re.compile(
    r"/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt|(assets|static|svelte)/.+"
    r"|gradio_api/(info|app_id|startup-events|upload|upload_progress|queue/join|queue/data|run/predict|cancel|reset"
    r"|file=/.+|heartbeat/\w+))?/?"
)
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "base-uri 'self'; form-action 'self'; object-src 'none'"
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"permissions-policy": b"microphone=(self)",
}
QUESTION = 1_000_000  # bytes of a request that is no upload
FRAME = 10_000  # bytes of an upload that are not the recording
FORGOTTEN = 600.0  # seconds after which an upload that nobody asked about is deleted


class Guard:
    """ASGI middleware: lets through what the page needs.

    Args:
        app: what is behind it.
        max_bytes: of an upload.
        here: only this machine can reach the server; names that lead here from elsewhere (DNS rebinding) and requests
            that other web sites cause are refused.
    """

    def __init__(self, app: "ASGIApp", max_bytes: int, here: bool) -> None:
        self.app, self.max_bytes, self.here = app, max_bytes, here

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        headers = dict(HEADERS)
        if self.here:
            headers[b"content-security-policy"] += b"; frame-ancestors 'none'"
        if not re.match("/(assets|static)/", scope["path"]):
            headers[b"cache-control"] = b"no-store"

        async def send_with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                others = [field for field in message.get("headers", []) if field[0].lower() not in headers]
                message["headers"] = [*others, *headers.items()]
            await send(message)

        refused = self._refused(scope["method"], scope["path"], fields)
        if refused:
            from starlette.responses import PlainTextResponse

            status, reason = refused
            await PlainTextResponse(reason, status, {"Connection": "close"})(scope, receive, send_with_headers)
            return
        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:  # of Gradio, as for a request that its own page does not send; it has been refused
            fault = f"{scope['method']} {scope['path']}: {type(error).__name__}: {error_text(error)}"
            print(f"note: a request could not be answered: {printable(fault)}", file=sys.stderr)

    def _refused(self, method: str, path: str, fields: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and reason, if the request is not to be answered."""
        host, origin = fields.get("host", ""), fields.get("origin")
        if self.here and not is_loopback(_name(host)):
            return 403, "this page is for this machine only"
        if not PATHS.fullmatch(path):
            return 404, "there is no such page"
        if method == "POST":
            if self.here and origin is not None and origin.partition("://")[2] != host:
                return 403, "requests of other web sites are not answered"
            size = fields.get("content-length", "")
            if not (size.isascii() and size.isdigit() and len(size) < 16):
                return 411, "the request does not say how long it is (Content-Length)"
            if int(size) > (self.max_bytes + FRAME if path.rstrip("/").endswith("/upload") else QUESTION):
                return 413, f"this has {int(size) / 2**20:.1f} MB, more than the limit of {self.max_bytes / 2**20:g} MB"
        return None


def _name(host: str) -> str:
    """The name in a Host header; empty if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens at `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: name or address.
        port: 0 takes a free one.

    Raises:
        UserError: one cannot listen there.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError, UnicodeError) as error:
        raise UserError(f"--host {host} --port {port}: cannot listen there ({error}); choose others") from None


def check_installed() -> None:
    """Whether the page can be served.

    Raises:
        UserError: Gradio is not installed.
    """
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise UserError(f"m4ser demo {missing(ModuleNotFoundError(name='gradio'))}")


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
    here = is_loopback(host)
    # The port first: whether it is free should be known before the model is loaded.
    with listen(host, port) as listener, tempfile.TemporaryDirectory(prefix="m4ser-demo-") as folder:
        recognizer = load()
        app = build_app(recognizer, Path(folder), max_bytes, here)
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
        if not here:
            print(
                "note: everyone who can reach this machine can use the page; browsers do not record there unless it "
                "is encrypted on its way (https), but files can be chosen",
                file=sys.stderr,
            )
        print(f"Model {model}; open {address} in a browser; Ctrl-C ends it", flush=True)
        if open_page:
            webbrowser.open(address)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: the folder has to go
        with contextlib.suppress(KeyboardInterrupt), sweeping(Path(folder)):
            make_server(app).run(sockets=[listener])
        print("ended", file=sys.stderr)


def build_app(recognizer: "EmotionRecognizer", uploads: Path, max_bytes: int, here: bool) -> "ASGIApp":
    """The application: Gradio's with a guard in front of it.

    Args:
        recognizer: the model.
        uploads: an empty folder for uploads.
        max_bytes: of an upload.
        here: only this machine can reach the server.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    from m4ser.demo.page import build_page, mount

    return Guard(mount(build_page(recognizer, uploads, max_bytes, here), max_bytes), max_bytes, here)


def make_server(app: "ASGIApp") -> "uvicorn.Server":
    """What answers requests, until the process is interrupted."""
    import uvicorn

    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False, ws="none", timeout_graceful_shutdown=1
    )
    return uvicorn.Server(config)


@contextlib.contextmanager
def sweeping(folder: Path, age: float = FORGOTTEN) -> Iterator[None]:
    """Delete uploads that nobody asked about, such as those that broke off, as long as the block runs."""
    end = threading.Event()

    def work() -> None:
        while not end.wait(min(age, 60.0)):
            sweep(folder, age)

    thread = threading.Thread(target=work, name="m4ser-sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def sweep(folder: Path, age: float) -> None:
    """Delete files below `folder` that were last written more than `age` seconds ago."""
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and time.time() - path.stat().st_mtime > age:
                path.unlink()
