"""The generator of CycleGAN: few halvings, and residual blocks between them."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from image_gan.layers import initialize, normalization
from image_gan.sizes import Translator


class ResNet(Translator):
    """The generator of Zhu et al. 2017, appendix 7.2; 11,378,179 weights as it stands.

    ``(B, inputs, H, W) -> (B, outputs, H, W)`` in [-1, 1], for any H and W; ``core`` takes
    multiples of 4 from 8 on. After Johnson et al. 2016: c7s1-64, d128, d256, ``blocks`` of R256,
    u128, u64, c7s1-3, borders reflected. The paper has nine blocks for pictures of 256 x 256 and
    more, six (7,837,699 weights) for 128 x 128.

    Args:
        inputs: channels of the source.
        outputs: channels of the estimate.
        channels: of the first layer; the blocks have four times as many.
        blocks: residual blocks.
        norm: ``instance``, or ``batch`` with running statistics in evaluation.
    """

    multiple, smallest = 4, 8

    def __init__(
        self,
        inputs: int = 3,
        outputs: int = 3,
        channels: int = 64,
        blocks: int = 9,
        norm: str = "instance",
    ):
        super().__init__()
        normal = partial(normalization, norm)
        once, twice, widest = channels, 2 * channels, 4 * channels
        halve = {"kernel_size": 3, "stride": 2, "padding": 1}
        double = {**halve, "output_padding": 1}
        self.layers = nn.Sequential(
            *(nn.ReflectionPad2d(3), nn.Conv2d(inputs, once, 7), normal(once), nn.ReLU()),
            *(nn.Conv2d(once, twice, **halve), normal(twice), nn.ReLU()),
            *(nn.Conv2d(twice, widest, **halve), normal(widest), nn.ReLU()),
            *(Block(widest, normal) for _ in range(blocks)),
            *(nn.ConvTranspose2d(widest, twice, **double), normal(twice), nn.ReLU()),
            *(nn.ConvTranspose2d(twice, once, **double), normal(once), nn.ReLU()),
            *(nn.ReflectionPad2d(3), nn.Conv2d(once, outputs, 7), nn.Tanh()),
        )
        initialize(self)

    def core(self, pictures: Tensor) -> Tensor:
        """Return the estimates; H and W are multiples of 4, 8 at least."""
        return self.layers(pictures)


class Block(nn.Module):
    """A residual block, two 3 x 3 convolutions of reflected borders: ``(B, C, H, W)``, the same."""

    def __init__(self, channels: int, normal: partial):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), normal(channels), nn.ReLU()),
            *(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), normal(channels)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus what the block adds."""
        return x + self.layers(x)
