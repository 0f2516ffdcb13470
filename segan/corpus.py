"""Recordings, of which slices are drawn: in a Kaldi data directory, or in shards.

A data directory holds ``wav.scp`` (one ``utterance path`` a line) and, where they apply,
``spk1.scp`` (the clean twin of each utterance), ``utt2spk``, ``utt2dur`` (believed, so that no file
is opened before it is drawn) and ``utt2weight`` (how often an utterance is drawn relative to the
others, 1 where nothing is said). For shards see ``segan.shards``.

Only slices are read, and lists are kept as arrays, so a corpus may be far larger than memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import soundfile
import soxr

from segan.kaldi import read_map

File = str | BinaryIO  # what soundfile opens

MARGIN = 0.05  # seconds at either end of a slice that its resampling needs; soxr reaches less far


# One recording


@contextmanager
def opened(file: File, rate: int) -> Iterator[soundfile.SoundFile]:
    """Give a recording, open for reading.

    Raises:
        ValueError: where it can't be read, is empty, or has a lower rate than ``rate`` Hz.
    """
    name = name_of(file)
    try:
        with soundfile.SoundFile(file) as sound:
            if sound.samplerate < rate:
                raise ValueError(f"{name}: {sound.samplerate} Hz; resample it to {rate} Hz first")
            if length_of(sound, rate) == 0:
                raise ValueError(f"{name}: holds no samples; remove it from the list")
            yield sound
    except (OSError, soundfile.LibsndfileError) as error:
        raise ValueError(f"{name}: can't be read as sound ({error})") from None


def name_of(file: File) -> str:
    """Return what messages call a file."""
    return getattr(file, "name", file)


def length(file: File, rate: int) -> int:
    """Return how many samples a recording has at ``rate`` Hz."""
    with opened(file, rate) as sound:
        return length_of(sound, rate)


def length_of(sound: soundfile.SoundFile, rate: int) -> int:
    """Return how many samples an open recording has at ``rate`` Hz."""
    return sound.frames * rate // sound.samplerate


def cut(sound: soundfile.SoundFile, start: int, frames: int, rate: int) -> np.ndarray:
    """Return samples ``start`` to ``start + frames`` at ``rate`` Hz, float32, mono, ``(frames,)``.

    Fewer are returned at the recording's end. They are those of the whole, resampled; only what
    they depend on is read.
    """
    if sound.samplerate == rate:
        return decoded(sound, start, frames)
    common = math.gcd(sound.samplerate, rate)
    given, wanted = sound.samplerate // common, rate // common  # samples in blocks of one duration
    margin = math.ceil(MARGIN * common)
    first = max(start // wanted - margin, 0)
    last = -(-(start + frames) // wanted) + margin
    wave = decoded(sound, first * given, (last - first) * given)
    begin = start - first * wanted
    end = min(begin + frames, length_of(sound, rate) - first * wanted)
    return soxr.resample(wave, sound.samplerate, rate)[begin:end]


def decoded(sound: soundfile.SoundFile, start: int, frames: int) -> np.ndarray:
    """Return samples of an open recording, float32, mono."""
    if start:  # compressed files search for it
        sound.seek(min(start, sound.frames))
    wave = sound.read(frames, "float32", always_2d=True)
    return wave[:, 0] if sound.channels == 1 else wave.mean(1)


# Many recordings


class Strings(Sequence[str]):
    """Strings in one piece of memory: a million paths take what their letters take."""

    def __init__(self, strings: Iterable[str]):
        coded = [os.fsencode(string) for string in strings]
        self.ends = np.cumsum([len(one) for one in coded], dtype=np.int64)
        self.letters = np.frombuffer(b"".join(coded), np.uint8)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        start = self.ends[index - 1] if index else 0
        return os.fsdecode(self.letters[start : self.ends[index]].tobytes())


class Corpus:
    """Recordings in one place, drawn at random by duration and weight.

    Args:
        files: of the recordings.
        frames: how many samples each has at ``rate``.
        speakers: of each.
        weights: how often each is drawn, relative to its duration.
        rate: of what is drawn, in Hz.
        twins: the clean files, where ``files`` are noisy.
    """

    def __init__(
        self,
        files: Sequence[File],
        frames: np.ndarray,
        speakers: Iterable[str],
        weights: np.ndarray,
        rate: int,
        twins: Sequence[File] | None = None,
    ):
        self.files, self.twins, self.frames, self.rate = files, twins, frames, rate
        self.mass = np.cumsum(frames * weights)
        if not self.mass[-1] > 0:
            raise ValueError(f"{name_of(files[0])} and the others: of no weight, none can be drawn")
        numbers: dict[str, int] = {}
        speakers = (numbers.setdefault(speaker, len(numbers)) for speaker in speakers)
        self.speakers = np.fromiter(speakers, np.int64, len(files))
        self.grouped = np.argsort(self.speakers, kind="stable")  # recordings, by speaker
        self.groups = np.cumsum([0, *np.bincount(self.speakers)])  # where each one's begin

    def draw(self, rng: np.random.Generator, frames: int) -> np.ndarray:
        """Return ``frames`` samples of one speaker (or noise), short recordings joined."""
        index = int(np.searchsorted(self.mass, rng.random() * self.mass[-1]))
        first, end = self.groups[self.speakers[index] :][:2]
        pieces, missing = [], frames
        while missing > 0:
            start = int(rng.integers(max(self.frames[index] - missing, 0) + 1))
            pieces.append(self.read(index, start, missing))
            missing -= len(pieces[-1])
            index = int(self.grouped[rng.integers(first, end)])
        return np.concatenate(pieces)

    def read(self, index: int, start: int, frames: int) -> np.ndarray:
        """Return samples of a recording from ``start`` on, ``frames`` or what it has."""
        file = self.files[index]
        with opened(file, self.rate) as sound:
            return taken(sound, name_of(file), start, frames, self.rate)

    def read_pair(self, index: int, start: int, frames: int) -> list[np.ndarray]:
        """Return samples of a recording and of its twin, as ``read`` does."""
        files = self.files[index], self.twins[index]
        names = [name_of(file) for file in files]
        with opened(files[0], self.rate) as noisy, opened(files[1], self.rate) as clean:
            check_twins(names[0], noisy, clean)
            pair = zip((noisy, clean), names, strict=True)
            return [taken(*one, start, frames, self.rate) for one in pair]


def taken(sound: soundfile.SoundFile, name: str, start: int, frames: int, rate: int) -> np.ndarray:
    """Return samples from ``start`` on, or from earlier on where ``utt2dur`` promised more."""
    start = min(start, max(length_of(sound, rate) - frames, 0))
    wave = cut(sound, start, frames, rate)
    if len(wave) == 0:
        raise ValueError(f"{name}: ends before sample {start}, cut short; copy or make it anew")
    return wave


def check_twins(name: str, noisy: soundfile.SoundFile, clean: soundfile.SoundFile) -> None:
    """Raise a ValueError where two recordings aren't of one length and rate."""
    if (noisy.frames, noisy.samplerate) != (clean.frames, clean.samplerate):
        own, other = (f"{one.frames} samples at {one.samplerate} Hz" for one in (noisy, clean))
        raise ValueError(f"{name}: {own}, but its clean twin has {other}; align them first")


