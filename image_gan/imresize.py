"""Resizing as MATLAB's ``imresize`` does it, which the results of super-resolution are measured by.

Bicubic, with Keys' kernel (1981, a = -1/2). Where a picture becomes smaller, the kernel is
stretched, so that nothing aliases. Pixels are squares, whose corners stay where they are. Beyond
its borders a picture is mirrored, and the outermost pixel is doubled. Weights are those of the
original, and so are integers to within rounding of the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

AnyArray = TypeVar("AnyArray", np.ndarray, Tensor)

SUPPORT = 4.0  # width of the kernel, in pixels


def imresize(
    x: AnyArray,
    scale: float | None = None,
    size: Sequence[int] | None = None,
    axes: tuple[int, int] = (-2, -1),
) -> AnyArray:
    """Return a picture, or several, in another size.

    Args:
        x: an array or a tensor, ``(..., H, W)`` where nothing else is said. Floats stay of their
            type, and a tensor's gradient is known. Integers and bits are rounded, and cut off at
            the ends of their type.
        scale: of height and width, which are rounded up; above 1 it enlarges.
        size: height and width, in place of a scale.
        axes: which of the axes are height and width.

    Raises:
        ValueError: where neither or both of scale and size are given, or one isn't positive.
    """
    if (scale is None) == (size is None):
        raise ValueError(f"scale {scale}, size {size}: give one of the two")
    lengths = [x.shape[axis] for axis in axes]
    scales = [scale] * 2 if size is None else [n / m for n, m in zip(size, lengths, strict=True)]
    if min(scales) <= 0:
        raise ValueError(f"scale {scale}, size {size}: must be positive")
    y = x if is_float(x) else x.astype(np.float64)
    for index in sorted((0, 1), key=lambda i: scales[i]):  # the smaller scale first
        length = math.ceil(scales[index] * lengths[index]) if size is None else size[index]
        y = along(y, axes[index], length, scales[index])
    return y if is_float(x) else rounded(y, x.dtype)


def is_float(x: np.ndarray | Tensor) -> bool:
    """Return whether values are computed with as they are; raise TypeError for other tensors."""
    if isinstance(x, Tensor):
        if not x.is_floating_point():
            raise TypeError(f"a tensor of {x.dtype}: floats are needed; arrays may be of integers")
        return True
    return x.dtype.kind == "f"


def along(x: AnyArray, axis: int, length: int, scale: float) -> AnyArray:
    """Return ``x`` with another length of one axis."""
    places, weights = contributions(x.shape[axis], length, scale)
    moved = x.swapaxes(axis, -1)
    if isinstance(x, Tensor):
        places, weights = torch.from_numpy(places).to(x.device), torch.from_numpy(weights).to(x)
    else:
        weights = weights.astype(x.dtype)
    taps = range(weights.shape[1])
    total = sum(moved[..., places[:, tap]] * weights[:, tap] for tap in taps)
    return total.swapaxes(axis, -1)


def contributions(length: int, new: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return which pixels make each new one, ``(new, taps)``, and their weights, which sum to 1.

    >>> places, weights = contributions(4, 2, 0.5)
    >>> places[0].tolist(), weights[0].round(4).tolist()
    ([2, 1, 0, 0, 1, 2, 3, 3], [-0.0117, -0.0352, 0.1133, 0.4336, 0.4336, 0.1133, -0.0352, -0.0117])
    """
    stretch = max(1 / scale, 1.0)
    centers = (np.arange(new) + 0.5) / scale - 0.5
    width = SUPPORT * stretch
    places = np.floor(centers - width / 2)[:, None] + np.arange(math.ceil(width) + 2)
    weights = cubic((centers[:, None] - places) / stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    used = weights.any(axis=0)
    return mirrored(places[:, used].astype(np.int64), length), weights[:, used]


def mirrored(places: np.ndarray, length: int) -> np.ndarray:
    """Return the positions in a picture that stand at some beyond its borders.

    >>> mirrored(np.arange(-4, 5), 3).tolist()
    [2, 2, 1, 0, 0, 1, 2, 2, 1]
    """
    turned = places % (2 * length)
    return np.minimum(turned, 2 * length - 1 - turned)


def cubic(x: np.ndarray) -> np.ndarray:
    """Return Keys' kernel, a = -1/2: 1 at 0, 0 at the other integers and beyond 2."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def rounded(y: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return values as integers of a type, or as bits, those beyond its ends at the ends."""
    if dtype.kind == "b":
        return y >= 0.5
    ends = np.iinfo(dtype)
    return np.floor(y + 0.5).clip(ends.min, ends.max).astype(dtype)
