"""Distances between short-time spectra, as in Loizou's composite.m. Lower is better."""

from __future__ import annotations

import functools
import warnings

import numpy as np

from segan.metrics.checks import Caution, metric
from segan.metrics.frames import EPS, best_95_percent, by_frame, frame_length

# Klatt's critical bands below 4 kHz, in Hz.
# fmt: off
CENTERS = np.array([
    50, 120, 190, 260, 330, 400, 470, 540, 617.372, 703.378, 798.717, 904.128, 1020.38, 1148.30,
    1288.72, 1442.54, 1610.70, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17,
    3597.63,
])
WIDTHS = np.array([
    70, 70, 70, 70, 70, 70, 70, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423,
    153.823, 168.154, 183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465,
    346.136,
])
# fmt: on
GLOBAL_PEAK, LOCAL_PEAK = 20.0, 1.0  # dB, Klatt's Kmax and Klocmax


@metric
def llr(clean, enhanced, rate) -> float:
    """Return the log-likelihood ratio between the two signals' linear predictors.

    Per frame, ``log(b R b' / a R a')``: how much worse the enhanced signal's predictor ``b``
    predicts the clean frame (autocorrelation ``R``) than the clean one's own, ``a``. Order 16, or
    10 below 10 kHz; the mean of the best 95 % of frames of 30 ms. 0 for a copy, no upper limit.
    Both signals ``(T,)`` at ``rate`` Hz. NaN, with a warning, where the reference is silent or
    shorter than a frame. Raises ``ValueError`` as ``validate`` does.

    A ``Caution`` is given where over 5 % of the reference is digital silence: such frames are
    predicted without error, the ratio there is some 20, and the rest hardly counts.

    Source: Itakura 1975; Hu and Loizou 2008; frames not limited to 2, as in composite.m.
    """
    order = 10 if rate < 10_000 else 16
    silent = digital_silence(clean, rate)
    if silent > 0.05:
        message = f"{silent:.0%} of the reference is digital silence; LLR, CSIG and COVL suffer"
        warnings.warn(Caution(message), stacklevel=3)
    return best_95_percent(by_frame(functools.partial(frame_llr, order), clean, enhanced, rate))


