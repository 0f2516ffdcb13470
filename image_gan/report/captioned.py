"""Pictures made from text to look at: a row for each caption, beside real ones of the same."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from image_gan.images import read
from image_gan.report.content import Content
from image_gan.report.examples import Example, Examples, Shown, smaller
from image_gan.report.systems import asked_for, contenders
from image_gan.sheet import thumbnail

SAMPLES = 4  # of a caption and a system, two by two
SIDE = 128  # pixels that each is shown with, at most
GAP = 2

ByCaption = dict[str, list[Path]]


def examples(content: Content, number: int) -> Examples:
    """Return the grid: ``number`` captions, evenly spread, the same for all systems."""
    made = {
        one.name: {
            caption: [one.generated[name] for name in names]
            for caption, names in asked_for(one.captions).items()
        }
        for one in contenders(content.systems)
        if one.captions
    }
    real = real_ones(content)
    rows = [
        Example(caption, "", [show(found.get(caption, [])) for found in (*made.values(), real)])
        for caption in choose(list(made.values()), real, number)
    ]
    return Examples([*((name, True) for name in made), ("real", False)], rows)


def real_ones(content: Content) -> ByCaption:
    """Return the real pictures by everything that is said of them."""
    found: ByCaption = {}
    for name, captions in (content.data.captions or {}).items():
        for caption in dict.fromkeys(captions):
            found.setdefault(caption, []).append(content.data.target[name])
    return found


def choose(made: Sequence[Collection[str]], real: Collection[str], number: int) -> list[str]:
    """Return captions of which all systems made pictures, or else any of the first did.

    They are those of real pictures where there are such.
    """
    shared = [caption for caption in (made or [real])[0] if all(caption in one for one in made)]
    known = [caption for caption in shared if caption in real] or shared or [*made[0]]
    known = sorted(known)
    spread = np.linspace(0, len(known) - 1, min(number, len(known))).round().astype(int)
    return [known[i] for i in spread]


def show(paths: Sequence[Path]) -> Shown:
    """Return the first pictures of a caption as one, two by two; what can't be read is left out."""
    if not paths:
        return Shown("", (0, 0), "no picture of this caption")
    small = [image for path in paths[:SAMPLES] if (image := opened(path))]
    if not small:
        return Shown("", (0, 0), "the files cannot be read")
    columns = min(2, len(small))
    rows = -(-len(small) // columns)
    width, height = (GAP + max(sides) for sides in zip(*(one.size for one in small), strict=True))
    together = Image.new("RGB", (columns * width - GAP, rows * height - GAP), "white")
    for i, image in enumerate(small):
        together.paste(image, (i % columns * width, i // columns * height))
    return Shown(smaller(together), together.size)


def opened(path: Path) -> Image.Image | None:
    """Return a picture in small, None where it can't be read."""
    try:
        return thumbnail(read(path), SIDE)
    except (OSError, ValueError):
        return None
