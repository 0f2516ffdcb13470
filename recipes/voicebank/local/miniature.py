"""Make a corpus in the layout, names and log files of VoiceBank-DEMAND.

Without options it is tiny and synthetic: voices of pulses through formants, noises from a random
generator. With --speech and --noise it is filled from folders of recordings, and with --test from a
folder that holds pairs (clean/ and noisy/, and mixtures.jsonl with their noise and snr_db).
"""

import argparse
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from scipy.signal import lfilter
from tqdm import tqdm

from segan import augment
from segan.audio import SUFFIXES, read, resample

SNRS = {"train": (15, 10, 5, 0), "test": (17.5, 12.5, 7.5, 2.5)}
SETS = {"train": "trainset_28spk", "test": "testset"}
SPEAKERS = {"train": ("p226", "p227", "p228", "p287"), "test": ("p232", "p257")}
NOISES = {
    "train": ("babble", "cafeteria", "car", "kitchen", "ssn"),
    "test": ("bus", "cafe", "living", "office", "psquare"),
}
PEAK = 0.9


class Pair(NamedTuple):
    """An utterance of the corpus; noisy and clean are ``(T,)`` at the corpus's rate."""

    name: str
    noisy: np.ndarray
    clean: np.ndarray
    noise: str
    snr: float


# Synthetic sound


def voice(rng: np.random.Generator, frames: int, rate: int, pitch: float) -> np.ndarray:
    """Return something like speech: a pulse train through three formants, in syllables."""
    time = np.arange(frames) / rate
    melody = pitch * (1 + 0.15 * np.sin(2 * np.pi * rng.uniform(0.5, 1.5) * time))
    phase = np.cumsum(melody) / rate
    pulses = np.diff(np.floor(phase), prepend=0) + 0.02 * rng.standard_normal(frames)
    wave = np.zeros(frames)
    for start in range(0, frames, rate // 5):  # five syllables a second
        piece = pulses[start : start + rate // 5]
        for low, high in ((300, 850), (900, 2300), (2400, 3200)):
            piece = resonate(piece, rng.uniform(low, high), rate)
        wave[start : start + len(piece)] = augment.unit(piece) * np.hanning(len(piece))
    breath = 2e-4 * rng.standard_normal(frames)  # no recording is digital silence
    return 0.1 * wave * (np.sin(2 * np.pi * 0.8 * time) > -0.8) + breath


def resonate(wave: np.ndarray, frequency: float, rate: int, width: float = 90.0) -> np.ndarray:
    """Return ``wave`` through a resonance at ``frequency`` Hz."""
    radius = np.exp(-np.pi * width / rate)
    return lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * frequency / rate), radius**2], wave)


def synthetic(part: str, utterances: int, rate: int) -> Iterator[Pair]:
    """Yield the pairs of a set, ``utterances`` of each speaker."""
    rng = np.random.default_rng(len(part))
    for index, speaker in enumerate(SPEAKERS[part]):
        for number in range(1, utterances + 1):
            frames = int(rng.uniform(1.5, 2.5) * rate)
            clean = voice(rng, frames, rate, 100 + 35 * index)
            name = NOISES[part][number % len(NOISES[part])]
            noise = augment.colored(rng, frames, 1.5 * NOISES[part].index(name))
            snr = SNRS[part][(number + index) % 4]
            yield mixed(f"{speaker}_{number:03}", clean, noise, name, snr, rate)


def mixed(
    name: str, clean: np.ndarray, noise: np.ndarray, kind: str, snr: float, rate: int
) -> Pair:
    """Return a pair whose peak is below full scale."""
    noisy = augment.mix(clean, noise, snr, rate)
    gain = min(1.0, PEAK / max(np.abs(noisy).max(), 1e-9))
    return Pair(name, gain * noisy, gain * clean, kind, snr)


# Recorded sound


