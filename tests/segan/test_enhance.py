import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import segan
from segan.enhance import Enhancer, load, upper_loss, windows

RATES = [8000, 11025, 16000, 22050, 44100, 48000, 96000]


class Network(nn.Module):
    """A network that does what it is told: ``change`` of waves (B, 1, T)."""

    rate, hop, context = 16000, 64, 0

    def __init__(self, change=lambda wave: wave):
        super().__init__()
        self.change = change

    def forward(self, noisy):
        assert noisy.ndim == 3 and noisy.shape[1] == 1 and noisy.dtype == torch.float32
        return self.change(noisy)


class Convolution(nn.Module):
    """A network with memory and a bend, that sees 192 samples to either side."""

    rate, hop, context = 16000, 64, 192

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.taps = nn.Parameter(torch.randn(1, 1, 385, generator=generator) / 20)

    def forward(self, noisy):
        return torch.tanh(nn.functional.conv1d(noisy, self.taps, padding=192))


def lowpass(wave):
    """Leave nothing above 4 kHz."""
    spectrum = torch.fft.rfft(wave)
    frequency = torch.fft.rfftfreq(wave.shape[-1], 1 / 16000)
    return torch.fft.irfft(spectrum * (frequency < 3900), wave.shape[-1])


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def tone(frequency, rate, seconds=1.0):
    return np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_network_that_changes_nothing_gives_back_the_input(rate, channels):
    wave = noise(channels, rate // 3 + 7)
    np.testing.assert_allclose(Enhancer(Network())(wave, rate), wave, atol=1e-6)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("length", [1, 2, 160])
def test_the_shortest_waves_keep_their_length(rate, length):
    assert Enhancer(Convolution())(noise(length), rate).shape == (length,)


@pytest.mark.parametrize("rate", [*RATES, 22051])
def test_a_network_that_removes_everything_leaves_nothing(rate):
    out = Enhancer(Network(torch.zeros_like))(noise(rate), rate)
    assert np.abs(out[rate // 50 : -rate // 50]).max() < 1e-5  # at the ends resampling rings


@pytest.mark.parametrize("shape", [(500,), (2, 500), (3, 2, 500)])
@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int16", "int32", "uint8"])
def test_type_and_shape_stay(shape, kind):
    wave = noise(*shape)
    wave = wave.astype(kind) if "float" in kind else (100 * wave + 128).astype(kind)
    for given_wave in (wave, torch.from_numpy(wave)):
        out = Enhancer(Network())(given_wave, 8000)
        assert type(out) is type(given_wave) and out.dtype == given_wave.dtype
        assert np.abs(np.asarray(out).astype(float) - wave.astype(float)).max() < 1e-3


def test_bfloat16_and_tensors_with_a_gradient_are_taken():
    out = Enhancer(Network())(torch.ones(9, dtype=torch.bfloat16, requires_grad=True), 16000)
    assert out.dtype == torch.bfloat16 and not out.requires_grad


def test_integers_are_scaled_rounded_and_clipped():
    louder = Enhancer(Network(lambda wave: 1.5 * wave))
    assert louder(np.array([1, 100, 30000, -30000], "int16"), 16000).tolist() == [
        2,
        150,
        32767,
        -32768,
    ]
    assert louder(np.array([128, 138, 0, 255], "uint8"), 16000).tolist() == [128, 143, 0, 255]


@pytest.mark.parametrize("rate", [16000, 11025, 44100])
def test_chunks_join_exactly(rate):
    wave = noise(2, 2 * rate + 321)
    whole = Enhancer(Convolution(), seconds=100)(wave, rate)
    chunked = Enhancer(Convolution(), seconds=0.2)(wave, rate)
    np.testing.assert_allclose(chunked, whole, atol=1e-6)


def test_the_network_sees_silence_outside_the_wave():
    wave, network = noise(5000), Convolution()
    direct = network(torch.from_numpy(wave)[None, None])[0, 0].detach().numpy()
    np.testing.assert_allclose(Enhancer(network, seconds=0.1)(wave, 16000), direct, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=9), st.integers(1, 30), st.integers(0, 30))
def test_windows_tile_the_wave_and_show_its_surroundings(sizes, size, pad):
    wave = np.arange(sum(sizes))[None]
    start = 0
    for window, before, length in windows(np.split(wave, np.cumsum(sizes)[:-1], 1), size, pad):
        left, right = max(0, start - pad), min(wave.shape[1], start + length + pad)
        assert before == start - left and 0 < length <= size + pad
        np.testing.assert_array_equal(window, wave[:, left:right])
        start += length
    assert start == wave.shape[1]


@pytest.mark.parametrize("rate", RATES)
def test_nothing_is_delayed(rate):
    time = np.arange(rate) / rate
    pulse = np.exp(-(((time - 0.4) / 1e-3) ** 2)).astype(np.float32)  # below 1 kHz
    half = Enhancer(Network(lambda wave: wave / 2))
    np.testing.assert_allclose(half(pulse, rate), pulse / 2, atol=1e-4)


@pytest.mark.parametrize("rate", [16000, 48000])
def test_louder_in_is_louder_out(rate):
    half, wave = Enhancer(Network(lambda wave: lowpass(wave) / 2)), noise(rate)
    np.testing.assert_allclose(half(0.1 * wave, rate), 0.1 * half(wave, rate), atol=1e-6)


def test_above_the_band_the_gain_is_that_of_its_upper_half():
    rate, middle = 48000, slice(4800, -4800)
    speech, hiss, air = tone(1000, rate), 0.1 * tone(6000, rate), 0.1 * tone(12000, rate)
    wave = speech + hiss + air

    def enhanced(change):
        return Enhancer(Network(change))(wave, rate)[middle]

    def close(out, expected):
        np.testing.assert_allclose(out, expected[middle], atol=2e-3)

    close(enhanced(lowpass), speech)
    close(enhanced(lambda wave: wave / 4), wave / 4)
    close(enhanced(lambda wave: wave - lowpass(wave)), hiss + air)
    close(enhanced(lambda wave: 2 * wave), 2 * (speech + hiss) + air)


@pytest.mark.parametrize("length", [1, 255, 256, 257, 4000])
def test_the_loss_above_the_band_is_a_share(length):
    wave = noise(2, length)
    for gain, loss in ((2, 0), (1, 0), (0.25, 0.75), (0, 1)):
        np.testing.assert_allclose(upper_loss(wave, gain * wave, 1.0), loss, atol=1e-6)
    np.testing.assert_array_equal(upper_loss(0 * wave, 0 * wave, 1.0), np.zeros((2, length)))


@pytest.mark.parametrize("length", [1, 257, 20000])
@pytest.mark.parametrize("top", [1.0, 0.6890625, 0.5])
def test_the_loss_above_the_band_is_that_of_torch(length, top):
    def energy(wave):
        spectrum = torch.stft(
            torch.from_numpy(wave),
            512,
            256,
            window=torch.hann_window(512),
            pad_mode="constant",
            return_complex=True,
        )
        band = spectrum[:, round(128 * top) : round(256 * top) + 1].abs().square().sum(1)
        return nn.functional.avg_pool1d(band, 5, 1, 2, count_include_pad=False)

    wave = noise(2, length)
    enhanced = wave * np.linspace(0.2, 1.1, length, dtype=np.float32)
    frames = 1 - (energy(enhanced) / energy(wave)).clamp_max(1).sqrt()
    reference = nn.functional.interpolate(
        frames[None], 256 * (frames.shape[1] - 1) + 1, mode="linear", align_corners=True
    )
    reference = nn.functional.pad(reference, (0, 255), mode="replicate")[0, :, :length].numpy()
    np.testing.assert_allclose(upper_loss(wave, enhanced, top), reference, atol=1e-6)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_share_of_the_original_is_kept(rate):
    wave, silence = noise(rate), Enhancer(Network(torch.zeros_like))
    kept = silence(wave, rate, keep=0.25)[800:-800]
    np.testing.assert_allclose(kept, 0.25 * wave[800:-800], atol=1e-5)
    np.testing.assert_allclose(silence(wave, rate, keep=1), wave, atol=1e-6)


def test_channels_do_not_hear_each_other():
    enhancer, wave = Enhancer(Convolution()), noise(6, 9000)
    together = enhancer(wave, 22050)
    for channel in range(6):
        np.testing.assert_allclose(together[channel], enhancer(wave[channel], 22050), atol=1e-6)


def test_chance_is_the_same_at_every_call_and_torch_keeps_its_own():
    enhancer = Enhancer(Network(lambda wave: wave + torch.randn_like(wave)))
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first, second = enhancer(noise(99), 16000), enhancer(noise(99), 16000)
    assert torch.equal(torch.rand(4), expected)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - noise(99)).max() > 0.1


def test_a_network_in_training_mode_is_used_in_evaluation_mode():
    network = nn.Dropout(0.5).train()
    network.rate, network.hop, network.context = 16000, 1, 0
    np.testing.assert_array_equal(Enhancer(network)(noise(500), 16000), noise(500))


def test_no_samples_in_none_out():
    assert Enhancer(Network())(np.zeros((2, 0), np.float32), 44100).shape == (2, 0)


@pytest.mark.parametrize(
    ("wave", "rate", "keywords", "error", "complaint"),
    [
        (noise(9), 0, {}, ValueError, "rate 0"),
        (noise(9), 999, {}, ValueError, "rate 999: whole Hz from 1000 to 1000000 are taken"),
        (noise(9), 1_000_001, {}, ValueError, "rate 1000001"),
        (noise(9), 44100.5, {}, ValueError, "rate 44100.5"),
        (noise(9), 16000, {"keep": 2}, ValueError, "keep 2"),
        (noise(1, 1, 1, 9), 16000, {}, ValueError, "is needed"),
        (noise(500, 2), 16000, {}, ValueError, "channels come first; transpose"),
        (np.array([0, 0, np.nan]), 16000, {}, ValueError, "not finite at sample 2"),
        (np.zeros(9, bool), 16000, {}, TypeError, "samples of type bool"),
        (np.zeros(9, np.int64), 16000, {}, TypeError, "up to 32 bits"),
    ],
)
def test_calls_that_make_no_sense_are_refused(wave, rate, keywords, error, complaint):
    with pytest.raises(error, match=complaint):
        Enhancer(Network())(wave, rate, **keywords)


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"device toaster: .* cpu always does"):
        Enhancer(Network(), "toaster")


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing: no such weights"):
        load("nothing")
    (tmp_path / "x.safetensors").write_bytes(b"1234")
    with pytest.raises(ValueError, match=r"x\.safetensors"):
        load(tmp_path / "x.safetensors")


def test_the_package_offers_its_names_and_no_others():
    assert segan.Enhancer is Enhancer and segan.load is load and segan.__version__
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = segan.lode


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, segan; print([m for m in ('torch', 'numpy', 'soundfile') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"
