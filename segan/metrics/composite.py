"""Opinions predicted from PESQ, LLR, WSS and segmental SNR. From 1 to 5, higher is better."""

from __future__ import annotations

import math
import warnings

from segan.metrics.checks import MetricUndefined
from segan.metrics.distortion import segmental_snr
from segan.metrics.perceptual import pesq
from segan.metrics.spectral import llr, wss

MEASURES = {"pesq": pesq, "llr": llr, "wss": wss, "ssnr": segmental_snr}

# Hu and Loizou 2008, as composite.m has them: a constant, and a weight for each measure.
RATINGS = {
    "csig": (3.093, {"pesq": 0.603, "llr": -1.029, "wss": -0.009}),
    "cbak": (1.634, {"pesq": 0.478, "wss": -0.007, "ssnr": 0.063}),
    "covl": (1.594, {"pesq": 0.805, "llr": -0.512, "wss": -0.007}),
}


def csig(clean, enhanced, rate) -> float:
    """Return CSIG, the predicted opinion on the distortion of the speech itself, in [1, 5].

    ``3.093 - 1.029 LLR + 0.603 PESQ - 0.009 WSS``, both signals ``(T,)`` at ``rate`` Hz. PESQ is
    wide band, except at 8000 Hz, where it is the raw narrow-band score. NaN, with warnings, where
    one of its measures is undefined. Raises ``ValueError`` as ``validate`` does.

    Source: Hu and Loizou, "Evaluation of objective quality measures for speech enhancement", 2008.
    """
    return _measured("csig", clean, enhanced, rate)


def cbak(clean, enhanced, rate) -> float:
    """Return CBAK, the predicted opinion on the intrusiveness of the background, in [1, 5].

    ``1.634 + 0.478 PESQ - 0.007 WSS + 0.063 SSNR``; otherwise as ``csig``.
    """
    return _measured("cbak", clean, enhanced, rate)


def covl(clean, enhanced, rate) -> float:
    """Return COVL, the predicted opinion on overall quality, in [1, 5].

    ``1.594 + 0.805 PESQ - 0.512 LLR - 0.007 WSS``; otherwise as ``csig``.
    """
    return _measured("covl", clean, enhanced, rate)


def _measured(name: str, clean, enhanced, rate) -> float:
    """Return the rating ``name``, its measures taken first."""
    return rating(name, {part: MEASURES[part](clean, enhanced, rate) for part in parts(name)}, rate)


def parts(name: str) -> tuple[str, ...]:
    """Return the measures that ``name`` rests on: itself alone if it isn't a rating."""
    return tuple(RATINGS[name][1]) if name in RATINGS else (name,)


def rating(name: str, measures: dict[str, float], rate: int) -> float:
    """Return the rating ``name`` from measures taken at ``rate`` Hz, limited to [1, 5].

    NaN, with a ``MetricUndefined`` warning, where one of its measures is NaN.
    """
    constant, weights = RATINGS[name]
    missing = [part for part in weights if math.isnan(measures[part])]
    if missing:
        warnings.warn(MetricUndefined(name, f"it needs {missing[0]}"), stacklevel=3)
        return math.nan
    if rate == 8000:
        measures = measures | {"pesq": raw_mos(measures["pesq"])}
    value = constant + sum(weight * measures[part] for part, weight in weights.items())
    return min(max(value, 1.0), 5.0)


def raw_mos(mos_lqo: float) -> float:
    """Return the raw P.862 score behind a narrow-band MOS-LQO: the inverse of ITU-T P.862.1.

    The regressions were fitted to the raw score, and composite.m gives it to them at 8 kHz.
    """
    return (4.6607 - math.log(4 / (mos_lqo - 0.999) - 1)) / 1.4945
