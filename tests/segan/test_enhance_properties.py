"""What holds of enhancement whatever the wave, and of files whatever their encoding."""

import numpy as np
import pytest
import soundfile as sf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segan import audio
from segan.enhance import Enhancer
from segan.generator import BandGenerator

QUICK = settings(max_examples=15, deadline=None, derandomize=True)

rates = st.one_of(
    st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000]),
    st.integers(1000, 200_000),
)
lengths = st.one_of(st.integers(1, 600), st.integers(600, 6000))
seeds = st.integers(0, 2**32 - 1)


FLOATS = ["float16", "float32", "float64"]
TYPES = [*FLOATS, "int8", "uint8", "int16", "uint16", "int32", "uint32"]


def tiny(seconds=20.0):
    """Return an enhancer by a small network that does change what it hears."""
    torch.manual_seed(0)
    network = BandGenerator(channels=8, dilations=(1, 2), narrow=2, hidden=16, level=0.1)
    for weights in network.leave.weights:
        torch.nn.init.normal_(weights, std=0.2)
    return Enhancer(network, seconds=seconds)


ENHANCER, SHORT = tiny(), tiny(seconds=0.05)


def wave_of(seed, *shape):
    """Return noise, loud and silent by turns, at most 1."""
    rng = np.random.default_rng(seed)
    gate = np.repeat(rng.integers(0, 2, -(-shape[-1] // 100)), 100)[: shape[-1]]
    return (rng.uniform(-1, 1, shape) * gate * rng.uniform()).astype(np.float32)


@QUICK
@given(
    seeds,
    lengths,
    rates,
    st.sampled_from([(), (1,), (2,), (5,), (2, 3)]),
    st.sampled_from(
        ["float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32"]
    ),
    st.sampled_from([1, 1e-30, 1e10]),
    st.sampled_from([0, 0.3, 1]),
)
def test_any_wave_keeps_its_shape_and_type_and_is_finite(
    seed, length, rate, channels, kind, scale, keep
):
    wave = wave_of(seed, *channels, length)
    if "float" in kind:
        top = min(1e12, float(np.finfo(kind).max))
        wave = np.clip(wave * np.float64(scale), -top, top).astype(kind)
    else:
        limits = np.iinfo(kind)
        wave = (wave.astype(np.float64) * (limits.max - limits.min) / 2 + (limits.min < 0)).clip(
            limits.min, limits.max
        )
        wave = wave.astype(kind)
    given_wave = wave.copy()
    out = ENHANCER(wave, rate, keep)
    assert out.shape == wave.shape and out.dtype == wave.dtype
    assert np.isfinite(out.astype(np.float64)).all()
    np.testing.assert_array_equal(wave, given_wave)
    np.testing.assert_array_equal(ENHANCER(wave, rate, keep), out)


@QUICK
@given(seeds, lengths, rates, st.integers(-12, 30))
def test_a_louder_wave_gives_the_same_louder(seed, length, rate, power):
    wave, scale = wave_of(seed, 2, length), 2.0**power
    out, louder = ENHANCER(wave, rate), ENHANCER(scale * wave, rate)
    np.testing.assert_allclose(louder / scale, out, atol=2e-3 * np.abs(wave).max() + 1e-9)


@QUICK
@given(seeds, st.integers(1, 4000), rates)
def test_the_length_of_chunks_does_not_matter(seed, length, rate):
    wave = wave_of(seed, 1, length)
    np.testing.assert_allclose(SHORT(wave, rate), ENHANCER(wave, rate), atol=1e-5)


@QUICK
@given(seeds, rates, st.lists(st.integers(1, 2000), min_size=1, max_size=6))
def test_the_blocks_that_a_wave_comes_in_do_not_matter(seed, rate, sizes):
    wave = wave_of(seed, 2, sum(sizes))
    blocks = np.split(wave, np.cumsum(sizes)[:-1], axis=1)
    out = np.concatenate(list(ENHANCER.stream(blocks, rate)), axis=1)
    np.testing.assert_allclose(out, ENHANCER(wave, rate), atol=1e-5)


@QUICK
@given(seeds, st.integers(1, 300), st.sampled_from([1, 2e12, 1e30, np.inf, -np.inf, np.nan]))
def test_what_is_no_sample_is_placed_and_the_rest_is_not_touched(seed, length, value):
    wave = wave_of(seed, length).astype(np.float64)
    place = seed % length
    wave[place] = value
    if value == 1:
        assert ENHANCER(wave, 16000).shape == wave.shape
    else:
        with pytest.raises(ValueError, match=rf"^wave: .* at sample {place};"):
            ENHANCER(wave, 16000)


def kept_exactly():
    """Return containers and encodings that hold integers or floats as they are."""
    return [
        (container, encoding)
        for container in sf.available_formats()
        for encoding in sf.available_subtypes(container)
        if encoding.startswith(("PCM", "FLOAT", "DOUBLE", "ALAC"))
        and container not in ("RAW", "SD2", "OGG", "MP3")
    ]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(kept_exactly()), seeds, st.integers(1, 3000), st.integers(1, 3))
def test_what_was_read_is_written_and_read_again_as_it_was(
    tmp_path_factory, kind, seed, length, channels
):
    form = audio.Format(*kind, "FILE", 16000, channels).writable()
    folder = tmp_path_factory.mktemp("file")
    wave = wave_of(seed, form.channels, length)
    for name in ("once", "twice"):
        with audio.Writer(folder / name, form) as file:
            file.write(wave)
        read, rate = audio.read(folder / name)
        assert (read.shape, rate) == (wave.shape, 16000)
        wave, before = read, wave
    np.testing.assert_array_equal(wave, before)


SEALED = ["ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "VORBIS", "OPUS", "MPEG_LAYER_III"]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.sampled_from(["WAV", "W64", "AIFF", "AU", "OGG", "MP3"]), st.sampled_from(SEALED), lengths
)
def test_what_is_written_by_ear_keeps_its_length_to_a_block(
    tmp_path_factory, container, encoding, length
):
    form = audio.Format(container, encoding, "FILE", 16000, 1)
    if not audio._writes(form):
        return
    path = tmp_path_factory.mktemp("file") / "x"
    with audio.Writer(path, form) as file:
        file.write(0.5 * wave_of(0, 1, length))
    read, _ = audio.read(path)
    block = {"IMA_ADPCM": 1024, "MS_ADPCM": 1024, "GSM610": 640}.get(encoding, 0)
    assert 0 <= read.shape[1] - length <= block and np.isfinite(read).all()
