"""Metrics that model a listener, through the libraries that the field uses. Higher is better."""

from __future__ import annotations

import contextlib
import itertools
import warnings

import numpy as np

from segan.metrics.checks import NoScore, metric

# The pesq library overruns its table of 50 utterances, and crashes the process, on recordings with
# more. 50 of them, each of at least 200 ms and 188 ms apart, take longer than this:
LONGEST_PESQ = 19  # seconds
SILENT = "the estimate is silent"


@metric
def pesq(clean, enhanced, rate, mode=None) -> float:
    """Return the PESQ score, a predicted opinion (MOS-LQO) from 1.0 to 4.64.

    Wide band (ITU-T P.862.2, ``mode="wb"``, at most 4.644) unless the rate is 8000 Hz or
    ``mode="nb"``: narrow band (P.862.1, at most 4.549). Both signals ``(T,)``; rates other than
    8000 and 16000 Hz are resampled to 16000. A recording of over 19 s is scored in equal parts, and
    the mean of those with speech returned. NaN, with a warning, where PESQ finds no speech, or less
    than a quarter of a second, and where the estimate is silent, be it in one part with speech.
    Raises ``ValueError`` as ``validate`` does, for another mode, and for wide band at 8000 Hz.

    Source: the C code of ITU-T P.862, in the library ``pesq``.
    """
    mode = mode or ("nb" if rate == 8000 else "wb")
    if mode not in ("wb", "nb"):
        raise ValueError(f"mode is {mode!r}: give 'wb' or 'nb'")
    if mode == "wb" and rate == 8000:
        raise ValueError("wide-band PESQ has no meaning at 8000 Hz: give mode='nb'")
    if rate not in (8000, 16000):
        from segan.audio import resample

        clean, enhanced = (resample(wave, rate, 16000) for wave in (clean, enhanced))
        rate = 16000
    parts = -(-len(clean) // (LONGEST_PESQ * rate))
    pairs = zip(np.array_split(clean, parts), np.array_split(enhanced, parts), strict=True)
    return _mean_defined([_p862(*pair, rate, mode) for pair in pairs], len(clean) / rate)


def _p862(clean: np.ndarray, enhanced: np.ndarray, rate: int, mode: str) -> float | str:
    """Return the library's score, or the reason why it gives none."""
    from pesq import PesqError
    from pesq import pesq as p862

    if not clean.any():
        return "the reference is silent"
    try:
        if enhanced.any():
            return p862(rate, clean, enhanced, mode)
        p862(rate, clean, clean, mode)  # raises where there is no speech to be missed
        return SILENT
    except PesqError as error:
        text = error.args[0]
        return (text.decode() if isinstance(text, bytes) else str(text)).lower()


def _mean_defined(parts: list[float | str], seconds: float) -> float:
    """Return the mean of the numbers; raise ``NoScore`` where there is none, or a silent part.

    Args:
        parts: the score of each, or the reason why it has none.
        seconds: of all parts, which are equal.
    """
    scores = [part for part in parts if not isinstance(part, str)]
    if SILENT in parts:
        where = f" at {_spans(parts, seconds / len(parts))} s" if scores else ""
        raise NoScore(SILENT + where)
    if not scores:
        raise NoScore(parts[0])
    return float(np.mean(scores))


def _spans(parts: list[float | str], seconds: float) -> str:
    """Return from when to when the silent ones of the parts are, each so many seconds long."""
    spans = []
    for silent, group in itertools.groupby(range(len(parts)), lambda part: parts[part] == SILENT):
        own = list(group)
        if silent:
            spans.append(f"{own[0] * seconds:.1f}-{(own[-1] + 1) * seconds:.1f}")
    return ", ".join(spans)


@metric
def stoi(clean, enhanced, rate) -> float:
    """Return the short-time objective intelligibility, in [-1, 1], in practice [0, 1].

    Both signals ``(T,)`` at any ``rate``; the library resamples to 10 kHz. 0 for a silent
    enhanced signal; NaN, with a warning, where the reference is silent or has less than 0.4 s of
    speech. Raises ``ValueError`` as ``validate`` does.

    Source: Taal, Hendriks, Heusdens, Jensen 2011, in the library ``pystoi``.
    """
    return _stoi(clean, enhanced, rate, extended=False)


@metric
def estoi(clean, enhanced, rate) -> float:
    """Return the extended short-time objective intelligibility, in [-1, 1], in practice [0, 1].

    As ``stoi``, without its assumption that bands contribute independently.

    Source: Jensen and Taal 2016, in the library ``pystoi``.
    """
    return _stoi(clean, enhanced, rate, extended=True)


def _stoi(clean: np.ndarray, enhanced: np.ndarray, rate: int, extended: bool) -> float:
    """Return pystoi's score; raise ``NoScore`` where it has too little speech to give one."""
    from pystoi import stoi as library

    too_short = "less than 0.4 s of speech"
    if len(clean) < 0.4 * rate:
        raise NoScore(too_short)
    if not enhanced.any():
        return 0.0
    with warnings.catch_warnings(), _own_randomness():
        warnings.filterwarnings("error", message="Not enough STFT frames")
        try:
            return library(clean, enhanced, rate, extended=extended)
        except RuntimeWarning:
            raise NoScore(too_short) from None


@contextlib.contextmanager
def _own_randomness():
    """Seed NumPy's global generator and give it back untouched: pystoi dithers ESTOI with it."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)
