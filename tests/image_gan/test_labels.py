"""Palettes, classes and their scores."""

import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from image_gan.labels import (
    Palette,
    confusion,
    label_scores,
    read_palette,
    resized,
    to_classes,
    to_colors,
)

FACADES = Path(__file__).parents[2] / "recipes" / "facades" / "conf" / "palette.tsv"
HEAD = "class\tred\tgreen\tblue\n"


@pytest.fixture(scope="module")
def facades():
    return read_palette(FACADES)


def blocks(count, side=16, seed=0):
    """Classes in squares, 6 x 8 of them."""
    classes = np.random.default_rng(seed).integers(0, count, (6, 8))
    return classes.repeat(side, axis=0).repeat(side, axis=1)


def test_the_facades_palette_is_that_of_the_cmp_database(facades):
    order = "background facade window door cornice sill balcony blind deco molding pillar shop"
    assert facades.names == tuple(order.split())
    assert facades.colors.shape == (12, 3)
    k = 6 + 5 * np.arange(12)  # every fifth of Matlab's 64 colors jet
    ramps = (np.clip(1.5 - abs((k - center) / 16), 0, 1) for center in (48, 32, 16))
    assert np.abs(facades.colors - 255 * np.stack(list(ramps), axis=1)).max() < 1


def test_every_color_is_its_own_class(facades):
    classes = np.arange(12).reshape(3, 4)
    assert np.array_equal(to_classes(to_colors(classes, facades), facades), classes)


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_class_is_that_of_the_nearest_color(seed):
    rng = np.random.default_rng(seed)
    palette = Palette(tuple("abcde"), rng.integers(0, 256, (5, 3), np.uint8))
    values = rng.integers(0, 256, (7, 9, 3), np.uint8)
    for y, x in np.ndindex(7, 9):
        distances = [math.dist(values[y, x].tolist(), c) for c in palette.colors.tolist()]
        assert to_classes(values, palette)[y, x] == distances.index(min(distances))


def test_classes_are_found_again_under_jpeg_noise(facades):
    classes, file = blocks(12), io.BytesIO()
    Image.fromarray(to_colors(classes, facades)).save(file, "JPEG", quality=75, subsampling=0)
    values = np.asarray(Image.open(file))
    assert not np.array_equal(values, to_colors(classes, facades))
    assert (to_classes(values, facades) == classes).mean() > 0.99


@pytest.mark.parametrize("values", [np.zeros((4, 4, 1), np.uint8), np.zeros((4, 4, 3), np.uint16)])
def test_labels_that_are_no_8_bit_colors_are_refused(facades, values):
    with pytest.raises(ValueError, match="where labels are RGB of 8 bits"):
        to_classes(values, facades)


@pytest.mark.parametrize("size", [(13, 7), (91, 127), (200, 300), (1, 1)])
def test_classes_are_resized_as_pillow_takes_the_nearest(size):
    classes = blocks(12)[:91, :127]  # odd, so that no two are as near
    image = Image.fromarray(classes.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST)
    assert np.array_equal(resized(classes, size), np.asarray(image))


# Palettes


def test_a_palette_may_have_other_columns_and_windows_line_ends(tmp_path):
    text = "blue\tclass\tred\tgreen\tnote\r\n3\t wall \t1\t2\tx\r\n6\tsky\t4\t5\t\r\n"
    (tmp_path / "p.tsv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    palette = read_palette(tmp_path / "p.tsv")
    assert palette.names == ("wall", "sky")
    assert palette.colors.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column 'class'"),
        ("class\tred\tblue\n", "has no column 'green'"),
        (HEAD, "0 classes, where two are needed"),
        (HEAD + "a\t1\t2\t3\n", "1 classes, where two are needed"),
        (HEAD + "a\t1\t2\t3\nb\t1\t2\t256\n", "line 3: '256'"),
        (HEAD + "\na\t1\t2\t-3\n", "line 3: '-3'"),
        (HEAD + "a\t1\t2\n", "line 2: None"),
        (HEAD + " \t1\t2\t3\n", "line 2: lacks the name"),
        (HEAD + "a\t1\t2\t3\na\t3\t2\t1\n", "the class a is there twice"),
        (HEAD + "a\t1\t2\t3\nb\t1\t2\t3\n", r"the color \(1, 2, 3\) is there twice"),
    ],
)
def test_a_bad_palette_is_told_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "p.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(f"{path}: ") + f".*{message}"):
        read_palette(path)


def test_a_palette_that_is_no_text_is_named(tmp_path):
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(ValueError, match=r"p\.png: no table"):
        read_palette(tmp_path / "p.png")


def test_a_missing_palette_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.tsv"):
        read_palette(tmp_path / "gone.tsv")


# Scores


def test_confusion_has_the_truth_in_rows():
    truth, estimate = np.array([[0, 0, 1], [2, 2, 2]]), np.array([[0, 1, 1], [2, 0, 0]])
    assert confusion(truth, estimate, 3).tolist() == [[1, 1, 0], [0, 1, 0], [2, 0, 1]]


def test_confusion_of_pictures_adds_up_to_that_of_all():
    first, second = blocks(4, seed=1), blocks(4, seed=2)
    parts = confusion(first[:50], second[:50], 4) + confusion(first[50:], second[50:], 4)
    assert np.array_equal(parts, confusion(first, second, 4))


def test_confusion_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="must be alike"):
        confusion(np.zeros((2, 2), int), np.zeros((2, 3), int), 2)
    with pytest.raises(ValueError, match="classes 0 to 2, of which 2 are"):
        confusion(np.array([0, 2]), np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="classes -1 to 0"):
        confusion(np.array([0, 1]), np.array([0, -1]), 2)


@pytest.mark.parametrize(
    ("matrix", "pixel", "per_class", "iou"),
    [
        ([[5, 0], [0, 3]], 1, 1, 1),
        ([[6, 2], [1, 1]], 7 / 10, (6 / 8 + 1 / 2) / 2, (6 / 9 + 1 / 4) / 2),
        ([[8, 0], [2, 0]], 8 / 10, 1 / 2, (8 / 10 + 0) / 2),  # a constant guess
        ([[4, 0, 0], [0, 4, 0], [0, 0, 0]], 1, 1, 1),  # a class that doesn't occur
        ([[3, 0, 1], [0, 4, 0], [0, 0, 0]], 7 / 8, (3 / 4 + 1) / 2, (3 / 4 + 1 + 0) / 3),
    ],
    ids=["perfect", "mixed", "constant", "absent", "only guessed"],
)
def test_scores_are_those_counted_by_hand(matrix, pixel, per_class, iou):
    scores = label_scores(np.array(matrix))
    assert list(scores) == ["pixel_accuracy", "class_accuracy", "iou"]
    assert list(scores.values()) == pytest.approx([pixel, per_class, iou], abs=1e-12)


def test_scores_do_not_depend_on_the_order_of_classes():
    matrix = np.random.default_rng(0).integers(0, 9, (5, 5))
    order = [3, 0, 4, 1, 2]
    assert label_scores(matrix[order][:, order]) == pytest.approx(label_scores(matrix))


def test_no_pixels_have_no_scores():
    with pytest.raises(ValueError, match="no pixels"):
        label_scores(np.zeros((3, 3), int))
