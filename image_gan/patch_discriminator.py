"""The PatchGAN: a discriminator that scores every patch of a picture."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from image_gan.layers import initialize, normalization

HALVINGS = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}
"""Strided convolutions by the side of a patch, in pixels; 1, 16, 70 and 286 are the paper's."""


class PatchDiscriminator(nn.Module):
    """The PatchGAN of Isola et al. 2017, section 6.1.2; 2,769,601 weights as it stands.

    ``(B, inputs, H, W), given (B, given, H, W) -> (B, 1, H', W')``: a raw score for every patch,
    high for real; 30 x 30 of 70 x 70 pixels for a picture of 256 x 256. H and W may be any from
    ``smallest`` on.

    Args:
        inputs: channels of the pictures that are judged.
        given: channels of the condition; 0 judges pictures alone, whatever condition is passed:
            CycleGAN's discriminators, and the unconditional GAN of the pix2pix paper's table 1.
        channels: of the first layer; later ones have 2, 4, then 8 times as many.
        patch: side of a patch in pixels, see HALVINGS.
        norm: ``batch`` or ``instance``.
        bias: of all convolutions, as in the paper's code; False, as in the later port, leaves
            biases to the first and the last alone: 2,768,705 weights.
    """

    multiple = 1

    def __init__(
        self,
        inputs: int = 3,
        given: int = 3,
        channels: int = 64,
        patch: int = 70,
        norm: str = "batch",
        bias: bool = True,
    ):
        super().__init__()
        if patch not in HALVINGS:
            raise ValueError(f"patch {patch}: choose one of {', '.join(map(str, HALVINGS))}")
        self.given, halvings = given, HALVINGS[patch]
        self.smallest = 3 * 2**halvings if halvings else 2
        kernel, padding = (4, 1) if halvings else (1, 0)
        widths = [channels * min(2**level, 8) for level in range(max(halvings, 1) + 1)]
        self.levels = nn.ModuleList()
        for level, pair in enumerate(pairwise((inputs + given, *widths))):
            stride = 2 if level < halvings else 1
            layers = [nn.Conv2d(*pair, kernel, stride, padding, bias=bias or not level)]
            layers += [normalization(norm, pair[1])] if level else []
            self.levels.append(nn.Sequential(*layers, nn.LeakyReLU(0.2)))
        self.score = nn.Conv2d(widths[-1], 1, kernel, 1, padding)
        initialize(self)

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Return a raw score for every patch."""
        return self.score(self.features(x, given)[-1])

    def features(self, x: Tensor, given: Tensor | None = None) -> list[Tensor]:
        """Return the activations of all levels.

        Raises:
            ValueError: where the condition is missing or the pictures are too small.
        """
        if self.given and given is None:
            raise ValueError("this discriminator judges pictures given another: D(x, given=source)")
        if min(x.shape[-2:]) < self.smallest:
            least, (height, width) = self.smallest, x.shape[-2:]
            raise ValueError(
                f"this discriminator judges pictures of {least} x {least} pixels or more, "
                f"not {height} x {width}; choose a smaller patch or larger pictures"
            )
        x, activations = torch.cat([x, given], 1) if self.given else x, []
        for level in self.levels:
            x = level(x)
            activations.append(x)
        return activations
