"""Defaults of a corpus that is not English: multilingual models where they are installed, said in one line."""

import pytest

from m4ser.utils.errors import UserError

SETS = ("--speech-language", "de", "--train-config", "conf/train_speech.yaml")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Function that puts empty models where they are looked for; otherwise there are none."""
    monkeypatch.setenv("M4SER_PRETRAINED_DIR", str(tmp_path / "models"))
    monkeypatch.setattr("m4ser.pretrained.default_dir", lambda: tmp_path / "none")

    def install(*names):
        for name in names:
            (tmp_path / "models" / name).mkdir(parents=True)

    return install


def test_installed_models_are_the_default(plan, installed, capsys):
    installed("whisper-base", "whisper-base-ct2")
    made = plan(sets=SETS)
    o = made.options
    assert (o.text_source, o.asr_model, o.asr_conf) == ("asr", "offline:whisper-base-ct2", "language=de")
    assert (o.speech_encoder, o.normaliser, o.tag) == ("offline:whisper-base", "basic", "speech")
    assert made.feats_dir == "dump/feats/whisper-base_pool8"
    assert made.asr_dir == "dump/asr/faster_whisper_whisper-base-ct2_language_de"
    note = "note: language de: by default text of offline:whisper-base-ct2, features of offline:whisper-base\n"
    assert capsys.readouterr().err == note


def test_without_them_the_reference_is_read(plan, installed, capsys):
    o = plan(sets=SETS).options
    assert (o.text_source, o.speech_encoder, o.tag) == ("ref", "offline:whisper-tiny.en", "speech")
    assert "reference text, features of an English encoder; multilingual models: make -C" in capsys.readouterr().err
    installed("whisper-base")  # a part of them
    o = plan(sets=SETS).options
    assert (o.text_source, o.speech_encoder) == ("ref", "offline:whisper-base")


def test_whatever_is_typed_stays(plan, installed):
    installed("whisper-base", "whisper-base-ct2")
    typed = ("--text-source", "ref", "--speech-encoder", "offline:whisper-tiny.en", "--normaliser", "english")
    o = plan(*typed, sets=SETS).options
    assert (o.text_source, o.speech_encoder, o.normaliser) == ("ref", "offline:whisper-tiny.en", "english")
    assert o.tag == "speech_text-ref_whisper-tiny.en_pool8_english"
    o = plan("--asr", "hf", "--asr-model", "a/b", sets=SETS).options
    assert (o.asr_model, o.asr_conf) == ("a/b", "language=de")
    assert plan("--asr", "pocketsphinx", sets=SETS).options.asr_model == ""


def test_configurations_for_other_features_keep_them(plan, installed):
    installed("whisper-base")
    made = plan("--train-config", "conf/train_functionals.yaml", sets=SETS)
    assert made.options.speech_encoder == "opensmile:eGeMAPSv02"
    assert plan("--train-config", "conf/train_wave.yaml", sets=SETS).options.speech_encoder == ""


def test_no_code_of_a_language(plan):
    with pytest.raises(UserError, match="--speech-language German: must be a code such as de or pl"):
        plan("--speech-language", "German")
    assert plan().options.asr_conf == ""
