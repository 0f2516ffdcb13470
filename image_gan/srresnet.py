"""The networks of SRGAN: SRResNet, which makes pictures larger, and what judges its results."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

# Shapes below: B pictures, C channels, H rows and W columns of the small picture.

FACTORS = (2, 4, 8)
WIDTHS = (1, 1, 2, 2, 4, 4, 8, 8)  # of the discriminator's levels, times its first
STRIDES = (1, 2, 1, 2, 1, 2, 1, 2)
HALVINGS = sum(stride == 2 for stride in STRIDES)


class SRResNet(nn.Module):
    """The generator of Ledig et al. 2017, section 2.1 and figure 4; 1,550,659 weights for 4x.

    ``(B, inputs, H, W) -> (B, outputs, scale * H, scale * W)``, for any H and W. Residual blocks
    work on the small picture; pixel shuffling makes it larger at the end. The paper has its small
    pictures in [0, 1] and the large ones in [-1, 1]: so does this inside, given small ones in
    [-1, 1] as all networks here are. Nothing bounds the estimates. In evaluation running statistics
    normalize, as in the paper. An estimate depends on ``context`` small pixels on each side.

    Args:
        inputs: channels of the small picture.
        outputs: channels of the large one.
        channels: of all layers between.
        blocks: residual blocks.
        scale: of height and width: 2 (1,402,883 weights), 4 or 8.

    Raises:
        ValueError: for another scale.
    """

    def __init__(
        self,
        inputs: int = 3,
        outputs: int = 3,
        channels: int = 64,
        blocks: int = 16,
        scale: int = 4,
    ):
        super().__init__()
        if scale not in FACTORS:
            raise ValueError(f"scale {scale}: choose one of {', '.join(map(str, FACTORS))}")
        self.scale = scale
        self.context = 4 + 2 * blocks + 1 + 3  # three at most by what enlarges it
        self.enter = nn.Sequential(nn.Conv2d(inputs, channels, 9, padding=4), nn.PReLU(channels))
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(blocks)))
        self.leave = nn.Sequential(conv3(channels, channels), nn.BatchNorm2d(channels))
        doublings = scale.bit_length() - 1
        self.grow = nn.Sequential(*(doubling(channels) for _ in range(doublings)))
        self.picture = nn.Conv2d(channels, outputs, 9, padding=4)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the pictures enlarged."""
        x = self.enter((pictures + 1) / 2)  # (B, channels, H, W)
        x = x + self.leave(self.blocks(x))
        return self.picture(self.grow(x))  # (B, outputs, scale * H, scale * W)


class Block(nn.Module):
    """A residual block with batch normalization, nothing after the sum: ``(B, C, H, W)``."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            *(conv3(channels, channels), nn.BatchNorm2d(channels), nn.PReLU(channels)),
            *(conv3(channels, channels), nn.BatchNorm2d(channels)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus what the block adds."""
        return x + self.layers(x)


def conv3(entering: int, leaving: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution of 3 x 3 that keeps the size, or halves it, rounded up."""
    return nn.Conv2d(entering, leaving, 3, stride, padding=1)


def doubling(channels: int) -> nn.Sequential:
    """Return the layers that double height and width."""
    return nn.Sequential(conv3(channels, 4 * channels), nn.PixelShuffle(2), nn.PReLU(channels))


class SRDiscriminator(nn.Module):
    """The discriminator of Ledig et al. 2017, figure 4; 23,565,505 weights as it stands.

    ``(B, inputs, size, size) -> (B, 1)``: a raw score of each picture, high for real. It isn't
    given the small picture, though one may be passed.

    Args:
        inputs: channels of the pictures.
        channels: of the first level; the last have eight times as many.
        size: side of the pictures that are judged; the dense layers depend on it.
        dense: outputs of the first of them.

    Raises:
        ValueError: for pictures of another size.
    """

    def __init__(self, inputs: int = 3, channels: int = 64, size: int = 96, dense: int = 1024):
        super().__init__()
        self.size = size
        widths = [inputs, *(channels * factor for factor in WIDTHS)]
        self.levels = nn.ModuleList()
        for level, (pair, stride) in enumerate(zip(pairwise(widths), STRIDES, strict=True)):
            normal = [nn.BatchNorm2d(pair[1])] if level else []
            self.levels.append(nn.Sequential(conv3(*pair, stride), *normal, nn.LeakyReLU(0.2)))
        side = -(-size // 2**HALVINGS)
        self.score = nn.Sequential(
            nn.Flatten(),
            nn.Linear(widths[-1] * side**2, dense),
            nn.LeakyReLU(0.2),
            nn.Linear(dense, 1),
        )

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Return a raw score of each picture."""
        return self.score(self.features(x)[-1])

    def features(self, x: Tensor, given: Tensor | None = None) -> list[Tensor]:
        """Return the activations of all levels."""
        if x.shape[-2:] != (self.size, self.size):
            height, width = x.shape[-2:]
            raise ValueError(
                f"this discriminator judges pictures of {self.size} x {self.size} pixels, not "
                f"{height} x {width}; make data.size and its size the same"
            )
        activations = []
        for level in self.levels:
            x = level(x)
            activations.append(x)
        return activations
