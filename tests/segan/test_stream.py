import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_polyphase import oracle

import segan
from segan.enhance import Enhancer
from segan.generator import BandGenerator, MaskGenerator
from segan.stream import Streamer

RATES = [8000, 16000, 44100, 48000]
ODD = [4000, 11025, 16001, 22050, 192000]


def network(seed=0):
    """A small causal network that changes what it hears."""
    torch.manual_seed(seed)
    sizes = {"channels": 8, "dilations": (1, 2), "narrow": 2, "hidden": 16, "level": 0.2}
    own = BandGenerator(**sizes, causal=True)
    for weight in own.leave.weights:
        torch.nn.init.normal_(weight, std=0.05)
    return own.eval().requires_grad_(False)


NETWORK = network()


class Stepping:
    """A ``Stepper`` without torch: ``change`` of the wave, ``delay`` samples late."""

    rate = 16000

    def __init__(self, change=lambda wave: wave, hop=256, delay=256):
        self.change, self.hop, self.delay = change, hop, delay

    def start(self, batch):
        return np.zeros((batch, self.delay), np.float32)

    def step(self, noisy, state):
        wave = np.concatenate([state, noisy], axis=1)
        return self.change(wave[:, : noisy.shape[1]]), wave[:, noisy.shape[1] :]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def tone(frequency, rate, seconds=0.5):
    return np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def streamed(streamer, wave, sizes=()):
    """Return what comes out when ``wave`` is fed in portions of ``sizes``, and the rest at once."""
    parts = np.split(wave, np.cumsum(sizes, dtype=int), axis=-1)
    return np.concatenate([*map(streamer.feed, parts), streamer.flush()], axis=-1)


def whole(wave, rate, keep=0.0):
    """Return the result for a whole wave ``(C, T)``, by scipy and the network's ``forward``."""
    clean = np.stack([_whole(channel, rate) for channel in wave.astype(np.float64)])
    return clean + keep * (wave - clean)


