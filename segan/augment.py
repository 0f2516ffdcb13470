"""What is done to speech and noise before they are mixed. NumPy in and out, float, ``(T,)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.signal import fftconvolve, lfilter


class Source(Protocol):
    """Anything that sound is drawn from, such as ``segan.data.Corpus``."""

    def draw(self, rng: np.random.Generator, frames: int) -> np.ndarray:
        """Return ``frames`` samples."""


def active_level(wave: np.ndarray, rate: int) -> float:
    """Return the root mean square over the active frames of 20 ms.

    Active are frames within 30 dB of the 95th percentile (in the spirit of ITU-T P.56).
    """
    size = max(rate // 50, 1)
    energy = np.square(wave[: len(wave) // size * size]).reshape(-1, size).mean(1)
    if energy.size == 0 or energy.max() == 0:
        return 0.0
    active = energy[energy >= np.quantile(energy, 0.95) * 1e-3]
    return float(np.sqrt(active.mean()))


def mix(clean: np.ndarray, noise: np.ndarray, snr: float, rate: int) -> np.ndarray:
    """Return ``clean`` plus ``noise`` at ``snr`` dB over active speech; silent ones unscaled."""
    speech, background = active_level(clean, rate), float(np.sqrt(np.mean(np.square(noise))))
    if speech == 0 or background == 0:
        return clean + noise
    return clean + noise * (speech / background * 10 ** (-snr / 20))


def colored(rng: np.random.Generator, frames: int, slope: float) -> np.ndarray:
    """Return noise whose power falls by ``slope`` dB an octave: 0 white, 3 pink, 6 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    falloff = np.arange(1, len(spectrum) + 1) ** (-slope / 6.02)
    wave = np.fft.irfft(spectrum * falloff, frames)
    return wave / (wave.std() + 1e-12)


def hum(rng: np.random.Generator, frames: int, rate: int) -> np.ndarray:
    """Return a mains-like tone, 45 to 250 Hz, with harmonics of random strength."""
    count = 12
    pitch = rng.uniform(45, 250) * np.arange(1, count + 1)
    strength = rng.exponential(size=count) / np.arange(1, count + 1) ** rng.uniform(0, 1.5)
    phase = rng.uniform(0, 2 * np.pi, count)
    time = np.arange(frames)[:, None] / rate
    return np.sin(2 * np.pi * pitch * time + phase) @ strength


def equalize(rng: np.random.Generator, wave: np.ndarray, strength: float = 0.375) -> np.ndarray:
    """Return ``wave`` through a random second-order filter (Valin 2018, eq. 7)."""
    a, b = rng.uniform(-strength, strength, (2, 2))
    return lfilter([1, *b], [1, *a], wave)


def reverberate(rng: np.random.Generator, wave: np.ndarray, rate: int) -> np.ndarray:
    """Return ``wave`` in a small synthetic room: direct sound, then decaying noise."""
    decay = rng.uniform(0.1, 0.4)  # seconds to -60 dB
    time = np.arange(round(decay * rate)) / rate
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    tail *= 10 ** (-rng.uniform(6, 20) / 20) / (np.linalg.norm(tail) + 1e-12)
    tail[: rate // 500] = 0
    tail[0] = 1
    return fftconvolve(wave, tail)[: len(wave)]


def varispeed(rng: np.random.Generator, source: Source, frames: int, span: float) -> np.ndarray:
    """Return a draw of ``source`` played up to ``span`` faster or slower, pitch and all."""
    factor = rng.uniform(1 - span, 1 + span)
    wave = source.draw(rng, int(np.ceil(frames * factor)) + 1)
    return np.interp(np.arange(frames) * factor, np.arange(len(wave)), wave)


@dataclass(frozen=True)
class Recipe:
    """The probabilities of each degradation. ``Recipe()`` is what the default was trained with.

    Attributes:
        speed: largest change of the noise's speed.
        filters: probability of a random equalization, of speech and of noise each.
        synthetic: probability that the noise is colored noise, perhaps with a hum.
        babble: probability that the noise is three to seven other voices.
        second: probability that a second noise is added to the first.
        reverb: probability that speech is reverberated (source and target alike).
    """

    speed: float = 0.2
    filters: float = 0.5
    synthetic: float = 0.12
    babble: float = 0.12
    second: float = 0.3
    reverb: float = 0.1

    def speech(self, rng, corpus: Source, frames: int, rate: int) -> np.ndarray:
        """Return a draw of clean speech. ``(frames,)``."""
        wave = corpus.draw(rng, frames)
        if rng.random() < self.filters:
            wave = equalize(rng, wave, 0.2)
        return reverberate(rng, wave, rate) if rng.random() < self.reverb else wave

    def noise(self, rng, corpus: Source, voices: Source, frames: int, rate: int) -> np.ndarray:
        """Return a draw of noise, one kind or two. ``(frames,)``."""
        wave = self.one_noise(rng, corpus, voices, frames, rate)
        if rng.random() < self.second:
            other = self.one_noise(rng, corpus, voices, frames, rate)
            wave = mix(wave, other, rng.uniform(-10, 10), rate)
        return equalize(rng, wave) if rng.random() < self.filters else wave

    def one_noise(self, rng, corpus: Source, voices: Source, frames: int, rate: int) -> np.ndarray:
        """Return synthetic noise, babble, or a recording."""
        kind = rng.random()
        if kind < self.synthetic:
            wave = colored(rng, frames, rng.uniform(-1, 7))
            return wave + rng.uniform(0, 0.7) * hum(rng, frames, rate) * (rng.random() < 0.4)
        if kind < self.synthetic + self.babble:
            return sum(unit(voices.draw(rng, frames)) for _ in range(rng.integers(3, 8)))
        return varispeed(rng, corpus, frames, self.speed)


def unit(wave: np.ndarray) -> np.ndarray:
    """Return ``wave`` scaled to unit root mean square; silence stays silence."""
    return wave / (np.sqrt(np.mean(np.square(wave))) + 1e-8)
