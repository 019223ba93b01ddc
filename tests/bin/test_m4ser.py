import sys

import pytest

from m4ser.bin import m4ser


def test_lists_commands(capsys):
    m4ser.main(["--version"])
    for words, status in (([], 2), (["--help"], 0), (["predicate"], 2)):
        with pytest.raises(SystemExit) as stopped:
            m4ser.main(words)
        assert stopped.value.code == status
    output, messages = capsys.readouterr()
    assert all(f"\n  {name}" in output for name in m4ser.COMMANDS)
    assert messages.startswith("error: m4ser predicate: no such command\n")


@pytest.mark.parametrize("command", ["predict", "info", "score", "table", "pack", "unpack", "upload", "export-onnx"])
def test_every_command_has_help(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["m4ser", command, "--help"])
    monkeypatch.setenv("M4SER_COMMAND", "restored afterwards")
    with pytest.raises(SystemExit) as stopped:
        m4ser.main()
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: m4ser {command} ")
