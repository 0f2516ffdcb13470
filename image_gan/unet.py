"""The generator of pix2pix: an encoder and a decoder, joined at every level."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from image_gan.layers import Dropout, initialize, normalization
from image_gan.sizes import Translator

# Shapes below: B pictures, C channels, H rows and W columns.

HALVING = {"kernel_size": 4, "stride": 2, "padding": 1}


class UNet(Translator):
    """The U-Net of Isola et al. 2017, section 6.1.1; 54,419,459 weights as it stands.

    ``(B, inputs, H, W) -> (B, outputs, H, W)`` in [-1, 1], for any H and W; ``core`` takes
    multiples of ``2 ** levels``. Eight levels are the network for 256 x 256 pictures, seven that
    for 128 x 128. The paper's noise z is dropout in the decoder. Where the paper is silent, it is
    its code (phillipi/pix2pix) that is followed: biases, and no normalization of the code (the
    paper's erratum).

    The later port (junyanz/pytorch-CycleGAN-and-pix2pix) is ``bias=False`` and
    ``dropout_layers=(2, 3, 4)``, or ``(2, 3)`` for seven levels: 54,413,955 weights.

    Args:
        inputs: channels of the source.
        outputs: channels of the estimate.
        channels: of the first level; later ones have 2, 4, then 8 times as many.
        levels: of the encoder, each of which halves the picture.
        norm: ``batch`` or ``instance``.
        bias: of all convolutions; False leaves one to the last alone.
        skips: whether the decoder is given the encoder's levels; False is the paper's
            encoder-decoder.
        dropout: share of the elements that are dropped.
        dropout_layers: layers of the decoder that drop, 1 being next to the code.
        dropout_at_test: whether they drop in evaluation too, as in the paper.
        own_statistics_at_test: whether a picture is normalized by itself in evaluation, as in the
            paper, or by the running statistics of training; for ``norm="batch"``.

    Raises:
        ValueError: where there are no levels, or a layer is numbered below 1.
    """

    def __init__(
        self,
        inputs: int = 3,
        outputs: int = 3,
        channels: int = 64,
        levels: int = 8,
        norm: str = "batch",
        bias: bool = True,
        skips: bool = True,
        dropout: float = 0.5,
        dropout_layers: Sequence[int] = (1, 2, 3),
        dropout_at_test: bool = True,
        own_statistics_at_test: bool = True,
    ):
        super().__init__()
        if levels < 1 or min(dropout_layers, default=1) < 1:
            raise ValueError(f"levels {levels}, dropout_layers {dropout_layers}: both count from 1")
        self.skips = skips
        self.multiple = self.smallest = 2**levels
        widths = [channels * min(2**level, 8) for level in range(levels)]
        normal = partial(normalization, norm, own_at_test=own_statistics_at_test)
        drop = partial(Dropout, dropout, dropout_at_test)
        self.encoder = encoder([inputs, *widths], normal, bias)
        self.decoder = decoder([*reversed(widths), outputs], normal, bias, skips)
        for layer in dropout_layers:
            if layer < levels:  # the last makes the picture
                self.decoder[layer - 1].append(drop())
        initialize(self)

    def core(self, pictures: Tensor) -> Tensor:
        """Return the estimates; H and W are multiples of ``2 ** levels``."""
        x, passed = pictures, []
        for down in self.encoder:
            x = down(x)  # (B, C, H / 2 ** level, W / 2 ** level)
            passed.append(x)
        x = self.decoder[0](passed.pop())  # the code
        for up in self.decoder[1:]:
            below = passed.pop()
            x = up(torch.cat([x, below], 1) if self.skips else x)
        return x


def encoder(widths: Sequence[int], normal: partial, bias: bool) -> nn.ModuleList:
    """Return the levels that halve; neither the first nor the last is normalized."""
    levels = nn.ModuleList()
    for level, pair in enumerate(pairwise(widths)):
        layers = [nn.LeakyReLU(0.2)] if level else []
        layers += [nn.Conv2d(*pair, **HALVING, bias=bias)]
        layers += [normal(pair[1])] if 0 < level < len(widths) - 2 else []
        levels.append(nn.Sequential(*layers))
    return levels


def decoder(widths: Sequence[int], normal: partial, bias: bool, skips: bool) -> nn.ModuleList:
    """Return the levels that double; all but the first are given as many channels again."""
    levels = nn.ModuleList()
    for level, (entering, leaving) in enumerate(pairwise(widths)):
        entering *= 2 if skips and level else 1
        last = level == len(widths) - 2
        grow = nn.ConvTranspose2d(entering, leaving, **HALVING, bias=bias or last)
        levels.append(nn.Sequential(nn.ReLU(), grow, nn.Tanh() if last else normal(leaving)))
    return levels
