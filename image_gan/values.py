"""What a picture's numbers are to a network: values in [-1, 1], in as many channels as it takes.

The two ends of a picture's range become -1 and 1. They are the ends of the type for integers of up
to 16 bits, and 0 and 1 for floats that lie between them. Other floats and wider integers say
nothing of a range: it is told, or it goes from the least value in the picture to the greatest.
"""

from __future__ import annotations

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow has it

Ends = tuple[float, float]


def ends(values: np.ndarray) -> Ends | None:
    """Return the values that -1 and 1 stand for; None where the type doesn't say.

    >>> ends(np.zeros((2, 2, 1), np.uint16)), ends(np.array([0.1, 7.0]))
    ((0.0, 65535.0), None)
    """
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        info = np.iinfo(values.dtype)
        return float(info.min), float(info.max)
    if values.dtype.kind == "b":
        return 0.0, 1.0
    if values.dtype.kind == "f" and values.min() >= 0 and values.max() <= 1:
        return 0.0, 1.0
    return None


def own_ends(values: np.ndarray) -> Ends:
    """Return the least and the greatest value, or the only one and one more.

    >>> own_ends(np.array([-3.0, 812.0])), own_ends(np.array([5, 5]))
    ((-3.0, 812.0), (5.0, 6.0))
    """
    low, high = float(values.min()), float(values.max())
    return low, high if high > low else low + 1


def normalized(values: np.ndarray, between: Ends) -> np.ndarray:
    """Return values for a network: ``(H, W, C)`` of any type -> ``(C, H, W)`` float32 in [-1, 1].

    What lies beyond the ends is cut off.
    """
    low, high = between
    scaled = (values.astype(np.float64) - low) * (2 / (high - low)) - 1
    return np.ascontiguousarray(scaled.clip(-1, 1).transpose(2, 0, 1), np.float32)


def denormalized(estimate: np.ndarray, between: Ends, dtype: np.dtype) -> np.ndarray:
    """Return a network's values in a picture's type: ``(C, H, W)`` -> ``(H, W, C)``.

    Undoes ``normalized``: exactly for integers of up to 16 bits, to 2^-24 of the range for floats.
    A bit is whether a value is 0 or more.
    """
    low, high = between
    scaled = (estimate.transpose(1, 2, 0).astype(np.float64) + 1) * ((high - low) / 2) + low
    scaled = scaled.clip(low, high)
    if dtype.kind == "b":
        return scaled >= (low + high) / 2
    return (scaled if dtype.kind == "f" else np.rint(scaled)).astype(dtype)


def with_channels(x: np.ndarray, count: int, cmyk: bool = False) -> np.ndarray:
    """Return a picture in another number of channels: ``(C, H, W) -> (count, H, W)``, in [-1, 1].

    Grey is repeated, and RGB becomes its luma. Where four channels are ``cmyk``, they are what
    ideal inks would show, and back with as much black as can be.

    Raises:
        ValueError: where no such meaning is known.
    """
    if len(x) == count:
        return x
    if cmyk and len(x) == 4:
        return with_channels(from_cmyk(x), count)
    if cmyk and count == 4:
        return to_cmyk(with_channels(x, 3))
    if len(x) == 1 and count == 3:
        return np.repeat(x, 3, axis=0)
    if len(x) == 3 and count == 1:
        return np.tensordot(LUMA, x, 1)[None]
    raise ValueError(f"{len(x)} channel{'s' * (len(x) != 1)}, where {count} are needed")


def from_cmyk(x: np.ndarray) -> np.ndarray:
    """Return what ideal inks show: ``(4, H, W)``, 1 is full ink, to RGB ``(3, H, W)``."""
    paper = (1 - x) / 2
    return 2 * paper[:3] * paper[3:] - 1


def to_cmyk(x: np.ndarray) -> np.ndarray:
    """Return the inks that show RGB, with as much black as can be: ``(3, H, W) -> (4, H, W)``."""
    light = (x + 1) / 2
    paper = light.max(axis=0, keepdims=True)  # what black leaves
    inks = 1 - light / np.maximum(paper, 1e-6)
    return np.concatenate([2 * inks - 1, 1 - 2 * paper])
