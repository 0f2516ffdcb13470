"""Whether an estimate is its reference through a filter, which PESQ hardly minds."""

from __future__ import annotations

import warnings

import numpy as np

from segan.metrics.alignment import cross_correlation, delay
from segan.metrics.checks import Caution, validate

LOWEST = 100  # Hz, where the third octaves begin
LEAST = 0.01  # of the reference's energy is in a band that counts
STRONG = 6  # dB: denoisers stay below 4.1, a filter made to please PESQ is at 7


def coloration(clean, enhanced, rate: int) -> float:
    """Return by how many dB the most raised band lies over all bands together; 0 for silence.

    A band's gain is that of ``clean`` within ``enhanced``, both ``(T,)`` at ``rate`` Hz: the
    magnitude of their cross-spectrum over the power of ``clean``, so what is added, as noise,
    counts for nothing. Nor do a delay (see ``metrics.delay``) and polarity. Bands are third
    octaves with at least 1 % of the energy. Raises ``ValueError`` as ``validate`` does.
    """
    clean, enhanced = validate(clean, enhanced, rate)
    power = _by_band(clean, clean, rate)
    cross = _by_band(clean, enhanced, rate, delay(clean, enhanced))
    counts = (power > LEAST * power.sum()) & (power > 0)
    if not (counts.any() and cross.any()):
        return 0.0
    gains = cross[counts] / power[counts]
    return 20 * float(np.log10(gains.max() * power.sum() / cross.sum()))


def _by_band(one: np.ndarray, other: np.ndarray, rate: int, late: int = 0) -> np.ndarray:
    """Return the magnitude of the cross-spectrum in third octaves (Blackman and Tukey).

    ``late`` is by how many samples ``other`` is late.
    """
    longest = max(1, min(len(one), rate // 60))
    around = longest + abs(late)
    lags = cross_correlation(one, other, around)[around + late - longest :][: 2 * longest + 1]
    spectrum = np.fft.rfft(np.fft.ifftshift(lags * np.hanning(2 * longest + 3)[1:-1]))
    hertz = np.fft.rfftfreq(len(lags), 1 / rate)
    band = np.floor(3 * np.log2(np.maximum(hertz, 1) / LOWEST)).astype(int)
    band, spectrum = band[band >= 0], spectrum[band >= 0]
    parts = (np.bincount(band, part, minlength=1) for part in (spectrum.real, spectrum.imag))
    return np.hypot(*parts)


def warn_if_colored(clean: np.ndarray, enhanced: np.ndarray, rate: int) -> None:
    """Warn with a ``Caution`` if some band of the reference is raised by over 6 dB."""
    raised = coloration(clean, enhanced, rate)
    if raised > STRONG:
        message = f"a band of the reference is raised by over {STRONG} dB against the others"
        warnings.warn(Caution(f"{message}: PESQ hardly minds, listeners do"), stacklevel=3)
