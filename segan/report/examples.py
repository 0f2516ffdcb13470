"""Utterances to listen to and to look at: which, and their sounds as FLAC and as spectrograms."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.report.page import data_uri
from gan.report.tables import gains
from segan.report.scores import Data, System

LONGEST = 15  # seconds of a sound that are shown
WINDOW = 0.032  # seconds of a frame
SPAN = 80  # dB between the darkest color and the brightest
FAINTEST = -100  # dB of full scale: never the brightest
WIDTH = 720  # columns of a spectrogram at most
SHADES = 64  # colors of a spectrogram: 1.3 dB each, and the file a third smaller than with 256


class Chosen(NamedTuple):
    """An utterance worth a look, and by how much the last system gains, or what it scores."""

    utterance: str
    gain: float


class Wave(NamedTuple):
    """A sound to show: samples ``(T, C)``, 16 bit; ``whole`` is its uncut length in seconds."""

    samples: np.ndarray
    rate: int
    whole: float

    @property
    def seconds(self) -> float:
        """How long what is shown lasts."""
        return len(self.samples) / self.rate


class Sound(NamedTuple):
    """A sound on the page, heard and seen as data: URIs; ``problem`` says why it has none."""

    name: str
    audio: str
    picture: str
    problem: str


class Example(NamedTuple):
    """An utterance on the page: clean, noisy and what systems made of it, on common axes.

    ``seconds`` is the length of the time axis, ``whole`` that of the longest sound uncut, ``top``
    the highest frequency in Hz.
    """

    chosen: Chosen
    seconds: float
    whole: float
    top: float
    sounds: list[Sound]


# Which


def choose(
    systems: Sequence[System], baseline: System, metric: str, number: int
) -> dict[str, list[Chosen]]:
    """Return the ``number`` best and worst utterances, by what the last system gains in ``metric``.

    It gains over the baseline; where it is the baseline itself, its own scores are ranked. No
    utterance is chosen twice.
    """
    last = systems[-1]
    found = scores(last, metric) if last is baseline else gains(baseline, last, metric)
    ranked = [Chosen(u, found[u]) for u in sorted(found, key=lambda u: (-found[u], u))]
    best = ranked[:number]
    return {"Best": best, "Worst": ranked[len(best) :][::-1][:number]}


def scores(system: System, metric: str) -> dict[str, float]:
    """Return the system's finite scores by utterance."""
    own = {u: values[metric] for u, values in system.scores.items() if metric in values}
    return {u: score for u, score in own.items() if math.isfinite(score)}


# One of them


def example(chosen: Chosen, systems: Sequence[System], data: Data) -> Example:
    """Return what the page shows of an utterance; of a sound that can't be read, why."""
    files = sources(chosen.utterance, systems, data)
    loaded = [load(path) for _, path in files]
    waves = [wave for wave in loaded if isinstance(wave, Wave)]
    seconds = max((wave.seconds for wave in waves), default=0.0)
    top = min((wave.rate / 2 for wave in waves), default=0.0)
    spectra = [spectrogram(wave, seconds, top) for wave in waves]
    loudest = max([FAINTEST, *(float(spectrum.max()) for spectrum in spectra)])
    pictures = iter(spectra)
    sounds = [
        Sound(name, flac(wave), png(next(pictures), loudest), "")
        if isinstance(wave, Wave)
        else Sound(name, "", "", wave)
        for (name, _), wave in zip(files, loaded, strict=True)
    ]
    whole = max((wave.whole for wave in waves), default=0.0)
    return Example(chosen, seconds, whole, top, sounds)


def sources(
    utterance: str, systems: Sequence[System], data: Data
) -> list[tuple[str, str | Path | None]]:
    """Return the name and the file of each sound: clean, noisy, systems that left any."""
    made = [(system.name, system.audio.get(utterance)) for system in systems if system.audio]
    given = [("clean", data.clean.get(utterance)), ("noisy", data.noisy[utterance])]
    return given + [(name, path) for name, path in made if name != "noisy"]


def load(path: str | Path | None) -> Wave | str:
    """Return the beginning of a sound file, or why there is nothing to show."""
    import soundfile

    if path is None:
        return "no file of this utterance"
    try:
        with soundfile.SoundFile(path) as file:
            samples = file.read(LONGEST * file.samplerate, "float64", always_2d=True)
            whole, rate = file.frames / file.samplerate, file.samplerate
    except (OSError, soundfile.LibsndfileError):
        return "the file cannot be read"
    if not len(samples):
        return "the file holds no samples"
    scaled = np.rint(np.nan_to_num(samples) * 2**15)  # exact for 16 bit
    return Wave(np.clip(scaled, -(2**15), 2**15 - 1).astype(np.int16), rate, whole)


def flac(wave: Wave) -> str:
    """Return the wave as FLAC in a data: URI."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, wave.samples, wave.rate, format="FLAC", subtype="PCM_16")
    return data_uri("audio/flac", file.getvalue())


# What it looks like


def spectrogram(wave: Wave, seconds: float, top: float) -> np.ndarray:
    """Return the spectrum of the wave in dB of full scale, up to ``top`` Hz. Shape: (K, N).

    The columns are spread over ``seconds``; those after the wave's end are as good as silent.
    Channels are averaged.
    """
    hop = max(seconds / WIDTH, WINDOW / 4)
    size = max(round(WINDOW * wave.rate), 2)
    window = np.hanning(size + 1)[:-1]
    starts = np.rint((np.arange(math.ceil(seconds / hop)) + 0.5) * hop * wave.rate).astype(int)
    padded = np.zeros(starts[-1] + size)
    mono = wave.samples.mean(axis=1) / 2**15
    middle = size // 2  # of the first frame is the first sample
    kept = min(len(mono), len(padded) - middle)
    padded[middle : middle + kept] = mono[:kept]
    frames = padded[starts[:, None] + np.arange(size)] * window  # (N, size)
    spectrum = np.abs(np.fft.rfft(frames)).T[: int(top * WINDOW) + 1]
    return 20 * np.log10(spectrum * 2 / window.sum() + 1e-10)


def png(spectrum: np.ndarray, loudest: float) -> str:
    """Return a spectrogram as PNG in a data: URI, ``loudest`` dB the brightest, low notes below."""
    from matplotlib import colormaps
    from PIL import Image

    shades = np.clip((spectrum[::-1] - loudest) / SPAN + 1, 0, 1) * (SHADES - 1)
    picture = Image.fromarray(np.rint(shades).astype(np.uint8)).convert("L")
    colors = colormaps["magma"](np.linspace(0, 1, SHADES), bytes=True)[:, :3]
    picture.putpalette(colors.tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return data_uri("image/png", file.getvalue())
