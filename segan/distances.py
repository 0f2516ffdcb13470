"""Distances between an estimate and its target. Waves ``(B, 1, T)`` in, a scalar out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segan.spectral import compress


def loudness_of(target: Tensor) -> Tensor:
    """Return the root mean square of each target, at least -60 dB. ``(B, 1, T) -> (B, 1, 1)``."""
    return target.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-3)


class RelativeL1(nn.Module):
    """The L1 distance with every target brought to unit level, so that quiet ones count alike."""

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Return the distance. ``(B, 1, T)`` twice, a scalar."""
        return ((estimate - target) / loudness_of(target)).abs().mean()


class CompressedSpectrum(nn.Module):
    """The mean squared distance of power-compressed spectra, complex and in magnitude.

    ``(1 - magnitude) |X^c - Y^c|^2 + magnitude (|X|^c - |Y|^c)^2`` with targets at unit level
    (Ephrat et al. 2018; Braun & Tashev 2020, eq. 4), averaged over the given windows.

    Args:
        windows: samples of each window; the hop is half.
        power: the exponent c.
        magnitude: share of the magnitude term.
    """

    def __init__(
        self, windows: tuple[int, ...] = (512,), power: float = 0.3, magnitude: float = 0.7
    ):
        super().__init__()
        self.windows, self.power, self.magnitude = tuple(windows), power, magnitude

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Return the distance. ``(B, 1, T)`` twice, a scalar."""
        scale = loudness_of(target)
        estimate, target = (estimate / scale)[:, 0].float(), (target / scale)[:, 0].float()
        return sum(self.at(w, estimate, target) for w in self.windows) / len(self.windows)

    def at(self, window: int, estimate: Tensor, target: Tensor) -> Tensor:
        """Return the distance in one resolution. ``(B, T)`` twice, a scalar."""
        x, y = self.spectrum(window, estimate), self.spectrum(window, target)
        magnitude = (x.abs() - y.abs()).square().mean()
        complex_ = torch.view_as_real(x - y).square().sum(-1).mean()
        return (1 - self.magnitude) * complex_ + self.magnitude * magnitude

    def spectrum(self, window: int, wave: Tensor) -> Tensor:
        """Return the compressed spectrum. ``(B, T) -> (B, K, N)``."""
        taper = torch.hann_window(window, device=wave.device)
        spectrum = torch.stft(wave, window, window // 2, window=taper, return_complex=True)
        return compress(spectrum / window**0.5, self.power)
