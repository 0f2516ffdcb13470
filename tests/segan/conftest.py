"""What tests of the command share: a network whose result is known."""

import pytest
from torch import nn

from segan import cli, enhance
from segan.enhance import Enhancer


class Halving(nn.Module):
    rate, hop, context = 16000, 64, 64

    def forward(self, noisy):
        return noisy / 2


@pytest.fixture
def halving():
    """Give a network that halves."""
    return Halving()


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, halving):
    """Run the command in ``tmp_path`` with a network that halves; give its status and its lines."""
    monkeypatch.setattr(enhance, "load", lambda *_: Enhancer(halving, seconds=1))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert captured.out == "" and "Traceback" not in captured.err
        return status, captured.err.replace("segan-enhance: ", "").splitlines()

    return run
