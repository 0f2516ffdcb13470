"""Write a Kaldi data directory of a tree of recordings, at 16 kHz."""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segan.audio import SUFFIXES, read, resample, write

RATE = 16000
FLOOR = 28  # dB between loud frames and pauses: a target that hisses teaches to hiss


def contrast(wave: np.ndarray) -> float:
    """Return the dB between the 95th and the 8th percentile of the energies of 32 ms frames."""
    frames = wave[: len(wave) // 512 * 512].reshape(-1, 512)
    energy = 10 * np.log10(np.square(frames).mean(1) + 1e-12)
    return float(np.percentile(energy, 95) - np.percentile(energy, 8)) if len(energy) else 0.0


def usable(kind: str, wave: np.ndarray) -> bool:
    """Return whether to learn from a recording."""
    if kind == "speech":
        return contrast(wave) >= FLOOR
    return float(np.sqrt(np.mean(np.square(wave)))) >= 1e-4


def entry(kind: str, path: Path) -> tuple[str, str]:
    """Return the utterance and the speaker (for noise: the recording itself) of a file."""
    corpus, stem = path.parent.name, path.stem.replace(" ", "_")
    if kind == "noise":
        return (f"{corpus}_{stem}",) * 2
    speaker = f"{corpus}-{stem.split('_')[0]}"
    return f"{speaker}_{stem}", speaker


def main() -> None:
    """Convert the recordings and write wav.scp, utt2spk and utt2weight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["speech", "noise"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--weights", type=Path, help="lines of corpus, tab, how often to draw it")
    given = parser.parse_args()
    lines = given.weights.read_text(encoding="utf-8").splitlines() if given.weights else []
    weights = dict(line.split("\t") for line in lines)
    paths = sorted(path for path in given.source.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        parser.exit(2, f"{given.source}: no sound in it\n")
    (given.target / "wav").mkdir(parents=True, exist_ok=True)
    rows = []
    for path in tqdm(paths, desc=given.kind, unit="file"):
        wave, rate = read(path)
        wave = resample(wave.mean(0), rate, RATE)
        if usable(given.kind, wave):
            name, speaker = entry(given.kind, path)
            wav = (given.target / "wav" / f"{name}.wav").resolve()
            write(wav, wave, RATE)
            rows.append((name, wav, speaker, weights.get(path.parent.name, "1")))
    for file, column in {"wav.scp": 1, "utt2spk": 2, "utt2weight": 3}.items():
        text = "".join(f"{row[0]} {row[column]}\n" for row in sorted(rows))
        (given.target / file).write_text(text, encoding="utf-8")
    print(f"{given.target}: {len(rows)} of {len(paths)} recordings")


if __name__ == "__main__":
    main()
