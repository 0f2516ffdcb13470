"""Make the sound files of this folder: a synthetic voice, and noise that is computed here.

    python egs/speech/make.py            # needs espeak-ng: apt install espeak-ng

The voice is espeak-ng's, everything else is NumPy with fixed seeds.
"""

import argparse
import io
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from segan.audio import resample, write
from segan.augment import active_level, unit

PEAK = 10 ** (-3 / 20)  # of every noisy file
MARGIN = 0.5  # seconds of noise alone, before and after the voice


class Scene(NamedTuple):
    """One pair of files: its name in both folders, who says what in which noise."""

    name: str
    voice: str
    pitch: int
    text: str
    noise: str
    snr: float  # dB, over active speech
    rate: int = 16000
    channels: int = 1


KETTLE = "The kettle is on, the window is open, and it has been raining since noon."
ONCE_MORE = "Say that once more, it is loud in here tonight."
BRIDGE = "Turn left at the bridge, and wait by the bakery."
MINUTES = "I am typing the minutes."
SCENES = [
    Scene("{}.wav", "en-gb", 45, KETTLE, "rain", 5),
    Scene("{}_stereo.flac", "en-gb-x-rp", 50, "Leave it on my desk.", "keyboard", 5, 48000, 2),
    Scene("{}/babble.wav", "en-us", 60, ONCE_MORE, "babble", 5),
    Scene("{}/keyboard.wav", "en-gb", 55, MINUTES, "keyboard", 5),
    Scene("{}/traffic.wav", "en-gb-scotland", 30, BRIDGE, "traffic", 0),
]

CHATTER = [
    "We ordered two of those and a salad without onions, if I remember it rightly.",
    "My brother moved house again, the third time this year, and he still has the piano.",
    "Nobody told the driver, so of course he went the long way round, by the harbor.",
    "And then she laughed, because the whole time the keys had been in her other coat.",
    "Half past nine at the earliest, they said, but you know how these trains are.",
    "It tastes of lemon at first, and afterwards a little of pepper, doesn't it?",
]


def speak(text: str, voice: str, pitch: int, rate: int, speed: int = 160) -> np.ndarray:
    """Return what espeak-ng says, at ``rate`` Hz."""
    command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", text]
    said = subprocess.run(command, capture_output=True, check=True).stdout
    wave, own_rate = soundfile.read(io.BytesIO(said), dtype="float32")
    return resample(np.trim_zeros(wave), own_rate, rate)


def rain(rng: np.random.Generator, frames: int, rate: int) -> np.ndarray:
    """Return rain: a steady hiss, drops on the sill, and the hum of a fan."""
    hiss = colored(rng, frames, rate, 2.5) * (1 + 0.15 * slow(rng, frames, rate, 2.0))
    drops = struck(rng, frames, rate, per_second=60, pitch=(1500, 6000), decay=0.004)
    time = np.arange(frames) / rate
    fan = sum(np.sin(2 * np.pi * 95 * k * time + k * k) / k for k in range(1, 7))
    return unit(hiss) + 0.5 * unit(drops) + 0.35 * unit(fan)


def babble(rng: np.random.Generator, frames: int, rate: int) -> np.ndarray:
    """Return six people who talk at once, each from somewhere within a sentence."""
    talkers = [
        speak(text, ("en-us", "en-gb-x-gbcwmd")[n % 2], 20 + 14 * n, rate, speed=150 + 8 * n)
        for n, text in enumerate(CHATTER)
    ]
    return sum(unit(np.resize(np.roll(t, -rng.integers(len(t))), frames)) for t in talkers)


def traffic(rng: np.random.Generator, frames: int, rate: int) -> np.ndarray:
    """Return a road: a low rumble, and the tires of cars that pass."""
    time = np.arange(frames) / rate
    passing = 0.25 + np.exp(-((time - rng.uniform(0.8, 1.4)) ** 2) / 0.3)
    passing += 1.5 * np.exp(-((time - rng.uniform(2.6, 3.2)) ** 2) / 0.5)
    return colored(rng, frames, rate, 7) + 1.2 * unit(passing * colored(rng, frames, rate, 3.5))


def keyboard(rng: np.random.Generator, frames: int, rate: int) -> np.ndarray:
    """Return somebody who types, and the air of the room."""
    keys = struck(rng, frames, rate, per_second=9, pitch=(900, 3500), decay=0.012)
    return unit(keys) + 0.25 * colored(rng, frames, rate, 4)


def colored(rng: np.random.Generator, frames: int, rate: int, slope: float) -> np.ndarray:
    """Return noise that falls by ``slope`` dB an octave above 100 Hz, and fast below 40 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    hertz = np.fft.rfftfreq(frames, 1 / rate)
    falloff = np.maximum(hertz / 100, 1) ** (-slope / 6.02) * np.minimum(hertz / 40, 1) ** 2
    return unit(np.fft.irfft(spectrum * falloff, frames))


def struck(rng, frames: int, rate: int, per_second: float, pitch: tuple, decay: float):
    """Return short knocks at random moments: decaying tones, noisy at their start."""
    wave = np.zeros(frames + rate)
    time = np.arange(round(8 * decay * rate)) / rate
    for start in rng.integers(0, frames, round(per_second * frames / rate)):
        tone = np.sin(2 * np.pi * rng.uniform(*pitch) * time)
        click = rng.standard_normal(len(time)) * np.exp(-time / decay * 6)
        knock = rng.lognormal(0, 0.6) * (tone * np.exp(-time / decay) + 2 * click)
        wave[start : start + len(time)] += knock
    return wave[:frames]


def slow(rng: np.random.Generator, frames: int, rate: int, per_second: float) -> np.ndarray:
    """Return a smooth random curve of unit deviation that turns ``per_second`` times a second."""
    points = rng.standard_normal(round(frames / rate * per_second) + 2)
    return np.interp(np.linspace(0, len(points) - 1, frames), np.arange(len(points)), points)


NOISES = {"rain": rain, "babble": babble, "traffic": traffic, "keyboard": keyboard}


def mixture(scene: Scene, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the clean and the noisy wave of a scene, ``(channels, T)``."""
    voice = speak(scene.text, scene.voice, scene.pitch, scene.rate)
    voice = np.pad(voice, round(MARGIN * scene.rate))
    rng = np.random.default_rng(seed)
    voice = voice + 1e-4 * rng.standard_normal(len(voice))  # no room is silent
    noises = [NOISES[scene.noise](rng, len(voice), scene.rate) for _ in range(scene.channels)]
    gain = active_level(voice, scene.rate) * 10 ** (-scene.snr / 20)
    later = round(2e-4 * scene.rate)  # the way to the second ear
    clean = np.stack([np.roll(voice, later * channel) for channel in range(scene.channels)])
    noisy = clean + gain * np.stack([unit(noise) for noise in noises])
    scale = PEAK / np.abs(noisy).max()
    return scale * clean, scale * noisy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    folder = parser.parse_args().folder
    if shutil.which("espeak-ng") is None:
        parser.error("espeak-ng is missing; install it: apt install espeak-ng, or brew, or choco")
    for seed, scene in enumerate(SCENES):
        waves = mixture(scene, seed)
        for kind, wave in zip(("clean", "noisy"), waves, strict=True):
            path = folder / scene.name.format(kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, wave, scene.rate, "PCM_16")
            print(f"{path}: {wave.shape[1] / scene.rate:.2f} s")


if __name__ == "__main__":
    main()
