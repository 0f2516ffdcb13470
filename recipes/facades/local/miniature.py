"""Make a corpus in the layout of the facades of pix2pix: photos and maps of labels, side by side.

Labels are rectangles in the colors of the palette; photos are the same shapes in other colors,
each class its own, in a light that falls off and with noise. Both can be told from the other.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from image_gan.labels import read_palette

PALETTE = Path(__file__).parents[1] / "conf" / "palette.tsv"
WINDOWS = 5  # the most in a row or column of a house


def house(rng: np.random.Generator, size: int, classes: int) -> np.ndarray:
    """Return classes ``(size, size)``: background, a wall, and rows of things alike on it."""
    labels = np.zeros((size, size), np.int64)
    top, left = rng.integers(size // 16, size // 4, 2)
    labels[top : size - size // 16, left : size - left] = 1
    rows, columns = rng.integers(2, WINDOWS + 1, 2)
    kinds = rng.integers(2, classes, rows)
    for row, y in enumerate(np.linspace(top, size - size // 16, rows + 1)[:-1]):
        for x in np.linspace(left, size - left, columns + 1)[:-1]:
            high, wide = (size - top) // rows // 2, (size - 2 * left) // columns // 2
            y0, x0 = int(y) + high // 2, int(x) + wide // 2
            labels[y0 : y0 + high, x0 : x0 + wide] = kinds[row]
    return labels


def photo(rng: np.random.Generator, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return a photo ``(H, W, 3)`` of 8 bits of a house."""
    colors = np.random.default_rng(0).uniform(40, 230, (classes, 3))  # the same in every photo
    light = np.linspace(1, rng.uniform(0.6, 0.9), len(labels))[:, None, None]
    noisy = colors[labels] * light + rng.normal(0, 4, (*labels.shape, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def main() -> int:
    """Return 0, or 2 where the corpus can't be made."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="folder to be made")
    parser.add_argument("--train", type=int, default=12, help="pictures to train on")
    parser.add_argument("--val", type=int, default=4, help="pictures for the test")
    parser.add_argument("--size", type=int, default=256, help="height and half the width, pixels")
    given = parser.parse_args()
    if given.target.exists():
        parser.exit(2, f"miniature: {given.target} exists; remove it or name another\n")
    palette, number = read_palette(PALETTE), 0
    part = given.target.with_name(f"{given.target.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    for name, count in (("train", given.train), ("val", given.val)):
        (part / name).mkdir(parents=True)
        for _ in range(count):
            number += 1
            rng = np.random.default_rng(number)
            labels = house(rng, given.size, len(palette.colors))
            sides = photo(rng, labels, len(palette.colors)), palette.colors[labels]
            image = Image.fromarray(np.hstack(sides))
            image.save(part / name / f"{number}.jpg", quality=95)
    part.rename(given.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
