"""Enhancement of a wave as it comes: ``Streamer``.

The same samples as of the whole wave, in whatever portions it is fed. What the network makes of a
wave at its own rate is ``segan.stepping``'s; here it is brought to other rates, as ``Enhancer``
does it but with filters and gains that look at most a few milliseconds ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from segan.audio import FASTEST, SLOWEST, WIDEST
from segan.polyphase import Polyphase
from segan.stepping import Stepper, stepper

SMOOTH = 0.08  # seconds of the past over which the gain above the band is taken
PORTION = 0.25  # seconds of four channels that are worked on at once, at most


class Streamer:
    """A wave that is cleaned as it comes: ``feed`` what there is, ``flush`` at the end.

    Together they return as many samples as were fed, in their places: the first sample that comes
    out is the first that went in. Nothing depends on the portions. Memory and the work for a sample
    stay the same, however long the wave.

    At a rate other than the network's the wave x is low + high, where low is what survives
    resampling to the network's rate and back. The network makes its estimate of low. high, which it
    never hears, is passed at the gain that the network gave to the upper half of its band in the
    80 ms before. A network that changes nothing returns x.

    Args:
        model: the name of embedded weights, a weights file, an ``Enhancer`` or a network of a
            causal kind; or any ``segan.stepping.Stepper``.
        rate: sample rate in Hz, 1000 to 1,000,000.
        channels: enhanced each by itself; up to 781, at 48 kHz 260.
        keep: share of the original that is blended in, 0 to 1.
        device: where the network runs, as torch names it.

    Attributes:
        delay: samples that go in until a sample comes out, itself included, at most.
        latency: the same in seconds.

    Raises ValueError for a rate, a number of channels or a share that makes no sense and for a
    network that isn't causal; OSError where there are no such weights.
    """

    def __init__(
        self,
        model="streaming",
        rate: int = 16000,
        channels: int = 1,
        keep: float = 0.0,
        device: str | None = "cpu",
    ):
        if int(rate) != rate or not SLOWEST <= rate <= FASTEST:
            raise ValueError(f"rate {rate}: whole Hz from {SLOWEST} to {FASTEST} are taken")
        most = WIDEST // max(int(rate), 16000)
        if int(channels) != channels or not 1 <= channels <= most:
            raise ValueError(f"channels {channels}: 1 to {most} are taken at {rate} Hz")
        if not 0 <= keep <= 1:
            raise ValueError(f"keep {keep}: a share from 0 to 1 is needed")
        self.network = stepper(model, device)
        self.rate, self.channels, self.keep = int(rate), int(channels), keep
        self.flat = channels == 1  # whether waves are given as (n,)
        self._begin()
        self.delay = self.path.delay
        self.latency = self.delay / self.rate

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """Return the samples that ``samples`` complete, any number from 0 up.

        ``(C, n) -> (C, m)``, or ``(n,) -> (m,)`` where there is one channel; floats, full scale 1,
        float32 out. Raises ValueError for another shape and for what is not finite, TypeError for
        integers; what was fed before stays as it was.
        """
        block = self._checked(samples)
        self.waiting.append(block)
        self.fed += block.shape[1]
        if self.fed < self.path.needed:
            return self._shaped(np.zeros((self.channels, 0), np.float32))
        return self._shaped(self._work())

    def flush(self) -> np.ndarray:
        """Return the rest, and be ready for another wave."""
        rest = self.fed - self.path.given
        self.waiting.append(np.zeros((self.channels, self.delay), np.float32))
        out = self._work()[:, :rest] if rest else np.zeros((self.channels, 0), np.float32)
        self._begin()
        return self._shaped(out)

    def _begin(self) -> None:
        kind = Direct if self.rate == self.network.rate else Resampled
        self.path = kind(self.network, self.rate, self.channels, self.keep)
        self.waiting: list[np.ndarray] = []  # less than the network takes a step for
        self.fed = 0

    def _work(self) -> np.ndarray:
        wave = np.concatenate(self.waiting, axis=1)
        self.waiting = []
        size = max(1, round(PORTION * self.rate / -(-self.channels // 4)))
        starts = range(0, wave.shape[1], size)
        return np.concatenate([self.path.feed(wave[:, s : s + size]) for s in starts], axis=1)

    def _checked(self, samples: np.ndarray) -> np.ndarray:
        """Return a copy of ``samples``, ``(C, n)`` float32."""
        array = np.asarray(samples)
        if array.dtype.kind != "f":
            raise TypeError(f"samples of type {array.dtype}: floats of full scale 1 are needed")
        flat = array.ndim == 1 and self.channels == 1
        if not flat and (array.ndim != 2 or len(array) != self.channels):
            raise ValueError(
                f"samples of shape {array.shape}: ({self.channels}, n) is needed, channels first"
            )
        with np.errstate(over="ignore"):
            block = np.array(array.reshape(self.channels, -1), np.float32)
        if not np.isfinite(block).all():
            where = self.fed + int(np.argwhere(~np.isfinite(block))[:, -1].min())
            raise ValueError(f"not finite at sample {where}; replace NaN and infinity")
        self.flat = flat
        return block

    def _shaped(self, wave: np.ndarray) -> np.ndarray:
        return wave[0] if self.flat else wave


def streamed(blocks: Iterable[np.ndarray], model, rate: int, keep: float) -> Iterator[np.ndarray]:
    """Yield the blocks of a wave, ``(C, n)``, cleaned by a ``Streamer``; as many samples."""
    streamer = None
    for block in blocks:
        streamer = streamer or Streamer(model, rate, len(block), keep)
        yield streamer.feed(block)
    if streamer:
        yield streamer.flush()


class Hops:
    """A stepping network on a wave that comes in any portions.

    ``lag`` is how many samples go in until a sample comes out, itself included, at most;
    ``needed``, how many it takes in all until the network has a hop to work on.
    """

    def __init__(self, network: Stepper, channels: int):
        self.network, self.state = network, network.start(channels)
        self.hop, self.early = network.hop, network.delay  # samples before the wave, to be dropped
        self.lag, self.needed = network.delay + network.hop, network.hop
        self.held = np.zeros((channels, 0), np.float32)  # less than a hop, not yet given
        self.unheard = np.zeros((channels, 0), np.float32)  # given, but not out yet

    def feed(self, wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the next samples as they were and as they come out, each ``(C, n)``."""
        self.held = np.concatenate([self.held, wave], axis=1)
        whole = self.held.shape[1] // self.hop * self.hop
        if not whole:
            return self.held[:, :0], self.held[:, :0]
        given, self.held = self.held[:, :whole], self.held[:, whole:]
        self.needed += whole
        clean, self.state = self.network.step(np.ascontiguousarray(given), self.state)
        clean, self.early = clean[:, self.early :], max(0, self.early - whole)
        noisy = np.concatenate([self.unheard, given], axis=1)
        noisy, self.unheard = noisy[:, : clean.shape[1]], noisy[:, clean.shape[1] :]
        return noisy, np.where(np.isfinite(clean), clean, noisy)  # a square may have overflowed


