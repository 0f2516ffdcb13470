"""Pictures of any size through networks that take some: padded by reflection, cropped back."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Translator(nn.Module):
    """A network from pictures to pictures of the same size, whatever that is.

    ``(B, inputs, H, W) -> (B, outputs, H, W)``. ``core`` takes heights and widths that are
    multiples of ``multiple`` and at least ``smallest``; all others reach it padded.
    """

    multiple: int
    smallest: int

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the pictures translated."""
        return in_any_size(self.core, pictures, self.multiple, self.smallest)

    def core(self, pictures: Tensor) -> Tensor:
        """Return pictures translated whose size fits."""
        raise NotImplementedError


def in_any_size(
    network: Callable[[Tensor], Tensor], pictures: Tensor, multiple: int, smallest: int
) -> Tensor:
    """Return ``network(pictures)``, in the size of the pictures, which may be any.

    Those that fit reach the network as they are, all others grown on all sides alike to the next
    size that does; what was added is cropped off again.
    """
    height, width = pictures.shape[-2:]
    full = [fitting(length, multiple, smallest) for length in (height, width)]
    if full == [height, width]:
        return network(pictures)
    top, left = (full[0] - height) // 2, (full[1] - width) // 2
    return network(reflect(pictures, *full))[..., top : top + height, left : left + width]


def fitting(length: int, multiple: int, smallest: int) -> int:
    """Return the least multiple that is ``length`` and ``smallest`` at least.

    >>> fitting(333, multiple=256, smallest=256), fitting(1, multiple=4, smallest=8)
    (512, 8)
    """
    return -(-max(length, smallest) // multiple) * multiple


def reflect(pictures: Tensor, height: int, width: int) -> Tensor:
    """Return the pictures grown to a size by reflection, as often as it takes.

    ``(B, C, H, W) -> (B, C, height, width)``, the originals in the middle (the odd row and column
    go below and right). A single row or column is repeated.
    """
    rows = reflection(pictures.shape[-2], height).to(pictures.device)
    columns = reflection(pictures.shape[-1], width).to(pictures.device)
    return pictures[..., rows[:, None], columns]


def reflection(length: int, full: int) -> Tensor:
    """Return which of ``length`` positions stands at each of ``full``; borders aren't doubled.

    >>> reflection(3, 9).tolist()
    [1, 2, 1, 0, 1, 2, 1, 0, 1]
    """
    period = max(2 * (length - 1), 1)
    steps = (torch.arange(full) - (full - length) // 2) % period
    return torch.minimum(steps, period - steps)
