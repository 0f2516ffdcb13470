"""What streaming costs: difference to offline, latency, time per block; an hour of sound.

    python tests/benchmarks/stream.py [--model streaming] [--chunkings 200] [--blocks 6000]
    python tests/benchmarks/stream.py --hour [--minutes 60]

The first prints, for each rate and number of channels: the largest difference between the streamed
and the offline result over that many random chunkings of the project's own noisy speech; the
latency as stated, and as measured by impulses, sample by sample; and the time for a block of 10 ms
on one thread, in milliseconds of the wall clock and of the processor alone (which tells other
programs' part), and as a real-time factor. The second makes a file of 48 kHz stereo and tells time
and peak memory of the command, as a file and as a stream.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile as sf

RATES = (8000, 16000, 44100, 48000)
SPEECH = Path(__file__).parents[2] / "egs" / "speech" / "noisy.wav"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="streaming")
    parser.add_argument("--chunkings", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=2, help="of speech for the chunkings")
    parser.add_argument("--blocks", type=int, default=6000, help="of 10 ms, timed")
    parser.add_argument("--hour", action="store_true", help="a long file instead")
    parser.add_argument("--minutes", type=float, default=60, help="of that file")
    given = parser.parse_args()
    if given.hour:
        hour(given.model, given.minutes)
        return
    import torch

    torch.set_num_threads(1)
    print("rate   ch  max difference  latency ms        10 ms block, wall ms  processor ms")
    print(" Hz        to offline      stated  measured  median  99.9 %  RTF   median  99.9 %  RTF")
    for rate in RATES:
        for channels in (1, 2):
            row(given, rate, channels)


def row(given: argparse.Namespace, rate: int, channels: int) -> None:
    """Print a line of the table."""
    import segan

    enhancer = segan.load(given.model, device="cpu")
    wave = speech(rate, channels, given.seconds)
    offline = enhancer(wave, rate)
    random = np.random.default_rng(rate + channels)
    worst = max(
        difference(segan.Streamer(enhancer, rate, channels), wave, offline, random)
        for _ in range(given.chunkings)
    )
    streamer = segan.Streamer(enhancer, rate, channels)
    measured = impulse_latency(segan.Streamer(enhancer, rate, channels, keep=1)) / rate
    wall, own = block_times(streamer, speech(rate, channels, 5), given.blocks)
    print(
        f"{rate:<6} {channels}   {worst:<14.1e}  {1e3 * streamer.latency:<6.2f}  "
        f"{1e3 * measured:<8.2f}  {summary(wall)}  {summary(own)}",
        flush=True,
    )


def speech(rate: int, channels: int, seconds: float) -> np.ndarray:
    """Return ``(C, T)`` of the noisy example, another stretch for each channel."""
    from segan.audio import resample

    wave, own = sf.read(SPEECH, dtype="float32")
    wave = np.tile(resample(wave, own, rate), 3)
    length = round(seconds * rate)
    return np.stack([wave[c * rate // 2 :][:length] for c in range(channels)])


def difference(streamer, wave: np.ndarray, offline: np.ndarray, random) -> float:
    """Return the largest difference for portions drawn at random, from none to half a second."""
    out, start = [], 0
    while start < wave.shape[1]:
        most = random.choice([2, streamer.rate // 100, streamer.rate // 10, streamer.rate // 2])
        size = int(random.integers(0, most))
        out.append(streamer.feed(wave[:, start : start + size]))
        start += size
    out.append(streamer.flush())
    return float(np.abs(np.concatenate(out, axis=1) - offline).max())


def impulse_latency(streamer, tries: int = 64) -> int:
    """Return the most samples that go in, itself included, until an impulse comes out.

    It stands at evenly spread places within the network's hop. ``streamer`` must keep all of the
    original, so that the impulse can be told from what the network makes of it.
    """
    hop = streamer.network.hop * streamer.rate / streamer.network.rate
    most = 0
    for n in range(tries):
        place = streamer.rate // 10 + round(n * hop / tries)
        out, fed = [np.zeros(0)], 0
        while not out[-1].any():
            out.append(streamer.feed(np.full((streamer.channels, 1), fed == place, np.float32))[0])
            fed += 1
        assert np.argmax(np.concatenate(out)) == place
        most = max(most, fed - place)
        streamer.flush()
    return most


def block_times(streamer, wave: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the seconds that each block took, by the wall clock and of the processor."""
    size = streamer.rate // 100
    blocks = wave.shape[1] // size
    times = np.empty((2, count))
    for n in range(-20, count):
        start = n % blocks * size
        block = wave[:, start : start + size]
        wall, own = time.perf_counter(), time.process_time()
        streamer.feed(block)
        if n >= 0:
            times[:, n] = time.perf_counter() - wall, time.process_time() - own
    return times[0], times[1]


def summary(seconds: np.ndarray) -> str:
    """Return median and 99.9th percentile in milliseconds, and the real-time factor."""
    middle, high = 1e3 * np.percentile(seconds, [50, 99.9])
    return f"{middle:<6.2f}  {high:<6.2f}  {seconds.mean() / 0.01:.3f}"


def hour(model: str, minutes: float) -> None:
    """Print time and peak memory for a long file, as a file and as a stream."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        long_file(folder / "long.wav", minutes)
        ways = {"file": ["long.wav", "-o", "file.wav"], "stream": ["--stream", "long.wav", "s.wav"]}
        for way, arguments in ways.items():
            seconds, peak = measured([*arguments, "--model", model, "--threads", "1"], folder)
            factor = seconds / minutes / 60
            print(f"{way:<7} {seconds:8.1f} s  RTF {factor:.4f}  peak {peak:6.0f} MB", flush=True)


def long_file(path: Path, minutes: float) -> None:
    """Write 48 kHz stereo: the noisy example, over and over."""
    wave = speech(48000, 2, 5)
    with sf.SoundFile(path, "w", 48000, 2, "PCM_16") as file:
        for _ in range(round(60 * minutes / 5)):
            file.write(wave.T)


def measured(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Return the seconds and the peak memory in MB of one run of ``segan-enhance``."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "segan.cli", "--quiet", *arguments]
    process = subprocess.Popen(command, cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: failed")
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return time.perf_counter() - start, usage.ru_maxrss / unit


if __name__ == "__main__":
    main()