def digital_silence(clean: np.ndarray, rate: int) -> float:
    """Return the share of stretches of 30 ms in which every sample is 0."""
    length = min(frame_length(rate), len(clean))
    stretches = clean[: len(clean) // length * length].reshape(-1, length)
    return 1 - float(stretches.any(axis=1).mean())


def frame_llr(order: int, clean: np.ndarray, enhanced: np.ndarray) -> np.ndarray:
    """Return the log-likelihood ratio of each frame. Shapes: two (N, length) -> (N,)."""
    r = autocorrelation(clean, order)
    lags = np.arange(order + 1)
    toeplitz = r[:, np.abs(lags[:, None] - lags)]  # (N, order + 1, order + 1)
    residuals = [
        np.einsum("ni,nij,nj->n", a, toeplitz, a, optimize=True)
        for a in (levinson(autocorrelation(enhanced, order)), levinson(r))
    ]
    # A residual is known to rounding only; without the floor, digital silence may give log(0).
    enhanced_residual, clean_residual = np.maximum(residuals, EPS * r[:, 0])
    return np.log(enhanced_residual / clean_residual)


def autocorrelation(frames: np.ndarray, order: int) -> np.ndarray:
    """Return lags 0 to ``order`` of each frame. Shape: (N, length) -> (N, order + 1)."""
    length = frames.shape[1]
    lags = range(min(order, length - 1) + 1)
    r = [np.einsum("nt,nt->n", frames[:, : length - k], frames[:, k:]) for k in lags]
    return np.pad(np.stack(r, axis=1), ((0, 0), (0, order + 1 - len(r))))


def levinson(r: np.ndarray) -> np.ndarray:
    """Return the prediction error filters ``[1, -a_1, ..., -a_p]`` for autocorrelations ``r``.

    Levinson and Durbin's recursion, all frames at once. Shape: ``(N, p + 1) -> (N, p + 1)``.
    """
    filters = np.zeros_like(r)
    filters[:, 0] = 1
    residual = r[:, 0].copy()
    for i in range(1, r.shape[1]):
        error = -np.sum(filters[:, :i] * r[:, i:0:-1], axis=1)
        # Where nothing is left to predict, the filter stays as it is.
        k = np.divide(error, residual, out=np.zeros_like(error), where=residual > 0)
        filters[:, 1 : i + 1] += k[:, None] * filters[:, :i][:, ::-1]
        residual *= 1 - k**2
    return filters


@metric
def wss(clean, enhanced, rate) -> float:
    """Return the weighted spectral slope distance between the two signals.

    Per frame, the squared differences (dB^2) between the slopes of the two spectra from one of
    25 critical bands to the next, weighted towards spectral peaks; the mean of the best 95 % of
    frames of 30 ms. 0 for a copy, no upper limit. Both signals ``(T,)`` at ``rate`` Hz, full scale
    at 1. NaN, with a warning, where the reference is silent or shorter than a frame. Raises
    ``ValueError`` as ``validate`` does.

    Source: Klatt 1982, p. 1280; Hu and Loizou 2008, with the filters of composite.m.
    """
    score = functools.partial(frame_wss, critical_bands(rate))
    return best_95_percent(by_frame(score, clean, enhanced, rate))


def frame_wss(bands: np.ndarray, clean: np.ndarray, enhanced: np.ndarray) -> np.ndarray:
    """Return the distance of each frame. Shapes: (25, K), two (N, length) -> (N,)."""
    levels = [band_levels(bands, frames) for frames in (clean, enhanced)]  # (N, 25) each
    weights = sum(slope_weights(level) for level in levels) / 2
    difference = np.diff(levels[0]) - np.diff(levels[1])
    return np.sum(weights * difference**2, axis=1) / np.sum(weights, axis=1)


def band_levels(bands: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Return the level in dB of each critical band. Shapes: (25, K), (N, length) -> (N, 25)."""
    size = bands.shape[1]
    power = np.abs(np.fft.rfft(frames, 2 * size)[:, :size]) ** 2
    return 10 * np.log10(np.maximum(power @ bands.T, 1e-10))


def slope_weights(levels: np.ndarray) -> np.ndarray:
    """Return the weight of each slope: large near peaks. Shape: (N, 25) -> (N, 24)."""
    below_maximum = levels.max(axis=1, keepdims=True) - levels[:, :-1]
    below_nearest = nearest_peak(levels) - levels[:, :-1]
    return GLOBAL_PEAK / (GLOBAL_PEAK + below_maximum) * LOCAL_PEAK / (LOCAL_PEAK + below_nearest)


def nearest_peak(levels: np.ndarray) -> np.ndarray:
    """Return the level where the run of slopes of one sign round each band ends, uphill.

    Uphill to the right this is the last band *before* the top, as the reference has it.
    Shape: ``(N, 25) -> (N, 24)``.
    """
    peak = levels[:, :-1].copy()
    rises = np.diff(levels) > 0
    last = peak.shape[1] - 1
    for i in range(last - 1, -1, -1):
        peak[:, i] = np.where(rises[:, i] & rises[:, i + 1], peak[:, i + 1], peak[:, i])
    for i in range(1, last + 1):
        peak[:, i] = np.where(rises[:, i] | rises[:, i - 1], peak[:, i], peak[:, i - 1])
    return peak


@functools.lru_cache
def critical_bands(rate: int) -> np.ndarray:
    """Return the 25 Gaussian filters over the FFT's bins up to ``rate / 2``. Shape: (25, K)."""
    size = 1 << (frame_length(rate) - 1).bit_length()  # half the FFT's
    centers, widths = (size * hertz[:, None] / (rate / 2) for hertz in (CENTERS, WIDTHS))
    gain = widths[0] / widths  # equal areas
    filters = gain * np.exp(-11 * ((np.arange(size) - np.floor(centers)) / widths) ** 2)
    return np.where(filters > np.exp(-30 / (2 * 2.303)), filters, 0)
