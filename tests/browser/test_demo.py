"""The demonstration's page in a real browser: upload, record, take an example, read what is shown, ask nobody else."""

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.data.audio import load_16k
from m4ser.inference.results import Failure

pytestmark = pytest.mark.slow

CORPUS = Path(__file__).resolve().parents[2] / "egs/mini/corpus"
UPLOAD = "#recording input[type=file]"


def spoken():
    """A few utterances of the mini corpus with a second of silence after each, about 15 s at 16 kHz."""
    parts = []
    for path in sorted(CORPUS.rglob("*.opus"))[:5]:
        parts += [load_16k(path), np.zeros(16000)]
    return np.concatenate(parts)


def there(selector):
    return f"document.querySelector('{selector}') != null"


def text(browser, name):
    return browser.value(f"document.querySelector('#{name}')?.innerText ?? ''")


def choose(browser, path):
    """Take away what is there and upload a file."""
    # In one expression: the page itself takes away what it has refused, perhaps just now.
    browser.value("document.querySelector('#recording button[aria-label=Clear]')?.click() ?? null")
    browser.wait(there(UPLOAD))
    browser.choose_file(UPLOAD, path)


def answered(browser, name):
    browser.wait(f"(document.querySelector('#note')?.innerText ?? '').startsWith('{name}: ')")
    browser.wait("document.querySelector('#label').innerText.startsWith('Emotion')")  # no longer "processing"


def nothing_kept(folder):
    return [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.fixture
def page(serve_demo, browser, loudness_recognizer):
    loudness_recognizer.about["tag"] = "*loud* <b>[ness](x)"
    address = serve_demo()
    browser.looks(1000, 1000)
    browser.open(address)
    browser.wait(there(UPLOAD))
    yield address
    # No request has left for elsewhere, whatever the test did; nor does the page name anything elsewhere to be loaded.
    addresses = browser.requests()
    addresses += browser.value(
        "[...document.querySelectorAll('link, script, img, iframe, audio, source')].map(e => e.src || e.href || '')"
        ".filter(e => e && !e.startsWith('data:') && !e.startsWith('blob:'))"
    )
    browser.open("about:blank#done")
    assert len(addresses) > 20 and [one for one in addresses if not one.startswith(address)] == []


def test_upload_and_read_the_answer(browser, page, tmp_path):
    assert "At most 2 MB and 20 s. Nothing leaves this machine." in browser.value("document.body.innerText")
    for level, label in ((0.5, "excited"), (0.02, "calm")):
        path = tmp_path / f"{label}.wav"
        soundfile.write(path, level * np.sin(np.arange(16000) / 10), 16000)
        choose(browser, path)
        answered(browser, path.name)
        assert text(browser, "label").split()[:3] == ["Emotion", label, label]
        shown = browser.value("[...document.querySelectorAll('#label dd')].map(e => parseFloat(e.innerText))")
        assert sum(shown) == pytest.approx(100, abs=1) and shown == sorted(shown, reverse=True)
        assert browser.value("document.querySelector('#text textarea').value") == "well <b>hello</b>"
        assert not browser.value(there("#plot svg")) and nothing_kept(tmp_path / "uploads")
        # The player has the sound although the server has deleted it.
        browser.wait("document.querySelector('#recording').innerText.includes('0:01')")
    assert browser.complaints() == []


def test_timeline_of_a_long_recording(browser, page, tmp_path):
    soundfile.write(tmp_path / "long.flac", spoken(), 16000)
    browser.looks(360, 800, mobile=True, dark=True)
    choose(browser, tmp_path / "long.flac")
    browser.wait(there("#plot svg"))
    browser.wait("document.querySelector('#parts')?.innerText.includes('0:11.3')")  # the fourth part begins
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")
    soundfile.write(tmp_path / "short.wav", 0.5 * np.sin(np.arange(16000) / 10), 16000)
    choose(browser, tmp_path / "short.wav")
    answered(browser, "short.wav")
    browser.wait("!document.querySelector('#timeline')?.offsetHeight")
    assert browser.complaints() == [] and nothing_kept(tmp_path / "uploads")


def test_faults_are_shown_in_one_line(browser, page, tmp_path):
    soundfile.write(tmp_path / "long.flac", spoken(), 16000)
    choose(browser, tmp_path / "long.flac")
    browser.wait(there("#plot svg"))
    (tmp_path / "notes.wav").write_text("no sound " * 50)
    choose(browser, tmp_path / "notes.wav")
    toasts = "[...document.querySelectorAll('.toast-body, .toast-message-item')].map(e => e.innerText).join('|')"
    browser.wait(f"{toasts}.includes('notes.wav: is not audio that can be decoded')")
    browser.wait("!document.querySelector('#timeline')?.offsetHeight")  # of the one before
    browser.wait("!document.querySelector('#label').innerText.includes('excited')")
    (tmp_path / "big.wav").write_bytes(bytes(2 * 2**20 + 1))
    choose(browser, tmp_path / "big.wav")
    browser.wait(f"{toasts}.includes('exceed the maximum allowed size of 2')")
    assert nothing_kept(tmp_path / "uploads")
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(np.arange(16000) / 10), 16000)
    choose(browser, tmp_path / "a.wav")
    answered(browser, "a.wav")


def test_texts_are_shown_as_they_are(browser, page, loudness_recognizer, tmp_path):
    assert "tag *loud* <b>[ness](x), protocol by ear" in browser.value("document.body.innerText")
    reason = "it's <b>5 < 6</b> & *more*"
    loudness_recognizer.stream = lambda items: [Failure(item.name, reason) for item in items]
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(np.arange(16000) / 10), 16000)
    choose(browser, tmp_path / "a.wav")
    toasts = "[...document.querySelectorAll('.toast-body, .toast-message-item')].map(e => e.innerText).join('|')"
    browser.wait(f"{toasts}.includes('a.wav: ')")
    assert reason in browser.value(toasts)


def test_examples(browser, page, tmp_path):
    for name in ("angry", "sad", "angry"):
        browser.wait(f"[...document.querySelectorAll('button')].some(e => e.innerText == '{name}')")
        browser.value(f"[...document.querySelectorAll('button')].find(e => e.innerText == '{name}').click()")
        answered(browser, f"{name}.opus")
    assert browser.complaints() == [] and nothing_kept(tmp_path / "uploads")


def test_record_with_a_microphone(browser, page, tmp_path):
    """Chromium's stand-in for a microphone beeps every second."""
    browser.value("document.querySelector('#recording button[aria-label=\"Record audio\"]').click()")
    browser.wait(there("#recording button.record"))
    browser.value("document.querySelector('#recording button.record').click()")
    stop = "[...document.querySelectorAll('#recording button')].find(e => e.innerText == 'Stop' && e.offsetWidth > 0)"
    browser.wait(f"{stop} != null")
    time.sleep(2)
    browser.value(f"{stop}.click()")
    answered(browser, "audio.wav")
    assert text(browser, "label").split()[1] in ("calm", "excited")
    assert browser.complaints() == [] and nothing_kept(tmp_path / "uploads")
