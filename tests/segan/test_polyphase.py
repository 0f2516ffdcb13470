import numpy as np
import pytest
from scipy.signal import upfirdn
from scipy.signal.windows import kaiser

from segan.polyphase import Polyphase

PAIRS = [(8000, 16000), (44100, 16000), (16000, 44100), (48000, 16000), (16000, 48000)]
ODD = [(16001, 16000), (16000, 191999), (4000, 16000), (192000, 16000)]


def through(wave, rate, to, sizes=()):
    """Return a wave at another rate, and silence after it, fed in portions of ``sizes``."""
    resampler = Polyphase(rate, to, 1)
    wave = np.concatenate([wave, np.zeros(resampler.ahead)]).astype(np.float32)[None]
    parts = np.split(wave, np.cumsum(sizes).astype(int), axis=1)
    return np.concatenate([resampler.feed(part) for part in parts], axis=1)[0]


def oracle(wave, rate, to, stop=70.0):
    """Return the same by scipy: a Kaiser low-pass at the common multiple of the rates."""
    up, down = to // np.gcd(rate, to), rate // np.gcd(rate, to)
    ahead = int(0.00375 * rate)
    width = (stop - 7.95) / (2.285 * np.pi * 2 * ahead)
    cutoff = min(1, to / rate) - width / 2
    time = np.arange(-ahead * up, ahead * up + 1) / up
    taps = np.sinc(cutoff * time) * kaiser(len(time), 0.1102 * (stop - 8.7))
    taps[[0, -1]] = 0
    for phase in range(up):
        taps[phase::up] /= taps[phase::up].sum()
    skipped = -ahead * up % down  # so that the filter's middle is an output
    out = upfirdn(np.pad(taps, (skipped, 0)), wave, up, down)[(ahead * up + skipped) // down :]
    return out[: -(-len(wave) * up // down)]


def tone(frequency, rate, seconds=0.5):
    return np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize(("rate", "to"), PAIRS)
def test_it_is_the_filter_that_scipy_makes_of_kaisers_formulas(rate, to):
    wave = np.random.default_rng(0).uniform(-1, 1, rate // 10)
    np.testing.assert_allclose(through(wave, rate, to), oracle(wave, rate, to), atol=2e-6)


@pytest.mark.parametrize(("rate", "to"), [*PAIRS, *ODD])
def test_a_tone_below_the_band_edge_stays_and_none_above_it_passes(rate, to):
    edge = min(rate, to) / 2
    low = through(tone(edge - 650, rate), rate, to)
    expected = tone(edge - 650, to)
    middle = slice(to // 50, -to // 50)
    np.testing.assert_allclose(low[: len(expected)][middle], expected[middle], atol=1e-3)
    if 1.1 * to < rate:
        assert np.abs(through(tone(1.02 * edge, rate), rate, to)[middle]).max() < 10 ** (-65 / 20)


@pytest.mark.parametrize(("rate", "to"), [*PAIRS, *ODD])
def test_a_constant_stays_what_it_is(rate, to):
    middle = through(np.ones(rate // 10), rate, to)[to // 50 : -to // 50]
    np.testing.assert_allclose(middle, 1, atol=1e-6)


@pytest.mark.parametrize(("rate", "to"), [(44100, 16000), (16000, 44100), (192000, 16000)])
def test_portions_change_nothing(rate, to):
    random = np.random.default_rng(1)
    wave = random.uniform(-1, 1, 4000)
    sizes = random.choice([0, 1, 2, 30, 300], 30)
    np.testing.assert_array_equal(through(wave, rate, to, sizes), through(wave, rate, to))


@pytest.mark.parametrize(("rate", "to"), [*PAIRS, *ODD])
def test_it_says_how_much_it_needs(rate, to):
    resampler, fed = Polyphase(rate, to, 2), 0
    for count in (1, 50, 300):
        needed = resampler.needed(count)
        resampler.feed(np.zeros((2, needed - 1 - fed), np.float32))
        assert resampler.given < count
        resampler.feed(np.zeros((2, 1), np.float32))
        assert resampler.given >= count
        fed = needed


@pytest.mark.parametrize(("rate", "to"), [*PAIRS, *ODD])
def test_its_delay_is_at_most_four_milliseconds(rate, to):
    assert Polyphase(rate, to, 1).ahead / rate <= 0.004
