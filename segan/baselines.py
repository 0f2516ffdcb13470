"""Classical speech enhancement, without learning: what a network has to beat."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

# The first two were chosen on mixtures of training data: docs/metrics.md.
DECISION = 0.96  # share of the last frame in the a-priori SNR (Ephraim and Malah's alpha)
LEAST_GAIN = 10 ** (-15 / 20)  # what is left of noise masks the filter's own artefacts
START = 0.1  # seconds at the beginning that are taken for noise
# Gerkmann and Hendriks 2012, for frames of 32 ms with half overlap:
SPEECH_SNR = 10 ** (15 / 10)  # the a-priori SNR that speech is taken to have
NOISE_MEMORY = 0.8
PRESENCE_MEMORY, MOST_PRESENCE = 0.9, 0.99


def wiener(noisy: np.ndarray, rate: int) -> np.ndarray:
    """Return the wave cleaned by a decision-directed Wiener filter, float64.

    ``noisy`` is ``(T,)`` at ``rate`` Hz; so is the result, in the same scale: scaled input gives
    scaled output, silence gives silence. Each bin of each frame of 32 ms is multiplied by
    ``xi / (1 + xi)``, by -15 dB at least; the a-priori SNR ``xi`` is a mean of what the last
    frame's output and this frame's input make it. Looks ahead by a frame, and 0.1 s at the start.

    Source: Scalart and Filho, "Speech enhancement based on a priori signal to noise estimation",
    1996; noise power as in ``track_noise``.
    """
    hop = max(round(0.016 * rate), 1)
    window = np.sin(np.pi * np.arange(2 * hop) / (2 * hop))
    count = -(-len(noisy) // hop) + 1  # frames, the first and last half beyond the ends
    padded = np.pad(np.asarray(noisy, np.float64), (hop, count * hop - len(noisy)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop] * window  # (N, 2 hop)
    spectrum = np.fft.rfft(frames)  # (N, K)
    power = np.abs(spectrum) ** 2
    if power.any():
        noise = track_noise(power, max(round(START * rate / hop), 1))
        spectrum *= np.maximum(wiener_gains(power, noise), LEAST_GAIN)
    first, second = np.split(np.fft.irfft(spectrum, 2 * hop) * window, 2, axis=1)
    return (first[1:] + second[:-1]).ravel()[: len(noisy)]


class WienerFilter(nn.Module):
    """``wiener`` as a network for ``segan.enhance.Enhancer``: ``(B, 1, T) -> (B, 1, T)``.

    Attributes:
        rate: sample rate in Hz.
        context: samples after which the filter's start no longer shows. It remembers for ever, but
            less and less: waves longer than a chunk differ by 0.001 at most or so.
    """

    rate, hop, context = 16000, 256, 4 * 16000

    def forward(self, noisy: Tensor) -> Tensor:
        """Return each wave cleaned by itself."""
        waves = [torch.from_numpy(wiener(wave, self.rate)) for wave in noisy[:, 0].cpu().numpy()]
        return torch.stack(waves)[:, None].to(noisy)


def wiener_gains(power: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the Wiener gains for noisy and noise power spectra. Shapes: (N, K) each, (N, K)."""
    gain = np.empty_like(power)
    speech = np.zeros_like(power[0])
    for n in range(len(power)):
        instant = np.maximum(power[n] / noise[n] - 1, 0)
        xi = DECISION * speech / noise[n] + (1 - DECISION) * instant
        gain[n] = xi / (1 + xi)
        speech = gain[n] ** 2 * power[n]
    return gain


def track_noise(power: np.ndarray, start: int) -> np.ndarray:
    """Return the noise power in each frame, from the ``start`` first frames on.

    Every frame moves the estimate by what of it is noise, judged by the probability that a bin
    holds speech. Shape: ``(N, K) -> (N, K)``.

    Source: Gerkmann and Hendriks, "Unbiased MMSE-based noise power estimation with low complexity
    and low tracking delay", 2012.
    """
    least = 1e-10 * power.mean()  # relative, so that scale doesn't matter
    estimates = np.empty_like(power)
    noise = np.maximum(power[1 : 1 + start].mean(axis=0), least)
    stuck = np.zeros_like(noise)
    for n, frame in enumerate(power):
        evidence = np.exp(-frame / noise * SPEECH_SNR / (1 + SPEECH_SNR))
        presence = 1 / (1 + (1 + SPEECH_SNR) * evidence)
        stuck = PRESENCE_MEMORY * stuck + (1 - PRESENCE_MEMORY) * presence
        presence = np.where(stuck > MOST_PRESENCE, np.minimum(presence, MOST_PRESENCE), presence)
        update = (1 - presence) * frame + presence * noise
        noise = np.maximum(NOISE_MEMORY * noise + (1 - NOISE_MEMORY) * update, least)
        estimates[n] = noise
    return estimates
