"""The networks of StackGAN: pictures from text, small ones first, then larger ones from these."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan import noise
from image_gan.encoders import ENCODERS
from image_gan.layers import initialize

# Shapes below: B pictures of S x S pixels, E numbers of an embedding, N of a condition.

RESIDUALS = {256: 4, 128: 2}  # blocks of stage II, by the size of its pictures; 2 for others


class Drawn(NamedTuple):
    """Pictures ``(B, 3, S, S)``, and the condition they were drawn by."""

    picture: Tensor
    mean: Tensor  # (B, N)
    log_variance: Tensor | None  # None where the condition is not augmented


class Conditioning(nn.Module):
    """Conditioning augmentation (Zhang et al. 2017, section 3.2): ``(B, E) -> (B, N)``.

    A linear layer and ReLU, as in the authors' code, give mean and log variance of a normal
    distribution; the condition is drawn from it, in evaluation too. Without augmentation it is
    the mean, and there is no log variance.

    Args:
        embedding: size of what comes in.
        condition: size of what comes out.
        augment: whether to draw.
    """

    def __init__(self, embedding: int, condition: int = 128, augment: bool = True):
        super().__init__()
        self.augment = augment
        self.project = nn.Sequential(
            nn.Linear(embedding, condition * (2 if augment else 1)), nn.ReLU()
        )

    def distribution(self, embedding: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return mean and log variance."""
        projected = self.project(embedding)
        return projected.chunk(2, dim=1) if self.augment else (projected, None)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return a condition, and the mean and log variance that it was drawn from."""
        mean, log_variance = self.distribution(embedding)
        if log_variance is None:
            return mean, mean, None
        drawn = mean + (log_variance / 2).exp() * noise.normal_like(mean)
        return drawn, mean, log_variance


class StageI(nn.Module):
    """Stage I (Zhang et al. 2017, section 3.3): 64 pixels from noise and a condition.

    ``(B, latent), (B, E) -> Drawn``, pictures in [-1, 1].

    Args:
        embedding: size of the embeddings.
        size: side of the pictures, a power of two, 8 at least.
        channels: N_g; the first map, of 4 x 4, has eight times as many, each doubling halves them.
        latent: size of the noise.
        condition: see ``Conditioning``.
        augment: see ``Conditioning``.
    """

    def __init__(
        self,
        embedding: int,
        size: int = 64,
        channels: int = 128,
        latent: int = 100,
        condition: int = 128,
        augment: bool = True,
    ):
        super().__init__()
        doublings = doublings_to(size)
        widths = [8 * channels // 2**level for level in range(doublings + 1)]
        self.size, self.latent, self.embedding = size, latent, embedding
        self.conditioning = Conditioning(embedding, condition, augment)
        self.enter = nn.Sequential(
            nn.Linear(latent + condition, 16 * widths[0], bias=False),
            nn.BatchNorm1d(16 * widths[0]),
            nn.ReLU(),
            nn.Unflatten(1, (widths[0], 4, 4)),
        )
        self.grow = nn.Sequential(*(doubling(*pair) for pair in pairwise(widths)))
        self.picture = nn.Sequential(conv3(widths[-1], 3), nn.Tanh())
        initialize(self)

    def forward(self, z: Tensor, embedding: Tensor) -> Drawn:
        """Return pictures."""
        condition, mean, log_variance = self.conditioning(embedding)
        x = self.enter(torch.cat([condition, z], dim=1))
        return Drawn(self.picture(self.grow(x)), mean, log_variance)


class StageII(nn.Module):
    """Stage II (section 3.4): a larger picture from a small one, read again with the text.

    ``(B, 3, S, S), (B, E) -> Drawn`` of ``size`` pixels: halved twice, joined with the condition at
    every place, residual blocks, doubled as often as it takes.

    Args:
        embedding: size of the embeddings.
        small: side of the pictures that come in, S.
        size: side of those that come out.
        channels: N_g, as in stage I.
        condition: see ``Conditioning``.
        augment: see ``Conditioning``.
        residuals: blocks; 4 for 256 pixels and 2 for others where nothing is said.
    """

    def __init__(
        self,
        embedding: int,
        small: int = 64,
        size: int = 256,
        channels: int = 128,
        condition: int = 128,
        augment: bool = True,
        residuals: int | None = None,
    ):
        super().__init__()
        if doublings_to(size) <= doublings_to(small):
            raise ValueError(f"size {size}: more than that of stage I, {small}")
        self.size, self.small, self.embedding, wide = size, small, embedding, 4 * channels
        self.conditioning = Conditioning(embedding, condition, augment)
        self.enter = nn.Sequential(
            *(conv3(3, channels), nn.ReLU()),
            *(halving(channels, 2 * channels), halving(2 * channels, wide)),
        )
        self.join = nn.Sequential(conv3(condition + wide, wide), nn.BatchNorm2d(wide), nn.ReLU())
        count = RESIDUALS.get(size, 2) if residuals is None else residuals
        self.blocks = nn.Sequential(*(Residual(wide) for _ in range(count)))
        doublings = doublings_to(size) - doublings_to(small) + 2
        widths = [wide // 2**level for level in range(doublings + 1)]
        self.grow = nn.Sequential(*(doubling(*pair) for pair in pairwise(widths)))
        self.picture = nn.Sequential(conv3(widths[-1], 3), nn.Tanh())
        initialize(self)

    def forward(self, small: Tensor, embedding: Tensor) -> Drawn:
        """Return the pictures enlarged."""
        condition, mean, log_variance = self.conditioning(embedding)
        x = self.join(beside(self.enter(small), condition))
        return Drawn(self.picture(self.grow(self.blocks(x))), mean, log_variance)


class StackGAN(nn.Module):
    """A text encoder and one or two stages: what a model file of text to picture holds.

    ``(B, latent), (B, E) -> Drawn``. Only the last stage trains: the others, and the encoder, are
    constants, in evaluation mode at all times.

    Args:
        encoder: ``codes (B, L) -> (B, E)``, see ``image_gan.encoders``; None where embeddings were
            made elsewhere.
        first: stage I.
        second: stage II.

    Raises:
        ValueError: where they don't go together.
    """

    def __init__(self, encoder: nn.Module | None, first: StageI, second: StageII | None = None):
        super().__init__()
        check_parts(encoder, first, second)
        self.encoder, self.first, self.second = encoder, first, second
        self.latent, self.size = first.latent, (second or first).size
        self.constants = [part for part in (encoder, second and first) if part is not None]
        for part in self.constants:
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> StackGAN:
        """Set the mode of the last stage."""
        super().train(mode)
        for part in self.constants:
            part.train(False)
        return self

    @property
    def last(self) -> StageI | StageII:
        """The stage that trains."""
        return self.first if self.second is None else self.second

    def embed(self, codes: Tensor) -> Tensor:
        """Return the embeddings of texts, constant: ``(B, L) -> (B, E)``."""
        if self.encoder is None:
            raise ValueError("this model has no text encoder: it takes embeddings made elsewhere")
        with torch.no_grad():
            return self.encoder(codes)

    def forward(self, z: Tensor, embedding: Tensor) -> Drawn:
        """Return the last stage's pictures."""
        if self.second is None:
            return self.first(z, embedding)
        with torch.no_grad():
            small = self.first(z, embedding).picture
        return self.second(small, embedding)


