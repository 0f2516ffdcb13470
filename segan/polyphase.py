"""Resampling with little delay, for streams: a finite filter that looks a few milliseconds ahead.

An output sample is the weighted sum of the input samples within ``REACH`` seconds around it. The
weights are a low-pass filter (a sinc under a Kaiser window) that closes at half the lower rate; the
fraction of a sample by which the output lies off the input's grid picks their phase.
"""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

REACH = 0.00375  # seconds that the filter sees to either side, which is its delay
STOP = 70.0  # dB by which it attenuates what it must not pass
TOGETHER = 4096  # outputs computed at once, for which so many stretches of input are copied
PHASES = 1024  # at most; more are interpolated, good to -120 dB


class Polyphase:
    """A wave that arrives in blocks, at another rate: sample n of the output is at n * rate / to.

    Outside the wave is silence. An output sample is given once ``ahead`` input samples after its
    time have been fed.

    Args:
        rate: of the input, Hz.
        to: rate of the output, Hz.
        channels: of both.
    """

    def __init__(self, rate: int, to: int, channels: int):
        common = gcd(rate, to)
        self.up, self.down = to // common, rate // common  # outputs for so many inputs
        self.ahead = max(2, int(REACH * rate))
        self.phases = min(self.up, PHASES)
        self.bank = weights(self.ahead, min(1.0, to / rate), self.phases)
        self.held = np.zeros((channels, self.ahead - 1), np.float32)  # what is still needed
        self.first = 1 - self.ahead  # the place of its first sample in the wave
        self.given = 0

    def needed(self, count: int) -> int:
        """Return how many input samples it takes until ``count`` >= 1 output samples are given."""
        return (count - 1) * self.down // self.up + self.ahead + 1

    def feed(self, block: np.ndarray) -> np.ndarray:
        """Return the samples that ``block`` completes. ``(C, n) -> (C, m)``, float32."""
        self.held = np.concatenate([self.held, block], axis=1)
        complete = self.first + self.held.shape[1] - self.ahead  # input samples
        count = -(-complete * self.up // self.down) - self.given
        if count <= 0:
            return self.held[:, :0]
        places = (self.given + np.arange(count)) * self.down
        out = np.concatenate(
            [self._at(places[i : i + TOGETHER]) for i in range(0, count, TOGETHER)], axis=1
        )
        self.given += count
        passed = self.given * self.down // self.up - self.ahead + 1 - self.first
        self.held, self.first = self.held[:, passed:], self.first + passed
        return out

    def _at(self, places: np.ndarray) -> np.ndarray:
        """Return the samples at ``places / up``. ``(n,) -> (C, n)``."""
        whole, part = np.divmod(places, self.up)
        around = sliding_window_view(self.held, 2 * self.ahead, axis=1)
        starts = whole - self.ahead + 1 - self.first
        return np.einsum("cnt,nt->cn", around[:, starts], self._weights(part))

    def _weights(self, part: np.ndarray) -> np.ndarray:
        """Return the weights for outputs ``part / up`` off the grid. ``(n,) -> (n, 2 * ahead)``."""
        phase, rest = np.divmod(part * self.phases, self.up)
        own = self.bank[phase]
        if self.phases == self.up:
            return own
        share = (rest / self.up).astype(np.float32)[:, None]
        return own + share * (self.bank[phase + 1] - own)


def weights(ahead: int, band: float, phases: int) -> np.ndarray:
    """Return the filter at each phase and at the next grid point: ``(phases + 1, 2 * ahead)``.

    Kaiser's formulas give the window and the width of the transition, whose upper end is at
    ``band`` times half the rate. Every phase passes a constant unchanged.
    """
    width = (STOP - 7.95) / (2.285 * np.pi * 2 * ahead)  # as a share of half the rate
    cutoff = max(band - width / 2, band / 2)  # the latter where the filter is too short
    offset = np.arange(phases + 1)[:, None] / phases - np.arange(1 - ahead, ahead + 1)
    window = np.i0(0.1102 * (STOP - 8.7) * np.sqrt(1 - (offset / ahead) ** 2))
    filters = np.sinc(cutoff * offset) * window * (np.abs(offset) < ahead)  # the same to both sides
    return (filters / filters.sum(1, keepdims=True)).astype(np.float32)
