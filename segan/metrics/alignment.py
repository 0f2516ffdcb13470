"""Whether an estimate lies on top of its reference: metrics that compare samples need it to."""

from __future__ import annotations

import warnings

import numpy as np

from segan.metrics.checks import Caution, validate

LONGEST = 32768  # samples searched either way, 2 s at 16 kHz


def delay(clean, enhanced) -> int:
    """Return by how many samples ``enhanced`` is late against ``clean``; negative if early.

    The lag, of at most 32768 samples either way, at which the cross-correlation of the two signals
    ``(T,)`` is largest in magnitude. 0 where it stays under 0.2 of its bound there, so that the
    two have too little in common to say. Raises ``ValueError`` as ``validate`` does.
    """
    clean, enhanced = validate(clean, enhanced)
    longest = min(LONGEST, len(clean))
    correlation = np.abs(cross_correlation(clean, enhanced, longest))
    best = int(np.argmax(correlation))
    bound = np.linalg.norm(clean) * np.linalg.norm(enhanced)
    return best - longest if correlation[best] > 0.2 * bound else 0


def cross_correlation(clean: np.ndarray, enhanced: np.ndarray, longest: int) -> np.ndarray:
    """Return the cross-correlation at lags -longest..longest, summed over blocks of the signals.

    Shapes: ``(T,), (T,) -> (2 longest + 1,)``. Memory doesn't grow with T.
    """
    block, size = 2 * longest, 4 * longest  # a block of clean meets itself, longest either side
    enhanced = np.pad(enhanced, longest)
    spectrum = np.zeros(size // 2 + 1, dtype=complex)
    for start in range(0, len(clean), block):
        here = np.fft.rfft(clean[start : start + block], size)
        there = np.fft.rfft(enhanced[start : start + size], size)
        spectrum += here.conj() * there
    return np.fft.irfft(spectrum, size)[: block + 1]


def warn_if_misaligned(clean: np.ndarray, enhanced: np.ndarray, rate: int) -> None:
    """Warn with a ``Caution`` if ``enhanced`` is over 1 ms early or late."""
    milliseconds = 1000 * delay(clean, enhanced) / rate
    if abs(milliseconds) > 1:
        side = "late" if milliseconds > 0 else "early"
        message = f"the estimate is {abs(milliseconds):.1f} ms {side} against its reference"
        warnings.warn(Caution(f"{message}; its scores suffer"), stacklevel=3)
