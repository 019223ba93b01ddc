"""The commands pack, unpack and info."""

import json

import pytest

from m4ser.bin import info, pack, unpack
from m4ser.hub.opening import IN_THE_BOX


def test_an_archive_is_made_unpacked_and_described(toy_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pack.main([str(toy_run), "--out", "toy.m4ser.zip"])
    unpack.main(["toy.m4ser.zip"])
    assert (tmp_path / "toy/m4ser.json").is_file()
    capsys.readouterr()
    for model in ("toy.m4ser.zip", "toy", str(toy_run)):
        info.main([model])
        shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
        assert shown["labels"] == "happy, sad, angry"
    info.main(["toy", "--json"])
    assert json.loads(capsys.readouterr().out)["pipeline"]["speech"]["pool"] == 4


def test_a_folder_that_takes_no_files_is_named(toy_run, monkeypatch):
    monkeypatch.delenv("M4SER_DEBUG", raising=False)
    with pytest.raises(SystemExit, match=r"^error: /sys: .*; change its permissions, or choose another place$"):
        pack.main([str(toy_run), "--out", "/sys/toy.m4ser.zip"])  # nobody may write there


def test_info_names_the_model_of_the_package_where_it_lies(monkeypatch, capsys):
    monkeypatch.delenv("M4SER_MODEL", raising=False)
    info.main([])
    assert capsys.readouterr().out.splitlines()[0] == f"model             {IN_THE_BOX}"
