"""The demonstration in a real browser: choose a file, record, read what is shown."""

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.data.audio import load_16k
from m4ser.demo.server import DemoServer

pytestmark = pytest.mark.slow

CORPUS = Path(__file__).resolve().parents[2] / "egs/mini/corpus"


def spoken():
    """A few utterances of the mini corpus with a second of silence after each, about 15 s at 16 kHz."""
    parts = []
    for path in sorted(CORPUS.rglob("*.opus"))[:5]:
        parts += [load_16k(path), np.zeros(16000)]
    return np.concatenate(parts)


@pytest.fixture
def page(loudness_recognizer, browser):
    with DemoServer(loudness_recognizer, max_bytes=2_000_000) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        browser.looks(900, 900)
        browser.open(server.address)
        browser.wait("document.getElementById('limits').textContent != ''")
        yield server
        browser.open("about:blank#done")
        server.shutdown()


def text(browser, name):
    return browser.value(f"document.getElementById('{name}').textContent")


def test_choose_a_file_and_read_the_label(browser, page, tmp_path):
    assert "At most 2 MB and 20 s. Nothing leaves this machine." in text(browser, "limits")
    for level, label in ((0.5, "excited"), (0.02, "calm")):
        soundfile.write(tmp_path / "été.wav", level * np.sin(np.arange(16000) / 10), 16000)
        browser.choose_file("#file", tmp_path / "été.wav")
        browser.wait(f"document.getElementById('label').textContent == '{label}'")
        assert text(browser, "name") == "été.wav, 1.0 s"
        assert text(browser, "text") == "well <b>hello</b>"
        assert browser.value("document.querySelector('#timeline').hidden")
        # Widths of the bars are the probabilities beside them.
        widths = browser.value(
            "[...document.querySelectorAll('#bars i')].map(e => 100 * e.offsetWidth / e.parentElement.offsetWidth)"
        )
        shown = browser.value(
            "[...document.querySelectorAll('#bars span:nth-child(3n)')].map(e => parseFloat(e.innerText))"
        )
        assert widths == pytest.approx(shown, abs=1) and sum(shown) == pytest.approx(100, abs=0.2)
    assert browser.complaints() == []
    assert all(address.startswith(page.address) for address in browser.requests())


def test_timeline_of_a_long_recording(browser, page, tmp_path):
    soundfile.write(tmp_path / "long.flac", spoken(), 16000)
    browser.looks(360, 800, mobile=True, dark=True)
    browser.choose_file("#file", tmp_path / "long.flac")
    browser.wait("document.querySelectorAll('#track button').length > 1")
    parts = browser.value("document.querySelectorAll('#track button').length")
    assert browser.value("document.querySelectorAll('#segments tr').length") == parts >= 3
    browser.wait("!document.getElementById('wave').hidden")
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")
    browser.wait("document.getElementById('player').readyState >= 1")
    browser.value("document.querySelectorAll('#track button')[2].click()")
    browser.wait("document.getElementById('player').currentTime > 2")
    assert browser.complaints() == []


def test_faults_are_shown_in_one_line(browser, page, tmp_path):
    (tmp_path / "notes.wav").write_text("no sound " * 50)
    browser.choose_file("#file", tmp_path / "notes.wav")
    browser.wait("document.getElementById('error').textContent.startsWith('notes.wav: ')")
    assert "\n" not in text(browser, "error") and browser.value("document.querySelector('#result').hidden")
    (tmp_path / "big.wav").write_bytes(bytes(2_000_001))
    browser.choose_file("#file", tmp_path / "big.wav")
    browser.wait("document.getElementById('error').textContent.includes('more than the limit of 2 MB')")
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(np.arange(16000) / 10), 16000)
    browser.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    browser.choose_file("#file", tmp_path / "a.wav")
    browser.wait("document.getElementById('error').textContent.includes('does not answer')")
    browser.call(
        "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )
    browser.choose_file("#file", tmp_path / "a.wav")
    browser.wait("document.getElementById('label').textContent == 'excited'")
    assert text(browser, "error") == ""


def test_record_with_a_microphone(browser, page):
    """Chromium's stand-in for a microphone beeps every second."""
    browser.value("document.getElementById('record').click()")
    browser.wait("document.getElementById('record').textContent == 'Stop'")
    browser.wait("parseFloat(document.getElementById('status').textContent.split(':')[1]) > 2")
    browser.value("document.getElementById('record').click()")
    browser.wait("!document.getElementById('result').hidden")
    assert text(browser, "label") in ("calm", "excited")
    assert text(browser, "name").startswith("recording, 2.")
    assert browser.complaints() == []
