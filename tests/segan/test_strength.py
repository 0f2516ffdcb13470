"""Levels of strength: what is kept of the original, and how far noise falls."""

import math

import numpy as np
import pytest
from torch import nn

import segan
from segan import audio, cli, enhance
from segan.enhance import Enhancer


class Gain(nn.Module):
    """A network that multiplies: 0 takes all for noise, 1 all for speech."""

    rate, hop, context = 16000, 64, 64

    def __init__(self, gain):
        super().__init__()
        self.gain = gain

    def forward(self, noisy):
        return noisy * self.gain


def noise(rate):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (2, rate // 2)).astype(np.float32)


def level(wave):
    return 20 * np.log10(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


@pytest.mark.parametrize("decibels", [0, 6, 12, 30, 60])
def test_what_is_taken_for_noise_falls_by_just_so_many_decibels(decibels):
    wave = noise(16000)
    out = Enhancer(Gain(0))(wave, 16000, keep=segan.attenuation_limit(decibels))
    assert level(wave) - level(out) == pytest.approx(decibels, abs=1e-3)
    np.testing.assert_allclose(out, wave * 10 ** (-decibels / 20), atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_at_other_rates_too_it_is_the_whole_effect_and_a_part_of_the_original(rate):
    wave, enhancer = noise(rate), Enhancer(Gain(0))
    full = enhancer(wave, rate)
    out = enhancer(wave, rate, keep=segan.attenuation_limit(12))
    gain = 10 ** (-12 / 20)
    np.testing.assert_allclose(out, (1 - gain) * full + gain * wave, atol=1e-6)
    middle = slice(rate // 10, -rate // 10)  # the filters of the resampling reach beyond the ends
    assert level(wave[:, middle]) - level(out[:, middle]) == pytest.approx(12, abs=0.01)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_what_is_taken_for_speech_passes(rate):
    wave = noise(rate)
    out = Enhancer(Gain(1))(wave, rate, keep=segan.attenuation_limit(12))
    np.testing.assert_allclose(out, wave, atol=1e-6)


def test_no_limit_is_the_whole_effect_and_no_attenuation_the_input():
    assert segan.attenuation_limit(math.inf) == 0 and segan.attenuation_limit(0) == 1
    wave, enhancer = noise(16000), Enhancer(Gain(0.3))
    full, limited = (enhancer(wave, 16000, keep=keep) for keep in (0, 10**-0.5))
    np.testing.assert_allclose(limited, (1 - 10**-0.5) * full + 10**-0.5 * wave, atol=1e-6)


@pytest.mark.parametrize("decibels", [-1, math.nan])
def test_a_limit_below_nothing_is_refused(decibels):
    with pytest.raises(ValueError, match="from 0 up is needed"):
        segan.attenuation_limit(decibels)


def test_the_command_limits_as_the_share_that_it_stands_for(tmp_path, monkeypatch):
    monkeypatch.setattr(enhance, "load", lambda *_: Enhancer(Gain(0)))
    audio.write(tmp_path / "x.wav", noise(16000), 16000, "FLOAT")
    for name, option in (("a.wav", ["--max-attenuation", "20"]), ("b.wav", ["--keep", "0.1"])):
        place = str(tmp_path / name)
        assert cli.main([str(tmp_path / "x.wav"), "-o", place, "-q", *option]) == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert audio.read(tmp_path / "a.wav")[0].any()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--keep", "0", "--max-attenuation", "12"], "not allowed with argument --keep"),
        (["--max-attenuation", "-3"], "attenuation of -3.0 dB: a number from 0 up"),
        (["--max-attenuation", "nan"], "attenuation of nan dB: a number from 0 up"),
        (["--max-attenuation", "loud"], "invalid"),
    ],
)
def test_limits_that_make_no_sense_are_refused(capsys, options, line):
    with pytest.raises(SystemExit) as stop:
        cli.main(["x.wav", *options])
    assert stop.value.code == 2 and line in capsys.readouterr().err
