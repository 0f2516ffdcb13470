"""Fuzz the loader of networks that paint: any bytes give pictures, or one line.

    python tests/fuzz/painters.py --corpus DIR [--minutes 10]

Changes are those of weights.py.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import atheris
from campaign import fuzz, one_line
from weights import LONGEST, mutate

with atheris.instrument_imports(include=["image_gan.stackgan", "image_gan.encoders"]):
    from gan import checkpoint
    from image_gan import paint
    from image_gan.kinds import PAINTERS

FIRST = {"_target_": "image_gan.stackgan.StageI", "embedding": 2, "size": 8, "channels": 2}
FIRST |= {"latent": 2, "condition": 2}
SECOND = {"_target_": "image_gan.stackgan.StageII", "embedding": 2, "small": 8, "size": 16}
SECOND |= {"channels": 2, "condition": 2, "residuals": 1}
WORDS = {"vocabulary": ["red", "bird"]}
ENCODERS = (
    {"_target_": "image_gan.encoders.MultiHot", **WORDS},
    {"_target_": "image_gan.encoders.BagOfWords", **WORDS, "size": 2},
    {"_target_": "image_gan.encoders.GRU", **WORDS, "size": 2, "channels": 2},
    {"_target_": "image_gan.encoders.SentenceEncoder", "name": "no-such-model", "size": 2},
)


def try_one(data: bytes, folder: Path) -> None:
    """Load ``data`` as a network, and paint what it is told."""
    path = folder / "model.safetensors"
    path.write_bytes(data)
    try:
        painter = paint.load(path, "cpu")
    except (OSError, ValueError) as error:
        one_line(error, path.name)
        return
    try:
        (picture,) = painter("a red bird")
    except (OSError, ValueError, RuntimeError):  # image-gan-generate makes a line of them
        return
    assert picture.mode == "RGB" and picture.width == picture.height


def seeds() -> list[bytes]:
    """Return a small model file of every kind."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for encoder in ENCODERS:
            config = {"_target_": "image_gan.stackgan.StackGAN", "encoder": encoder, "first": FIRST}
            for whole in (config, {**config, "second": SECOND}):
                path = Path(folder) / "model.safetensors"
                checkpoint.export(path, checkpoint.build(whole, PAINTERS), whole)
                made.append(path.read_bytes())
    return made


if __name__ == "__main__":
    fuzz(try_one, seeds(), LONGEST, mutate)
