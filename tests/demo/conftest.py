"""The page's server, asked as the page asks it: over HTTP, with Gradio's questions."""

import json
import uuid

import numpy as np
import pytest
import soundfile


def _sound(path, seconds=1.0, level=0.5, **options):
    soundfile.write(path, level * np.sin(2 * np.pi * 200 * np.arange(int(16000 * seconds)) / 16000), 16000, **options)
    return path


def _upload(address, path, name=None):
    """Where the server has put a recording."""
    import httpx

    answer = httpx.post(f"{address}gradio_api/upload", files={"files": (name or path.name, path.read_bytes())})
    assert answer.status_code == 200, answer.text
    return answer.json()[0]


def _predict(address, where):
    """What the page is told about an upload: values by the component's type, or the text of an error."""
    import httpx

    config = httpx.get(f"{address}config").json()
    kinds = {part["id"]: part["props"].get("elem_id") for part in config["components"]}
    (event,) = (e for e in config["dependencies"] if any(target[1] == "change" for target in e["targets"]))
    session = uuid.uuid4().hex
    data = [{"path": str(where), "orig_name": "x", "meta": {"_type": "gradio.FileData"}}]
    question = {"data": data, "fn_index": event["id"], "session_hash": session}
    answer = httpx.post(f"{address}gradio_api/queue/join", json=question)
    assert answer.status_code == 200, answer.text
    with httpx.stream("GET", f"{address}gradio_api/queue/data", params={"session_hash": session}, timeout=60) as lines:
        for line in lines.iter_lines():
            message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
            if message.get("msg") == "process_completed":
                output = message["output"]
                if not message["success"]:
                    return output["error"]
                return dict(zip(map(kinds.get, event["outputs"]), output["data"], strict=True))
    raise AssertionError("no answer")


def _ask(address, path, name=None):
    return _predict(address, _upload(address, path, name))


def _left(folder):
    return [str(path) for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def sound():
    """A recording of a tone in a new file: `sound(path, seconds, level)`."""
    return _sound


@pytest.fixture
def upload():
    """Upload as the page does: `upload(address, path, name)` returns where the server has put it."""
    return _upload


@pytest.fixture
def predict():
    """What the page is told about an upload: `predict(address, where)`."""
    return _predict


@pytest.fixture
def ask():
    """Upload and be told: `ask(address, path, name)`."""
    return _ask


@pytest.fixture
def left():
    """Files below a folder."""
    return _left
