"""TIFF of any type and number of channels, by tifffile; what Pillow reads whole is left to it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import tifffile
from PIL import Image

BY_PILLOW = {"I;16", "I;16B", "F"}  # modes that it reads whole, besides those of 8 bits
COLOR = {2: "rgb", 5: "separated"}  # by what a TIFF calls its photometric interpretation
INVERTED = 0  # the same, where the least value is white
ALPHA = {1, 2}  # extra samples that are opacity, premultiplied or not
UNPACKED = {1, 8, 32946}  # compressions that need no other library: none, deflate
COPY = 5  # bits of the kind of page: a smaller copy, or a mask

for library in ("tifffile", "PIL.TiffImagePlugin"):  # they speak where we raise
    logging.getLogger(library).addHandler(logging.NullHandler())


class Page(NamedTuple):
    """Values ``(H, W, C)``, opacity ``(H, W)`` or None, and how they lay in the file."""

    values: np.ndarray
    alpha: np.ndarray | None
    options: dict


def read(path: str | Path) -> Page | None:
    """Return the picture in a file; None where Pillow reads it as it is.

    Raises:
        ValueError: where there are several, or none that can be read.
    """
    with tifffile.TiffFile(path) as file:
        series = only_series(file)
        if is_for_pillow(path, series):
            return None
        values, axes, page = unpacked(series), series.axes, series.keyframe
    values = np.moveaxis(values, 0, -1) if axes in ("SYX", "CYX") else values
    values = values.reshape(*values.shape[:2], -1)
    if page.photometric == INVERTED and values.dtype.kind == "u":
        values = ~values
    options = {
        "photometric": COLOR.get(page.photometric, "minisblack"),
        "planarconfig": "separate" if axes in ("SYX", "CYX") else "contig",
        "compression": 1 if page.compression == 1 else 8,
        "iccprofile": page.iccprofile,
        "bigtiff": file.is_bigtiff,
    }
    if page.extrasamples and page.extrasamples[-1] in ALPHA:
        return Page(values[..., :-1], values[..., -1], options)
    return Page(values, None, options)


def shape(path: str | Path) -> tuple[int, int]:
    """Return height and width, as they lie in the file; raise ValueError as ``read`` does."""
    with tifffile.TiffFile(path) as file:
        page = only_series(file).keyframe
        return page.imagelength, page.imagewidth


def orientation(path: str | Path) -> int:
    """Return the number that EXIF has for how a camera was held; 1 is upright."""
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags.get("Orientation")
        return int(tag.value) if tag else 1


def only_series(file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """Return the one picture of a file, whose pages may be its channels."""
    found = [series for series in file.series if not series.keyframe.subfiletype & COPY]
    pages = sum(len(series.pages) for series in found)
    if len(found) != 1 or found[0].axes not in ("YX", "YXS", "SYX", "CYX"):
        axes = " and ".join(series.axes for series in found)
        raise ValueError(
            f"it holds {pages} pages ({axes}), where one picture, or one with its channels as "
            "pages, is needed; split it"
        )
    if found[0].dtype is None or found[0].dtype.kind not in "buif":
        raise ValueError(f"its values are {found[0].dtype}, where real numbers are needed")
    return found[0]


def is_for_pillow(path: str | Path, series: tifffile.TiffPageSeries) -> bool:
    """Return whether Pillow keeps all bits of all channels, and knows a compression better."""
    page = series.keyframe
    try:
        with Image.open(path, formats=["TIFF"]) as image:
            if len(series.pages) > 1 or len(image.getbands()) != page.samplesperpixel:
                return False
            if page.bitspersample <= 8:
                return page.dtype.kind in "bu"
            return image.mode in BY_PILLOW and page.compression not in UNPACKED
    except (OSError, ValueError):
        return False


def unpacked(series: tifffile.TiffPageSeries) -> np.ndarray:
    """Return the values of a picture as they lie in the file."""
    try:
        return series.asarray()
    except (KeyError, ImportError):
        name = series.keyframe.compression.name
        raise ValueError(
            f"its compression, {name}, needs another library (pip install imagecodecs); "
            "deflate does without"
        ) from None


def write(file: BinaryIO, values: np.ndarray, alpha: np.ndarray | None, options: dict) -> None:
    """Write ``(H, W, C)`` of any real type and opacity, in the way that ``read`` has told."""
    options = {"photometric": "minisblack", "planarconfig": "contig", "compression": 8} | options
    colors = {"rgb": 3, "separated": 4}.get(options["photometric"])
    if colors != values.shape[-1]:
        options["photometric"] = "rgb" if values.shape[-1] == 3 else "minisblack"
        colors = 3 if values.shape[-1] == 3 else 1
    extra = ["unspecified"] * (values.shape[-1] - colors)
    if alpha is not None:
        values, extra = np.dstack([values, alpha]), [*extra, "unassalpha"]
    if values.shape[-1] == 1:
        values, options["planarconfig"] = values[..., 0], None
    elif options["planarconfig"] == "separate":
        values = np.moveaxis(values, -1, 0)
    tifffile.imwrite(file, values, metadata=None, extrasamples=extra, **options)
