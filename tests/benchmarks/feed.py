"""How fast training is fed: seconds of mixtures made in a second, by the format of the recordings.

    python tests/benchmarks/feed.py [--items 60] [--rounds 5] [--workers 2]
    python tests/benchmarks/feed.py --speech data/speech --noise data/noise

Speech and noise are read, decoded, resampled to 16 kHz and mixed by ``segan.data.Mixtures`` (and
by ``Scenes``, which leaves the mixing to the device), and by a plain loop that reads a whole file
of each, resamples with SciPy and mixes a cut of it at a drawn ratio, without other degradations.
All take turns; columns are medians over the rounds. The first ones are per second of one core's
time, the last is per second on the clock, with worker processes and batches of 16. Without
directories, sound is made: 2 to 8 s of syllables, half a minute of colored noise.
"""

import argparse
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile

RATE, SECONDS = 16000, 3.0
FORMATS = [  # suffix, encoding, rate
    ("ogg", "OPUS", 16000),
    ("ogg", "VORBIS", 16000),
    ("flac", "PCM_16", 16000),
    ("wav", "PCM_16", 16000),
    ("ogg", "VORBIS", 48000),
    ("flac", "PCM_16", 44100),
    ("flac", "PCM_16", 48000),
]


def syllables(rng: np.random.Generator, rate: int) -> np.ndarray:
    """Return something with the dynamics and harmonics of speech."""
    time = np.arange(round(rng.uniform(2, 8) * rate)) / rate
    pitch = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * time)) / rate
    voice = sum(np.sin(k * pitch) / k for k in range(1, 9))
    return 0.1 * voice * np.sin(2 * np.pi * 2 * time) ** 2 + 1e-3 * rng.standard_normal(len(time))


def rumble(rng: np.random.Generator, rate: int) -> np.ndarray:
    """Return half a minute of noise."""
    from segan.augment import colored

    return 0.1 * colored(rng, 30 * rate, 3)


def write(path: Path, wave: np.ndarray, rate: int, encoding: str) -> None:
    """Write a wave a second at a time, as libsndfile's encoders of Ogg want it."""
    with soundfile.SoundFile(path, "w", rate, 1, encoding) as file:
        for start in range(0, len(wave), rate):
            file.write(np.clip(wave[start : start + rate], -1, 1))


def make(folder: Path, sound, count: int, suffix: str, encoding: str, rate: int) -> Path:
    """Write a data directory of made sound."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.{suffix}" for number in range(count)]
    for path in paths:
        write(path, sound(rng, rate), rate, encoding)
    (folder / "wav.scp").write_text("".join(f"{path.stem} {path}\n" for path in paths))
    return folder


def plain(speech: Path, noise: Path):
    """Yield mixtures as a script would make them: files read whole, resampled by SciPy."""
    from scipy.signal import resample_poly

    from segan.kaldi import read_map

    def cut(paths: list[str]) -> np.ndarray:
        wave, rate = soundfile.read(paths[rng.integers(len(paths))], dtype="float32")
        if rate != RATE:
            common = np.gcd(rate, RATE)
            wave = resample_poly(wave, RATE // common, rate // common)
        wave = np.resize(wave, max(len(wave), frames))
        start = rng.integers(len(wave) - frames + 1)
        return wave[start : start + frames]

    rng, frames = np.random.default_rng(0), round(SECONDS * RATE)
    lists = [list(read_map(folder / "wav.scp").values()) for folder in (speech, noise)]
    while True:
        clean, background = (cut(paths) for paths in lists)
        scale = np.sqrt(np.mean(clean**2) / (np.mean(background**2) + 1e-12))
        yield clean, clean + scale * 10 ** (-rng.uniform(-5, 20) / 20) * background


def drawn(dataset):
    """Yield a data set's items, epoch after epoch."""
    from gan.feed import Draw

    for number in range(10**9):
        yield dataset[Draw(number % len(dataset), number // len(dataset))]


def per_core(items, count: int) -> float:
    """Return seconds of sound per second of this process's time."""
    start = time.process_time()
    for _ in islice(items, count):
        pass
    return count * SECONDS / (time.process_time() - start)


def on_the_clock(batches, count: int) -> float:
    """Return seconds of sound per second, of batches of 16 beyond those that lie ready."""
    for _ in islice(batches, 12):
        pass
    start = time.perf_counter()
    for _ in islice(batches, count):
        pass
    return 16 * count * SECONDS / (time.perf_counter() - start)


def row(name: str, speech: Path, noise: Path, given: argparse.Namespace) -> None:
    """Measure one corpus and print its line."""
    from gan.feed import feed
    from segan.data import Mixtures, Scenes

    mixtures, scenes = (kind(speech, noise, SECONDS) for kind in (Mixtures, Scenes))
    contenders = [drawn(mixtures), drawn(scenes), plain(speech, noise)]
    batches = feed(mixtures, 16, workers=given.workers)
    next(batches)
    rounds = [
        [*(per_core(one, given.items) for one in contenders), on_the_clock(batches, given.batches)]
        for _ in range(given.rounds)
    ]
    batches.close()
    ours, raw, naive, clock = map(statistics.median, zip(*rounds, strict=True))
    ratio = statistics.median(one[0] / one[2] for one in rounds)
    print(
        f"{name:<20}{ours:>10.0f}{raw:>10.0f}{naive:>10.0f}{ratio:>9.2f}{clock:>12.0f}", flush=True
    )


def main() -> None:
    """Print the table."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path, help="data directory, in place of made sound")
    parser.add_argument("--noise", type=Path, help="data directory")
    parser.add_argument("--items", type=int, default=60, help="a round, of each (60)")
    parser.add_argument("--batches", type=int, default=12, help="a round (12)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = ("recordings", "mixtures", "scenes", "plain", "ratio", f"{given.workers} workers")
    print("{:<20}{:>10}{:>10}{:>10}{:>9}{:>12}".format(*names))
    if given.speech:
        row("as given", given.speech, given.noise, given)
        return
    for suffix, encoding, rate in FORMATS:
        with tempfile.TemporaryDirectory() as place:
            form = suffix, encoding, rate
            speech = make(Path(place) / "speech", syllables, 30, *form)
            noise = make(Path(place) / "noise", rumble, 6, *form)
            row(f"{suffix} {encoding} {rate}", speech, noise, given)


if __name__ == "__main__":
    main()