def _whole(x, rate):
    if rate == 16000:
        return forward(x)
    padded = np.concatenate([x, np.zeros(rate // 10)])
    low = oracle(padded, rate, 16000)
    low = low[: len(low) // 256 * 256]
    clean = forward(low)
    change, back = (oracle(w, 16000, rate)[: len(x)] for w in (clean - low, low))
    return (
        x
        + change
        - loss(low, clean, min(1, rate / 16000), np.arange(len(x)) * 16000 / rate) * (x - back)
    )


def forward(x):
    with torch.inference_mode():
        return NETWORK(torch.from_numpy(x).float()[None, None])[0, 0].numpy()


def loss(noisy, clean, top, places):
    """1 - gain of the upper half of the band, over the five frames before the end of each hop."""
    before, after = (np.array(list(energies(wave, top))) for wave in (noisy, clean))
    ends = range(1, len(before) + 1)
    sums = [[e[max(0, n - 5) : n].sum() for n in ends] for e in (before, after)]
    gain = np.sqrt(np.minimum(1, np.array(sums[1]) / np.array(sums[0])))
    return np.interp(places, 256 * np.arange(len(before) + 1), [0, *(1 - gain)])


def energies(wave, top):
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    wave = np.concatenate([np.zeros(256), wave])
    for start in range(0, len(wave) - 511, 256):
        spectrum = np.fft.rfft(wave[start : start + 512] * taper)
        yield (np.abs(spectrum[round(128 * top) : round(256 * top) + 1]) ** 2).sum()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_streaming_equals_offline_for_any_portions(rate, channels):
    wave = noise(channels, rate // 3 + 11)
    offline, expected = Enhancer(NETWORK)(wave, rate), whole(wave, rate)
    np.testing.assert_allclose(offline, expected, atol=1e-5)
    random = np.random.default_rng(rate + channels)
    for _ in range(4):
        sizes = random.choice([0, 1, 2, 80, 480, 3000], 40)
        out = streamed(Streamer(NETWORK, rate, channels), wave, sizes)
        assert out.dtype == np.float32 and out.shape == wave.shape
        np.testing.assert_allclose(out, offline, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 900), max_size=9), st.sampled_from([*RATES, *ODD]))
def test_the_shortest_waves_in_the_oddest_portions(sizes, rate):
    wave = noise(2, sum(sizes))
    out = streamed(Streamer(NETWORK, rate, 2), wave, sizes)
    expected = streamed(Streamer(NETWORK, rate, 2), wave)
    assert out.shape == wave.shape
    np.testing.assert_allclose(out, expected, atol=1e-5)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_sample_by_sample_is_no_different(rate):
    wave = noise(rate // 10)
    streamer = Streamer(NETWORK, rate)
    out = np.concatenate([*(streamer.feed(sample[None]) for sample in wave), streamer.flush()])
    np.testing.assert_allclose(out, streamed(Streamer(NETWORK, rate), wave), atol=1e-5)


@pytest.mark.parametrize("rate", [*RATES, *ODD])
@pytest.mark.parametrize("keep", [0, 0.3])
def test_a_network_that_changes_nothing_gives_back_the_input(rate, keep):
    wave = noise(2, rate // 4 + 7)
    out = streamed(Streamer(Stepping(), rate, 2, keep), wave, [100, 1000])
    np.testing.assert_allclose(out, wave, atol=1e-6)


@pytest.mark.parametrize("rate", [*RATES, *ODD])
def test_latency_is_as_stated(rate):
    """Sample by sample, no sample comes out later than ``delay``, and one comes out as late."""
    streamer = Streamer(Stepping(), rate)
    given, lags = 0, []
    for fed in range(1, 2 * streamer.delay):
        out = len(streamer.feed(np.zeros(1, np.float32)))
        lags += [fed - place for place in range(given, given + out)]
        given += out
    assert max(lags) <= streamer.delay <= max(lags) + 2 + rate // 16000
    assert streamer.latency == streamer.delay / rate <= 0.04


@pytest.mark.parametrize("rate", RATES)
def test_an_impulse_comes_out_in_its_place_and_in_time(rate):
    streamer = Streamer(Stepping(lambda wave: wave / 2), rate)
    place = rate // 10
    wave = np.zeros(rate // 4, np.float32)
    wave[place] = 1
    out, when = [], None
    for fed, sample in enumerate(wave, 1):
        out.extend(streamer.feed(sample[None]))
        if when is None and len(out) > place:
            when = fed
    assert np.argmax(np.abs(out)) == place
    assert when - place <= streamer.delay


@pytest.mark.parametrize("rate", RATES)
def test_an_output_sample_depends_on_none_later_than_stated(rate):
    streamer, wave = Streamer(NETWORK, rate), noise(rate // 3)
    middle = len(wave) // 2
    changed = wave.copy()
    changed[middle + streamer.delay :] += 1
    first, second = (streamed(Streamer(NETWORK, rate), w)[:middle] for w in (wave, changed))
    np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("rate", [*RATES, *ODD])
def test_a_network_that_removes_everything_leaves_nothing(rate):
    out = streamed(Streamer(Stepping(np.zeros_like), rate), noise(rate // 2))
    assert np.abs(out[rate // 25 :]).max() < 1e-5  # the gain has come down


def test_above_the_band_the_gain_is_that_of_its_upper_half():
    rate, middle = 48000, slice(9600, -2400)
    speech, hiss, air = tone(1000, rate), 0.1 * tone(6000, rate), 0.1 * tone(12000, rate)

    def enhanced(change):
        return streamed(Streamer(Stepping(change), rate), speech + hiss + air)[middle]

    np.testing.assert_allclose(
        enhanced(lambda wave: wave / 4), (speech + hiss + air)[middle] / 4, atol=2e-3
    )
    np.testing.assert_allclose(
        enhanced(lambda wave: 2 * wave), (2 * (speech + hiss) + air)[middle], atol=2e-3
    )


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_share_of_the_original_is_kept(rate):
    wave = noise(1, rate // 4)
    np.testing.assert_allclose(
        streamed(Streamer(NETWORK, rate, keep=0.25), wave), whole(wave, rate, 0.25), atol=1e-5
    )
    np.testing.assert_allclose(streamed(Streamer(NETWORK, rate, keep=1), wave), wave, atol=1e-6)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_memory_stays_the_same(rate):
    """All that a streamer holds is as large after a long wave as after a short one."""
    streamer, block, held = Streamer(NETWORK, rate, 2), noise(2, rate // 100), []
    for n in range(1, 241):
        streamer.feed(block)
        if n % 80 == 0:
            held.append(size_of(streamer))
    assert held[0] > 0 and max(held[1:]) <= held[0] + 16 * block.nbytes


def size_of(thing):
    """Return the bytes of the arrays and tensors that an object of ours holds."""
    if isinstance(thing, (np.ndarray, torch.Tensor)):
        return thing.nbytes
    if isinstance(thing, dict):
        return sum(map(size_of, thing.values()))
    if isinstance(thing, (list, tuple)):
        return sum(map(size_of, thing))
    ours = type(thing).__module__ in ("segan.stream", "segan.polyphase", "segan.stepping")
    return sum(map(size_of, vars(thing).values())) if ours else 0


@pytest.mark.parametrize("rate", [16000, 48000])
def test_it_recovers_from_samples_whose_squares_overflow(rate):
    wave = noise(rate * 2)
    wave[rate // 4 : rate // 2] *= 1e30
    out = streamed(Streamer(NETWORK, rate), wave)
    calm = streamed(Streamer(NETWORK, rate), noise(rate * 2))
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out[rate:], calm[rate:], atol=1e-5)


@pytest.mark.parametrize("rate", [16000, 22050])
def test_many_channels_are_cleaned_in_shorter_portions(rate):
    wave = noise(12, 3000)
    together = streamed(Streamer(NETWORK, rate, 12), wave)
    np.testing.assert_allclose(together[11], streamed(Streamer(NETWORK, rate), wave[11]), atol=1e-5)


def test_channels_do_not_hear_each_other():
    wave = noise(3, 9000)
    together = streamed(Streamer(NETWORK, 22050, 3), wave)
    for channel in range(3):
        alone = streamed(Streamer(NETWORK, 22050), wave[channel])
        np.testing.assert_allclose(together[channel], alone, atol=1e-5)


def test_after_the_end_it_is_ready_for_another_wave():
    streamer, wave = Streamer(NETWORK, 44100), noise(5000)
    streamed(streamer, noise(7000, seed=1))
    np.testing.assert_array_equal(
        streamed(streamer, wave), streamed(Streamer(NETWORK, 44100), wave)
    )
    assert streamer.flush().shape == (0,)


def test_what_is_fed_may_be_changed_afterwards():
    streamer, wave = Streamer(NETWORK), noise(2000)
    buffer, out = np.empty(100, np.float32), []
    for part in np.split(wave, 20):
        buffer[:] = part
        out.append(streamer.feed(buffer))
    out = np.concatenate([*out, streamer.flush()])
    np.testing.assert_allclose(out, streamed(Streamer(NETWORK), wave), atol=1e-5)


def test_shapes_come_out_as_they_go_in():
    assert Streamer(NETWORK).feed(noise(600)).ndim == 1
    assert Streamer(NETWORK).feed(noise(1, 600)).shape == (1, 256)
    assert Streamer(NETWORK, channels=2).flush().shape == (2, 0)


@pytest.mark.parametrize("hop,delay", [(256, 0), (128, 384), (160, 160)])
def test_any_stepper_will_do(hop, delay):
    wave = noise(2, 9001)
    half = Stepping(lambda wave: wave / 2, hop, delay)
    np.testing.assert_allclose(streamed(Streamer(half, 16000, 2), wave, [7, 700]), wave / 2)
    streamer = Streamer(half, 48000, 2)
    out = streamed(streamer, wave, [7, 700])
    np.testing.assert_allclose(out[:, 4000:-500], wave[:, 4000:-500] / 2, atol=2e-3)


def test_an_enhancer_lends_its_network():
    wave = noise(2000)
    np.testing.assert_array_equal(
        streamed(Streamer(Enhancer(NETWORK)), wave), streamed(Streamer(NETWORK), wave)
    )


def test_a_batch_may_have_more_waves_than_a_stream_has_channels():
    wave, enhancer = noise(800, 1, 40), Enhancer(NETWORK)
    np.testing.assert_allclose(
        enhancer(wave, 16000)[::799], enhancer(wave[::799], 16000), atol=1e-6
    )


def test_a_device_is_named_as_for_files():
    assert Streamer(NETWORK, device="auto").network.device.type in ("cpu", "cuda")
    with pytest.raises(ValueError, match=r"device toaster: .* cpu always does"):
        Streamer(NETWORK, device="toaster")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"rate": 300}, "rate 300: whole Hz from 1000"),
        ({"rate": 16000.5}, "rate 16000.5"),
        ({"channels": 0}, "channels 0"),
        ({"channels": 65535}, "channels 65535: 1 to 781 are taken at 16000 Hz"),
        ({"channels": 261, "rate": 48000}, "channels 261: 1 to 260 are taken at 48000 Hz"),
        ({"keep": 1.5}, "keep 1.5"),
        ({"model": MaskGenerator(4, (1,))}, "MaskGenerator: not causal, it hears .* s ahead"),
    ],
)
def test_streams_that_make_no_sense_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        Streamer(**{"model": NETWORK, **options})


@pytest.mark.parametrize(
    ("samples", "error", "complaint"),
    [
        (np.zeros(9, np.int16), TypeError, "int16: floats"),
        (np.zeros((3, 9), np.float32), ValueError, r"\(2, n\) is needed"),
        (np.zeros(9, np.float32), ValueError, r"\(2, n\) is needed"),
        (np.array([[0, np.nan], [0, 0]]), ValueError, "not finite at sample 101"),
        (np.array([[0, 0], [1e300, 0]]), ValueError, "not finite at sample 100"),
    ],
)
def test_samples_that_make_no_sense_are_refused_and_change_nothing(samples, error, complaint):
    streamer, wave = Streamer(NETWORK, channels=2), noise(2, 600)
    first = streamer.feed(wave[:, :100])
    with pytest.raises(error, match=complaint):
        streamer.feed(samples)
    out = np.concatenate([first, streamer.feed(wave[:, 100:]), streamer.flush()], axis=1)
    np.testing.assert_allclose(out, streamed(Streamer(NETWORK, channels=2), wave), atol=1e-5)


def test_the_package_offers_it():
    assert segan.Streamer is Streamer and "Streamer" in segan.__all__


def test_weights_that_are_not_there_are_named():
    with pytest.raises(FileNotFoundError, match="nothing: no such weights"):
        Streamer("nothing")


def test_it_needs_no_torch_where_the_network_needs_none():
    code = (
        "import sys, numpy as np, segan.stream\n"
        "class Same:\n"
        "    rate, hop, delay = 16000, 160, 0\n"
        "    def start(self, batch): return None\n"
        "    def step(self, noisy, state): return noisy, None\n"
        "segan.Streamer(Same(), 48000).feed(np.zeros(5000, np.float32))\n"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr
