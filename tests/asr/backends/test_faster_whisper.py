from pathlib import Path

import numpy as np
import pytest
import soundfile

from m4ser.asr.backends import build_backend
from m4ser.utils.errors import UserError

CLIPS = sorted(Path(__file__).parents[3].glob("egs/mini/corpus/**/*.opus"))
RATE = 16000


@pytest.fixture(scope="module")
def whisper():
    return build_backend("faster_whisper")


@pytest.fixture
def clips():
    """Speech of the mini corpus where it is, else tones."""
    if CLIPS:
        audio = [soundfile.read(path, dtype="float32")[0] for path in (CLIPS[0], CLIPS[len(CLIPS) // 2])]
    else:
        audio = [np.sin(np.arange(n) / 5, dtype=np.float32) / 2 for n in (RATE, 2 * RATE)]
    return [*audio, np.zeros(0, np.float32)]


@pytest.mark.slow
def test_decoding_is_repeatable_and_alone_or_in_a_batch_the_same(whisper, clips):
    alone = [whisper.transcribe(samples) for samples in clips]
    batched = build_backend("faster_whisper", batch_size=2).transcribe_batch(clips)
    assert batched == alone
    assert all(0 < hypothesis.confidence < 1 for hypothesis in alone)
    if CLIPS:
        assert alone[0].text and alone[1].text


@pytest.mark.slow
def test_whole_windows_are_decoded_as_the_library_does(clips):
    """faster-whisper's own transcription of audio that is padded to 30 s."""
    backend = build_backend("faster_whisper", window=30, beam_size=2)
    samples = clips[0]
    segments, _ = backend.model.transcribe(
        np.pad(samples, (0, 30 * RATE - len(samples))),
        beam_size=2,
        temperature=0.0,
        condition_on_previous_text=False,
        without_timestamps=True,
    )
    segments = list(segments)
    found = backend.transcribe(samples)
    assert found.text == " ".join(segment.text.strip() for segment in segments)
    if segments:
        assert found.confidence == pytest.approx(np.exp(segments[0].avg_logprob))


@pytest.mark.slow
@pytest.mark.skipif(not CLIPS, reason="needs the clips of egs/mini")
def test_words_have_the_probabilities_of_the_library(whisper, clips):
    """faster-whisper's own alignment of the same text; it counts punctuation as part of a word, as is done here."""
    samples = clips[0]
    found = whisper.transcribe(samples)
    assert len(found.words) == len(found.text.split())
    model, (window,) = whisper.model, whisper.windows(samples)
    encoded = model.encode(model.feature_extractor(window, padding=0))
    tokenizer, _ = whisper.prompts["en"]
    tokens = tokenizer.encode(" " + found.text)
    (words,) = model.find_alignment(tokenizer, [tokens], encoded, 2 * encoded.shape[1])
    spoken = [word for word in words if any(map(str.isalnum, word["word"]))]
    assert [word["word"].strip() for word in spoken] == [word.rstrip(".,?!") for word in found.text.split()]
    inside = [w["probability"] for w, text in zip(spoken, found.text.split(), strict=True) if text[-1].isalnum()]
    ours = [p for p, text in zip(found.words, found.text.split(), strict=True) if text[-1].isalnum()]
    assert ours == pytest.approx(inside, abs=2e-3)


@pytest.mark.slow
def test_voice_activity_detection_only_if_asked_for(whisper, clips):
    backend = build_backend("faster_whisper", vad=True)
    noise = np.random.default_rng(0).normal(0, 0.003, 2 * RATE).astype(np.float32)
    assert backend.windows(noise) == [] and whisper.windows(noise)[0].any()
    nothing = backend.transcribe(noise)
    assert (nothing.text, nothing.confidence) == ("", 0.0)
    if CLIPS:
        kept = np.count_nonzero(backend.windows(np.concatenate([noise, clips[0], noise]))[0])
        assert 0.5 * len(clips[0]) < kept < 1.4 * len(clips[0])


def test_english_only_model_refuses_other_languages():
    with pytest.raises(UserError, match="knows English only, not language=de"):
        build_backend("faster_whisper", language="de")


def test_bad_models(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        build_backend("faster_whisper", "./no/such/folder")
    with pytest.raises(UserError, match=r"is not a Whisper model for CTranslate2 \(no model.bin\)"):
        build_backend("faster_whisper", str(tmp_path))
    (tmp_path / "model.bin").write_bytes(b"junk")
    with pytest.raises(UserError, match="the model cannot be used"):
        build_backend("faster_whisper", str(tmp_path))


@pytest.mark.parametrize("settings", [{"window": 31}, {"window": -1}, {"beam_size": 0}, {"batch_size": 0}])
def test_settings_out_of_range(settings):
    with pytest.raises(UserError, match="must be"):
        build_backend("faster_whisper", **settings)
