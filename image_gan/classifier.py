"""The classifier: of which domain is a picture? It scores what was made without pairs.

Trained on real pictures of both domains, it says how many translated ones are taken for the domain
that they were translated to.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from torch import Tensor, nn
from torch.utils.data import Dataset

from image_gan import images
from image_gan.data import View
from image_gan.folders import in_folder


class Classifier(nn.Module):
    """Strided convolutions, the mean over the picture, and a linear layer.

    ``(B, inputs, H, W)`` in [-1, 1] -> logits ``(B, classes)``, for any H and W.

    Args:
        inputs: channels of the pictures.
        classes: that a picture may be of.
        channels: of the first convolution; each of the three others has twice as many.
    """

    def __init__(self, inputs: int = 3, classes: int = 2, channels: int = 32):
        super().__init__()
        widths = [channels * 2**level for level in range(4)]
        self.layers = nn.Sequential(
            *(halving(entering, leaving) for entering, leaving in pairwise((inputs, *widths)))
        )
        self.classify = nn.Linear(widths[-1], classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits."""
        return self.classify(self.features(pictures))

    def features(self, pictures: Tensor) -> Tensor:
        """Return what the pictures are told apart by: ``(B, 8 * channels)``, 0 or more."""
        return self.layers(pictures).mean(dim=(2, 3))


def halving(entering: int, leaving: int) -> nn.Sequential:
    """Return a convolution that halves height and width, rounded up."""
    layer = nn.Conv2d(entering, leaving, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(leaving), nn.ReLU())


class Domains(Dataset):
    """Pictures of two folders: ``{"source": (C, H, W) float32, "target": 0 or 1}``.

    There are as many of each: an epoch goes once through the larger folder, and draws one of the
    other's pictures at random for each of its own.

    Args:
        source: folder of the pictures of class 0, and its subfolders.
        target: folder of those of class 1, and its subfolders.
        view: keywords of ``image_gan.data.View``.

    Raises:
        OSError: where there is no such folder.
        ValueError: where one is empty, or a picture is broken.
    """

    def __init__(self, source: str | Path, target: str | Path, **view):
        self.sides, self.view = (in_folder(source), in_folder(target)), View(**view)
        for path in (*self.sides[0], *self.sides[1]):
            self.view.check(path, images.size(path))

    def __len__(self) -> int:
        return 2 * max(map(len, self.sides))

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        number, side = divmod(int(index), 2)
        paths, rng = self.sides[side], self.view.draws(index)
        if 2 * len(paths) < len(self):
            number = int(rng.integers(len(paths)))
        x = self.view.item(images.read(paths[number]), paths[number], 0)
        (source,) = self.view.augmented([x], rng)
        return {"source": source, "target": np.int64(side)}
