"""What every metric does before it scores: look at its input, and say where it has no answer."""

from __future__ import annotations

import functools
import numbers
import warnings

import numpy as np


class MetricUndefined(UserWarning):
    """A metric has no value for a pair of signals: ``metric`` names it, ``reason`` says why."""

    def __init__(self, metric: str, reason: str):
        super().__init__(f"{metric} is undefined: {reason}")
        self.metric, self.reason = metric, reason

    def __reduce__(self):
        return type(self), (self.metric, self.reason)


class Caution(UserWarning):
    """The scores of a pair are defined, but say less of its quality than they seem to."""


class NoScore(Exception):
    """Raised inside a metric that has no value for its input; becomes NaN and a warning."""


def validate(clean, enhanced, rate=None) -> tuple[np.ndarray, np.ndarray]:
    """Return both signals as float64 arrays of shape ``(T,)``, once found fit to be compared.

    Raises ``ValueError`` unless both are one-dimensional, of equal and positive length, floating
    point and finite, and ``rate`` (in Hz, where given) is a positive whole number.
    """
    whole = isinstance(rate, numbers.Integral) and not isinstance(rate, bool)
    if rate is not None and not (whole and rate > 0):
        raise ValueError(f"rate is {rate!r}: give a positive whole number of samples a second")
    clean, enhanced = _signal("clean", clean), _signal("enhanced", enhanced)
    if len(clean) != len(enhanced):
        lengths = f"clean has {len(clean)} samples, enhanced {len(enhanced)}"
        raise ValueError(f"{lengths}: cut or align them to one length first")
    return clean, enhanced


def _signal(name: str, wave) -> np.ndarray:
    """Return ``wave`` as a float64 array of shape (T,), or raise a ValueError that names it."""
    wave = np.asarray(wave)
    if wave.ndim != 1 or not len(wave):
        raise ValueError(f"{name} has shape {wave.shape}: give one channel, (T,) with T > 0")
    if not np.issubdtype(wave.dtype, np.floating):
        raise ValueError(f"{name} is {wave.dtype}: give floating point, full scale at 1")
    finite = np.isfinite(wave)
    if not finite.all():
        raise ValueError(f"{name} is not finite at sample {int(np.argmin(finite))}")
    return wave.astype(np.float64)


def metric(score, name: str | None = None):
    """Return ``score(clean, enhanced, rate, ...)`` with its input validated.

    A silent reference, and any ``NoScore`` inside, give NaN and a ``MetricUndefined`` warning under
    ``name``, the function's own unless given.
    """

    @functools.wraps(score)
    def checked(clean, enhanced, *options, **named):
        rate = options[0] if options else named.get("rate")
        clean, enhanced = validate(clean, enhanced, rate)
        try:
            if not clean.any():
                raise NoScore("the reference is silent")
            return float(score(clean, enhanced, *options, **named))
        except NoScore as reason:
            warnings.warn(MetricUndefined(name or score.__name__, str(reason)), stacklevel=2)
            return float("nan")

    return checked
