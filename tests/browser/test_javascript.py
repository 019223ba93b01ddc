"""The example in JavaScript in a browser: the numbers of Python, and nothing asked of anybody else."""

import functools
import http.server
import json
import threading
from pathlib import Path

import pytest
import soundfile

from m4ser import EmotionRecognizer
from m4ser.data.audio import load_16k
from m4ser.hub.archive import unpack

ROOT = Path(__file__).resolve().parents[2]
PAGE = """<!doctype html><title>m4ser</title><script type="module">
import * as ort from "./example/node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";
import { EmotionModel, readWav } from "./example/m4ser.mjs";
const bytes = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
ort.env.wasm.numThreads = 1;
const description = await (await fetch("model/m4ser.json")).text();
const model = await EmotionModel.open(ort, await bytes("model/model.onnx"), description);
window.found = JSON.stringify(await model.predict(readWav(await bytes("a.wav"))));
</script>"""

pytestmark = pytest.mark.slow


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def test_a_label_in_the_browser(browser, javascript_example, voice_archive, tmp_path):
    model = unpack(voice_archive, tmp_path / "model").folder
    (tmp_path / "example").symlink_to(javascript_example)
    soundfile.write(tmp_path / "a.wav", load_16k(ROOT / "egs/mini/corpus/f01/f01-000.opus"), 16000)
    (tmp_path / "index.html").write_text(PAGE)
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        browser.open(address)
        browser.wait("window.found", 60)
        found = json.loads(browser.value("window.found"))
        assert all(asked.startswith(address) for asked in browser.requests())
        server.shutdown()
    expected = EmotionRecognizer.from_pretrained(model)(tmp_path / "a.wav")
    assert found["label"] == expected.label
    assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
