"""What a picture's numbers are to a network, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from image_gan.values import denormalized, ends, normalized, own_ends, with_channels

EVERY = {
    "u1": np.arange(256),
    "i1": np.arange(-128, 128),
    "u2": np.arange(65536),
    "i2": np.arange(-32768, 32768),
    "?": np.arange(2),
}


@pytest.mark.parametrize("dtype", EVERY)
def test_every_integer_of_16_bits_comes_back(dtype):
    values = EVERY[dtype].astype(dtype)[:, None, None]
    between = ends(values)
    x = normalized(values, between)
    assert (x.min(), x.max(), x.dtype, x.shape) == (-1, 1, np.float32, (1, len(values), 1))
    found = denormalized(x, between, values.dtype)
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(0, 99))
def test_floats_come_back_to_a_step_of_their_range(low, extent, seed):
    values = low + extent * np.random.default_rng(seed).random((5, 4, 2))
    between = own_ends(values)
    found = denormalized(normalized(values, between), between, values.dtype)
    assert abs(found - values).max() <= (between[1] - between[0]) * 2**-24


def test_floats_from_0_to_1_are_the_range_and_others_say_nothing():
    assert ends(np.array([0.2, 0.7], np.float32)) == (0, 1)
    for values in ([-0.1, 0.5], [0.5, 1.1]):
        assert ends(np.array(values)) is None
    assert ends(np.array([3, 5], np.uint32)) is None


def test_what_is_beyond_the_ends_is_cut_off():
    values = np.array([-5.0, 0, 10, 20])[:, None, None]
    assert normalized(values, (0, 10))[0, :, 0].tolist() == [-1, -1, 1, 1]
    assert denormalized(np.full((1, 1, 1), 1.5), (0, 10), np.dtype(float)) == 10


def test_luma_is_pillows():
    rgb = np.random.default_rng(0).integers(0, 256, (9, 8, 3)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(rgb).convert("L")).astype(int)
    grey = denormalized(with_channels(normalized(rgb, (0, 255)), 1), (0, 255), rgb.dtype)
    assert abs(grey[..., 0].astype(int) - expected).max() <= 1


def test_grey_goes_there_and_back():
    grey = np.arange(256).astype(np.uint8).reshape(16, 16, 1)
    x = with_channels(with_channels(normalized(grey, (0, 255)), 3), 1)
    assert np.array_equal(denormalized(x, (0, 255), grey.dtype), grey)


def test_inks_are_those_of_pillow_and_show_the_same_colors():
    inks = np.random.default_rng(0).integers(0, 256, (9, 8, 4)).astype(np.uint8)
    image = Image.frombytes("CMYK", (8, 9), inks.tobytes())
    expected = np.asarray(image.convert("RGB")).astype(int)
    rgb = with_channels(normalized(inks, (0, 255)), 3, cmyk=True)
    found = denormalized(rgb, (0, 255), inks.dtype).astype(int)
    assert abs(found - expected).max() <= 2
    back = with_channels(rgb, 4, cmyk=True)
    assert back.shape == (4, 9, 8)
    assert abs(with_channels(back, 3, cmyk=True) - rgb).max() < 1e-5
    assert back[:3].min(axis=0) == pytest.approx(-1)  # black does what it can


@pytest.mark.parametrize(("channels", "count"), [(2, 3), (5, 3), (4, 3), (3, 4), (1, 2)])
def test_other_numbers_of_channels_are_refused(channels, count):
    with pytest.raises(ValueError, match=rf"{channels} channels?, where {count} are needed"):
        with_channels(np.zeros((channels, 2, 2), np.float32), count)
