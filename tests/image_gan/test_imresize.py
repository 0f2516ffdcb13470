"""Resizing as MATLAB does it: against the definition, written out pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from image_gan.imresize import imresize


def kernel(x):
    """Keys' cubic with a = -1/2, by its pieces."""
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x <= 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0.0


def line_by_hand(line, new, scale):
    """Every new pixel is the mean of all old ones, mirrored without end, by the kernel's weights.

    Positions count from 1, as in MATLAB: pixel x of the new line lies at
    x / scale + (1 - 1 / scale) / 2 of the old one.
    """
    stretch, made = min(scale, 1.0), []
    for x in range(1, new + 1):
        center = x / scale + 0.5 * (1 - 1 / scale)
        total = weight_of_all = 0.0
        for place in range(
            math.floor(center - 2 / stretch) - 1, math.ceil(center + 2 / stretch) + 2
        ):
            weight = kernel(stretch * (center - place))
            index = place
            while not 1 <= index <= len(line):  # 0 is a copy of 1, n + 1 one of n
                index = 1 - index if index < 1 else 2 * len(line) + 1 - index
            total += weight * line[index - 1]
            weight_of_all += weight
        made.append(total / weight_of_all)
    return made


def by_hand(picture, height, width, scales):
    columns = np.array([line_by_hand(column, height, scales[0]) for column in picture.T]).T
    return np.array([line_by_hand(row, width, scales[1]) for row in columns])


def picture(*shape, seed=0):
    return np.random.default_rng(seed).random(shape)


@given(
    st.integers(1, 13), st.integers(1, 13), st.sampled_from([0.25, 1 / 3, 0.5, 0.7, 1, 2, 3.3, 4])
)
@settings(max_examples=40, deadline=None)
def test_any_scale_is_the_definition(height, width, scale):
    x = picture(height, width)
    expected = by_hand(x, math.ceil(scale * height), math.ceil(scale * width), (scale, scale))
    np.testing.assert_allclose(imresize(x, scale), expected, atol=1e-12)


@given(*[st.integers(1, 12)] * 4)
@settings(max_examples=30, deadline=None)
def test_any_size_is_the_definition(height, width, new_height, new_width):
    x = picture(height, width)
    expected = by_hand(x, new_height, new_width, (new_height / height, new_width / width))
    np.testing.assert_allclose(imresize(x, size=(new_height, new_width)), expected, atol=1e-12)


def test_halving_has_the_weights_that_one_works_out_by_hand():
    """The kernel at 1/4, 3/4, 5/4 and 7/4, halved: .4336, .1133, -.0352, -.0117."""
    weights = [kernel(x) / 2 for x in (0.25, 0.75, 1.25, 1.75)]
    assert weights == pytest.approx([0.43359375, 0.11328125, -0.03515625, -0.01171875])
    line = np.zeros(16)
    line[7] = 1
    made = imresize(line[None], size=(1, 8))[0]
    np.testing.assert_allclose(made[2:6], [weights[2], weights[0], weights[1], weights[3]])


@pytest.mark.parametrize("scale", [0.25, 0.5, 2, 3, 4])
def test_a_constant_stays_and_a_slope_goes_on(scale):
    np.testing.assert_allclose(imresize(np.full((2, 12, 16), 0.3), scale), 0.3, atol=1e-12)
    slope = np.arange(48.0)[None]
    made = imresize(slope, size=(1, round(48 * scale)))[0]
    inside = slice(made.size // 4, -(made.size // 4))
    np.testing.assert_allclose(np.diff(made)[inside], 1 / scale, atol=1e-9)


def test_what_is_too_fine_for_the_small_picture_is_gone():
    stripes = np.tile([0.0, 1.0], 32)[None].repeat(64, 0)  # of 2 pixels, where 4 become 1
    assert np.abs(imresize(stripes, 0.25) - 0.5)[:, 2:-2].max() < 0.01
    coarse = np.sin(2 * np.pi * np.arange(256) / 64)[None].repeat(64, 0)
    expected = np.sin(2 * np.pi * (np.arange(64) * 4 + 1.5) / 64)
    assert np.abs(imresize(coarse, 0.25) - expected)[:, 4:-4].max() < 0.02


def test_tensors_are_resized_like_arrays_and_have_a_gradient():
    x = picture(2, 3, 12, 20)
    tensor = torch.from_numpy(x).requires_grad_()
    made = imresize(tensor, 0.25)
    np.testing.assert_allclose(made.detach(), imresize(x, 0.25), atol=1e-12)
    made.sum().backward()  # each old pixel is somewhere: weights of a new one sum to 1
    assert float(tensor.grad.sum()) == pytest.approx(made.numel())
    single = imresize(torch.from_numpy(x).float(), 3.0)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, imresize(x, 3.0), atol=1e-5)


def test_integers_are_rounded_and_cut_off_and_bits_stay_bits():
    x = np.random.default_rng(0).integers(0, 2, (24, 24, 3), np.uint8) * 255
    exact = imresize(x.astype(float), 2, axes=(0, 1))
    assert exact.min() < -1 and exact.max() > 256  # the kernel overshoots
    made = imresize(x, 2, axes=(0, 1))
    assert made.dtype == np.uint8 and made.shape == (48, 48, 3)
    np.testing.assert_array_equal(made, np.floor(exact.clip(0, 255) + 0.5))
    deep = imresize((x.astype(np.uint16) * 257), 2, axes=(0, 1))
    assert deep.dtype == np.uint16 and deep.max() == 65535
    bits = imresize(x[..., 0] > 0, 2)
    np.testing.assert_array_equal(bits, imresize((x[..., 0] > 0).astype(float), 2) >= 0.5)


@pytest.mark.parametrize("words", [{}, {"scale": 2, "size": (3, 3)}, {"scale": 0}, {"scale": -1}])
def test_a_size_that_is_none_is_refused(words):
    with pytest.raises(ValueError, match="scale"):
        imresize(picture(4, 4), **words)


def test_a_tensor_of_integers_is_refused():
    with pytest.raises(TypeError, match="floats are needed"):
        imresize(torch.zeros(4, 4, dtype=torch.uint8), 2)