class Direct:
    """A wave at the network's own rate.

    ``delay`` is that of ``Streamer``; ``given`` counts the samples that came out, ``needed`` those
    that have to go in, in all, until there is work to do.
    """

    def __init__(self, network: Stepper, rate: int, channels: int, keep: float):
        self.hops, self.keep = Hops(network, channels), keep
        self.delay, self.given, self.needed = self.hops.lag, 0, self.hops.needed

    def feed(self, wave: np.ndarray) -> np.ndarray:
        """Return the samples that ``wave`` completes. ``(C, n) -> (C, m)``."""
        noisy, clean = self.hops.feed(wave)
        self.given, self.needed = self.given + clean.shape[1], self.hops.needed
        return clean + self.keep * (noisy - clean)


class Resampled:
    """A wave at another rate than the network's; attributes as of ``Direct``."""

    def __init__(self, network: Stepper, rate: int, channels: int, keep: float):
        self.hops, self.share = Hops(network, channels), 1 - keep
        self.down = Polyphase(rate, network.rate, channels)
        self.up = Polyphase(network.rate, rate, 2 * channels)
        self.loss = Loss(network.hop, network.rate, channels, min(1.0, rate / network.rate))
        inside = self.hops.lag + self.up.ahead - 1  # samples at the network's rate
        self.delay = self.down.ahead + 1 + inside * rate // network.rate
        self.original = np.zeros((channels, 0), np.float32)  # what has not come out yet
        self.given, self.needed = 0, self.down.needed(self.hops.needed)

    def feed(self, wave: np.ndarray) -> np.ndarray:
        """Return the samples that ``wave`` completes. ``(C, n) -> (C, m)``."""
        self.original = np.concatenate([self.original, wave], axis=1)
        noisy, clean = self.hops.feed(self.down.feed(wave))
        self.needed = self.down.needed(self.hops.needed)
        self.loss.feed(noisy, clean)
        change, low = np.split(self.up.feed(np.concatenate([clean - noisy, noisy])), 2)
        count = low.shape[1]
        x, self.original = self.original[:, :count], self.original[:, count:]
        place = (self.given + np.arange(count)) * (self.up.down / self.up.up)
        self.given += count
        return x + self.share * (change - self.loss.at(place) * (x - low))


