"""Networks that work on the spectrum of a wave: what they share, waveform in, waveform out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Shapes below: B waves, T samples, N frames, K = window // 2 + 1 bins.


def compress(spectrum: Tensor, power: float) -> Tensor:
    """Return ``|X|^power * exp(i angle X)``, smooth at 0. Any shape, complex in and out."""
    energy = spectrum.real.square() + spectrum.imag.square() + 1e-12
    return spectrum * energy ** ((power - 1) / 2)


class SpectralGenerator(nn.Module):
    """A wave cleaned through its power-compressed spectrum; subclasses say how: ``estimate``.

    ``(B, 1, T) -> (B, 1, T)`` for any ``T >= 1``. Scaling the input scales the output alike: the
    spectrum is divided by the root mean square of the surrounding ``level`` seconds before the
    network sees it. Every output sample depends on ``context`` samples on either side at most, so
    a long wave may be enhanced in chunks with the same result.

    Args:
        reach: frames on either side that an estimated frame depends on.
        window: samples of the analysis window (periodic Hann, square root).
        hop: samples between frames.
        power: exponent of the compression.
        level: seconds over which the level is taken.
        rate: sample rate in Hz.
        causal: the level is taken over the past alone. Where ``estimate`` uses no later frames
            either, an output sample depends on at most ``window`` later ones.
    """

    def __init__(
        self,
        reach: int,
        window: int,
        hop: int,
        power: float,
        level: float,
        rate: int,
        causal: bool = False,
    ):
        super().__init__()
        if hop < 1 or window % hop or not 2 <= window // hop <= 16:
            raise ValueError(f"window {window}, hop {hop}: the window must hold 2 to 16 whole hops")
        if not (0 < power <= 1 and level > 0 and rate > 0):
            raise ValueError(f"power {power}, level {level}, rate {rate}: above 0, power at most 1")
        self.rate, self.window, self.hop, self.power = rate, window, hop, power
        self.causal = causal
        self.level_frames = 2 * round(level * rate / hop / 2) + 1
        self.register_buffer(
            "taper", torch.hann_window(window, device="cpu").sqrt(), persistent=False
        )
        past = self.level_frames - 1 if causal else self.level_frames // 2
        self.context = (reach + past) * hop + -(-2 * window // hop) * hop

    def estimate(self, compressed: Tensor) -> Tensor:
        """Return the clean compressed spectrum. ``(B, K, N) -> (B, K, N)``, complex."""
        raise NotImplementedError

    def forward(self, noisy: Tensor) -> Tensor:
        """Return the estimate of the clean wave. ``(B, 1, T) -> (B, 1, T)``."""
        spectrum = self.analysis(noisy[:, 0])  # (B, K, N) complex
        level = self.level(spectrum)  # (B, 1, N)
        clean = self.estimate(compress(spectrum / level, self.power))
        return self.synthesis(compress(clean, 1 / self.power) * level, noisy.shape[-1])[:, None]

    def level(self, spectrum: Tensor) -> Tensor:
        """Return the local root mean square of the frames. ``(B, K, N) -> (B, 1, N)``."""
        energy = (spectrum.real.square() + spectrum.imag.square()).mean(1, keepdim=True)
        width = self.level_frames
        if self.causal:
            frames = torch.arange(1, energy.shape[-1] + 1, device=energy.device).clamp(max=width)
            energy = F.avg_pool1d(F.pad(energy, (width - 1, 0)), width, 1) * (width / frames)
        else:
            energy = F.avg_pool1d(energy, width, 1, width // 2, count_include_pad=False)
        return energy.sqrt() + 1e-8

    def analysis(self, wave: Tensor) -> Tensor:
        """Return the spectrum of zero-padded waves. ``(B, T) -> (B, K, N)``."""
        hop, window = self.hop, self.window
        tail = -wave.shape[-1] % hop + window - hop
        wave = F.pad(wave.float(), (window - hop, tail))
        return torch.stft(wave, window, hop, window=self.taper, center=False, return_complex=True)

    def synthesis(self, spectrum: Tensor, length: int) -> Tensor:
        """Return the wave of a spectrum made by ``analysis``. ``(B, K, N) -> (B, T)``."""
        hop, window = self.hop, self.window
        frames = torch.fft.irfft(spectrum, window, dim=1) * self.taper[:, None]  # (B, window, N)
        total = (frames.shape[-1] - 1) * hop + window
        wave = F.fold(frames, (1, total), (1, window), stride=(1, hop))[:, 0, 0]
        start = window - hop
        return wave[:, start : start + length] / (window / hop / 2)
