"""The segmenter: what does every pixel show? It scores pictures that were made from labels.

Trained on real photos, it reads the labels off translated ones; they are as good as the labels that
it finds are right. In the spirit of the FCN score (Isola et al. 2017, section 4), with a small
network in place of FCN-8s.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from image_gan import images
from image_gan.data import PairedFolders, two
from image_gan.labels import read_palette, resized, to_classes
from image_gan.sizes import Translator

# Shapes below: B pictures, C channels, K classes, H rows and W columns.


class Segmenter(Translator):
    """An encoder and a decoder whose levels are added, as FCN-8s's are (Long et al. 2015).

    ``(B, inputs, H, W)`` in [-1, 1] -> logits ``(B, classes, H, W)``, for any H and W; ``core``
    takes multiples of 16. 1,410,828 weights as it stands.

    Args:
        inputs: channels of the pictures.
        classes: that a pixel may be of.
        channels: of the first level; each of the three others has twice as many.
    """

    multiple = smallest = 16

    def __init__(self, inputs: int = 3, classes: int = 12, channels: int = 32):
        super().__init__()
        widths = [channels * 2**level for level in range(4)]
        self.encoder = nn.ModuleList(
            nn.Sequential(*convolution(entering, leaving, stride=2), *convolution(leaving, leaving))
            for entering, leaving in pairwise((inputs, *widths))
        )
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.decoder = nn.ModuleList(nn.Sequential(*convolution(a, a)) for a in widths[:-1])
        self.classify = nn.Conv2d(channels, classes, 1)

    def core(self, pictures: Tensor) -> Tensor:
        """Return the logits; H and W are multiples of 16."""
        x, passed = pictures, []
        for down in self.encoder:
            x = down(x)  # (B, C, H / 2 ** level, W / 2 ** level)
            passed.append(x)
        x = passed.pop()
        for narrow, up in zip(reversed(self.narrow), reversed(self.decoder), strict=True):
            x = up(F.interpolate(narrow(x), scale_factor=2) + passed.pop())
        logits = self.classify(x)  # (B, K, H / 2, W / 2)
        return F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)


def convolution(entering: int, leaving: int, stride: int = 1) -> list[nn.Module]:
    """Return the layers of a normalized 3 x 3 convolution."""
    layer = nn.Conv2d(entering, leaving, 3, stride, padding=1, bias=False)
    return [layer, nn.BatchNorm2d(leaving), nn.ReLU()]


class Labelled(PairedFolders):
    """Photos and their labels, of the same place and name but for the suffix.

    An item is ``{"source": (C, H, W) float32 in [-1, 1], "target": (H, W) int64}``, resized, cut
    and mirrored alike; colors become classes first, which are never interpolated.

    Args:
        source: folder of photos.
        target: folder of labels, RGB pictures.
        palette: which color stands for which class, see ``image_gan.labels.read_palette``.
        classes: how many are expected.
        view: keywords of ``image_gan.data.View``.

    Raises:
        OSError: where there is no such folder or palette.
        ValueError: as of ``PairedFolders``; and for a palette that is none, or of other classes.
    """

    def __init__(
        self,
        source: str | Path,
        target: str | Path,
        palette: str | Path,
        classes: int | None = None,
        **view,
    ):
        super().__init__(source, target, **view)
        self.palette = read_palette(palette)
        if classes not in (None, len(self.palette.names)):
            raise ValueError(
                f"{palette}: {len(self.palette.names)} classes, where the network tells {classes} "
                "apart; make the two agree"
            )

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        photo, labels = self.paths[index]
        x = self.view.item(images.read(photo), photo, 0)
        classes = self.classes_in(labels).astype(np.float32)  # which holds them exactly
        source, target = self.view.augmented([x, classes[None]], self.view.draws(index))
        return {"source": source, "target": target[0].astype(np.int64)}

    def classes_in(self, path: Path) -> np.ndarray:
        """Return the classes in a picture of labels, in the size that pictures are resized to."""
        values = images.read(path).values
        try:
            classes = to_classes(values, self.palette)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return resized(classes, two(self.view.resize)) if self.view.resize else classes
