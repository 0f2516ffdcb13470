"""Metrics from energies: signal over error, in decibels. Higher is better."""

from __future__ import annotations

import functools

import numpy as np

from segan.metrics.checks import NoScore, metric
from segan.metrics.frames import EPS, by_frame


@metric
def snr(clean, enhanced, rate=None) -> float:
    """Return the signal-to-noise ratio in dB, over the whole signal.

    ``10 log10(sum s^2 / sum (s - e)^2)`` for clean ``s`` and enhanced ``e``, both of shape
    ``(T,)``. Any real number; ``inf`` for a copy; NaN, with a warning, where ``s`` is silent.
    ``rate`` is not used. Raises ``ValueError`` as ``validate`` does.
    """
    return decibels(np.sum(clean**2), np.sum((clean - enhanced) ** 2))


@metric
def si_sdr(clean, enhanced, rate=None) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB.

    The part of the enhanced signal that is a multiple of the clean one, over the rest, after the
    mean is taken from both; shape ``(T,)``. Any real number, ``inf`` for a scaled copy; NaN, with
    a warning, where either is silent. ``rate`` is not used. Raises ``ValueError`` as ``validate``
    does.

    Source: Le Roux, Wisdom, Erdogan, Hershey, "SDR - half-baked or well done?", 2019.
    """
    clean, enhanced = clean - clean.mean(), enhanced - enhanced.mean()
    if not clean.any():
        raise NoScore("the reference is constant")
    if not enhanced.any():
        raise NoScore("the estimate is silent")
    target = (enhanced @ clean) / (clean @ clean) * clean
    return decibels(np.sum(target**2), np.sum((enhanced - target) ** 2))


@functools.partial(metric, name="ssnr")
def segmental_snr(clean, enhanced, rate) -> float:
    """Return the segmental signal-to-noise ratio in dB, in [-10, 35].

    The mean over frames of 30 ms, a new one every 7.5 ms, of the frame's SNR limited to
    [-10, 35] dB; both signals of shape ``(T,)`` at ``rate`` Hz. NaN, with a warning, where the
    reference is silent or shorter than a frame. Raises ``ValueError`` as ``validate`` does.

    Source: Hansen and Pellom 1998, with the framing and limits of Loizou's composite.m (2006).
    """
    return by_frame(_frame_snr, clean, enhanced, rate).mean()


def _frame_snr(clean: np.ndarray, enhanced: np.ndarray) -> np.ndarray:
    """Return the limited SNR of each frame in dB. Shapes: two (N, length) -> (N,)."""
    energy = np.sum(clean**2, axis=1)
    error = np.sum((clean - enhanced) ** 2, axis=1)
    return np.clip(10 * np.log10(energy / (error + EPS) + EPS), -10, 35)


def decibels(signal: float, error: float) -> float:
    """Return ``10 log10(signal / error)``: ``inf`` without error, ``-inf`` without signal."""
    with np.errstate(divide="ignore"):
        return float(10 * (np.log10(signal) - np.log10(error)))
