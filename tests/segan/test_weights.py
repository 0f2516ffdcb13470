"""What the weights in the package do to the project's own examples."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

import segan
from segan import load
from segan.metrics import evaluate

SPEECH = Path(__file__).parents[2] / "egs" / "speech"
WEIGHTS = Path(segan.__file__).parent / "weights"
MODELS = sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


UNTOUCHED = {"streaming": 3.9}  # PESQ of clean speech against itself; of the others 4.2


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    """Every model in the package, by name."""
    return request.param


@pytest.fixture(scope="module")
def enhance(model):
    """The model on a wave of 16 kHz."""
    enhancer = load(model, "cpu")
    return lambda wave: enhancer(wave, 16000)


def test_the_package_carries_no_more_than_it_promises():
    assert "default" in MODELS
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 20e6


def read(name):
    wave, rate = soundfile.read(SPEECH / name, dtype="float32")
    assert rate == 16000
    return wave


@pytest.mark.parametrize("name", ["babble.wav", "keyboard.wav", "traffic.wav"])
def test_noise_is_taken_away_by_a_decibel_at_least(enhance, name):
    clean, noisy = read(f"clean/{name}"), read(f"noisy/{name}")
    before, after = (
        evaluate(clean, wave, 16000, ["si_sdr"])["si_sdr"] for wave in (noisy, enhance(noisy))
    )
    assert after > before + 1


def test_speech_stays_as_intelligible_as_it_was_and_sounds_better(enhance):
    clean, noisy = read("clean.wav"), read("noisy.wav")
    before, after = (
        evaluate(clean, wave, 16000, ["pesq", "stoi"]) for wave in (noisy, enhance(noisy))
    )
    assert after["stoi"] > before["stoi"] - 0.01
    assert after["pesq"] > before["pesq"] + 0.3


@pytest.mark.parametrize("name", ["babble.wav", "keyboard.wav", "traffic.wav"])
def test_clean_speech_passes_almost_untouched(model, enhance, name):
    clean = read(f"clean/{name}")
    scores = evaluate(clean, enhance(clean), 16000, ["pesq", "si_sdr"])
    assert scores["pesq"] > UNTOUCHED.get(model, 4.2) and scores["si_sdr"] > 15


@pytest.mark.parametrize("decibel", [-60, 0])
def test_the_level_does_not_matter(enhance, decibel):
    noisy, gain = read("noisy/traffic.wav"), np.float32(10 ** (decibel / 20))
    noisy /= np.abs(noisy).max()
    half = enhance(noisy / 2) * 2
    np.testing.assert_allclose(enhance(gain * noisy) / gain, half, atol=1e-3 * np.abs(half).max())


def test_silence_stays_silence(enhance):
    assert np.abs(enhance(np.zeros(8000, np.float32))).max() == 0
