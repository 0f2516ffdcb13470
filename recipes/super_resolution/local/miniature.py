"""Make a corpus to enlarge: gratings, fine and coarse, behind shapes of one color."""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = 6
DRAWN = 4  # times larger, then made smaller: edges are smooth


def grating(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return waves in one direction, between two colors: ``(height, width, 3)`` of 8 bits."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 24)
    y, x = np.mgrid[:height, :width]
    wave = np.sin(2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / period)
    dark, light = rng.uniform(20, 110, 3), rng.uniform(140, 235, 3)
    return np.rint(dark + (light - dark) * (wave[..., None] + 1) / 2).astype(np.uint8)


def picture(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """Return shapes before a grating."""
    image = Image.fromarray(grating(rng, height, width))
    image = image.resize((DRAWN * width, DRAWN * height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for number in range(SHAPES):
        corner = rng.uniform(-0.1, 0.9, 2) * image.size
        color = tuple(int(level) for level in rng.integers(0, 256, 3))
        box = [*corner, *(corner + rng.uniform(0.1, 0.4, 2) * image.size)]
        (draw.ellipse if number % 2 else draw.rectangle)(box, color)
    return image.resize((width, height), Image.Resampling.BOX)


def main() -> int:
    """Return 0, or 2 where the corpus can't be made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="folder to be made")
    parser.add_argument("--train", type=int, default=12, help="pictures to learn from")
    parser.add_argument("--test", type=int, default=4, help="pictures for the test")
    parser.add_argument("--size", type=int, default=96, help="height, pixels; they are wider")
    given = parser.parse_args()
    if given.target.exists():
        parser.exit(2, f"miniature: {given.target} exists; remove it or name another\n")
    part, number = given.target.with_name(f"{given.target.name}.part"), 0
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    for name, count in (("train", given.train), ("test", given.test)):
        (part / name).mkdir(parents=True)
        for _ in range(count):
            number += 1
            rng = np.random.default_rng(number)
            image = picture(rng, given.size, given.size + given.size // 3)
            image.save(part / name / f"{number:03}.png")
    part.rename(given.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
