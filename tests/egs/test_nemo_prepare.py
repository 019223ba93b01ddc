"""nEMO at small scale: all speakers, two sentences, all emotions, a speaker without one of them."""

import pytest
import soundfile

HEADER = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"
EMOTIONS = ("anger", "fear", "happiness", "neutral", "sadness", "surprised")
SPEAKERS = ("EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0")
WOMEN = {"EB0", "IC0", "KD0", "MK0"}
SENTENCES = {"13": "Interesuje mnie historia Polski.", "64": "Ucho wykrywa dźwięki o różnej częstotliwości."}


def line(name, text="Tak.", gender=None):
    speaker, emotion, _ = name.split("_")
    gender = gender or ("female" if speaker in WOMEN else "male")
    # in the real table speakers have spaces in front
    return f"{name}.wav\t{emotion}\t{text}\t{text.lower()}\t        {speaker}\t{gender}\t27"


def lay_out(official, write, root="nEMO-main"):
    names = [f"{s}_{e}_{k}" for s in SPEAKERS for e in EMOTIONS for k in SENTENCES if (s, e) != ("MK0", "surprised")]
    for name in names:
        write(f"{root}/samples/{name}.wav")
    lines = [HEADER, *(line(name, SENTENCES[name[-2:]]) for name in names)]
    return official.put(f"{root}/data.tsv", "\n".join(lines) + "\n")


def test_the_table_tells_everything(official):
    lay_out(official, official.put)
    data = official.prepare("--allow-partial", "true")["all"].maps
    assert len(data["utt2spk"]) == 106
    assert [data["utt2emo"][f"EB0-EB0_{emotion}_13"] for emotion in EMOTIONS] == [
        *("angry", "fearful", "happy", "neutral", "sad", "surprised")
    ]
    assert data["text"]["WR0-WR0_surprised_64"] == "Ucho wykrywa dźwięki o różnej częstotliwości."
    assert data["wav.scp"]["WR0-WR0_surprised_64"].endswith("/nEMO-main/samples/WR0_surprised_64.wav")
    assert {speaker for utt, speaker in data["utt2spk"].items() if data["utt2gender"][utt] == "female"} == WOMEN
    assert set(data["utt2lang"].values()) == {"pl"}


def test_each_speaker_tests(official):
    lay_out(official, official.put)
    official.prepare("--allow-partial", "true")
    folds = official.folds()
    assert (folds.protocol, list(folds.folds)) == ("nemo-loso", list(SPEAKERS))
    assert folds.labels == ["angry", "fearful", "happy", "neutral", "sad", "surprised"]
    for name, fold in folds.folds.items():
        assert {utt[:3] for utt in fold.test} == {name}
        assert len({utt[:3] for utt in fold.dev} & WOMEN) == 1 and len({utt[:3] for utt in fold.dev}) == 2
        assert len({utt[:3] for utt in fold.train}) == 6


def test_wrong_corpora(official):
    table = lay_out(official, official.put)
    message = official.fails()
    assert "106 utterances instead of 4481, 18 angry instead of 749, 18 fearful instead of 736" in message
    assert "https://github.com/amu-cai/nEMO" in message
    extra = official.put("nEMO-main/samples/EB0_anger_99.wav")
    assert "EB0_anger_99.wav: is not in data.tsv; remove the file" in official.fails()
    extra.unlink()
    lines = table.read_text()
    table.write_text(lines + line("EB0_anger_98") + "\n")
    assert "1 of 107 annotated utterances have no recording, e.g. " in official.fails()
    table.write_text(lines + line("EB0_anger_98", gender="male") + "\n")
    assert "data.tsv: the line of EB0_anger_98.wav has another speaker, emotion or gender" in official.fails()
    table.write_text(lines + line("EB0_boredom_98") + "\n")
    assert "EB0_boredom_98.wav: unknown emotion boredom in the name" in official.fails()
    table.write_text(lines.replace("\tgender", "\tsex"))
    assert "no column gender" in official.fails()
    table.unlink()
    assert "expected data.tsv" in official.fails()


@pytest.mark.slow
def test_stages_0_to_3_use_the_reference_text(official):
    lay_out(official, lambda path: official.sound(path, 0.1, rate=24000))
    folder, shown = official.run("--text-source", "ref", "--stop-stage", "3", "--allow-partial", "true")
    assert "stage 2: not needed with --text-source ref" in shown
    assert soundfile.info(folder / "dump/audio/all/flac/EB0-EB0_anger_13.flac").samplerate == 16000
    assert '"częstotliwości"' in (folder / "dump/text/ref_basic/all/edits").read_text(encoding="utf-8")
