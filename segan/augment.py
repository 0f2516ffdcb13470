"""What is drawn for a mixture of speech and noise, and what is made of it.

``Recipe`` draws a ``Scene``: cuts of sound and numbers. ``render`` makes a mixture of it, one at a
time, in NumPy, ``(T,)``; ``segan.device_mixing`` does the same to batches, in torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from scipy.signal import fftconvolve, lfilter


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
    pitch = rng.uniform(45, 250)
    strength = rng.exponential(size=count) / np.arange(1, count + 1) ** rng.uniform(0, 1.5)
    phase = rng.uniform(0, 2 * np.pi, count)
    turns = np.exp(2j * np.pi * pitch / rate * np.arange(frames))
    harmonics = strength * np.exp(1j * phase)  # coefficients of the powers of ``turns``, from 1 on
    return np.polyval([*harmonics[::-1], 0], turns).imag


# What is drawn

ONE = 1 << 16  # the step of a cut that is played as it was recorded
LONGEST_ROOM = 0.4  # seconds


class Scene(NamedTuple):
    """What a mixture is made of.

    Attributes:
        speech: a cut, ``(T,)``.
        noise: one or two cuts, each ``(T,)`` or as long as its step asks for.
        steps: how far each of these is played on in a sample, in 65536ths of one: whole numbers, so
            that every device plays the same samples.
        tail: impulse response of a room after its direct sound; of no length without one.
        filters: of speech, of noise: ``(2, 4)``, coefficients a1, a2, b1, b2 of ``equalize``.
        ratios: dB of the first noise over the second, of speech over noise.
        peak: the largest sample of the mixture and its speech.
    """

    speech: np.ndarray
    noise: list[np.ndarray]
    steps: list[int]
    tail: np.ndarray
    filters: np.ndarray
    ratios: tuple[float, float]
    peak: float


class Source(Protocol):
    """Anything that sound is drawn from, such as ``segan.corpus.Corpus``."""

    def draw(self, rng: np.random.Generator, frames: int) -> np.ndarray:
        """Return ``frames`` samples."""


def biquad(rng: np.random.Generator, strength: float = 0.375) -> np.ndarray:
    """Return the coefficients of a random second-order filter (Valin 2018, eq. 7). ``(4,)``."""
    return rng.uniform(-strength, strength, 4)


def room(rng: np.random.Generator, rate: int) -> np.ndarray:
    """Return the impulse response of a small synthetic room: after 2 ms, decaying noise."""
    decay = rng.uniform(0.1, LONGEST_ROOM)  # seconds to -60 dB
    time = np.arange(round(decay * rate)) / rate
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    tail *= 10 ** (-rng.uniform(6, 20) / 20) / (np.linalg.norm(tail) + 1e-12)
    tail[: rate // 500] = 0
    return tail


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

    def scene(
        self, rng, voices: Source, noises: Source, frames: int, rate: int, snr, peak
    ) -> Scene:
        """Return what is drawn for a mixture of ``frames`` samples; ``snr``, ``peak``: ranges."""
        speech = voices.draw(rng, frames)
        filters = np.zeros((2, 4))
        if rng.random() < self.filters:
            filters[0] = biquad(rng, 0.2)
        tail = room(rng, rate) if rng.random() < self.reverb else np.zeros(0)
        count = 1 + (rng.random() < self.second)
        drawn = [self.noise(rng, voices, noises, frames, rate) for _ in range(count)]
        if rng.random() < self.filters:
            filters[1] = biquad(rng)
        ratios = rng.uniform(-10, 10), rng.uniform(*snr)
        cuts, steps = map(list, zip(*drawn, strict=True))
        loudest = np.exp(rng.uniform(*np.log(peak)))
        return Scene(speech, cuts, steps, tail, filters, ratios, loudest)

    def noise(
        self, rng, voices: Source, noises: Source, frames: int, rate: int
    ) -> tuple[np.ndarray, int]:
        """Return synthetic noise, babble, or a recording, and the step at which it is played."""
        kind = rng.random()
        if kind < self.synthetic:
            wave = colored(rng, frames, rng.uniform(-1, 7))
            if rng.random() < 0.4:
                wave += rng.uniform(0, 0.7) * hum(rng, frames, rate)
            return wave, ONE
        if kind < self.synthetic + self.babble:
            return sum(unit(voices.draw(rng, frames)) for _ in range(rng.integers(3, 8))), ONE
        step = round(ONE * rng.uniform(1 - self.speed, 1 + self.speed))
        return noises.draw(rng, needed(frames, step)), step


def needed(frames: int, step: int) -> int:
    """Return how many samples ``frames`` samples are played from at ``step``."""
    return ((frames - 1) * step >> 16) + 2


# What is made of it


def render(scene: Scene, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mixture and its clean speech, float32, ``(T,)``."""
    frames = len(scene.speech)
    clean = reverberate(equalize(scene.speech, scene.filters[0]), scene.tail)
    noises = [played(*one, frames) for one in zip(scene.noise, scene.steps, strict=True)]
    noise = noises[0] if len(noises) == 1 else mix(*noises, scene.ratios[0], rate)
    noisy = mix(clean, equalize(noise, scene.filters[1]), scene.ratios[1], rate)
    gain = scene.peak / max(np.abs(noisy).max(), np.abs(clean).max(), 1e-5)
    return (gain * noisy).astype(np.float32), (gain * clean).astype(np.float32)


def equalize(wave: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Return ``wave`` through (1 + b1/z + b2/z^2) / (1 + a1/z + a2/z^2)."""
    if not np.any(coefficients):
        return wave
    a, b = coefficients[:2], coefficients[2:]
    return lfilter([1, *b], [1, *a], wave)


def reverberate(wave: np.ndarray, tail: np.ndarray) -> np.ndarray:
    """Return ``wave`` in a room: as it is, and what follows it."""
    return wave + fftconvolve(wave, tail)[: len(wave)] if len(tail) else wave


def played(wave: np.ndarray, step: int, frames: int) -> np.ndarray:
    """Return ``wave`` faster or slower, pitch and all: linearly interpolated, ``(frames,)``."""
    if step == ONE:
        return wave[:frames]
    place = np.arange(frames) * step
    index, part = place >> 16, (place & (ONE - 1)) / ONE
    return wave[index] * (1 - part) + wave[index + 1] * part


def unit(wave: np.ndarray) -> np.ndarray:
    """Return ``wave`` scaled to unit root mean square; silence stays silence."""
    return wave / (np.sqrt(np.mean(np.square(wave))) + 1e-8)