class Loss:
    """1 - the gain in the upper half of the network's band, for every moment: in [0, 1].

    The gain is sqrt(energy after / energy before) over the past ``SMOOTH`` seconds, at most 1. It
    is taken every hop and changes in a straight line from hop to hop.

    Args:
        hop: samples between gains, half a window.
        rate: of the samples, Hz.
        channels: each has its own.
        top: upper end of the band, as a share of half the rate.
    """

    def __init__(self, hop: int, rate: int, channels: int, top: float):
        self.hop, self.band = hop, slice(round(hop * top / 2), round(hop * top) + 1)
        self.taper = np.hanning(2 * hop + 1)[:-1]  # in doubles, whose squares don't overflow
        frames = max(1, round(SMOOTH * rate / hop))
        self.waves = np.zeros((2 * channels, hop), np.float32)  # the last hop, noisy and clean
        self.energy = np.zeros((2 * channels, frames - 1))
        self.values = np.zeros((channels, 1))  # at the ends of hops
        self.first = 0  # the hop before whose start the first of them stands

    def feed(self, noisy: np.ndarray, clean: np.ndarray) -> None:
        """Take the next hops, each ``(C, n * hop)``."""
        if not noisy.shape[1]:
            return
        waves = np.concatenate([self.waves, np.concatenate([noisy, clean])], axis=1)
        frames = sliding_window_view(waves, 2 * self.hop, axis=1)[:, :: self.hop]
        spectrum = np.fft.rfft(frames * self.taper)[:, :, self.band]
        energy = (spectrum.real**2 + spectrum.imag**2).sum(2)
        energy = np.concatenate([self.energy, energy], axis=1)
        kept = self.energy.shape[1]
        before, after = np.split(sliding_window_view(energy, kept + 1, axis=1).sum(2), 2)
        gain = np.sqrt(np.minimum(1, after / np.maximum(before, 1e-30)))
        self.values = np.concatenate([self.values, np.where(before > 0, 1 - gain, 0)], axis=1)
        self.waves, self.energy = waves[:, -self.hop :], energy[:, energy.shape[1] - kept :]

    def at(self, place: np.ndarray) -> np.ndarray:
        """Return the loss at ascending places in samples, ``(n,) -> (C, n)``; drop what is past."""
        if not len(place):
            return self.values[:, :0].astype(np.float32)
        hop = np.floor(place / self.hop).astype(int)
        share, own = place / self.hop - hop, hop - self.first
        loss = self.values[:, own] * (1 - share) + self.values[:, own + 1] * share
        self.values, self.first = self.values[:, own[-1] :], int(hop[-1])
        return loss.astype(np.float32)
