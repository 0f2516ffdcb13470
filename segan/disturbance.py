"""Loudness of disturbances, differentiable: what PESQ hears, as a distance to train with.

The perceptual model of ITU-T P.862 (Beerends et al. 2002), with its wide-band reading of P.862.2,
less its time alignment; Bark bands and the threshold of hearing come from formulas instead of
tables. It is not the metric: report `segan.metrics.pesq`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Shapes below: B waves, T samples, K bins, N frames, Z Bark bands.

ZWICKER = 0.23  # exponent of loudness
LOUD = 1e7  # power of speech at the listening level, which P.862 aligns to
FAINT = 1e-6  # a level far below speech, added where silence would be divided by
TINY = 1e-20  # added under square roots


def bark(hertz: Tensor) -> Tensor:
    """Return critical-band rates (Traunmueller 1990, eq. 6)."""
    return 26.81 * hertz / (1960 + hertz) - 0.53


def hearing_threshold(hertz: Tensor) -> Tensor:
    """Return the threshold in quiet as a power (Terhardt 1979), 0 dB being 1."""
    kilo = hertz.clamp(min=30) / 1000
    decibel = 3.64 * kilo**-0.8 - 6.5 * torch.exp(-0.6 * (kilo - 3.3) ** 2) + 1e-3 * kilo**4
    return 10 ** (decibel / 10)


class PerceptualDisturbance(nn.Module):
    """What an estimate loses in PESQ's ears: it ranks as PESQ does, on a smaller scale.

    ``0.1 d + 0.0309 d_A``: the symmetric disturbance d, and the asymmetric d_A, which weighs what
    was added above what was taken away (P.862, section 10.2). 0 for identical waves.

    Args:
        rate: sample rate in Hz.
        bands: number of Bark bands.
        window: samples of the Hann window, 32 ms in P.862, half overlapping.
    """

    def __init__(self, rate: int = 16000, bands: int = 49, window: int = 512):
        super().__init__()
        self.window = window
        hertz = torch.linspace(0, rate / 2, window // 2 + 1)
        edges = torch.linspace(0.0, float(bark(torch.tensor(rate / 2.0))), bands + 1)
        width = edges[1] - edges[0]
        centers = (edges[1:] + edges[:-1]) / 2
        overlap = (1 - (bark(hertz)[None] - centers[:, None]).abs() / width).clamp(min=0)
        overlap[:, hertz < 60] = 0
        middle = 1960 * (centers + 0.53) / (26.28 - centers)  # Hz of each band's center
        self.register_buffer("bank", overlap, persistent=False)
        self.register_buffer("threshold", hearing_threshold(middle)[:, None], persistent=False)
        self.register_buffer("exponent", zwicker_exponent(centers)[:, None], persistent=False)
        self.register_buffer("taper", torch.hann_window(window), persistent=False)
        self.register_buffer("speech", ((hertz > 350) & (hertz < 3250)).float(), persistent=False)
        self.width, self.total = float(width), float(width) * bands

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Return the mean distance. ``(B, 1, T)`` twice, a scalar."""
        return self.each(estimate, target).mean()

    def each(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Return the distance of each pair. ``(B, 1, T)`` twice, ``(B,)``."""
        heard, wanted = self.bark_power(estimate), self.bark_power(target)  # (B, Z, N)
        wanted = wanted * self.coloration(heard, wanted)
        heard = heard * self.frame_gain(heard, wanted)
        symmetric, asymmetric = self.disturbances(heard, wanted)  # (B, N)
        return 0.1 * over_time(symmetric) + 0.0309 * over_time(asymmetric)

    def bark_power(self, wave: Tensor) -> Tensor:
        """Return the Bark spectrum at the listening level. ``(B, 1, T) -> (B, Z, N)``."""
        spectrum = torch.stft(
            wave[:, 0].float(),
            self.window,
            self.window // 2,
            window=self.taper,
            center=False,
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()  # (B, K, N)
        level = torch.einsum("bkn,k->b", power, self.speech) / power.shape[-1]
        return (self.bank @ power) * (LOUD / (level + FAINT))[:, None, None]

    def audible(self, power: Tensor, factor: float) -> Tensor:
        """Return the power above ``factor`` thresholds, over all bands. ``-> (B, 1, N)``."""
        return (power * (power > factor * self.threshold)).sum(1, keepdim=True)

    def coloration(self, heard: Tensor, wanted: Tensor) -> Tensor:
        """Return each band's gain from target to estimate, active frames. ``-> (B, Z, 1)``."""
        active = (self.audible(wanted, 100) > LOUD / 100).float()

        def mean(power: Tensor) -> Tensor:
            return (power * (power > 100 * self.threshold) * active).mean(-1, keepdim=True)

        return ((mean(heard) + 1e3) / (mean(wanted) + 1e3)).clamp(0.01, 100)

    def frame_gain(self, heard: Tensor, wanted: Tensor) -> Tensor:
        """Return each frame's gain from estimate to target, smoothed. ``-> (B, 1, N)``."""
        ratio = (self.audible(wanted, 1) + 5e3) / (self.audible(heard, 1) + 5e3)
        before = torch.cat([ratio[..., :1], ratio[..., :-1]], dim=-1)
        return (0.8 * ratio + 0.2 * before).clamp(3e-4, 5)

    def loudness(self, power: Tensor) -> Tensor:
        """Return the specific loudness (Zwicker and Feldtkeller 1967). ``(B, Z, N)`` in, out."""
        excess = (0.5 + 0.5 * power / self.threshold).clamp(min=1) ** self.exponent - 1
        return 0.1866 * (self.threshold / 0.5) ** self.exponent * excess

    def disturbances(self, heard: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Return the symmetric and asymmetric disturbance of each frame, ``(B, N)`` both."""
        loud, ought = self.loudness(heard), self.loudness(wanted)
        difference = loud - ought
        masked = 0.25 * torch.minimum(loud, ought)
        disturbance = (difference.abs() - masked).clamp(min=0)
        with torch.no_grad():  # which disturbances count twice is not to be trained on
            added = ((heard + 50) / (wanted + 50)) ** 1.2
            added = added.clamp(max=12) * (added >= 3)
        weight = ((self.audible(wanted, 1)[:, 0] + 1e5) / LOUD) ** 0.04
        symmetric = self.width * (self.total * disturbance.square().sum(1) + TINY).sqrt()
        asymmetric = (disturbance * added).sum(1) * self.width
        return (symmetric / weight).clamp(max=45), (asymmetric / weight).clamp(max=45)


def zwicker_exponent(barks: Tensor) -> Tensor:
    """Return the exponent of loudness, raised below 4 Bark as in P.862."""
    return ZWICKER * (6 / (barks + 2)).clamp(1, 2) ** 0.15


def over_time(disturbance: Tensor) -> Tensor:
    """Return the L6 norm over 20 frames (0.3 s), then the L2 norm. ``(B, N) -> (B,)``."""
    size = min(20, disturbance.shape[-1])
    pieces = disturbance.unfold(-1, size, max(size // 2, 1))  # (B, pieces, size)
    peak = (pieces + 1e-6).pow(6).mean(-1).pow(1 / 6)
    return (peak.square().mean(-1) + TINY).sqrt()
