"""Short-time frames as in Loizou's composite.m: 30 ms, a new one every quarter, Hann window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from segan.metrics.checks import NoScore

EPS = np.finfo(np.float64).eps
BLOCK = 4096  # frames scored at once: about 16 MB a signal at 16 kHz


def by_frame(
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
    clean: np.ndarray,
    enhanced: np.ndarray,
    rate: int,
) -> np.ndarray:
    """Return ``score(clean_frames, enhanced_frames)`` for all frames, shape ``(N,)``.

    ``score`` takes two arrays ``(n, length)`` of windowed frames and returns ``(n,)``; it is called
    on blocks of frames, so that memory stays bounded. ``eps`` is added to both signals and the last
    full frame is left out, both as in the reference. Raises ``NoScore`` where there is no frame.
    """
    length = frame_length(rate)
    skip = length // 4
    count = (len(clean) - length) // skip if skip else 0
    if count < 1:
        need = 1000 * (length + skip) / rate
        raise NoScore(f"shorter than {need:.1f} ms, the least that gives a frame")
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, length + 1) / (length + 1)))
    views = [
        np.lib.stride_tricks.sliding_window_view(signal + EPS, length)[::skip][:count]
        for signal in (clean, enhanced)
    ]
    blocks = (slice(start, start + BLOCK) for start in range(0, count, BLOCK))
    return np.concatenate([score(*(view[block] * window for view in views)) for block in blocks])


def frame_length(rate: int) -> int:
    """Return the samples in 30 ms at ``rate`` Hz, halves rounded up."""
    return (30 * rate + 500) // 1000


def best_95_percent(distortions: np.ndarray) -> float:
    """Return the mean of the smallest 95 % of ``distortions``, their number rounded half up."""
    kept = int(0.95 * len(distortions) + 0.5)
    return float(np.sort(distortions)[:kept].mean())
