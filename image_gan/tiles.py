"""Large pictures through a network in tiles that overlap, blended so that no seam is seen.

Neighbours share ``overlap`` pixels or more. In the middle quarter of it one fades into the other;
outside of that a pixel is one tile's alone, at least 3/8 of ``overlap`` from that tile's border. A
network that sees no farther gives what it gives for the whole picture, and one that changes nothing
gives the very same values. The memory it takes is that of one tile and of one row of results. Where
a network enlarges, tiles and overlaps are told in pixels of the source, and grow with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from image_gan.sizes import fitting, reflection

# Shapes below: C channels, H rows and W columns.

Network = Callable[[Tensor, Tensor], Tensor]
"""``(rows, columns) -> (C, rows, columns)``: the estimate of the part at these positions, enlarged
where the network enlarges."""


class Cuts(NamedTuple):
    """One side of a picture in tiles.

    Attributes:
        positions: which pixel of the picture stands at each of the padded side's.
        first: where the picture begins on the padded side.
        length: of the picture.
        tile: length of the tiles.
        starts: of the tiles, on the padded side.
    """

    positions: Tensor
    first: int
    length: int
    tile: int
    starts: list[int]

    def enlarged(self, scale: int) -> Estimates:
        """Return where the estimates of the tiles lie, ``scale`` times larger."""
        measures = len(self.positions), self.first, self.length, self.tile
        return Estimates(*(scale * n for n in measures), [scale * start for start in self.starts])


class Estimates(NamedTuple):
    """One side of an estimate, in pixels of its own; but for ``full`` as in ``Cuts``.

    Attributes:
        full: length of the padded side.
    """

    full: int
    first: int
    length: int
    tile: int
    starts: list[int]


def cuts(length: int, tile: int, overlap: int, multiple: int = 1, smallest: int = 1) -> Cuts:
    """Return where a side of ``length`` pixels is cut.

    Tiles are as long as the network takes, ``tile`` or the next such length, and begin at multiples
    of ``multiple`` of the padded side, where they can: so its strides fall as they do on the whole.

    >>> cuts(1000, 400, 100).starts, cuts(300, 400, 100).starts
    ([0, 300, 600], [0])
    """
    full = fitting(length, multiple, smallest)
    tile = min(fitting(tile, multiple, smallest), full)
    step = (tile - overlap) // multiple * multiple or max(tile - overlap, 1)
    starts = [*range(0, full - tile, step), full - tile]
    return Cuts(reflection(length, full), (full - length) // 2, length, tile, starts)


def ramp(shared: int, overlap: int) -> Tensor:
    """Return the later tile's weights over the pixels that two share: 0, a quarter's rise, 1."""
    middle = (torch.arange(shared) + 0.5 - shared / 2) / max(overlap / 4, 1) + 0.5
    return torch.sin(middle.clamp(0, 1) * torch.pi / 2).square()


def blended(held: Tensor, new: Tensor, overlap: int, axis: int) -> Tensor:
    """Return what two tiles make of the pixels they share; equal values stay what they are."""
    weights = ramp(held.shape[axis], overlap).to(new)
    return torch.lerp(held, new, weights[:, None] if axis == -2 else weights)


def across(network: Network, rows: Tensor, columns: Cuts, overlap: int, scale: int) -> Tensor:
    """Return the estimate of some rows, over the whole padded width, ``(C, rows, full)``."""
    strip, done, places = None, 0, columns.enlarged(scale)
    for start, place in zip(columns.starts, places.starts, strict=True):
        new = network(rows, columns.positions[start : start + columns.tile])
        if strip is None:
            strip = new.new_empty((*new.shape[:-1], places.full))
        shared = done - place
        if shared > 0:
            held = strip[..., place:done]
            new[..., :shared] = blended(held, new[..., :shared], scale * overlap, -1)
        done = place + places.tile
        strip[..., place:done] = new
    return strip


def in_tiles(
    network: Network, rows: Cuts, columns: Cuts, overlap: int, scale: int = 1
) -> Iterator[Tensor]:
    """Yield the estimate of a picture, ``(C, n, W)`` at a time, from its top to its bottom.

    ``scale`` is how many times as high and wide the estimate is.
    """
    held = None  # what is done of the rows that the next tiles share
    down, beside = rows.enlarged(scale), columns.enlarged(scale)
    left, right = beside.first, beside.first + beside.length
    ends = [*down.starts[1:], down.full]
    for source, start, then in zip(rows.starts, down.starts, ends, strict=True):
        own = rows.positions[source : source + rows.tile]
        strip = across(network, own, columns, overlap, scale)
        if held is not None:
            shared = held.shape[-2]
            strip[:, :shared] = blended(held, strip[:, :shared], scale * overlap, -2)
        top, bottom = max(down.first, start), min(down.first + down.length, then)
        if bottom > top:
            yield strip[:, top - start : bottom - start, left:right]
        held = strip[:, then - start :].clone()
