"""Make a corpus with captions: shapes of one color, small or large, on the left or on the right.

Each picture has a caption in English and one in another language, and no attribute is told but in
these.
"""

import argparse
import json
import shutil
import sys
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLORS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 230)}
SHAPES = ("circle", "square")
SIZES = ("small", "large")
SIDES = ("left", "right")
WORDS = {  # of the other languages
    **{"red": "красный", "green": "зелёный", "blue": "синий", "circle": "круг"},
    **{"square": "квадрат", "small": "小", "large": "大", "left": "左", "right": "右"},
}
DRAWN = 4  # times larger, then made smaller: edges are smooth


def picture(rng: np.random.Generator, size: int, kind: tuple[str, ...]) -> Image.Image:
    """Return a picture of a shape."""
    large, color, shape, side = kind
    grey = int(rng.integers(150, 250))
    image = Image.new("RGB", (DRAWN * size,) * 2, (grey, grey, grey))
    radius = (0.22 if large == "large" else 0.12) + rng.uniform(-0.02, 0.02)
    x = (0.3 if side == "left" else 0.7) + rng.uniform(-0.04, 0.04)
    y = 0.5 + rng.uniform(-0.15, 0.15)
    corners = np.array([x - radius, y - radius, x + radius, y + radius]) * image.width
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "circle" else draw.rectangle)(corners.tolist(), COLORS[color])
    return image.resize((size, size), Image.Resampling.BOX)


def captions(kind: tuple[str, ...]) -> list[str]:
    """Return what is said of a shape."""
    size, color, shape, side = kind
    return [
        f"a {size} {color} {shape} on the {side}",
        " ".join(WORDS[word] for word in (size, color, shape, side)),
    ]


def main() -> int:
    """Return 0, or 2 where the corpus can't be made."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="folder to be made")
    parser.add_argument("--pictures", type=int, default=48, help="how many; 24 of them differ")
    parser.add_argument("--size", type=int, default=32, help="of the pictures, pixels")
    given = parser.parse_args()
    if given.target.exists():
        parser.exit(2, f"miniature: {given.target} exists; remove it or name another\n")
    kinds = list(product(SIZES, COLORS, SHAPES, SIDES))
    part, lines = given.target.with_name(f"{given.target.name}.part"), []
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    (part / "images").mkdir(parents=True)
    for number in range(given.pictures):
        kind, place = kinds[number % len(kinds)], f"images/{number:03}.png"
        picture(np.random.default_rng(number), given.size, kind).save(part / place)
        split = "test" if number % 5 == 4 else "train"
        said = {"image": place, "captions": captions(kind), "split": split}
        lines.append(json.dumps(said, ensure_ascii=False) + "\n")
    (part / "captions.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")
    part.rename(given.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
