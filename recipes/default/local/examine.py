"""Print how a model does where means of scores don't look: levels, clean speech, silence, music.

    examine.py MODEL DEV [--utterances 30]

DEV holds clean/ and noisy/ with the same names, at 16 kHz; their differences are the noises. Means
have their 95 % confidence intervals.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

from gan.report.statistics import interval
from segan import load
from segan.augment import active_level
from segan.metrics import pesq, si_sdr, stoi

RATE = 16000
METRICS = {"PESQ": pesq, "STOI": stoi, "SI-SDR": si_sdr}
SNRS = (-5, 0, 5, 10, 15, 20)
LEVELS = (-60, -40, -20, 0)  # dBFS of the peak


def row(*cells) -> None:
    """Print a row of a Markdown table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def shown(values: list[float], digits: int = 3) -> str:
    """Return a mean and half the width of its interval."""
    mean, half, _ = interval([value for value in values if np.isfinite(value)])
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def scores(pairs) -> list[str]:
    """Return the means of the metrics over pairs of a clean and another wave."""
    pairs = list(pairs)
    return [
        shown([metric(clean, wave, RATE) for clean, wave in pairs], 1 if name == "SI-SDR" else 3)
        for name, metric in METRICS.items()
    ]


def at_ratios(enhance, pairs) -> None:
    """Print the scores of the same utterances and noises at several ratios."""
    row("dB", *(f"noisy {m}" for m in METRICS), *METRICS)
    row(*["---"] * 7)
    for snr in SNRS:
        mixed = []
        for clean, noisy in pairs:
            noise = noisy - clean
            gain = active_level(clean, RATE) / (noise.std() + 1e-9) * 10 ** (-snr / 20)
            mixed.append((clean, (clean + gain * noise).astype(np.float32)))
        cleaned = [(clean, enhance(wave)) for clean, wave in mixed]
        row(snr, *scores(mixed), *scores(cleaned))


def untouched(enhance, pairs) -> None:
    """Print what becomes of clean speech."""
    through = [(clean, enhance(clean)) for clean, _ in pairs]
    own = [pesq(*pair, RATE) for pair in through]
    print(f"\nclean speech against itself: PESQ {shown(own)}, worst {min(own):.2f},")
    share = np.mean(np.array(own) >= 4.2)
    print(f"{share:.0%} at 4.2 or above; STOI, SI-SDR:", *scores(through)[1:])


def at_levels(enhance, pairs) -> None:
    """Print how far a result strays from that at half of full scale, relative to its size."""
    print()
    for decibel in LEVELS:
        worst = 0.0
        for _, noisy in pairs:
            unit = noisy / np.abs(noisy).max()
            gain = np.float32(10 ** (decibel / 20))
            middle, other = enhance(0.5 * unit) / 0.5, enhance(gain * unit) / gain
            worst = max(worst, float(np.abs(middle - other).max() / np.abs(middle).max()))
        print(f"peak at {decibel} dBFS: differs by {worst:.1e} at most")


def chords(seconds: float = 8.0) -> np.ndarray:
    """Return music of a kind: plucked chords with overtones, over a bass."""
    rng, wave = np.random.default_rng(0), np.zeros(round(seconds * RATE))
    for start in np.arange(0, seconds, 0.5):
        time = np.arange(len(wave) - round(start * RATE)) / RATE
        for pitch in 110 * 2 ** (rng.choice([0, 4, 7, 12, 16, 19], 3) / 12):
            tones = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 9))
            wave[round(start * RATE) :] += tones * np.exp(-3 * time)
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)


def no_speech(enhance, pairs) -> None:
    """Print what is left of what is no speech."""

    def left(wave: np.ndarray) -> str:
        return f"{10 * np.log10(np.mean(np.square(enhance(wave))) / np.mean(np.square(wave))):.1f}"

    print()
    noises = [noisy - clean for clean, noisy in pairs]
    print("noise alone falls to, dB:", shown([float(left(noise)) for noise in noises], 1))
    print("music (plucked chords) falls to, dB:", left(chords()))
    print("silence: largest sample", np.abs(enhance(np.zeros(RATE, np.float32))).max())


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a name of weights in the package, or a file")
    parser.add_argument("dev", type=Path)
    parser.add_argument("--utterances", type=int, default=30)
    given = parser.parse_args()
    paths = sorted((given.dev / "clean").iterdir())
    spread = np.linspace(0, len(paths) - 1, min(given.utterances, len(paths))).round().astype(int)
    pairs = []
    for path in (paths[i] for i in spread):
        noisy = given.dev / "noisy" / path.name
        pairs.append([soundfile.read(one, dtype="float32")[0] for one in (path, noisy)])
    enhancer = load(given.model, "cpu")

    def enhance(wave: np.ndarray) -> np.ndarray:
        return enhancer(wave, RATE)

    at_ratios(enhance, pairs)
    for look in (untouched, at_levels, no_speech):
        look(enhance, pairs)


if __name__ == "__main__":
    main()
