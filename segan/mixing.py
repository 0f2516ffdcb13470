"""Fixed mixtures of speech and noise, for development and test sets.

Each speaker's utterances meet the kinds of noise and the signal-to-noise ratios in turn, so that
all are met about equally often. A mixture depends on the seed and its place in the list alone: the
same seed gives the same bytes, whatever the number of processes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count as counting
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segan.kaldi import (
    begin,
    completed,
    drawn,
    order,
    read_directory,
    shuffled,
    write_directory,
    write_wav,
)
from segan.parallel import Progress, each, silent

if TYPE_CHECKING:
    import numpy as np
    import soundfile

Tables = Mapping[str, Mapping[str, str]]

SNRS = (2.5, 7.5, 12.5, 17.5)  # dB, of the test set of VoiceBank-DEMAND
PEAK = 0.99  # that no mixture exceeds
DRAWS = 20  # of a cut of noise, until one isn't silent


class Mixture(NamedTuple):
    """One mixture to make."""

    utterance: str
    speaker: str
    speech: str  # path
    noise: str  # path
    kind: str  # of noise
    snr: float  # dB
    place: int  # in the list, from which its random draws follow
    noisy: Path
    clean: Path


class Made(NamedTuple):
    """What became of a mixture: how long it is, or why there is none."""

    seconds: float = 0.0
    error: str = ""


def mix_directory(
    speech: str | Path,
    noise: str | Path,
    target: str | Path,
    snrs: Sequence[float] = SNRS,
    seed: int = 0,
    count: int | None = None,
    jobs: int = 1,
    progress: Progress = silent,
) -> list[str]:
    """Write a data directory of mixtures; return a line for each that can't be made.

    A cut of a noise, at a random place, is added to a whole utterance, at a ratio in dB over active
    speech (``augment.mix``); shorter noises are repeated. Where a mixture would exceed full scale,
    it and its clean twin are scaled down alike. ``utt2snr`` and ``utt2noise`` say what is where;
    a kind of noise is what ``utt2spk`` of ``noise`` says.

    Args:
        speech: data directory; its ``spk1.scp`` is read where it has one, else its ``wav.scp``.
        noise: data directory of noise, at the rate of the speech.
        target: the data directory to write, sound and all.
        snrs: in dB.
        seed: of all that is drawn.
        count: of mixtures, fewer or more than there are utterances; None: each utterance once.
        jobs: processes.
        progress: wraps what is iterated over, as tqdm does; takes its ``total``.

    Raises:
        ValueError: where a directory is no good, or no mixture can be made.
    """
    target = Path(target).absolute()
    sources = (completed(Path(place), read_directory(place)) for place in (speech, noise))
    mixtures = plan(*sources, target, snrs, seed, count)
    completed(target, _tables(mixtures))  # refuses bad ids before the work, not after it
    _check_sources_stay(mixtures)
    begin(target)
    made = each(functools.partial(make, seed=seed), mixtures, jobs, progress)
    _write_maps(target, mixtures, made)
    return [one.error for one in made if one.error]


def _write_maps(target: Path, mixtures: Sequence[Mixture], made: Sequence[Made]) -> None:
    """Write the maps of the mixtures that were made."""
    done = {
        mixture: one.seconds for mixture, one in zip(mixtures, made, strict=True) if not one.error
    }
    if not done:
        errors = [one.error for one in made]
        raise ValueError("\n".join([f"{target}: no mixture could be made", *errors]))
    durations = {mixture.utterance: f"{seconds:.6f}" for mixture, seconds in done.items()}
    write_directory(target, _tables(done) | {"utt2dur": durations})


def _check_sources_stay(mixtures: Sequence[Mixture]) -> None:
    sources = {path for one in mixtures for path in (one.speech, one.noise)}
    targets = (path for one in mixtures for path in (one.noisy, one.clean))
    if own := next((path for path in targets if str(path) in sources), None):
        raise ValueError(f"{own}: is to be mixed, and would be overwritten; name another place")


def _tables(mixtures: Iterable[Mixture]) -> dict[str, dict[str, str]]:
    columns = {
        "wav.scp": lambda one: str(one.noisy),
        "spk1.scp": lambda one: str(one.clean),
        "utt2spk": lambda one: one.speaker,
        "utt2snr": lambda one: f"{one.snr:g}",
        "utt2noise": lambda one: one.kind,
    }
    return {name: {one.utterance: of(one) for one in mixtures} for name, of in columns.items()}


# What meets what


def plan(
    speech: Tables, noise: Tables, target: Path, snrs: Sequence[float], seed: int, count: int | None
) -> list[Mixture]:
    """Return the mixtures to make from two directories' tables, speaker by speaker."""
    paths = speech.get("spk1.scp") or speech["wav.scp"]
    speaker_of = speech["utt2spk"]
    kinds = {kind: cycle(shuffled(own.split(" "), seed)) for kind, own in noise["spk2utt"].items()}
    source_of = _repeated(sorted(paths, key=order), count, seed)
    names = sorted(shuffled(source_of, seed), key=lambda name: speaker_of[source_of[name]])
    mixtures, wheels = [], _conditions(shuffled(kinds, seed), snrs)
    for place, (name, (kind, snr)) in enumerate(zip(names, wheels, strict=False)):
        source, background = source_of[name], next(kinds[kind])
        noisy, clean = (target / "wav" / side / f"{name}.wav" for side in ("noisy", "clean"))
        files = (paths[source], noise["wav.scp"][background])
        one = Mixture(name, speaker_of[source], *files, kind, snr, place, noisy, clean)
        mixtures.append(one)
    return mixtures