# Where recordings come from


class Parts(Protocol):
    """A corpus in parts, each of which is read for a while; a data directory is a single one.

    Attributes:
        frames: of each part.
        masses: of each part: its frames, weighted.
    """

    frames: Sequence[int]
    masses: Sequence[float]

    def __getitem__(self, number: int) -> Corpus:
        """Return a part."""

    def lengths(self, number: int) -> np.ndarray:
        """Return how many samples each recording of a part has."""


class Directory:
    """A data directory as the one part that it is.

    Raises:
        ValueError: where a list is no good, or (without ``utt2dur``) a recording.
    """

    def __init__(self, folder: str | Path, rate: int, paired: bool = False):
        folder = Path(folder)
        paths = read_map(folder / "wav.scp")
        if not paths:
            raise ValueError(f"{folder / 'wav.scp'}: lists no recordings")
        keys, files = list(paths), Strings(paths.values())
        twins = Strings(matching(folder, paths)) if paired else None
        del paths  # lists of millions are read one at a time
        frames = durations(folder, keys, files, rate)
        if twins and not (folder / "utt2dur").exists():
            check_all_twins(files, twins, rate)
        weights = numbers(folder / "utt2weight", keys, 1.0)
        self.corpus = Corpus(files, frames, speakers(folder, keys), weights, rate, twins)
        self.frames, self.masses = [int(frames.sum())], [float(self.corpus.mass[-1])]

    def __getitem__(self, number: int) -> Corpus:
        return self.corpus

    def lengths(self, number: int) -> np.ndarray:
        """Return how many samples each recording has."""
        return self.corpus.frames


def matching(folder: Path, noisy: Iterable[str]) -> list[str]:
    """Return the clean twins of the keys of ``wav.scp``, by ``spk1.scp``."""
    clean = read_map(folder / "spk1.scp")
    if unmatched := sorted(clean.keys() ^ set(noisy)):
        raise ValueError(f"{folder}: wav.scp and spk1.scp disagree on {unmatched[0]!r}")
    return [clean[key] for key in noisy]


def check_all_twins(files: Sequence[File], twins: Sequence[File], rate: int) -> None:
    """Raise a ValueError where a recording and its twin aren't of one length and rate."""
    for file, twin in zip(files, twins, strict=True):
        with opened(file, rate) as noisy, opened(twin, rate) as clean:
            check_twins(name_of(file), noisy, clean)


def durations(folder: Path, keys: Sequence[str], files: Sequence[File], rate: int) -> np.ndarray:
    """Return how many samples each recording has: by ``utt2dur``, or else by looking."""
    seconds = numbers(folder / "utt2dur", keys, math.nan)
    frames = [
        length(files[index], rate) if math.isnan(duration) else round(duration * rate)
        for index, duration in enumerate(seconds)
    ]
    return np.array(frames, dtype=np.int64)


def numbers(path: Path, keys: Iterable[str], default: float) -> np.ndarray:
    """Return the numbers that an optional map has for the keys, ``default`` where it has none."""
    table = read_map(path) if path.exists() else {}
    found = np.full(len(keys), default)
    for index, key in enumerate(keys):
        if key in table:
            found[index] = number(path, key, table[key])
    return found


def number(path: Path, key: str, text: str) -> float:
    """Return the number that ``text`` is, from 0 up."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise ValueError(f"{path}: {key}: {text!r} is not a number from 0 up")
    return value


def speakers(folder: Path, keys: Iterable[str]) -> list[str]:
    """Return each recording's speaker, itself where ``utt2spk`` has none."""
    path = folder / "utt2spk"
    table = read_map(path) if path.exists() else {}
    return [table.get(key, key) for key in keys]


def recordings(place: str | Path, rate: int, paired: bool = False) -> Parts:
    """Return the recordings of a data directory, or of shards, perhaps far away (``s3://...``)."""
    from segan import shards

    kind = shards.Shards if shards.are_at(place) else Directory
    return kind(place, rate, paired)
