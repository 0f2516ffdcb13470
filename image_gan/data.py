"""Pictures to train on: pairs side by side, in two folders or in a table; or two sides without.

An item is ``{"source": (C, H, W), "target": (C, H, W)}``, float32 in [-1, 1]; what a picture's
numbers become is told in ``image_gan.values``. Whatever ``image_gan.images`` reads may be among
them, and every picture's header is read before training begins: one that is no picture, or doesn't
fit its twin, is named then.

Every random draw comes from a generator seeded by (seed, epoch, index): what an item holds does
not depend on the number of workers, nor on what was drawn before it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from image_gan import images
from image_gan.folders import by_name, in_folder
from image_gan.images import Picture
from image_gan.values import ends, normalized, with_channels

Size = tuple[int, int]
Part = tuple[slice, slice]  # rows and columns

ALL = (slice(None), slice(None))


@dataclass(frozen=True)
class View:
    """How pictures become items; as it stands, what pix2pix and CycleGAN do to photos.

    Attributes:
        channels: of items, or of sources and of targets; see ``image_gan.values.with_channels``.
            Opacity is a channel where one more than there are colors is asked for.
        resize: what pictures are first resized to, bicubically: the side of a square, height and
            width, or None to leave them.
        size: what is then cut out, at random: the same; None leaves all. Items of one batch must be
            of one size.
        mirror: whether left and right change places in half of the items.
        range: the values that -1 and 1 stand for, where pictures don't say.
        seed: of every draw.
    """

    channels: int | Sequence[int] = 3
    resize: int | Sequence[int] | None = 286
    size: int | Sequence[int] | None = 256
    mirror: bool = True
    range: Sequence[float] | None = None
    seed: int = 0

    def __post_init__(self):
        if self.resize and self.size and not fits(two(self.size), two(self.resize)):
            raise ValueError(
                f"size {self.size} can't be cut out of pictures resized to {self.resize}; resize "
                "them to more, or say resize=null"
            )

    def check(self, path: Path, size: Size) -> None:
        """Raise a ValueError where a picture is too small for what is cut out of it."""
        if self.size and not self.resize and not fits(two(self.size), size):
            wanted = " x ".join(map(str, two(self.size)))
            raise ValueError(
                f"{path}: {size[0]} x {size[1]} pixels, of which {wanted} can't be cut out; "
                "resize it first, or ask for a smaller size"
            )

    def draws(self, index: int) -> np.random.Generator:
        """Return where the draws of an item come from."""
        return np.random.default_rng([self.seed, getattr(index, "epoch", 0), int(index)])

    def item(self, picture: Picture, path: Path, side: int, part: Part = ALL) -> np.ndarray:
        """Return a picture's values, or a part's, ``(C, H, W)`` in [-1, 1].

        Raises ValueError, naming the picture.
        """
        count = two(self.channels)[side]
        values, cmyk = picture.values, picture.form.mode == "CMYK"
        if picture.alpha is not None and count == values.shape[-1] + 1:
            values = np.dstack([values, picture.alpha])
        between = self.range or ends(values)
        if between is None:
            raise ValueError(
                f"{path}: values of type {values.dtype} from {values.min():g} to {values.max():g}; "
                "say range=[LOW,HIGH], what -1 and 1 stand for"
            )
        try:
            return with_channels(normalized(values[part], tuple(between)), count, cmyk)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def augmented(self, sides: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        """Return pictures ``(C, H, W)`` of one size resized, cut and mirrored, all alike."""
        if self.resize:
            sides = [resized(x, two(self.resize)) for x in sides]
        height, width = two(self.size) if self.size else sides[0].shape[1:]
        top = int(rng.integers(sides[0].shape[1] - height + 1))
        left = int(rng.integers(sides[0].shape[2] - width + 1))
        sides = [x[:, top : top + height, left : left + width] for x in sides]
        mirrored = self.mirror and rng.random() < 0.5
        return [np.ascontiguousarray(x[:, :, ::-1] if mirrored else x) for x in sides]


def two(value: int | Sequence[int]) -> tuple[int, int]:
    """Return a pair: of one number twice, or of two."""
    first, second = (value, value) if isinstance(value, int) else value
    return first, second


def fits(small: Size, large: Size) -> bool:
    """Return whether one size lies within the other."""
    return small[0] <= large[0] and small[1] <= large[1]


def resized(x: np.ndarray, size: Size) -> np.ndarray:
    """Return a picture of another size, ``(C, H, W)``, by bicubic interpolation of its values."""
    if x.shape[1:] == size:
        return x
    layers = [Image.fromarray(layer).resize(size[::-1], Image.Resampling.BICUBIC) for layer in x]
    return np.stack([np.asarray(layer) for layer in layers]).clip(-1, 1)


class Pairs(Dataset):
    """Pictures that belong together, cut and mirrored alike.

    Args:
        paths: of source and target.
        view: see ``View``.

    Raises:
        ValueError: where a picture can't be read, or is of another size than its twin.
    """

    def __init__(self, paths: Sequence[tuple[Path, Path]], view: View):
        self.paths, self.view = list(paths), view
        for source, target in self.paths:
            size, other = images.size(source), images.size(target)
            if size != other:
                raise ValueError(
                    f"{source}: {size[0]} x {size[1]} pixels, but its target {target} has "
                    f"{other[0]} x {other[1]}; make them of one size"
                )
            view.check(source, size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        pair = [
            self.view.item(images.read(path), path, side)
            for side, path in enumerate(self.paths[index])
        ]
        source, target = self.view.augmented(pair, self.view.draws(index))
        return {"source": source, "target": target}


class PairedFolders(Pairs):
    """Pairs in two folders, of the same place and name but for the suffix.

    Args:
        source: folder of sources.
        target: folder of targets.
        view: keywords of ``View``.

    Raises:
        OSError: where there is no such folder.
        ValueError: where one is empty, a picture has no twin, or one is broken.
    """

    def __init__(self, source: str | Path, target: str | Path, **view):
        sources, targets = by_name(source), by_name(target)
        for name in sorted(sources.keys() ^ targets.keys()):
            path, other = (sources[name], target) if name in sources else (targets[name], source)
            raise ValueError(f"{path}: has no twin {name}.* in {other}")
        super().__init__([(sources[name], targets[name]) for name in sources], View(**view))


class FromCSV(Pairs):
    """Pairs in a table: a CSV with the columns ``source`` and ``target``, and any others.

    Args:
        path: of the table; the paths in it start from its folder.
        view: keywords of ``View``.

    Raises:
        OSError: where there is no such table, or no such picture.
        ValueError: where a column or a value is missing, or a picture is broken.
    """

    def __init__(self, path: str | Path, **view):
        path, pairs = Path(path), []
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            if missing := {"source", "target"} - set(table.fieldnames or ()):
                raise ValueError(
                    f"{path}: has no column {min(missing)!r}; its first line names them"
                )
            for row in table:
                if not (row["source"] and row["target"]):
                    raise ValueError(f"{path}: line {table.line_num} lacks a source or a target")
                pairs.append((path.parent / row["source"], path.parent / row["target"]))
        if not pairs:
            raise ValueError(f"{path}: lists no pictures")
        super().__init__(pairs, View(**view))


class SideBySide(Dataset):
    """Pictures whose halves are source and target, as the data sets of pix2pix have them.

    Args:
        folder: of the pictures, and its subfolders.
        source: the half that is the source, ``left`` or ``right``.
        view: keywords of ``View``.

    Raises:
        OSError: where there is no such folder.
        ValueError: where it is empty, or a picture is broken or of an odd width.
    """

    def __init__(self, folder: str | Path, source: str = "left", **view):
        if source not in ("left", "right"):
            raise ValueError(f"source {source!r}: say left or right")
        self.paths, self.source, self.view = in_folder(folder), source, View(**view)
        for path in self.paths:
            height, width = images.size(path)
            if width % 2:
                raise ValueError(f"{path}: its width, {width} pixels, is odd; its halves differ")
            self.view.check(path, (height, width // 2))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        path = self.paths[index]
        sides = images.halves(images.read(path), self.source)
        pair = [self.view.item(picture, path, side) for side, picture in enumerate(sides)]
        source, target = self.view.augmented(pair, self.view.draws(index))
        return {"source": source, "target": target}


class UnpairedFolders(Dataset):
    """Two sides that have no pairs, each picture cut and mirrored by itself.

    An epoch goes once through the larger side, or through the sources where both are as large; what
    stands against each of its pictures is drawn at random.

    Args:
        source: folder of sources, and its subfolders.
        target: folder of targets, and its subfolders.
        view: keywords of ``View``.

    Raises:
        OSError: where there is no such folder.
        ValueError: where one is empty, or a picture is broken.
    """

    def __init__(self, source: str | Path, target: str | Path, **view):
        self.sides, self.view = (in_folder(source), in_folder(target)), View(**view)
        for path in (*self.sides[0], *self.sides[1]):
            self.view.check(path, images.size(path))

    def __len__(self) -> int:
        return max(map(len, self.sides))

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        rng = self.view.draws(index)
        drawn = int(rng.integers(min(map(len, self.sides))))
        larger = 0 if len(self.sides[0]) >= len(self.sides[1]) else 1
        item = {}
        for side, name in enumerate(("source", "target")):
            path = self.sides[side][index if side == larger else drawn]
            x = self.view.item(images.read(path), path, side)
            (item[name],) = self.view.augmented([x], rng)
        return item
