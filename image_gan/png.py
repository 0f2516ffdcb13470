"""PNG of 16 bits a channel, of which Pillow keeps grey alone."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels: grey, grey and alpha, RGB, RGBA
ROWS = 64  # compressed at once


def read(path: str | Path) -> tuple[np.ndarray, dict] | None:
    """Return the values of a PNG of 16 bits and what Pillow tells of it; None for fewer bits.

    Values are uint16 ``(H, W, C)``, the last channel alpha where C is 2 or 4. A color that the file
    declares transparent is made so.
    """
    with Image.open(path, formats=["PNG"]) as image:
        layout = image.tile[0][3] if image.tile else ""
        if not layout.endswith("16B"):
            return None
        values, info = READERS[layout](path), image.info
    if "transparency" in info:
        seen = (values != np.array(info["transparency"], np.uint16)).any(-1, keepdims=True)
        values = np.concatenate([values, np.where(seen, 65535, 0).astype(np.uint16)], axis=-1)
    return values, info


def read_grey(path: str | Path) -> np.ndarray:
    """Return ``(H, W, 1)``, as Pillow reads it."""
    with Image.open(path, formats=["PNG"]) as image:
        return np.array(image)[..., None].astype(np.uint16)


def read_grey_and_alpha(path: str | Path) -> np.ndarray:
    """Return ``(H, W, 2)``: the four bytes of a pixel, taken for RGBA of 8 bits."""
    with read_as(path, "RGBA") as image:
        return np.array(image).view(">u2").astype(np.uint16)


def read_color(path: str | Path) -> np.ndarray:
    """Return ``(H, W, 3)`` or ``(H, W, 4)``, the high bytes read before the low ones.

    Of 16 bits Pillow keeps the byte that it takes for the high one: the first or, where it is told
    that the low byte comes first, the second.
    """
    with Image.open(path, formats=["PNG"]) as image:
        high = np.array(image).astype(np.uint16)
        mode = image.mode
    with read_as(path, f"{mode};16L") as image:
        return high << 8 | np.array(image)


def read_as(path: str | Path, layout: str) -> Image.Image:
    """Return the PNG, its bytes to be decoded in another layout than their own."""
    image = Image.open(path, formats=["PNG"])
    image.tile = [(*image.tile[0][:3], layout)]
    return image


READERS = {
    "I;16B": read_grey,
    "LA;16B": read_grey_and_alpha,
    "RGB;16B": read_color,
    "RGBA;16B": read_color,
}


def write(file: BinaryIO, values: np.ndarray, profile: bytes | None = None) -> None:
    """Write uint16 ``(H, W, C)``, C from 1 to 4, with an ICC profile or without."""
    height, width, channels = values.shape
    file.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", width, height, 16, COLOR_TYPES[channels], 0, 0, 0)
    write_chunk(file, b"IHDR", header)
    if profile:
        write_chunk(file, b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))
    packer = zlib.compressobj()
    above = np.zeros(2 * width * channels, np.uint8)
    for start in range(0, height, ROWS):
        rows = values[start : start + ROWS].astype(">u2").view(np.uint8)
        rows = rows.reshape(len(rows), -1)
        up = rows - np.vstack([above, rows[:-1]])  # filter 2: less the row above
        above = rows[-1]
        filters = np.full((len(rows), 1), 2, np.uint8)
        write_chunk(file, b"IDAT", packer.compress(np.hstack([filters, up]).tobytes()))
    write_chunk(file, b"IDAT", packer.flush())
    write_chunk(file, b"IEND", b"")


def write_chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    """Write a chunk of a PNG: its length, kind, content and check sum."""
    check = zlib.crc32(kind + content)
    file.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check))
