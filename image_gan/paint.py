"""Painting: a text in, pictures of what it says out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image

from gan.checkpoint import config_in, load_network
from gan.trainer import pick_device
from image_gan import encoders
from image_gan.kinds import PAINTERS
from image_gan.sheet import shown
from image_gan.stackgan import StackGAN
from image_gan.text import batch_of
from image_gan.translate import SEEDS, seeded


class Painter:
    """A network that paints what a text says: ``painter("a small blue bird", 8)``.

    The same text and seed always give the same pictures, the first of eight that of one; torch's
    own random state is left as it was.

    Args:
        network: text encoder and stages; it is put into evaluation mode.
        device: where it runs, as torch names it; ``auto`` takes CUDA where there is one.

    Raises:
        ValueError: where the device can't be used, or the network has no text encoder.
    """

    def __init__(self, network: StackGAN, device: str = "cpu"):
        if network.encoder is None:
            raise ValueError(
                "this network was trained on embeddings made elsewhere, and can't read text; "
                "train it with an encoder=FILE"
            )
        self.device = pick_device(device)
        self.network = network.eval().to(self.device)

    def __call__(self, text: str, count: int = 1, seed: int = 0) -> list[Image.Image]:
        """Return ``count`` pictures, RGB; raises as ``note`` does."""
        return list(self.pictures(text, count, seed))

    def pictures(self, text: str, count: int = 1, seed: int = 0) -> Iterator[Image.Image]:
        """Yield the pictures one after the other."""
        self.note(text)
        network, embedding = self.network, self.network.embed(batch_of([text], self.device))
        for number in range(count):
            with torch.no_grad(), seeded(seed + number * SEEDS, self.device):
                z = torch.randn(1, network.latent, device=self.device)
                picture = network(z, embedding).picture
            yield shown(picture[0].float().cpu().numpy())

    def note(self, text: str) -> str | None:
        """Return what the encoder passes over in a text, in words; None where it takes all of it.

        Raises:
            ValueError: where there is no text, or nothing in it is known.
            OSError: where the encoder is a library's model, which can't be had.
        """
        return encoders.check(text, self.network.encoder)


def load(path: str | Path, device: str = "auto") -> Painter:
    """Return the painter whose network ``gan-train`` exported; nothing in the file is run.

    Raises:
        OSError: where there is no such file.
        ValueError: where it holds no network that paints, or is damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such model; gan-train writes exp/NAME/*.safetensors")
    if not paints(path):
        raise ValueError(f"{path}: makes no pictures from text; give it pictures")
    return Painter(load_network(path, PAINTERS), device)


def paints(path: str | Path) -> bool:
    """Return whether a model file holds a network that makes pictures from text."""
    kind = config_in(path).get("_target_")
    return kind == f"{StackGAN.__module__}.{StackGAN.__name__}"
