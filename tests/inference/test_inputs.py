"""What a user names as input."""

from m4ser.inference.inputs import read_texts


def test_texts_of_names_with_blanks(tmp_path):
    (tmp_path / "texts").write_text("my call.wav\thello there\na.wav good bye\nb.wav\n")
    expected = read_texts(tmp_path / "texts")
    (tmp_path / "marked").write_text("\ufeff" + (tmp_path / "texts").read_text(), encoding="utf-8")
    assert read_texts(tmp_path / "marked") == expected
    assert expected == {"my call.wav": "hello there", "a.wav": "good bye", "b.wav": ""}
