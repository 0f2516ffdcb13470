"""Pictures to enlarge: sources are what imresize makes of the whole pictures."""

import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan.feed import Draw, feed
from image_gan import images
from image_gan.downscaled import Downscaled
from image_gan.imresize import imresize
from image_gan.values import normalized

PLAIN = {"mirror": False, "rotate": False}


def picture(seed, height=40, width=52, channels=3, dtype=np.uint8):
    """Noise, in which every cut is unlike all others."""
    top = np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, top, (height, width, channels), dtype)


@pytest.fixture
def folder(tmp_path):
    for index in range(3):
        images.write(tmp_path / f"in/deep/{index}.png", images.from_array(picture(index)))
    return tmp_path / "in"


def whole(index):
    return normalized(picture(index), (0, 255))


def place_of(cut, full):
    """Where a cut lies in a picture."""
    height, width = cut.shape[1:]
    for top in range(full.shape[1] - height + 1):
        for left in range(full.shape[2] - width + 1):
            if np.array_equal(full[:, top : top + height, left : left + width], cut):
                return top, left
    raise AssertionError("it isn't there")


@pytest.mark.parametrize("scale", [2, 4])
def test_a_source_is_cut_out_of_the_whole_picture_made_smaller(folder, scale):
    data, places = Downscaled(folder, scale, size=16, **PLAIN), set()
    for epoch in range(25):
        item = data[Draw(1, epoch)]
        assert item["source"].dtype == item["target"].dtype == np.float32
        assert item["target"].shape == (3, 16, 16)
        top, left = place_of(item["target"], whole(1))
        y, x = top % scale, left % scale  # where a grid of small pixels begins that fits the cut
        below, right = ((n - first) // scale * scale for n, first in ((40, y), (52, x)))
        small = imresize(whole(1)[:, y : y + below, x : x + right], 1 / scale).clip(-1, 1)
        rows = slice(top // scale, top // scale + 16 // scale)
        columns = slice(left // scale, left // scale + 16 // scale)
        np.testing.assert_allclose(item["source"], small[:, rows, columns], atol=1e-5)
        places.add((top, left))
    assert len(places) > 20 and {top % scale for top, _ in places} == set(range(scale))


def test_the_margin_is_what_the_kernel_reaches():
    """A pixel farther away than that changes nothing, and one within it does."""
    line = np.random.default_rng(0).random((1, 64))
    for place, changes in ((16 - 9, False), (16 - 8, False), (16 - 6, True), (16 - 1, True)):
        other = line.copy()
        other[0, place] += 1
        ways = [imresize(x, size=(1, 16))[0, 4] for x in (line, other)]
        assert (ways[0] != ways[1]) == changes


def test_cuts_at_the_borders_are_made_as_the_borders_are(tmp_path):
    images.write(tmp_path / "x.png", images.from_array(picture(0, 16, 16)))
    item = Downscaled(tmp_path, 4, size=16, **PLAIN)[0]
    small = imresize(normalized(picture(0, 16, 16), (0, 255)), 1 / 4).clip(-1, 1)
    np.testing.assert_allclose(item["source"], small, atol=1e-6)


def test_whole_pictures_end_at_a_multiple_of_the_scale(tmp_path):
    images.write(tmp_path / "x.png", images.from_array(picture(0, 43, 30)))
    item = Downscaled(tmp_path, 4, size=None, **PLAIN)[0]
    x = normalized(picture(0, 43, 30), (0, 255))[:, :40, :28]
    assert np.array_equal(item["target"], x)
    np.testing.assert_allclose(item["source"], imresize(x, 1 / 4).clip(-1, 1), atol=1e-6)


def test_source_and_target_are_turned_alike_all_eight_ways(folder):
    slope = np.add.outer(3 * np.arange(48), np.arange(48)).astype(np.uint8)
    for path in folder.rglob("*.png"):
        images.write(path, images.from_array(np.repeat(slope[..., None], 3, 2)))
    data, ways = Downscaled(folder, 2, size=16), set()
    for epoch in range(60):
        item = data[Draw(0, epoch)]
        small, large = item["source"][0], imresize(item["target"][0], size=(8, 8))
        np.testing.assert_allclose(small[2:-2, 2:-2], large[2:-2, 2:-2], atol=1e-4)
        ways.add(
            tuple(
                np.rint(
                    63.75 * np.diff(small[3:5, 3:5], axis=a)[0 if a == 0 else (slice(None), 0)][0]
                )
                for a in (0, 1)
            )
        )
    assert ways == {
        (a, b) for one in (3, -3) for two in (1, -1) for a, b in ((one, two), (two, one))
    }
    still = [
        Downscaled(folder, 2, size=16, **PLAIN)[Draw(0, epoch)]["source"][0] for epoch in range(9)
    ]
    assert all(x[0, 0] < x[0, -1] < x[-1, 0] for x in still)


def test_items_depend_on_seed_epoch_and_index_alone(folder):
    data, other = Downscaled(folder, size=16), Downscaled(folder, size=16)
    first = data[Draw(1, 3)]
    other[0], np.random.rand(3)
    again = other[Draw(1, 3)]
    assert all(np.array_equal(first[side], again[side]) for side in first)
    draws = [Downscaled(folder, size=16, seed=s)[Draw(1, e)] for s, e in ((1, 3), (0, 2), (0, 1))]
    assert all(not np.array_equal(first["target"], drawn["target"]) for drawn in draws)
    found = feed(data, 2, seed=1)
    assert next(found)["source"].shape == (2, 3, 4, 4)


@given(st.integers(8, 40), st.integers(8, 40), st.sampled_from([2, 4, 8]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_cuts_lie_in_the_picture_and_keep_what_was_drawn(height, width, scale, seed):
    data = Downscaled.__new__(Downscaled)
    data.scale, data.view = scale, type("View", (), {"size": 8})
    rng = np.random.default_rng(seed)
    for axis, full in enumerate((height, width)):
        read, kept = data.cut(full, axis, rng)
        assert 0 <= read.start < read.stop <= full and (read.stop - read.start) % scale == 0
        assert kept.stop - kept.start == 8 // scale and kept.start <= 2
        assert read.start + kept.start * scale + 8 <= full


def test_deep_grey_and_floating_pictures_are_taken(tmp_path):
    deep = picture(0, 24, 24, 1, np.uint16)
    images.write(tmp_path / "a.png", images.from_array(deep))
    images.write(tmp_path / "b.tif", images.from_array(deep.astype(np.float32) / 65535))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        items = [Downscaled(tmp_path, 2, size=None, **PLAIN)[index] for index in range(2)]
    for side in ("source", "target"):
        assert items[0][side].shape[0] == 3
        np.testing.assert_allclose(items[0][side], items[1][side], atol=1e-4)
    assert Downscaled(tmp_path, 2, size=8, channels=[1, 3])[0]["source"].shape == (1, 4, 4)


def test_a_float_pictures_range_is_that_of_the_whole(tmp_path):
    x = np.full((32, 32, 1), 0.5, np.float32)
    x[-1, -1] = 7
    images.write(tmp_path / "x.tif", images.from_array(x))
    data = Downscaled(tmp_path, 2, size=4, channels=1)
    with pytest.raises(
        ValueError, match=r"x\.tif: values of type float32 from 0\.5 to 7; say range"
    ):
        data[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"size": 18}, "size 18: no multiple of the scale, 4"),
        ({"size": [16, 8]}, "size [16, 8]: rotate=false, or cut out squares"),
        ({"size": None}, "size None: rotate=false"),
        ({"size": 44}, "0.png: 40 x 52 pixels, of which 44 x 44 can't be cut out"),
        (
            {"size": None, "scale": 64, "rotate": False},
            "0.png: 40 x 52 pixels, too few for scale 64",
        ),
    ],
)
def test_what_does_not_fit_is_refused(folder, words, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Downscaled(folder, **words)
