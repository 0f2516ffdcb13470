import numpy as np
import pytest

from segan.baselines import track_noise, wiener

RATE = 16000


def tone_in_noise(seconds=3.0, snr_db=5.0):
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * RATE)) / RATE
    gate = (time % 1) > 0.5  # the first half second holds noise alone
    clean = gate * sum(np.sin(2 * np.pi * f * time) for f in (300, 700, 1900))
    noise = rng.standard_normal(len(time))
    noise *= np.sqrt(np.mean(clean**2) / np.mean(noise**2) / 10 ** (snr_db / 10))
    return 0.1 * clean, 0.1 * (clean + noise)


def snr(clean, wave):
    return 10 * np.log10(np.sum(clean**2) / np.sum((wave - clean) ** 2))


def test_noise_goes_and_the_voice_stays():
    clean, noisy = tone_in_noise()
    cleaned = wiener(noisy, RATE)
    assert snr(clean, cleaned) > snr(clean, noisy) + 5
    pause = slice(RATE + 2000, RATE + 7000)
    assert np.std(cleaned[pause]) < 0.2 * np.std(noisy[pause])


@pytest.mark.parametrize("length", [1, 10, 255, 256, 257, 16001])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_length_is_kept(length, rate):
    noisy = np.random.default_rng(1).standard_normal(length)
    cleaned = wiener(noisy, rate)
    assert cleaned.shape == (length,)
    assert np.isfinite(cleaned).all()


def test_without_noise_nothing_is_lost():
    clean = tone_in_noise()[0]
    assert snr(clean, wiener(clean, RATE)) > 20


@pytest.mark.parametrize("gain", [1e-6, 0.1, 30.0])
def test_scaled_input_gives_scaled_output(gain):
    noisy = tone_in_noise()[1]
    np.testing.assert_allclose(
        wiener(gain * noisy, RATE), gain * wiener(noisy, RATE), rtol=1e-7, atol=1e-9 * gain
    )


def test_silence_stays_silent():
    assert not wiener(np.zeros(5000), RATE).any()


def test_the_past_does_not_depend_on_the_future():
    noisy = tone_in_noise()[1]
    changed = noisy.copy()
    changed[30000:] *= -2
    frame = 512
    np.testing.assert_array_equal(
        wiener(noisy, RATE)[: 30000 - frame], wiener(changed, RATE)[: 30000 - frame]
    )


def test_noise_tracker_follows_a_rise_of_10_db():
    rng = np.random.default_rng(2)
    level = np.where(np.arange(400) < 200, 1.0, 10.0)
    power = level[:, None] * rng.exponential(size=(400, 257))
    noise = track_noise(power, 6)
    assert noise[150:200].mean() == pytest.approx(1, rel=0.3)
    assert noise[350:].mean() == pytest.approx(10, rel=0.3)
