"""Write a Kaldi data directory of a tree of recordings, at 16 kHz."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segan import kaldi
from segan.audio import SUFFIXES, read, resample
from segan.batch import describe

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


def corpora(source: Path, folders: Iterable[Path]) -> dict[Path, str]:
    """Return what each folder is called in ids: its name, its path where others have that too."""
    folders = set(folders)
    count = Counter(folder.name.casefold() for folder in folders)
    return {
        folder: folder.name
        if count[folder.name.casefold()] == 1
        else "_".join(folder.relative_to(source).parts) or folder.name
        for folder in folders
    }


def entry(kind: str, corpus: str, stem: str) -> tuple[str, str]:
    """Return the utterance and the speaker (for noise: the recording itself) of a file."""
    corpus, stem = (plain(name) for name in (corpus, stem))
    if kind == "noise":
        return (f"{corpus}_{stem}",) * 2
    speaker = f"{corpus}-{stem.split('_')[0]}"
    return f"{speaker}_{stem}", speaker


def plain(name: str) -> str:
    """Return a name of valid text without white space."""
    return kaldi.BAD_IN_KEY.sub("_", name).encode(errors="replace").decode()


def entries(kind: str, source: Path, paths: list[Path]) -> dict[str, tuple[Path, str]]:
    """Return each utterance's file and speaker; name those whose utterance is another's already."""
    called = corpora(source, (path.parent for path in paths))
    found: dict[str, tuple[Path, str]] = {}
    taken: dict[str, Path] = {}
    for path in paths:
        name, speaker = entry(kind, called[path.parent], path.stem)
        first = taken.setdefault(name.casefold(), path)  # some systems don't see capitals
        if first == path:
            found[name] = path, speaker
        else:
            complain(f"{path}: its id would be {name!r}, as that of {first}; rename it")
    return found


def complain(line: str) -> None:
    """Say what is passed over, beside the progress bar."""
    tqdm.write(f"prepare: {line}", file=sys.stderr)


def mono(path: Path) -> np.ndarray | None:
    """Return the mean of a file's channels at 16 kHz; None, and why, where it can't be read."""
    try:
        wave, rate = read(path)
    except (OSError, ValueError, RuntimeError) as error:
        complain(describe(error, str(path)))
        return None
    return resample(wave.mean(0), rate, RATE)


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
    paths = [path for path in paths if path.is_file() and not path.name.startswith(".")]
    if not paths:
        parser.exit(2, f"{given.source}: no sound in it\n")
    kaldi.begin(given.target)
    maps = {"utt2spk": {}, "utt2weight": {}, "wav.scp": {}}  # the last says that all are there
    found = entries(given.kind, given.source, paths)
    for name, (path, speaker) in tqdm(found.items(), desc=given.kind, unit="file"):
        wave = mono(path)
        if wave is not None and usable(given.kind, wave):
            wav = (given.target / "wav" / f"{name}.wav").resolve()
            kaldi.write_wav(wav, wave, RATE)
            maps["utt2spk"][name] = speaker
            maps["utt2weight"][name] = weights.get(path.parent.name, "1")
            maps["wav.scp"][name] = wav
    if not maps["wav.scp"]:
        parser.exit(2, f"{given.source}: no recording in it can be used\n")
    for file, table in maps.items():  # not as a directory: speakers 1 and 10 sort otherwise
        kaldi.write_map(given.target / file, table)
    print(f"{given.target}: {len(maps['wav.scp'])} of {len(paths)} recordings")


if __name__ == "__main__":
    main()
