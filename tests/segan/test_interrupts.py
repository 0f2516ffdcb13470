"""Ctrl-C and SIGTERM at every line of segan-enhance, and one output that two write at once."""

import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from segan import audio, batch, cli, enhance
from segan.enhance import Enhancer

OURS = {Path(module.__file__).name for module in (cli, batch, audio)}

EVERY = int(os.environ.get("SEGAN_EVERY_LINE", "11"))  # 1 tries all: half a minute


class Halving(nn.Module):
    rate, hop, context = 16000, 64, 64

    def forward(self, noisy):
        return noisy / 2


@pytest.fixture
def enhancer(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    audio.write("x.wav", 0.1 * np.ones((1, 2000)), 16000)
    enhancer = Enhancer(Halving())
    monkeypatch.setattr(enhance, "load", lambda *_: enhancer)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    yield enhancer
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGINT, before[1])


def enhanced(number=None, line=0):
    """Enhance x.wav; send a signal before the so many-th line of ours.

    Return the status and how many lines there were until then.
    """
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        if Path(frame.f_code.co_filename).name not in OURS:
            return None
        count += event == "line"
        if event == "line" and count == line:
            sys.settrace(None)
            signal.raise_signal(number)
        return trace

    sys.settrace(trace)
    try:
        return cli.main(["x.wav", "-q", "--device", "cpu"]), count
    except SystemExit as end:
        return end.code, count
    finally:
        sys.settrace(None)


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_at_any_line_leaves_all_or_nothing(enhancer, capsys, number, code):
    status, lines = enhanced()
    whole = Path("x.enhanced.wav").read_bytes()
    assert status == 0 and lines > 100
    statuses = set()
    for line in range(3, lines, EVERY):  # before the third, main has not begun
        Path("x.enhanced.wav").unlink(missing_ok=True)
        statuses.add(enhanced(number, line)[0])
        left = sorted(os.listdir())
        assert left in (["x.wav"], ["x.enhanced.wav", "x.wav"]), f"line {line}: {left}"
        if len(left) == 2:
            assert Path("x.enhanced.wav").read_bytes() == whole
    assert statuses == {code}
    assert "Traceback" not in capsys.readouterr().err


def test_of_two_that_write_one_output_one_wins_whole(enhancer):
    waves = {name: value * np.ones((1, 8000)) for name, value in (("a", 0.2), ("b", 0.8))}
    for name, wave in waves.items():
        audio.write(f"{name}.wav", wave, 16000)
    together, outcomes = threading.Barrier(2), []

    def work(name):
        job = batch.Job(Path(f"{name}.wav"), Path("out.wav"))

        def wait(_):
            together.wait(10)  # both have begun to write

        outcomes.append(batch.attempt(enhancer, job, batch.Options(force=True), wait))

    threads = [threading.Thread(target=work, args=(name,)) for name in waves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.error for outcome in outcomes] == [None, None]
    wave, _ = audio.read("out.wav")
    assert wave.shape == (1, 8000) and np.ptp(wave) < 1e-3
    assert min(abs(wave[0, 0] - 0.1), abs(wave[0, 0] - 0.4)) < 1e-3
    assert sorted(os.listdir()) == ["a.wav", "b.wav", "out.wav", "x.wav"]
