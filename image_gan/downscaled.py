"""Pictures to enlarge: targets are cut out of pictures, sources are the same made smaller.

A source is made as MATLAB's ``imresize`` makes it of the whole picture, not of the cut: what lies
around the cut takes part. Every draw comes from (seed, epoch, index), as in ``image_gan.data``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from image_gan import images
from image_gan.data import View, two
from image_gan.folders import in_folder
from image_gan.imresize import imresize

MARGIN = 2  # small pixels around a cut that the kernel reaches


class Downscaled(Dataset):
    """Pictures of a folder: ``{"source": (C, H, W), "target": (C, scale * H, scale * W)}``.

    float32 in [-1, 1]. What is cut out begins at any pixel; where nothing is, pictures end at the
    last multiple of ``scale``, as those of the test sets do.

    Args:
        folder: of the large pictures, and its subfolders.
        scale: how many times larger the targets are.
        rotate: whether cuts, which are squares then, are turned by any number of quarters.
        view: keywords of ``image_gan.data.View``: ``size`` is the targets'; nothing is resized.

    Raises:
        OSError: where there is no such folder.
        ValueError: where it is empty, ``size`` doesn't fit scale or pictures, or one is broken.
    """

    def __init__(self, folder: str | Path, scale: int = 4, rotate: bool = True, **view):
        self.paths, self.scale, self.rotate = in_folder(folder), scale, rotate
        self.view = View(resize=None, **view)
        size = self.view.size and two(self.view.size)
        if size and any(length % scale for length in size):
            raise ValueError(f"size {self.view.size}: no multiple of the scale, {scale}")
        if rotate and not (size and size[0] == size[1]):
            raise ValueError(f"size {self.view.size}: rotate=false, or cut out squares")
        for path in self.paths:
            height, width = images.size(path)
            self.view.check(path, (height, width))
            if min(height, width) < scale:
                raise ValueError(f"{path}: {height} x {width} pixels, too few for scale {scale}")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        path, rng = self.paths[index], self.view.draws(index)
        picture = images.read(path)
        cuts = [self.cut(length, axis, rng) for axis, length in enumerate(picture.size)]
        (rows, top), (columns, left) = cuts
        small, large = (self.view.item(picture, path, side, (rows, columns)) for side in range(2))
        source = imresize(small, 1 / self.scale).clip(-1, 1)[:, top, left]
        target = large[:, scaled(top, self.scale), scaled(left, self.scale)]
        return dict(zip(("source", "target"), self.turned([source, target], rng), strict=True))

    def cut(self, full: int, axis: int, rng: np.random.Generator) -> tuple[slice, slice]:
        """Return what is read of a side of ``full`` pixels, and its small pixels that count."""
        if self.view.size is None:
            count = full // self.scale
            return slice(0, count * self.scale), slice(0, count)
        length = two(self.view.size)[axis]
        start = int(rng.integers(full - length + 1))
        before = min(MARGIN, start // self.scale)
        after = min(MARGIN, (full - start - length) // self.scale)
        read = slice(start - before * self.scale, start + length + after * self.scale)
        return read, slice(before, before + length // self.scale)

    def turned(self, sides: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        """Return pictures ``(C, H, W)`` mirrored and turned, all alike."""
        mirrored = self.view.mirror and rng.random() < 0.5
        quarters = int(rng.integers(4)) if self.rotate else 0
        sides = [x[:, :, ::-1] if mirrored else x for x in sides]
        return [np.ascontiguousarray(np.rot90(x, quarters, axes=(1, 2))) for x in sides]


def scaled(part: slice, scale: int) -> slice:
    """Return the large pixels that stand for small ones."""
    return slice(part.start * scale, part.stop * scale)
