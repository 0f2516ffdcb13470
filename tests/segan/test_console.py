"""Consoles that cannot show every name, and file systems that refuse one."""

import io
import os
import sys

import numpy as np
import pytest
from torch import nn

from segan import audio, batch, cli, enhance, filenames
from segan.enhance import Enhancer


class Halving(nn.Module):
    rate, hop, context = 16000, 64, 64

    def forward(self, noisy):
        return noisy / 2


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    """Work in a folder of its own, with a network that halves."""
    monkeypatch.setattr(enhance, "load", lambda *_: Enhancer(Halving(), seconds=1))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sound(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, np.zeros((1, 1600), np.float32), 16000)


class Console(io.TextIOWrapper):
    """What a program finds as its standard error; Python never lets that refuse a character."""

    def __init__(self, encoding, terminal):
        super().__init__(io.BytesIO(), encoding, errors="backslashreplace", write_through=True)
        self.terminal = terminal

    def isatty(self):
        return self.terminal

    def shown(self):
        return self.buffer.getvalue().decode(self.encoding)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-8"])
def test_names_that_a_console_cannot_show_are_spelled_out(place, monkeypatch, encoding, terminal):
    sound(place / "in/雨 ü.wav")
    (place / "in/ö 雪.wav").write_text("no sound")
    monkeypatch.setattr(sys, "stderr", Console(encoding, terminal))
    assert cli.main(["in", "-o", "out"]) == 2
    shown = sys.stderr.shown()
    assert "format not recognised" in shown and "2 files, 1 failed" in shown
    assert ("雪" if encoding == "utf-8" else "\\u96ea") in shown
    assert os.listdir(place / "out") != [] and (place / "out/雨 ü.wav").exists()


def test_without_a_console_it_works_and_leaves_standard_output_to_sound(place, monkeypatch, capsys):
    sound(place / "a.wav")
    (place / "b.wav").write_text("no sound")
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw, or after 2>&-
    assert cli.main(["a.wav", "b.wav", "c.wav"]) == 2
    assert (place / "a.enhanced.wav").exists() and capsys.readouterr().out == ""


def test_the_help_is_plain_text(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert capsys.readouterr().out.isascii()


def lines(capsys):
    return capsys.readouterr().err.replace("segan-enhance: ", "").splitlines()


def test_an_output_that_is_open_elsewhere_is_one_line(place, monkeypatch, capsys):
    sound(place / "a.wav")

    def refuse(part, target):
        raise PermissionError(13, "The process cannot access the file", str(part))

    monkeypatch.setattr(batch.os, "replace", refuse)
    assert cli.main(["a.wav", "-o", "b.wav"]) == 2
    first, last = lines(capsys)
    assert first == (
        "a.wav: b.wav: cannot be replaced (permission denied); "
        "close what has it open, or choose another -o"
    )
    assert last.startswith("1 file, 1 failed") and os.listdir(place) == ["a.wav"]


def test_a_temporary_file_that_somebody_removed_is_one_line(place, monkeypatch, capsys):
    sound(place / "a.wav")
    replace = os.replace

    def late(part, target):
        os.unlink(part)
        replace(part, target)

    monkeypatch.setattr(batch.os, "replace", late)
    assert cli.main(["a.wav", "-o", "b.wav"]) == 2
    assert "is the same command at work twice?" in lines(capsys)[0]


def test_names_that_are_too_long_are_refused_before_the_work(place, monkeypatch, capsys):
    name = "a" * 248 + ".wav"  # with .enhanced it is longer than a name may be
    sound(place / name)
    monkeypatch.setattr(Enhancer, "stream", None)
    assert cli.main([name]) == 2
    assert "file name too long" in lines(capsys)[0] and os.listdir(place) == [name]


def test_a_path_that_is_too_long_for_windows_is_told_so(place, monkeypatch, capsys):
    sound(place / "a.wav")
    (place / "file").write_text("")
    monkeypatch.setattr(filenames, "too_long", lambda path: True)
    assert cli.main(["a.wav", "-o", "file/b.wav"]) == 2
    assert "switch on long paths in Windows, or choose another folder" in lines(capsys)[0]