def check_parts(encoder: nn.Module | None, first: nn.Module, second: nn.Module | None) -> None:
    """Raise a ValueError where the parts of a StackGAN don't go together."""
    if not (isinstance(first, StageI) and isinstance(second, StageII | None)):
        raise ValueError("first, second: not stage I and II of a StackGAN")
    if encoder is not None and not isinstance(encoder, ENCODERS):
        raise ValueError(f"encoder: {type(encoder).__name__} reads no text")
    sizes = [] if encoder is None else [encoder.size]
    sizes += [stage.embedding for stage in (first, second) if stage is not None]
    if len(set(sizes)) > 1:
        listed = ", ".join(map(str, sizes))
        raise ValueError(f"embeddings of encoder and stages: {listed}; make their sizes the same")
    if second is not None and second.small != first.size:
        raise ValueError(f"stage I makes {first.size} pixels, stage II takes {second.small}")


class MatchingDiscriminator(nn.Module):
    """The discriminator of both stages: does a picture go with a condition?

    ``(B, 3, size, size), given (B, N) -> (B, 1)``, raw scores, high for real pictures that match.
    A picture is halved down to 4 x 4, where the condition is put beside it at every place.

    Args:
        size: side of the pictures, a power of two, 8 at least.
        channels: N_d; of the first map, each halving doubles them.
        condition: size of the condition, N.
        realism: whether it also scores pictures whatever the condition, as that of stage II.
    """

    def __init__(
        self, size: int = 64, channels: int = 64, condition: int = 128, realism: bool = False
    ):
        super().__init__()
        self.size, last = size, 8 * channels
        widths = [channels * 2**level for level in range(doublings_to(size))]
        layers = [nn.Conv2d(3, channels, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        layers += [halving(*pair, slope=0.2) for pair in pairwise(widths)]
        while widths[-1] > last:  # of large pictures: back to what the scores take
            layers.append(normal3(widths[-1], widths[-1] // 2))
            widths.append(widths[-1] // 2)
        self.features = nn.Sequential(*layers)
        self.join = nn.Sequential(normal3(widths[-1] + condition, last), nn.Conv2d(last, 1, 4))
        self.realism = nn.Conv2d(widths[-1], 1, 4) if realism else None
        initialize(self)

    def matching(self, features: Tensor, given: Tensor) -> Tensor:
        """Return whether pictures go with conditions, ``(B, 1)``, of their ``features``."""
        return self.join(beside(features, given)).flatten(1)

    def plausible(self, features: Tensor) -> Tensor:
        """Return whether pictures look real, ``(B, 1)``, of their ``features``."""
        return self.realism(features).flatten(1)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        """Return whether pictures are real and go with conditions."""
        return self.matching(self.features(x), given)


class Residual(nn.Module):
    """A residual block: ReLU after the sum."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            *(conv3(channels, channels), nn.BatchNorm2d(channels), nn.ReLU()),
            *(conv3(channels, channels), nn.BatchNorm2d(channels)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus what the block adds, 0 or more."""
        return torch.relu(x + self.layers(x))


def conv3(entering: int, leaving: int) -> nn.Conv2d:
    """Return a convolution of 3 x 3 that keeps the size, without bias."""
    return nn.Conv2d(entering, leaving, 3, padding=1, bias=False)


def normal3(entering: int, leaving: int) -> nn.Sequential:
    """Return a discriminator's convolution that keeps the size."""
    return nn.Sequential(conv3(entering, leaving), nn.BatchNorm2d(leaving), nn.LeakyReLU(0.2))


def halving(entering: int, leaving: int, slope: float = 0.0) -> nn.Sequential:
    """Return the layers that halve height and width."""
    layer = nn.Conv2d(entering, leaving, 4, 2, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(leaving), nn.LeakyReLU(slope))


def doubling(entering: int, leaving: int) -> nn.Sequential:
    """Return the layers that double height and width: the nearest pixel, then a convolution."""
    layers = nn.Upsample(scale_factor=2), conv3(entering, leaving)
    return nn.Sequential(*layers, nn.BatchNorm2d(leaving), nn.ReLU())


def beside(x: Tensor, condition: Tensor) -> Tensor:
    """Return maps ``(B, C, H, W)`` with a condition ``(B, N)`` at every place: N + C channels."""
    spread = condition[:, :, None, None].expand(-1, -1, *x.shape[2:])
    return torch.cat([spread, x], dim=1)


def doublings_to(size: int) -> int:
    """Return how often 4 is doubled for ``size``; raise ValueError where it is no such number."""
    count = size.bit_length() - 3
    if count < 1 or size != 4 * 2**count:
        raise ValueError(f"size {size}: a power of two from 8 up is needed")
    return count
