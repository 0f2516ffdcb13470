"""Training slices from Kaldi data directories: noisy-clean pairs, or mixtures made on the fly.

A data directory holds ``wav.scp`` (one ``utterance path`` a line) and, where they apply,
``spk1.scp`` (the clean twin of each utterance), ``utt2spk``, ``utt2dur`` and ``utt2weight`` (how
often an utterance is drawn relative to the others, 1 where nothing is said). Only slices are read,
so a corpus may be larger than memory; 16-bit WAV and FLAC are the formats that seek fastest.

Every random draw comes from a generator seeded by (seed, epoch, index): what an item holds does
not depend on the number of workers, nor on what was drawn before it.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from torch.utils.data import Dataset

from segan import augment
from segan.kaldi import read_map


class Recording(NamedTuple):
    """A sound file of known length, of which slices are read."""

    path: str
    frames: int

    def read(self, start: int, frames: int) -> np.ndarray:
        """Return samples ``start`` to ``start + frames``, float32 ``(frames,)``, mono."""
        wave, _ = soundfile.read(self.path, frames, start, dtype="float32", always_2d=True)
        return wave.mean(1)


def open_recording(path: str, rate: int) -> Recording:
    """Return the recording at ``path``.

    Raises:
        ValueError: where it can't be read, is empty, or has another rate than ``rate``.
    """
    try:
        info = soundfile.info(path)
    except (OSError, soundfile.LibsndfileError) as error:
        raise ValueError(f"{path}: can't be read as sound ({error})") from None
    if info.samplerate != rate:
        raise ValueError(f"{path}: {info.samplerate} Hz; resample it to {rate} Hz first")
    if info.frames == 0:
        raise ValueError(f"{path}: holds no samples; remove it from the list")
    return Recording(str(path), info.frames)


class Corpus:
    """The recordings of a data directory, drawn at random by duration and weight."""

    def __init__(self, folder: str | Path, rate: int = 16000):
        folder = Path(folder)
        paths = read_map(folder / "wav.scp")
        if not paths:
            raise ValueError(f"{folder / 'wav.scp'}: lists no recordings")
        self.recordings = [open_recording(path, rate) for path in paths.values()]
        speakers = read_optional(folder / "utt2spk")
        weights = read_optional(folder / "utt2weight")
        self.speakers = [speakers.get(key, key) for key in paths]
        mass = [
            recording.frames * float(weights.get(key, 1))
            for key, recording in zip(paths, self.recordings, strict=True)
        ]
        self.cumulative = np.cumsum(mass) / np.sum(mass)
        self.frames = sum(recording.frames for recording in self.recordings)
        self.by_speaker: dict[str, list[int]] = defaultdict(list)
        for index, speaker in enumerate(self.speakers):
            self.by_speaker[speaker].append(index)

    def draw(self, rng: np.random.Generator, frames: int) -> np.ndarray:
        """Return ``frames`` samples of one speaker (or noise), short recordings joined."""
        index = int(np.searchsorted(self.cumulative, rng.random()))
        same = self.by_speaker[self.speakers[index]]
        pieces, missing = [], frames
        while missing > 0:
            recording = self.recordings[index]
            start = int(rng.integers(max(recording.frames - missing, 0) + 1))
            pieces.append(recording.read(start, min(missing, recording.frames - start)))
            missing -= len(pieces[-1])
            index = same[rng.integers(len(same))]
        return np.concatenate(pieces)


def read_optional(path: Path) -> dict[str, str]:
    """Return ``read_map(path)``, empty where there is no such file."""
    return read_map(path) if path.exists() else {}


class Mixtures(Dataset):
    """Speech mixed with noise at a drawn signal-to-noise ratio, anew in every epoch.

    An item is ``{"source": noisy (1, T), "target": clean (1, T)}``, float32. An epoch has as many
    items as the speech has slices.

    Args:
        speech: data directory of clean speech.
        noise: data directory of noise.
        seconds: length of a slice.
        snr: range in dB, drawn evenly; over active speech, see ``augment.active_level``.
        peak: range of the mixture's peak, drawn evenly in dB.
        rate: sample rate in Hz.
        seed: of every draw.
        recipe: what is done to speech and noise before they are mixed.
    """

    def __init__(
        self,
        speech: str | Path,
        noise: str | Path,
        seconds: float = 3.0,
        snr: tuple[float, float] = (-5.0, 20.0),
        peak: tuple[float, float] = (0.05, 0.95),
        rate: int = 16000,
        seed: int = 0,
        recipe: augment.Recipe | None = None,
    ):
        self.speech, self.noise = Corpus(speech, rate), Corpus(noise, rate)
        self.frames, self.rate, self.seed = round(seconds * rate), rate, seed
        self.snr, self.peak, self.recipe = snr, peak, recipe or augment.Recipe()

    def __len__(self) -> int:
        return max(self.speech.frames // self.frames, 1)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([self.seed, getattr(index, "epoch", 0), int(index)])
        clean = self.recipe.speech(rng, self.speech, self.frames, self.rate)
        noise = self.recipe.noise(rng, self.noise, self.speech, self.frames, self.rate)
        noisy = augment.mix(clean, noise, rng.uniform(*self.snr), self.rate)
        loudest = max(np.abs(noisy).max(), np.abs(clean).max(), 1e-5)
        gain = np.exp(rng.uniform(*np.log(self.peak))) / loudest
        source, target = (gain * noisy).astype(np.float32), (gain * clean).astype(np.float32)
        return {"source": source[None], "target": target[None]}


class Pairs(Dataset):
    """Slices of a noisy corpus and its clean twin, at every ``stride``, as the SEGAN paper cuts.

    An item is ``{"source": noisy (1, T), "target": clean (1, T)}``, float32. The last slice of an
    utterance is filled up with zeros.

    Args:
        folder: data directory; ``wav.scp`` names the noisy, ``spk1.scp`` the clean recordings.
        frames: samples of a slice (the paper: 16384).
        stride: samples between slices (the paper: half a slice).
        rate: sample rate in Hz.

    Raises:
        ValueError: where a twin is missing or differs in length or rate; the message names it.
    """

    def __init__(
        self, folder: str | Path, frames: int = 16384, stride: int | None = None, rate: int = 16000
    ):
        noisy, clean = (read_map(Path(folder) / name) for name in ("wav.scp", "spk1.scp"))
        if unmatched := sorted(noisy.keys() ^ clean.keys()):
            raise ValueError(f"{folder}: wav.scp and spk1.scp disagree on {unmatched[0]!r}")
        self.frames, stride = frames, stride or frames // 2
        self.slices = []
        for key in noisy:
            source, target = open_recording(noisy[key], rate), open_recording(clean[key], rate)
            if source.frames != target.frames:
                raise ValueError(
                    f"{source.path}: {source.frames} samples, but its clean twin has "
                    f"{target.frames}; align them first"
                )
            last = max(source.frames - frames, 0)
            starts = [*range(0, last, stride), last]
            self.slices += [(source, target, start) for start in starts]

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        source, target, start = self.slices[index]
        return {"source": self.cut(source, start), "target": self.cut(target, start)}

    def cut(self, recording: Recording, start: int) -> np.ndarray:
        """Return a slice, zeros after the recording's end. ``(1, frames)``."""
        wave = recording.read(start, min(self.frames, recording.frames - start))
        return np.pad(wave, (0, self.frames - len(wave)))[None]