def recordings(folder: Path) -> list[Path]:
    """Return the sound files below ``folder``."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: no sound in it")
    return paths


def mono(path: Path, rate: int) -> np.ndarray:
    """Return a recording at ``rate`` Hz, ``(T,)``."""
    wave, own = read(path)
    return resample(wave.mean(0), own, rate)


def recorded(speech: Path, noise: Path, rate: int) -> Iterator[Pair]:
    """Yield training pairs: each utterance in a noise, files named ``SPEAKER_*`` by speaker."""
    rng = np.random.default_rng(0)
    noises = [(path.stem, mono(path, rate)) for path in recordings(noise)]
    numbers: dict[str, int] = {}
    names: dict[str, str] = {}
    for index, path in enumerate(tqdm(recordings(speech), unit="file", disable=None)):
        own = f"{path.parent.name}/{path.stem.split('_')[0]}"
        speaker = names.setdefault(own, f"p{300 + len(names)}")
        numbers[speaker] = numbers.get(speaker, 0) + 1
        clean = mono(path, rate)
        kind, background = noises[rng.integers(len(noises))]
        start = rng.integers(len(background))
        background = np.resize(np.roll(background, -start), len(clean))
        snr = SNRS["train"][index % 4]
        yield mixed(f"{speaker}_{numbers[speaker]:03}", clean, background, kind, snr, rate)


def paired(folder: Path, rate: int) -> Iterator[Pair]:
    """Yield the pairs of a folder with clean/ and noisy/, named ``SPEAKER_*``."""
    told = {}
    if (folder / "mixtures.jsonl").exists():
        lines = (folder / "mixtures.jsonl").read_text(encoding="utf-8").splitlines()
        told = {row["utterance"]: row for row in map(json.loads, lines)}
    names: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for path in recordings(folder / "noisy"):
        speaker = names.setdefault(path.stem.split("_")[0], f"p{600 + len(names)}")
        numbers[speaker] = numbers.get(speaker, 0) + 1
        row = told.get(path.stem, {"noise": "unknown", "snr_db": 0})
        clean = mono(folder / "clean" / path.name, rate)
        name = f"{speaker}_{numbers[speaker]:03}"
        yield Pair(name, mono(path, rate), clean, row["noise"], row["snr_db"])


# Writing


def write_set(target: Path, part: str, pairs: Iterator[Pair], rate: int, zipped: bool) -> str:
    """Write noisy and clean sound of a set; return its log."""
    log = []
    with (
        Folder(target / f"noisy_{SETS[part]}_wav", zipped) as noisy,
        Folder(target / f"clean_{SETS[part]}_wav", zipped) as clean,
    ):
        for pair in pairs:
            noisy.add(f"{pair.name}.wav", wav(pair.noisy, rate))
            clean.add(f"{pair.name}.wav", wav(pair.clean, rate))
            log.append(f"{pair.name} {pair.noise} {pair.snr:g}\n")
    return "".join(log)


def wav(wave: np.ndarray, rate: int) -> bytes:
    """Return the bytes of a 16-bit WAV."""
    file = io.BytesIO()
    soundfile.write(file, wave, rate, "PCM_16", format="WAV")
    return file.getvalue()


class Folder:
    """A folder, or the archive that bears its name and holds it."""

    def __init__(self, path: Path, zipped: bool):
        self.path = path
        self.archive = zipfile.ZipFile(f"{path}.zip", "w") if zipped else None
        if not zipped:
            path.mkdir(parents=True)

    def add(self, name: str, data: bytes) -> None:
        """Add a file."""
        if self.archive:
            self.archive.writestr(f"{self.path.name}/{name}", data)
        else:
            (self.path / name).write_bytes(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.archive:
            self.archive.close()


def main() -> int:
    """Return 0, or 2 where the corpus can't be made."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="folder to be made")
    parser.add_argument("--speech", type=Path, help="clean recordings, named SPEAKER_*")
    parser.add_argument("--noise", type=Path, help="recordings of noise")
    parser.add_argument("--test", type=Path, help="pairs for the test set")
    parser.add_argument("--rate", type=int, default=48000, choices=[48000, 16000])
    parser.add_argument("--utterances", type=int, default=4, help="of each synthetic speaker")
    parser.add_argument("--unpacked", action="store_true", help="folders in place of archives")
    given = parser.parse_args()
    if (given.speech is None) != (given.noise is None):
        parser.error("--speech and --noise go together")
    if given.target.exists():
        parser.exit(2, f"miniature: {given.target} exists; remove it or name another\n")
    try:
        make(given)
    except (ValueError, OSError) as error:
        parser.exit(2, f"miniature: {error}\n")
    return 0


def make(given: argparse.Namespace) -> None:
    """Make the corpus."""
    rate, part = given.rate, given.target.with_name(f"{given.target.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    part.mkdir(parents=True)
    sets = {name: synthetic(name, given.utterances, rate) for name in SETS}
    if given.speech:
        sets["train"] = recorded(given.speech, given.noise, rate)
    if given.test:
        sets["test"] = paired(given.test, rate)
    with Folder(part / "logfiles", not given.unpacked) as logs:
        for name, pairs in sets.items():
            log = write_set(part, name, pairs, rate, not given.unpacked)
            logs.add(f"log_{SETS[name]}.txt", log.encode())
    part.rename(given.target)


if __name__ == "__main__":
    sys.exit(main())
