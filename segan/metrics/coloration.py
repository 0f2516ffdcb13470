"""Whether an estimate is its reference through a filter, which PESQ hardly minds."""

from __future__ import annotations

import warnings

import numpy as np

from segan.metrics.alignment import cross_correlation
from segan.metrics.checks import Caution, validate

LOWEST = 100  # Hz, where the third octaves begin
LEAST = 0.01  # of the reference's energy is in a band that counts
STRONG = 6  # dB: denoisers stay below 4, a filter made to please PESQ is at 7


def coloration(clean, enhanced, rate: int) -> float:
    """Return by how many dB the most raised band lies over all bands together; 0 for silence.

    A band's gain is that of ``clean`` within ``enhanced``, both ``(T,)`` at ``rate`` Hz: their
    cross-spectrum over the power of ``clean``, so what is added, as noise, counts for nothing.
    Bands are third octaves with at least 1 % of the energy. Raises ``ValueError`` as ``validate``
    does.
    """
    clean, enhanced = validate(clean, enhanced, rate)
    power, cross = (_by_band(clean, other, rate) for other in (clean, enhanced))
    counts = (power > LEAST * power.sum()) & (power > 0)
    gains = cross[counts] / power[counts]
    whole = cross.sum() / power.sum() if counts.any() else 0.0
    return 20 * float(np.log10(gains.max() / whole)) if whole > 0 else 0.0


def _by_band(one: np.ndarray, other: np.ndarray, rate: int) -> np.ndarray:
    """Return the real cross-spectrum of two signals summed in third octaves (Blackman-Tukey)."""
    longest = max(1, min(len(one), rate // 60))
    lags = cross_correlation(one, other, longest) * np.hanning(2 * longest + 3)[1:-1]
    spectrum = np.fft.rfft(np.fft.ifftshift(lags)).real
    hertz = np.fft.rfftfreq(len(lags), 1 / rate)
    band = np.floor(3 * np.log2(np.maximum(hertz, 1) / LOWEST)).astype(int)
    return np.bincount(band[band >= 0], spectrum[band >= 0], minlength=1)


def warn_if_colored(clean: np.ndarray, enhanced: np.ndarray, rate: int) -> None:
    """Warn with a ``Caution`` if some band of the reference is raised by over 6 dB."""
    raised = coloration(clean, enhanced, rate)
    if raised > STRONG:
        message = f"a band of the reference is raised by over {STRONG} dB against the others"
        warnings.warn(Caution(f"{message}: PESQ hardly minds, listeners do"), stacklevel=3)
