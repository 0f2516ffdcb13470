"""Training slices: noisy-clean pairs, or mixtures of speech and noise that are made anew.

Every random draw comes from a generator seeded by (seed, epoch, index): what an item holds does
not depend on the number of workers, nor on what was drawn before it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from segan import augment
from segan.corpus import Corpus, recordings


class Scenes(Dataset):
    """What mixtures are made of, drawn anew in every epoch; ``prepare`` mixes them on the device.

    An item is what ``segan.device_mixing.Mixer`` takes: ``speech (T,)``, ``noise (2, L)``, ``tail
    (R,)``, ``filters (2, 4)``, ``ratios (2,)`` and ``peak ()``, float32, and ``steps (2,)``, int64;
    see ``augment.Scene``. An epoch has as many items as the speech has slices.

    Args:
        speech: data directory or shards of clean speech.
        noise: data directory or shards of noise.
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
        self.speech, self.noise = recordings(speech, rate), recordings(noise, rate)
        self.frames, self.rate, self.seed = round(seconds * rate), rate, seed
        self.snr, self.peak, self.recipe = snr, peak, recipe or augment.Recipe()
        share = np.array(self.speech.masses) / sum(self.speech.masses)
        items = sum(self.speech.frames) // self.frames
        self.chunks = np.maximum(np.round(share * items).astype(int), 1)  # items by part of speech

    def __len__(self) -> int:
        return int(self.chunks.sum())

    def scene(self, index: int) -> augment.Scene:
        """Return what is drawn for an item."""
        epoch = getattr(index, "epoch", 0)
        part = int(np.searchsorted(self.chunks.cumsum(), index, side="right"))
        rng = np.random.default_rng([self.seed, epoch, int(index)])
        return self.recipe.scene(
            rng,
            self.speech[part],
            self.noise[self.noise_for(part, epoch)],
            self.frames,
            self.rate,
            self.snr,
            self.peak,
        )

    def noise_for(self, part: int, epoch: int) -> int:
        """Return the part of the noise that a part of the speech meets in an epoch."""
        masses = np.cumsum(self.noise.masses)
        rng = np.random.default_rng([self.seed, epoch, part, 1])
        return int(np.searchsorted(masses, rng.random() * masses[-1]))

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        scene = self.scene(index)
        longest = round(self.frames * (1 + self.recipe.speed)) + 2
        item = scene._asdict() | {
            "noise": filled([filled(wave, longest) for wave in scene.noise], 2),
            "tail": filled(scene.tail, round(augment.LONGEST_ROOM * self.rate)),
        }
        steps = np.array([*scene.steps, augment.ONE][:2])
        return {name: np.asarray(item[name], np.float32) for name in item} | {"steps": steps}


def filled(wave: np.ndarray | list, length: int) -> np.ndarray:
    """Return ``wave`` with zeros after it, ``length`` along the first axis."""
    wave = np.asarray(wave)
    return np.concatenate([wave, np.zeros((length - len(wave), *wave.shape[1:]))])


class Mixtures(Scenes):
    """Speech mixed with noise at a drawn signal-to-noise ratio, anew in every epoch.

    An item is ``{"source": noisy (1, T), "target": clean (1, T)}``, float32; arguments are those of
    ``Scenes``.
    """

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        noisy, clean = augment.render(self.scene(index), self.rate)
        return {"source": noisy[None], "target": clean[None]}


class Pairs(Dataset):
    """Slices of a noisy corpus and its clean twin, at every ``stride``, as the SEGAN paper cuts.

    An item is ``{"source": noisy (1, T), "target": clean (1, T)}``, float32. The last slice of an
    utterance is filled up with zeros.

    Args:
        folder: data directory, of which ``wav.scp`` names the noisy, ``spk1.scp`` the clean
            recordings; or shards of such.
        frames: samples of a slice (the paper: 16384).
        stride: samples between slices (the paper: half a slice).
        rate: sample rate in Hz.

    Raises:
        ValueError: where a twin is missing or differs in length or rate; the message names it. Of
            recordings with an ``utt2dur``, when the slice is read.
    """

    def __init__(
        self, folder: str | Path, frames: int = 16384, stride: int | None = None, rate: int = 16000
    ):
        self.parts = recordings(folder, rate, paired=True)
        self.frames, self.stride = frames, stride or frames // 2
        lengths = (self.parts.lengths(part) for part in range(len(self.parts.frames)))
        self.chunks = [int(slices(one, frames, self.stride).sum()) for one in lengths]

    def __len__(self) -> int:
        return sum(self.chunks)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        ends = np.cumsum(self.chunks)
        part = int(np.searchsorted(ends, index, side="right"))
        corpus, place = self.parts[part], int(index) - int(ends[part]) + self.chunks[part]
        ends = ends_of_slices(corpus, self.frames, self.stride)
        which = int(np.searchsorted(ends, place, side="right"))
        number = place - (int(ends[which - 1]) if which else 0)
        last = max(int(corpus.frames[which]) - self.frames, 0)
        pair = corpus.read_pair(which, min(number * self.stride, last), self.frames)
        source, target = (filled(wave, self.frames)[None].astype(np.float32) for wave in pair)
        return {"source": source, "target": target}


def slices(lengths: np.ndarray, frames: int, stride: int) -> np.ndarray:
    """Return how many slices recordings of these lengths are cut into."""
    return -(-np.maximum(lengths - frames, 0) // stride) + 1


@lru_cache(maxsize=16)
def ends_of_slices(corpus: Corpus, frames: int, stride: int) -> np.ndarray:
    """Return how many slices there are up to the end of each recording."""
    return np.cumsum(slices(corpus.frames, frames, stride))