def _repeated(names: Sequence[str], count: int | None, seed: int) -> dict[str, str]:
    """Return ``count`` new names and what they stand for: some names, or all of them repeatedly."""
    if count is None or count <= len(names):
        return {name: name for name in drawn(names, count, seed)}
    rounds, rest = divmod(count, len(names))
    every = {f"{name}-{number}": name for number in range(1, rounds + 1) for name in names}
    return every | {f"{name}-{rounds + 1}": name for name in drawn(names, rest, seed)}


def _conditions(kinds: Sequence[str], snrs: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Yield kind and ratio, all kinds and all ratios in turn, each pair as often as the others.

    Two wheels that turn together meet in ``lcm`` pairs; then one slips by a tooth.
    """
    turn = math.lcm(len(kinds), len(snrs))
    for step in counting():
        yield kinds[step % len(kinds)], snrs[(step + step // turn) % len(snrs)]


# One mixture


def make(mixture: Mixture, seed: int) -> Made:
    """Write one mixture and its clean twin; return what became of it."""
    import numpy as np

    from segan import augment
    from segan.batch import describe

    rng = np.random.default_rng([seed, mixture.place])
    try:
        clean, rate = _speech(mixture.speech)
        noise = _cut(mixture.noise, rng, len(clean), rate)
        noisy = augment.mix(clean, noise, mixture.snr, rate)
        gain = min(1.0, PEAK / max(abs(noisy).max(), abs(clean).max()))
        write_wav(mixture.clean, gain * clean, rate)
        write_wav(mixture.noisy, gain * noisy, rate)
    except (OSError, ValueError, RuntimeError) as error:
        return Made(error=f"{mixture.utterance}: {describe(error, mixture.speech)}")
    return Made(len(clean) / rate)


def _speech(path: str) -> tuple[np.ndarray, int]:
    """Return a recording, ``(T,)``, and its rate in Hz; refuse silence, which has no ratio."""
    from segan import audio
    from segan.augment import active_level

    wave, rate = audio.read(path)
    wave = wave.mean(0)
    if active_level(wave, rate) == 0:
        raise ValueError(f"{path}: silent or shorter than 20 ms; leave it out")
    return wave, rate


def _cut(path: str, rng: np.random.Generator, frames: int, rate: int) -> np.ndarray:
    """Return ``frames`` samples of a noise from a random place on, repeated where it is short."""
    from segan import audio

    with audio.open_audio(path) as file:
        if file.samplerate != rate:
            needed = f"{file.samplerate} Hz, the speech {rate} Hz"
            raise ValueError(f"{path}: {needed}; `segan-data import --rate {rate}` resamples")
        for _ in range(DRAWS):
            wave = _from_random_place(file, rng, frames)
            if not math.isfinite(wave.sum()):
                raise ValueError(f"{path}: holds what is not a finite number; leave it out")
            if abs(wave).max() > 0:
                return wave
    raise ValueError(f"{path}: silent in {DRAWS} places; leave it out")


def _from_random_place(
    file: soundfile.SoundFile, rng: np.random.Generator, frames: int
) -> np.ndarray:
    import numpy as np

    short = file.frames < frames
    start = int(rng.integers(file.frames if short else file.frames - frames + 1))
    file.seek(0 if short else start)
    wave = file.read(frames, dtype="float32", always_2d=True).mean(1)
    return np.resize(np.roll(wave, -start), frames) if short else wave
