"""Mixing and augmentation of whole batches, on the device that trains.

What ``segan.augment.render`` makes of one scene in NumPy, in torch and float32.
"""

from __future__ import annotations

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from segan.augment import ONE

# Shapes below: B scenes, T samples of a mixture, L of a cut of noise, R of a room.

RINGING = 256  # samples after which a filter of ``augment.biquad`` has died away (below 1e-20)


class Mixer:
    """Batches of ``segan.data.Scenes`` in, ``{"source": noisy, "target": clean}`` out, (B, 1, T).

    It is given to the trainer as ``prepare``.

    Args:
        rate: sample rate in Hz.
    """

    def __init__(self, rate: int = 16000):
        self.rate = rate

    @torch.no_grad()
    def __call__(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the mixtures and their clean speech."""
        filters, ratios, frames = batch["filters"], batch["ratios"], batch["speech"].shape[-1]
        clean = filtered(batch["speech"], filters[:, 0], batch["tail"])
        cuts = played(batch["noise"], batch["steps"], frames)
        noise = filtered(self.mix(cuts[:, 0], cuts[:, 1], ratios[:, 0]), filters[:, 1])
        noisy = self.mix(clean, noise, ratios[:, 1])
        loudest = torch.maximum(noisy.abs().amax(1), clean.abs().amax(1)).clamp(min=1e-5)
        gain = (batch["peak"] / loudest)[:, None, None]
        return {"source": gain * noisy[:, None], "target": gain * clean[:, None]}

    def mix(self, clean: Tensor, noise: Tensor, snr: Tensor) -> Tensor:
        """Return ``clean`` plus ``noise`` at ``snr`` dB over active speech; silent ones unscaled.

        ``(B, T)`` twice and ``(B,)`` in, ``(B, T)`` out.
        """
        speech, background = active_level(clean, self.rate), noise.square().mean(1).sqrt()
        scale = speech / background * 10 ** (-snr / 20)
        scale = torch.where((speech == 0) | (background == 0), 1.0, scale)
        return clean + noise * scale[:, None]


def active_level(wave: Tensor, rate: int) -> Tensor:
    """Return the root mean square over the active frames of 20 ms. ``(B, T) -> (B,)``."""
    size = max(rate // 50, 1)
    energy = wave[:, : wave.shape[1] // size * size].square().unflatten(1, (-1, size)).mean(2)
    active = energy >= torch.quantile(energy, 0.95, dim=1, keepdim=True) * 1e-3
    return ((energy * active).sum(1) / active.sum(1)).sqrt()


def filtered(wave: Tensor, coefficients: Tensor, tail: Tensor | None = None) -> Tensor:
    """Return waves equalized and, with the tail of a room's response, reverberated.

    As products of spectra, over a span in which nothing comes round again. ``(B, T)``, ``(B, 4)``
    and ``(B, R)`` in, ``(B, T)`` out.
    """
    frames = wave.shape[1]
    span = frames + RINGING + (0 if tail is None else tail.shape[1])
    span = next_fast_len(span, real=True)
    spectrum = torch.fft.rfft(wave, span) * response(coefficients, span)
    if tail is not None:
        spectrum = spectrum * (1 + torch.fft.rfft(tail, span))
    return torch.fft.irfft(spectrum, span)[:, :frames]


def response(coefficients: Tensor, span: int) -> Tensor:
    """Return (1 + b1/z + b2/z^2) / (1 + a1/z + a2/z^2) on the unit circle. ``(B, 4) -> (B, K)``."""
    like = {"dtype": coefficients.dtype, "device": coefficients.device}
    angle = 2 * torch.pi * torch.fft.rfftfreq(span, **like)
    delay = torch.polar(torch.ones_like(angle), -angle)  # 1/z
    a, b = coefficients.to(delay.dtype)[:, :, None].split(2, dim=1)  # (B, 2, 1) each
    powers = torch.stack([delay, delay.square()])  # (2, K)
    return (1 + (b * powers).sum(1)) / (1 + (a * powers).sum(1))


def played(noise: Tensor, steps: Tensor, frames: int) -> Tensor:
    """Return cuts faster or slower, linearly interpolated. ``(B, 2, L), (B, 2) -> (B, 2, T)``."""
    place = torch.arange(frames, device=noise.device) * steps[..., None]
    index, part = place >> 16, (place & (ONE - 1)) / ONE
    return noise.gather(2, index) * (1 - part) + noise.gather(2, index + 1) * part
