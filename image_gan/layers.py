"""What picture networks are made of: normalization, dropout, their first weights."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm(nn.BatchNorm2d):
    """Batch normalization, in evaluation by running statistics or by each picture's own.

    Shape: ``(B, C, H, W)``, the same out. The papers test on batches of one picture, normalized by
    the batch (Isola et al. 2017, section 3.3); with ``own_at_test`` a picture comes out like that
    whatever batch it is in. Running statistics change in training alone.
    """

    def __init__(self, channels: int, own_at_test: bool = False):
        super().__init__(channels)
        self.own_at_test = own_at_test

    def forward(self, x: Tensor) -> Tensor:
        """Return the batch normalized."""
        if self.training or not self.own_at_test:
            return super().forward(x)
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalization without scales (Ulyanov et al. 2016); ``own_at_test`` at all times."""

    def __init__(self, channels: int, own_at_test: bool = True):
        super().__init__(channels)


NORMS = {"batch": BatchNorm, "instance": InstanceNorm}


def normalization(name: str, channels: int, own_at_test: bool = False) -> nn.Module:
    """Return the normalization of that name in NORMS; raise ValueError where there is none."""
    if name not in NORMS:
        raise ValueError(f"norm {name!r}: choose one of {', '.join(NORMS)}")
    return NORMS[name](channels, own_at_test)


class Dropout(nn.Dropout):
    """Dropout that may go on in evaluation: pix2pix's noise (Isola et al. 2017, section 3.1)."""

    def __init__(self, p: float = 0.5, at_test: bool = False):
        super().__init__(p)
        self.at_test = at_test

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with elements dropped and the others scaled up."""
        return F.dropout(x, self.p, self.training or self.at_test)


def initialize(network: nn.Module) -> None:
    """Draw convolutions from N(0, .02), scales from N(1, .02), as the papers do; biases are 0."""
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
            continue
        if layer.weight.is_meta:  # which holds no values, and takes a second to draw them
            continue
        nn.init.normal_(layer.weight, mean=float(isinstance(layer, nn.BatchNorm2d)), std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
