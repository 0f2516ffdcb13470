"""Labels: pictures whose colors name what every pixel shows, and scores of one against another.

A palette says which color stands for which class. Classes are counted from 0, in its order.
Matrices of confusion have the truth in rows and the estimate in columns.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

COLUMNS = ("class", "red", "green", "blue")


class Palette(NamedTuple):
    """The colors that stand for classes.

    Attributes:
        names: of the classes.
        colors: ``(K, 3)`` uint8, in the order of ``names``.
    """

    names: tuple[str, ...]
    colors: np.ndarray


def read_palette(path: str | Path) -> Palette:
    """Return the palette in a table: tab-separated, its columns class, red, green and blue.

    Raises:
        OSError: where there is no such file.
        ValueError: where a column or a value is missing or none, or a name or a color is there
            twice.
    """
    rows = []
    for number, row in table(Path(path)):
        try:
            rows.append((named(row["class"]), tuple(byte(row[name]) for name in COLUMNS[1:])))
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: {error}") from None
    if len(rows) < 2:
        raise ValueError(f"{path}: {len(rows)} classes, where two are needed at least")
    names, colors = zip(*rows, strict=True)
    for what, values in (("class", names), ("color", colors)):
        if again := [value for value in values if values.count(value) > 1]:
            raise ValueError(f"{path}: the {what} {again[0]} is there twice; keep one of them")
    return Palette(names, np.array(colors, np.uint8))


def table(path: Path) -> list[tuple[int, dict[str, str | None]]]:
    """Return the rows of a palette's table and their lines; raise ValueError where it is none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: no table, which is text in UTF-8") from None
    found = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    if missing := [name for name in COLUMNS if name not in (found.fieldnames or ())]:
        raise ValueError(f"{path}: has no column {missing[0]!r}; it needs {', '.join(COLUMNS)}")
    return [(found.line_num, row) for row in found]


def named(text: str | None) -> str:
    """Return a class's name; raise ValueError where there is none."""
    if not (text or "").strip():
        raise ValueError("lacks the name of its class")
    return text.strip()


def byte(text: str | None) -> int:
    """Return a number from 0 to 255; raise ValueError for all else."""
    if not (text or "").strip().isdecimal() or int(text) > 255:
        raise ValueError(f"{text!r}: a color's parts are whole numbers from 0 to 255")
    return int(text)


def to_classes(values: np.ndarray, palette: Palette) -> np.ndarray:
    """Return the class of every pixel, the one whose color is nearest; the first of two as near.

    ``(H, W, 3)`` uint8 -> ``(H, W)`` int64. Colors that JPEG or blurred edges changed a little are
    found again.

    Raises:
        ValueError: where the values are no 8-bit colors.
    """
    if values.ndim != 3 or values.shape[-1] != 3 or values.dtype != np.uint8:
        shape = " x ".join(map(str, values.shape))
        raise ValueError(f"{shape} values of {values.dtype}, where labels are RGB of 8 bits")
    colors = palette.colors.astype(np.float32)
    # |v - c|^2 = |v|^2 - 2 v c + |c|^2, whose first part is every class's; exact below 2^24
    nearness = values.astype(np.float32) @ (2 * colors.T) - (colors**2).sum(axis=1)
    return nearness.argmax(axis=-1)


def to_colors(classes: np.ndarray, palette: Palette) -> np.ndarray:
    """Return classes ``(H, W)`` in their colors, ``(H, W, 3)`` uint8."""
    return palette.colors[classes]


def resized(classes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return classes ``(H, W)`` in another height and width: of every pixel, the nearest's."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(classes.shape, size, strict=True)
    )
    return classes[rows[:, None], columns]


def confusion(truth: np.ndarray, estimate: np.ndarray, count: int) -> np.ndarray:
    """Return how often each of ``count`` classes is taken for each: ``(count, count)`` int64.

    ``truth`` and ``estimate`` are classes, of one shape. The sum over pictures is that of all.

    Raises:
        ValueError: where the shapes differ, or a class is none of ``count``.
    """
    if truth.shape != estimate.shape:
        raise ValueError(f"labels of {truth.shape} and of {estimate.shape}: they must be alike")
    for classes in (truth, estimate):
        if classes.size and not 0 <= classes.min() <= classes.max() < count:
            raise ValueError(f"classes {classes.min()} to {classes.max()}, of which {count} are")
    pairs = truth.astype(np.int64).ravel() * count + estimate.ravel()
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def label_scores(matrix: np.ndarray) -> dict[str, float]:
    """Return the scores of a matrix of confusion, each from 0 to 1, the more the better.

    ``pixel_accuracy``: the share of pixels that are right. ``class_accuracy``: the mean over the
    classes that occur in the truth of their share that is right. ``iou``: intersection over union,
    the mean over the classes that occur in truth or estimate (Long, Shelhamer and Darrell 2015,
    section 5).

    Raises:
        ValueError: where there are no pixels.
    """
    if not matrix.sum():
        raise ValueError("no pixels to score")
    right, of_truth, of_estimate = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    union, occurs = of_truth + of_estimate - right, of_truth > 0
    return {
        "pixel_accuracy": float(right.sum() / matrix.sum()),
        "class_accuracy": float((right[occurs] / of_truth[occurs]).mean()),
        "iou": float((right[union > 0] / union[union > 0]).mean()),
    }
