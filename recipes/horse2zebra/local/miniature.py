"""Make a corpus in the layout of horse2zebra: shapes of one color, and shapes in stripes."""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

DARK, LIGHT, BROWN = (20, 20, 20), (235, 235, 235), (150, 90, 40)


def picture(rng: np.random.Generator, size: int, striped: bool) -> Image.Image:
    """Return an ellipse on grass, brown or in stripes."""
    grass = np.array([70, 130, 50]) + rng.normal(0, 12, (size, size, 3))
    image = Image.fromarray(grass.clip(0, 255).astype(np.uint8))
    wide, high = rng.integers(size // 3, 3 * size // 4, 2)
    left, top = rng.integers(0, size - wide), rng.integers(0, size - high)
    mask = Image.new("L", (size, size))
    ImageDraw.Draw(mask).ellipse([left, top, left + wide, top + high], fill=255)
    image.paste(stripes(size) if striped else BROWN, (0, 0, size, size), mask)
    return image


def stripes(size: int) -> Image.Image:
    """Return upright stripes, each a sixteenth of the picture wide."""
    dark = (np.arange(size) * 16 // size % 2 == 0)[None, :, None]
    row = np.where(dark, DARK, LIGHT).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(row, (size, size, 3))))


def main() -> int:
    """Return 0, or 2 where the corpus can't be made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="folder to be made")
    parser.add_argument("--train", type=int, default=12, help="pictures of each domain")
    parser.add_argument("--test", type=int, default=4, help="the same for the test; 0: no folders")
    parser.add_argument("--size", type=int, default=256, help="of the pictures, pixels")
    given = parser.parse_args()
    if given.target.exists():
        parser.exit(2, f"miniature: {given.target} exists; remove it or name another\n")
    part, number = given.target.with_name(f"{given.target.name}.part"), 0
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    for name, count in (("train", given.train), ("test", given.test)):
        for letter in "AB" if count else "":
            (part / f"{name}{letter}").mkdir(parents=True)
            for _ in range(count):
                number += 1
                image = picture(np.random.default_rng(number), given.size, letter == "B")
                image.save(part / f"{name}{letter}" / f"n0{number:03}.jpg", quality=95)
    part.rename(given.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
