"""Translation: a picture in, a picture out, of the same type, channels and size, or enlarged."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from gan.checkpoint import config_in, load_network, read_notes
from gan.trainer import pick_device
from image_gan.images import Picture, PictureWarning, from_array, from_pillow, to_pillow
from image_gan.imresize import imresize
from image_gan.kinds import PAINTERS, TRANSLATORS
from image_gan.layers import BatchNorm, Dropout
from image_gan.tiles import cuts, in_tiles
from image_gan.values import Ends, denormalized, ends, normalized, own_ends, with_channels

AnyPicture = TypeVar("AnyPicture", Image.Image, np.ndarray, Tensor)
Part = Callable[[Tensor, Tensor], Tensor]  # (rows, columns) -> (C, rows, columns)

SEEDS = 1_000_003  # between the seeds of two pictures' tiles


class PictureTranslator:
    """A network that translates pictures: ``model(picture)``.

    The same picture always gives the same estimate: the network's noise is drawn anew for each, and
    torch's own random state is left as it was. A network that normalizes a picture by its own
    statistics, or draws noise, does so for each tile of a large picture: tiles may differ a little
    in tone, which blending spreads over the overlap but doesn't undo. A ``PictureWarning`` says so.

    Args:
        network: ``(B, inputs, H, W) -> (B, outputs, H, W)`` in [-1, 1], see
            ``image_gan.sizes.Translator``; it is put into evaluation mode. One with a ``scale``
            gives pictures so many times as high and wide.
        device: where it runs, as torch names it; ``auto`` takes CUDA where there is one.
        tile: side of the tiles, in pixels, that estimates of more than ``tile * tile`` pixels are
            made of; 0 never cuts.
        overlap: pixels that neighbouring tiles share at least, up to half of ``tile``; a quarter of
            it where nothing is said.
        between: the values that -1 and 1 of the network stand for, where a call names no others;
            None is what a picture's type says.

    Raises:
        ValueError: where the device can't be used, or tile and overlap don't go together.
    """

    def __init__(
        self,
        network: nn.Module,
        device: str = "cpu",
        tile: int = 1024,
        overlap: int | None = None,
        between: Ends | None = None,
    ):
        overlap = tile // 4 if overlap is None else overlap
        if min(tile, overlap) < 0 or (tile and 2 * overlap > tile):
            raise ValueError(
                f"tile {tile}, overlap {overlap}: tiles overlap by half of their side at most, "
                "and a tile of 0 never cuts"
            )
        self.device = pick_device(device)
        self.network = network.eval().to(self.device)
        self.tile, self.overlap, self.between = tile, overlap, checked_ends(between)
        self.inputs, self.outputs = channels_of(network)
        self.scale = getattr(network, "scale", 1)

    def __call__(
        self, picture: AnyPicture, seed: int = 0, between: Ends | None = None, color: bool = False
    ) -> AnyPicture:
        """Return the estimate of a picture, in its own type and number of channels.

        Its size is the picture's, times the network's ``scale`` where it has one.

        Args:
            picture: an image of Pillow's; an array ``(H, W)`` or ``(H, W, C)`` of integers, floats
                or bits; or a tensor ``(C, H, W)`` or ``(B, C, H, W)`` of floats in [-1, 1], with as
                many channels as the network takes.
            seed: of the network's noise.
            between: the values that -1 and 1 of the network stand for; what nothing is said of is
                told in ``image_gan.values``. Not for tensors.
            color: whether an estimate has as many channels as the network gives, for a grey picture
                too. Else it has the picture's, if the network gives as many as it takes.

        Raises:
            ValueError: for a shape, a mode or a number of channels that the network doesn't take,
                and for values that are no finite numbers.
            TypeError: for what is no picture.
        """
        if isinstance(picture, Tensor):
            return self.tensor(picture, seed)
        if isinstance(picture, np.ndarray):
            estimate = self.picture(from_array(picture), seed, between, color).values
            return estimate[..., 0] if picture.ndim == 2 and estimate.shape[-1] == 1 else estimate
        if not isinstance(picture, Image.Image):
            kind = type(picture).__name__
            raise TypeError(f"{kind}: a Pillow image, an array or a tensor is needed")
        return to_pillow(self.picture(from_pillow(picture), seed, between, color))

    def tensor(self, pictures: Tensor, seed: int = 0) -> Tensor:
        """Return estimates of ``(C, H, W)`` or ``(B, C, H, W)``, of the same type and device."""
        if pictures.ndim == 3:
            return self.tensor(pictures[None], seed)[0]
        if pictures.ndim != 4 or not pictures.is_floating_point():
            raise TypeError(
                f"a tensor of {pictures.dtype}, {tuple(pictures.shape)}: floats in [-1, 1] are "
                "needed, (C, H, W) or (B, C, H, W)"
            )
        if self.inputs not in (None, pictures.shape[1]):
            raise ValueError(f"{pictures.shape[1]} channels, where {self.inputs} are needed")
        estimates = []
        for picture in pictures.detach().cpu():
            rows = self.rows(lambda y, x, p=picture: p[:, y[:, None], x], *picture.shape[1:], seed)
            estimates.append(torch.cat(list(rows), dim=1))
        return torch.stack(estimates).to(pictures)

    def picture(
        self,
        picture: Picture,
        seed: int = 0,
        between: Ends | None = None,
        color: bool = False,
        heard: Callable[[int], object] = lambda _: None,
    ) -> Picture:
        """Return the estimate of a picture, as ``__call__`` does; its opacity stays what it is.

        Where the network takes one channel more than there are colors, opacity is that channel.
        Where it enlarges, opacity is enlarged bicubically. ``heard`` is told how many pixels of the
        picture every part that is done stands for.
        """
        values, alpha = self.given(picture)
        own, cmyk = values.shape[-1], picture.form.mode == "CMYK"
        between = checked_ends(between) or self.between or ends(values) or guessed_ends(values)

        def part(rows: Tensor, columns: Tensor) -> Tensor:
            x = normalized(values[rows.numpy()[:, None], columns.numpy()], between)
            return torch.from_numpy(with_channels(x, self.inputs or own, cmyk))

        channels = (self.outputs or own) if color or self.inputs != self.outputs else own
        dtype = values.dtype
        if dtype.kind == "b" and channels > 1:  # a color takes more than a bit
            dtype, between = np.dtype(np.uint8), (0.0, 255.0)
        size = [self.scale * length for length in picture.size]
        estimate, start = np.empty((*size, channels), dtype), 0
        for rows in self.rows(part, *picture.size, seed):
            y = with_channels(rows.float().numpy(), channels, cmyk)
            estimate[start : start + y.shape[1]] = denormalized(y, between, dtype)
            start += y.shape[1]
            heard(y.shape[1] * y.shape[2] // self.scale**2)
        if alpha is None and picture.alpha is not None and channels == own:
            estimate, alpha = estimate[..., :-1], estimate[..., -1]
        elif alpha is not None and self.scale > 1:
            alpha = imresize(alpha, self.scale).clip(alpha.min(), alpha.max())
        return picture._replace(values=estimate, alpha=alpha)

    def given(self, picture: Picture) -> tuple[np.ndarray, np.ndarray | None]:
        """Return what the network is given of a picture, and the opacity that it isn't."""
        if picture.alpha is not None and self.inputs == picture.values.shape[-1] + 1:
            return np.dstack([picture.values, picture.alpha]), None
        return picture.values, picture.alpha

    def rows(self, part: Part, height: int, width: int, seed: int) -> Iterator[Tensor]:
        """Yield the estimate of a picture, rows ``(C, n, W)`` at a time, on the CPU."""
        whole = not self.tile or height * width * self.scale**2 <= self.tile**2
        tile = max(height, width) if whole else max(self.tile // self.scale, 1)
        overlap = min(self.overlap // self.scale, tile // 2)
        fits = getattr(self.network, "multiple", 1), getattr(self.network, "smallest", 1)
        sides = [cuts(length, tile, overlap, *fits) for length in (height, width)]
        warn_of_tiles(self.network, len(sides[0].starts) * len(sides[1].starts))
        core, seeds = getattr(self.network, "core", self.network), count(seed * SEEDS)

        def network(rows: Tensor, columns: Tensor) -> Tensor:
            source = part(rows, columns)[None].to(self.device, torch.float32)
            with torch.no_grad(), seeded(next(seeds), self.device):
                return core(source)[0].cpu()

        return in_tiles(network, *sides, overlap, self.scale)


def channels_of(network: nn.Module) -> tuple[int | None, int | None]:
    """Return how many channels a network takes and gives; None where it has no convolutions."""
    kinds = nn.Conv2d | nn.ConvTranspose2d
    layers = [layer for layer in network.modules() if isinstance(layer, kinds)]
    return (layers[0].in_channels, layers[-1].out_channels) if layers else (None, None)


def checked_ends(between: Ends | None) -> Ends | None:
    """Return the ends of a range; raise ValueError where the first isn't below the second."""
    if between is not None and not between[0] < between[1]:
        raise ValueError(
            f"a range from {between[0]:g} to {between[1]:g}: the lower end comes first"
        )
    return between


def guessed_ends(values: np.ndarray) -> Ends:
    """Return a picture's own least and greatest value, and say so."""
    low, high = own_ends(values)
    warnings.warn(
        f"its values, {low:g} to {high:g}, are taken for their whole range; --range LOW HIGH "
        "(between=) names another",
        PictureWarning,
        stacklevel=3,
    )
    return low, high


def warn_of_tiles(network: nn.Module, tiles: int) -> None:
    """Say where tiles may differ: by statistics or noise of their own."""
    own = nn.InstanceNorm2d
    layers = list(network.modules())
    reasons = {
        "normalizes each by itself": any(
            isinstance(m, own) or (isinstance(m, BatchNorm) and m.own_at_test) for m in layers
        ),
        "draws noise for each": any(isinstance(m, Dropout) and m.at_test and m.p for m in layers),
    }
    why = " and ".join(reason for reason, given in reasons.items() if given)
    if tiles > 1 and why:
        note = "a large picture is translated in tiles, and the network"
        remedy = "--tile 0 (tile=0) takes it whole, and more memory"
        text = f"{note} {why}, so their tone may differ a little; {remedy}"
        warnings.warn(text, PictureWarning, stacklevel=3)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed what is drawn inside, and leave torch's random state as it was."""
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng([device] if on_cuda else []):
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def load(
    path: str | Path, device: str = "auto", tile: int = 1024, overlap: int | None = None
) -> PictureTranslator:
    """Return the translator whose network ``gan-train`` exported; see ``PictureTranslator``.

    The file says which network it holds, of those in ``image_gan.kinds``; nothing in it is run.

    Raises:
        OSError: where there is no such file.
        ValueError: where it holds no network of pictures, or is damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such model; gan-train writes exp/NAME/*.safetensors")
    if f"{config_in(path).get('_target_')}" in PAINTERS:
        raise ValueError(f"{path}: paints what a text says; give it one, with --text")
    network, between = load_network(path, TRANSLATORS), range_in(path)
    return PictureTranslator(network, device, tile, overlap, between)


def range_in(path: str | Path) -> Ends | None:
    """Return the range of values that the training pictures of a model file had, if it says."""
    try:
        between = json.loads(read_notes(path).get("range", "null"))
        return between and checked_ends((float(between[0]), float(between[1])))
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{path}: no range of values ({error})") from None
