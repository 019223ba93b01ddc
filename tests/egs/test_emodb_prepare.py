"""EmoDB at small scale: all speakers, two sentences, all emotions."""

import pytest
import soundfile

CODES = "WLEAFNT"
SPEAKERS = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
WOMEN = {"08", "09", "13", "14", "16"}


def lay_out(official, write):
    for index, speaker in enumerate(SPEAKERS):
        for code in CODES:
            write(f"emodb/wav/{speaker}{('a07', 'b01')[index % 2]}{code}{'ab'[index % 2]}.wav")
    official.put("emodb/erkennung.txt", "Satz  erkannt  natürlich".encode("cp1252"))


def test_names_tell_everything(official):
    lay_out(official, official.put)
    official.put("emodb/wav/03a01N.wav")  # a version need not be named
    data = official.prepare("--allow-partial", "true")["all"].maps
    assert len(data["utt2spk"]) == 71
    assert [data["utt2emo"][f"03-03a07{code}a"] for code in CODES] == [
        *("angry", "bored", "disgust", "fearful", "happy", "neutral", "sad")
    ]
    assert data["text"]["08-08b01Wb"] == "Was sind denn das für Tüten, die da unter dem Tisch stehen?"
    assert {speaker for utt, speaker in data["utt2spk"].items() if data["utt2gender"][utt] == "female"} == WOMEN
    assert set(data["utt2lang"].values()) == {"de"}


def test_each_speaker_tests(official):
    lay_out(official, official.put)
    official.prepare("--allow-partial", "true")
    folds = official.folds()
    assert (folds.protocol, list(folds.folds)) == ("emodb-loso", list(SPEAKERS))
    for name, fold in folds.folds.items():
        assert {utt[:2] for utt in fold.test} == {name}
        assert len({utt[:2] for utt in fold.dev} & WOMEN) == 1 and len({utt[:2] for utt in fold.dev}) == 2
        assert len({utt[:2] for utt in fold.train}) == 7


def test_wrong_corpora(official):
    lay_out(official, official.put)
    message = official.fails()
    assert "70 utterances instead of 535, 10 angry instead of 127, 10 bored instead of 81" in message
    assert "https://zenodo.org/records/7447302" in message
    odd = official.put("emodb/wav/03a03Wa.wav")
    assert "unknown sentence a03 in the name" in official.fails()
    odd.rename(odd.with_name("song.wav"))
    assert "song.wav: not an EmoDB file name (03a01Fa.wav)" in official.fails()


@pytest.mark.slow
def test_stages_0_to_3_use_the_reference_text(official):
    lay_out(official, lambda path: official.sound(path, 0.1, rate=44100))
    folder, shown = official.run("--text-source", "ref", "--stop-stage", "3", "--allow-partial", "true")
    assert "stage 2: not needed with --text-source ref" in shown
    assert soundfile.info(folder / "dump/audio/all/flac/08-08b01Wb.flac").samplerate == 16000
    assert '"tüten"' in (folder / "dump/text/ref_basic/all/edits").read_text(encoding="utf-8")
