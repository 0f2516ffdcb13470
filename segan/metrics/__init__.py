"""Speech enhancement metrics: how close an enhanced signal is to its clean reference.

Every metric is a function ``metric(clean, enhanced, rate) -> float`` of two real signals of one
length, shape ``(T,)``, full scale at 1, and their sample rate in Hz. All but ``llr`` and ``wss``
are better when higher. Where a metric has no value, it returns NaN and warns with
``MetricUndefined``; where its value says less than it seems to, it warns with ``Caution``.

=================  ============  ==================================================================
``pesq``           1 to 4.64     perceived quality (ITU-T P.862.2, wide band; narrow at 8 kHz)
``stoi, estoi``    0 to 1        short-time objective intelligibility, and its extension
``csig``           1 to 5        predicted opinion on the speech
``cbak``           1 to 5        predicted opinion on the background
``covl``           1 to 5        predicted opinion overall
``segmental_snr``  -10 to 35 dB  mean of the signal-to-noise ratios of short frames ("ssnr")
``si_sdr``         dB            scale-invariant signal-to-distortion ratio
``snr``            dB            signal-to-noise ratio
``llr``            0 upwards     distance between linear predictors (lower is better)
``wss``            0 upwards     distance between spectral slopes (lower is better)
=================  ============  ==================================================================

``evaluate`` takes several at once. ``docs/metrics.md`` says how they agree with others' numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

from segan.metrics.alignment import delay, warn_if_misaligned
from segan.metrics.checks import Caution, MetricUndefined, validate
from segan.metrics.coloration import coloration, warn_if_colored
from segan.metrics.composite import RATINGS, cbak, covl, csig, parts, rating
from segan.metrics.distortion import segmental_snr, si_sdr, snr
from segan.metrics.perceptual import estoi, pesq, stoi
from segan.metrics.spectral import llr, wss

__all__ = [
    "ALL",
    "Caution",
    "MetricUndefined",
    "cbak",
    "coloration",
    "covl",
    "csig",
    "delay",
    "estoi",
    "evaluate",
    "llr",
    "pesq",
    "segmental_snr",
    "si_sdr",
    "snr",
    "stoi",
    "validate",
    "wss",
]

MEASURES = {
    "pesq": pesq,
    "stoi": stoi,
    "estoi": estoi,
    "ssnr": segmental_snr,
    "si_sdr": si_sdr,
    "snr": snr,
    "llr": llr,
    "wss": wss,
}
ALL = ("pesq", "stoi", "estoi", "csig", "cbak", "covl", "ssnr", "si_sdr", "snr", "llr", "wss")


def evaluate(clean, enhanced, rate: int, metrics: Iterable[str] = ALL) -> dict[str, float]:
    """Return the score of each of ``metrics``, by name, in the order given.

    Signals ``(T,)`` at ``rate`` Hz; names as in ``ALL``. What several metrics need is computed
    once. NaN, with a ``MetricUndefined`` warning, where a metric has no value; a ``Caution`` where
    ``enhanced`` is over 1 ms early or late, where PESQ is asked of what a filter has colored, or
    LLR of a reference with digital silence. Raises ``ValueError`` for an unknown name, and as
    ``validate`` does.
    """
    metrics = list(metrics)
    unknown = [name for name in metrics if name not in ALL]
    if unknown:
        raise ValueError(f"unknown metric {unknown[0]!r}: choose from {', '.join(ALL)}")
    clean, enhanced = validate(clean, enhanced, rate)
    warn_if_misaligned(clean, enhanced, rate)
    needed = dict.fromkeys(part for name in metrics for part in parts(name))
    if "pesq" in needed:
        warn_if_colored(clean, enhanced, rate)
    scores = {part: MEASURES[part](clean, enhanced, rate) for part in needed}
    scores |= {name: rating(name, scores, rate) for name in metrics if name in RATINGS}
    return {name: scores[name] for name in metrics}
