import re
from pathlib import Path

import pytest

from m4ser.data.datadir import Utterance
from m4ser.recipes import layout
from m4ser.utils.errors import UserError


def test_find_looks_up_to_two_folders_deep(tmp_path):
    deep = tmp_path / "archive" / "Corpus v1" / "Labels"
    deep.mkdir(parents=True)
    (deep / "labels.csv").write_text("")
    (deep / "._labels.csv").write_text("")
    assert layout.find(tmp_path, "Labels") == deep
    assert layout.find(tmp_path / "archive", "gone.txt", "Labels/*.csv") == deep / "labels.csv"
    (tmp_path / "Labels").mkdir()
    assert layout.find(tmp_path, "Labels") == tmp_path / "Labels"  # the nearest one


def test_find_says_what_is_there(tmp_path):
    with pytest.raises(UserError) as error:
        layout.find(tmp_path, "Session1", obtain="https://example.org")
    assert str(error.value) == (
        f"{tmp_path}: expected Session1, found nothing; give the folder of the official layout "
        "(to be had from https://example.org)"
    )
    for name in "gfedcba":
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"expected x or y/\*\.txt, found a, b, c, d, e, \.\.\.; give"):
        layout.find(tmp_path, "x", "y/*.txt")


@pytest.mark.parametrize(
    "content",
    [
        "it’s — “so” é…".encode(),
        "it’s — “so” é…".encode("utf-8-sig"),
        "it’s — “so” é…".encode("cp1252"),
        "it\x92s \x97 \x93so\x94 é\x85".encode(),
        "itâ€™s â€” “so” éâ€¦".encode(),
    ],
)
def test_encodings(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    assert layout.read_text(tmp_path / "a.txt") == "it’s — “so” é…"


def test_missing_recordings_are_counted(tmp_path, capsys):
    (tmp_path / "a.wav").touch()
    utts = [Utterance(f"s-{name}", tmp_path / f"{name}.wav", "s", "sad") for name in "abc"]
    with pytest.raises(UserError, match=r"2 of 3 annotated utterances have no recording, e\.g\. .*b\.wav; copy"):
        layout.keep_present(utts, tmp_path, allow_partial=False)
    assert [utt.utt_id for utt in layout.keep_present(utts, tmp_path, allow_partial=True)] == ["s-a"]
    assert capsys.readouterr().err.startswith(f"warning: {tmp_path}: 2 of 3")
    assert layout.keep_present(utts[:1], tmp_path, allow_partial=False) == utts[:1]
    layout.note(0, "clips")
    layout.note(3, "clips")
    assert capsys.readouterr().err == "note: 3 clips\n"


def test_recordings_of_the_first_pattern_that_has_some(tmp_path):
    for name in ("Actor_1/b.WAV", "Actor_1/a.flac", "Actor_1/._a.flac", "Actor_1/list.txt", "copy/Actor_1/c.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = layout.recordings(tmp_path, "*", "*/*", "*/*/*", like="Actor_1/a.wav")
    assert [path.name for path in found] == ["a.flac", "b.WAV"]
    with pytest.raises(UserError, match=r"expected Actor_1/a\.wav, found Actor_1, copy; .*\(to be had from there\)"):
        layout.recordings(tmp_path, "*", like="Actor_1/a.wav", obtain="there")


NAME = re.compile(r"(?P<speaker>[a-z]+)_(?P<emotion>[A-Z])")


def test_codes_of_a_file_name():
    match = layout.read_name(Path("x/anna_H.wav"), NAME, "EmoToy", "anna_H.wav", emotion={"H": "happy"})
    assert match.groupdict() == {"speaker": "anna", "emotion": "H"}
    with pytest.raises(UserError, match=r"x/anna\.wav: not an EmoToy file name \(anna_H\.wav\); rename or remove"):
        layout.read_name(Path("x/anna.wav"), NAME, "EmoToy", "anna_H.wav", emotion={"H": "happy"})
    with pytest.raises(UserError, match=r"x/anna_S\.wav: unknown emotion S in the name; rename or remove the file"):
        layout.read_name(Path("x/anna_S.wav"), NAME, "EmoToy", "anna_H.wav", emotion={"H": "happy"})
