"""Short-time objective intelligibility, differentiable: what STOI hears, to train with.

Taal, Hendriks, Heusdens and Jensen 2011: correlations of band envelopes over 384 ms. The frames and
bands of the paper at any rate, without resampling to 10 kHz; pauses weigh nothing instead of being
cut out. It is not the metric: report `segan.metrics.stoi`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Shapes below: B waves, T samples, K bins, N frames, Z bands, S segments, M frames of a segment.

LOWEST = 150.0  # Hz, center of the first band
BANDS = 15  # a third of an octave each
SEGMENT = 30  # frames: 384 ms
CLIP = 1 + 10 ** (15 / 20)  # an envelope counts up to -15 dB of signal to distortion
RANGE = 40.0  # dB below the loudest frame, where pauses begin
TINY = 1e-8


class Unintelligibility(nn.Module):
    """``1 - d``, where d is the STOI of each segment and band, averaged (Taal et al. 2011, eq. 5).

    Args:
        rate: sample rate in Hz.
    """

    def __init__(self, rate: int = 16000):
        super().__init__()
        self.window = round(0.0256 * rate)
        self.size = 1 << self.window.bit_length()
        hertz = torch.linspace(0, rate / 2, self.size // 2 + 1)
        centers = LOWEST * 2 ** (torch.arange(BANDS) / 3)
        low, high = centers[:, None] * 2 ** (-1 / 6), centers[:, None] * 2 ** (1 / 6)
        self.register_buffer("bank", ((hertz >= low) & (hertz < high)).float(), persistent=False)
        self.register_buffer("taper", torch.hann_window(self.window), persistent=False)

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Return the mean distance, 0 for equal waves. ``(B, 1, T)`` twice, a scalar."""
        wanted, heard = self.envelopes(target), self.envelopes(estimate)  # (B, Z, S, M)
        loud = wanted.square().sum(1)  # (B, S, M)
        speaks = (loud > loud.amax((1, 2), keepdim=True) * 10 ** (-RANGE / 10)).float().mean(-1)
        scale = (norm(wanted) + TINY) / (norm(heard) + TINY)
        heard = torch.minimum(heard * scale, wanted * CLIP)
        d = (centered(heard) * centered(wanted)).sum(-1).mean(1)  # (B, S)
        return 1 - (d * speaks).sum() / (speaks.sum() + TINY)

    def envelopes(self, wave: Tensor) -> Tensor:
        """Return the envelopes of all segments. ``(B, 1, T) -> (B, Z, S, M)``."""
        wave = wave[:, 0].float()
        wave = wave / (wave.square().mean(1, keepdim=True) + 1e-10).sqrt()
        spectrum = torch.stft(
            wave,
            self.size,
            self.window // 2,
            self.window,
            self.taper,
            center=False,
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        envelope = (self.bank @ power + TINY).sqrt()  # (B, Z, N)
        return envelope.unfold(-1, min(SEGMENT, envelope.shape[-1]), 1)


def norm(x: Tensor) -> Tensor:
    """Return the Euclidean norm over the last axis, which is kept."""
    return x.square().sum(-1, keepdim=True).clamp(min=TINY**2).sqrt()


def centered(x: Tensor) -> Tensor:
    """Return ``x`` less its mean, at unit norm, over the last axis."""
    x = x - x.mean(-1, keepdim=True)
    return x / (norm(x) + TINY)
