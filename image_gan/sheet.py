"""Contact sheets: pictures side by side, a row for each, small enough to look at many."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from image_gan.images import Picture
from image_gan.values import ends, normalized, own_ends, with_channels

SIDE = 256  # pixels, the most that a picture is shown with
LEAST = 96  # pixels, for which tiny ones are shown larger
GAP = 6
LINE = 14  # height of a line of text

Row = tuple[str, Sequence[Image.Image | None]]
"""A caption and the pictures beside one another; None leaves a place empty."""


def thumbnail(picture: Picture, side: int = SIDE) -> Image.Image:
    """Return a picture of any type as RGB, no larger than ``side``."""
    step = max(1, min(picture.size) // (4 * side))
    values = picture.values[::step, ::step]
    x = normalized(values, ends(values) or own_ends(values))
    image = shown(x, cmyk=picture.form.mode == "CMYK")
    image.thumbnail((side, side))
    return image


def visible(image: Image.Image) -> Image.Image:
    """Return a picture of a few pixels so many times as large that it can be seen, unsmoothed."""
    times = max(1, LEAST // max(image.size))
    return image.resize((times * image.width, times * image.height), Image.Resampling.NEAREST)


def shown(x: np.ndarray, cmyk: bool = False) -> Image.Image:
    """Return values ``(C, H, W)`` in [-1, 1] as RGB; of many channels the first three."""
    if not cmyk:
        x = x[: 3 if len(x) >= 3 else 1]
    levels = np.rint(127.5 * (with_channels(x, 3, cmyk).clip(-1, 1) + 1))
    return Image.fromarray(levels.astype(np.uint8).transpose(1, 2, 0))


@cache
def lettering() -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, str]:
    """Return a font and a coding of what it has: matplotlib's, of many scripts, or Pillow's own."""
    if matplotlib := find_spec("matplotlib"):
        file = Path(matplotlib.origin).with_name("mpl-data") / "fonts/ttf/DejaVuSans.ttf"
        if file.is_file():
            return ImageFont.truetype(file, 10), "utf-8"
    return ImageFont.load_default(), "latin-1"


def sheet(headings: Sequence[str], rows: Sequence[Row]) -> Image.Image:
    """Return one picture of all rows, white between them; a heading for each column."""
    pictures = [image for _, images in rows for image in images if image]
    width = max((image.width for image in pictures), default=SIDE) + GAP
    heights = [
        LINE + GAP + max((image.height for image in images if image), default=0)
        for _, images in rows
    ]
    font, coding = lettering()
    captions = [caption.encode(coding, "replace").decode(coding) for caption, _ in rows]
    widest = max(map(font.getlength, captions), default=0)
    across = max(GAP + width * len(headings), 2 * GAP + ceil(widest))
    page = Image.new("RGB", (across, LINE + 2 * GAP + sum(heights)), "white")
    draw, top = ImageDraw.Draw(page), GAP
    for column, heading in enumerate(headings):
        draw.text((GAP + column * width, top), heading, "black", font)
    top += LINE
    for text, (_, images), height in zip(captions, rows, heights, strict=True):
        draw.text((GAP, top), text, "gray", font)
        for column, image in enumerate(images):
            if image:
                page.paste(image, (GAP + column * width, top + LINE))
        top += height
    return page
