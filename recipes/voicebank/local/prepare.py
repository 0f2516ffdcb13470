"""Write the data directories train, dev and test of a VoiceBank-DEMAND corpus, at 16 kHz.

The corpus is a folder with the four archives or the folders inside them, at 48 or 16 kHz, and,
where it has them, the log files that tell the noise and the signal-to-noise ratio.
"""

import argparse
import io
import os
import sys
import zipfile
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from tqdm import tqdm

from segan import kaldi
from segan.audio import resample
from segan.batch import describe
from segan.parallel import each

RATE = 16000
RATES = (48000, 16000)  # of the official corpus, and of the copies that people keep
SETS = {"train": "trainset_28spk", "test": "testset"}


class Fault(ValueError):
    """What is wrong with the corpus, a line each."""


class Job(NamedTuple):
    """One utterance of a set: where its noisy and clean sound are, and the folder they go to."""

    set: str
    utterance: str
    noisy: tuple[Path, str]
    clean: tuple[Path, str]
    folder: Path

    def target(self, side: str) -> Path:
        """Return the path of the noisy or clean WAV."""
        return self.folder / side / f"{self.utterance}.wav"


# What the corpus holds


def find(corpus: Path, name: str) -> Path:
    """Return the folder or archive ``name`` of the corpus."""
    for path in (corpus / name, corpus / f"{name}.zip"):
        if path.exists():
            return path
    raise Fault(f"{corpus}: has neither {name}.zip nor a folder {name}")


def members(place: Path) -> dict[str, tuple[Path, str]]:
    """Return where the sound of each utterance in a folder or archive is."""
    if place.is_dir():
        names = [path.relative_to(place).as_posix() for path in place.rglob("*.wav")]
    else:
        names = [name for name in archive(place).namelist() if name.endswith(".wav")]
    names = [name for name in names if not Path(name).name.startswith(".")]
    if not names:
        raise Fault(f"{place}: holds no .wav files")
    return {Path(name).stem: (place, name) for name in sorted(names)}


@lru_cache
def archive(path: Path) -> zipfile.ZipFile:
    """Return an open archive, one in each process."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise Fault(f"{path}: truncated or no zip archive ({error}); download it again") from None


def load(place: Path, name: str) -> tuple[np.ndarray, int]:
    """Return the sound of a member, ``(T,)``, and its rate. Raises Fault where it can't be used."""
    title = f"{place / name}" if place.is_dir() else f"{place}: {name}"
    try:
        data = (place / name).read_bytes() if place.is_dir() else archive(place).read(name)
        wave, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError, zipfile.BadZipFile, zipfile.zlib.error) as error:
        raise Fault(f"{title}: can't be read ({error})") from None
    if rate not in RATES:
        raise Fault(f"{title}: is at {rate} Hz; the corpus is at 48000 or 16000 Hz")
    if wave.shape[1] != 1:
        raise Fault(f"{title}: has {wave.shape[1]} channels; the corpus has one")
    if not wave.any():
        raise Fault(f"{title}: holds nothing but zeros")
    return wave[:, 0], rate


def conditions(corpus: Path, name: str) -> dict[str, tuple[str, str]]:
    """Return the noise and the SNR of each utterance from a log file, none where there is none."""
    file = f"log_{name}.txt"
    for path in sorted(corpus.rglob(file)):
        return read_log(path.read_text(encoding="utf-8"), str(path))
    if (corpus / "logfiles.zip").exists():
        logs = archive(corpus / "logfiles.zip")
        for member in logs.namelist():
            if Path(member).name == file:
                return read_log(logs.read(member).decode("utf-8"), f"logfiles.zip: {member}")
    print(f"prepare: {corpus}: no {file}, so no scores by noise and SNR", file=sys.stderr)
    return {}


def read_log(text: str, title: str) -> dict[str, tuple[str, str]]:
    """Return the lines ``utterance noise SNR`` of a log file by utterance."""
    table = {}
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            name, noise, snr = fields
            table[name.removesuffix(".wav")] = (noise, f"{float(snr):g}")
        except ValueError:
            raise Fault(f"{title}: line {number}: not 'utterance noise SNR': {line!r}") from None
    return table


# What is made of it


def jobs_of(corpus: Path, data: Path) -> list[Job]:
    """Return what is to be done. Raises Fault, with a line for each missing twin."""
    jobs, missing = [], []
    for part, name in SETS.items():
        noisy, clean = (members(find(corpus, f"{side}_{name}_wav")) for side in ("noisy", "clean"))
        missing += [f"{noisy[key][0]}: {key} has no clean twin" for key in noisy.keys() - clean]
        missing += [f"{clean[key][0]}: {key} has no noisy twin" for key in clean.keys() - noisy]
        folder = data / part / "wav"
        jobs += [Job(part, key, noisy[key], clean[key], folder) for key in noisy if key in clean]
    if missing:
        raise Fault("\n".join(sorted(missing)))
    return jobs


def convert(job: Job) -> tuple[float, str]:
    """Write the utterance's sounds; return its seconds, or what is wrong with it.

    Raises Fault where they can't be written, which others can't be either.
    """
    if seconds := finished(job):
        return seconds, ""
    try:
        waves = {}
        for side in ("noisy", "clean"):
            wave, rate = load(*getattr(job, side))
            waves[side] = resample(wave, rate, RATE)
        noisy, clean = (len(waves[side]) for side in ("noisy", "clean"))
        if noisy != clean:
            raise Fault(f"{job.utterance}: noisy has {noisy} samples at 16 kHz, clean {clean}")
        for side, wave in waves.items():
            kaldi.write_wav(job.target(side), wave, RATE)
        return clean / RATE, ""
    except Fault as fault:
        return 0.0, str(fault)
    except OSError as error:
        raise Fault(describe(error, str(job.folder))) from None


def finished(job: Job) -> float:
    """Return the seconds of sounds that are there and not older than their sources, else 0."""
    try:
        for side in ("noisy", "clean"):
            place, name = getattr(job, side)
            source = place / name if place.is_dir() else place
            if job.target(side).stat().st_mtime < source.stat().st_mtime:
                return 0.0
        noisy, clean = (soundfile.info(job.target(side)).duration for side in ("noisy", "clean"))
    except (OSError, soundfile.LibsndfileError):
        return 0.0
    return clean if noisy == clean else 0.0


def convert_all(jobs: list[Job], processes: int) -> list[float]:
    """Return the seconds of each utterance. Raises Fault with a line for each that is unusable."""
    progress = partial(tqdm, desc="16 kHz", unit="file", disable=None)
    done = each(convert, jobs, processes, progress)
    if faults := [fault for _, fault in done if fault]:
        raise Fault("\n".join(faults))
    return [seconds for seconds, _ in done]


def write_directories(
    jobs: list[Job], seconds: list[float], corpus: Path, data: Path, held_out: set[str]
) -> None:
    """Write data/train, data/dev and data/test."""
    logs = {part: conditions(corpus, name) for part, name in SETS.items()}
    speakers = {job.utterance.split("_")[0] for job in jobs if job.set == "train"}
    if strangers := sorted(held_out - speakers):
        raise Fault(f"--dev {','.join(strangers)}: not among the training speakers")
    if held_out == speakers:
        raise Fault(f"--dev {','.join(sorted(held_out))}: leaves no speaker to train on")
    rows: dict[str, list[tuple[Job, float]]] = {"train": [], "dev": [], "test": []}
    for job, duration in zip(jobs, seconds, strict=True):
        dev = job.set == "train" and job.utterance.split("_")[0] in held_out
        rows["dev" if dev else job.set].append((job, duration))
    for name, own in rows.items():
        kaldi.write_directory(data / name, tables(own, logs))
        minutes = sum(duration for _, duration in own) / 60
        print(f"{data / name}: {len(own)} utterances, {minutes:.1f} minutes")


def tables(rows: list[tuple[Job, float]], logs: dict) -> dict[str, dict[str, str]]:
    """Return the files of a data directory."""
    own = {job.utterance: (job, duration) for job, duration in rows}
    said = {key: logs[job.set][key] for key, (job, _) in own.items() if key in logs[job.set]}
    files = {
        "wav.scp": {key: str(job.target("noisy")) for key, (job, _) in own.items()},
        "spk1.scp": {key: str(job.target("clean")) for key, (job, _) in own.items()},
        "utt2spk": {key: key.split("_")[0] for key in own},
        "utt2dur": {key: f"{duration:.4f}" for key, (_, duration) in own.items()},
    }
    if len(said) == len(own):
        files["utt2noise"] = {key: noise for key, (noise, _) in said.items()}
        files["utt2snr"] = {key: snr for key, (_, snr) in said.items()}
    elif said:
        lacking = next(key for key in own if key not in said)
        print(f"prepare: the log has no line for {lacking}; no noise and SNR", file=sys.stderr)
    return files


def forget_other_corpus(corpus: Path, data: Path) -> None:
    """Remove the converted sound where it comes from another corpus."""
    note = data / "source.txt"
    if note.exists() and note.read_text(encoding="utf-8") != str(corpus):
        for path in data.glob("*/wav/*/*.wav"):
            path.unlink()
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(str(corpus), encoding="utf-8")


def main() -> int:
    """Return 0, or 2 where the corpus is not as it should be or the data can't be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--dev", default="p226,p287", help="training speakers held out")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    corpus, data = given.corpus.resolve(), given.data.resolve()
    try:
        jobs = jobs_of(corpus, data)
        forget_other_corpus(corpus, data)
        seconds = convert_all(jobs, given.jobs)
        write_directories(jobs, seconds, corpus, data, set(given.dev.split(",")))
    except (OSError, ValueError, RuntimeError) as error:
        lines = (describe(error) if isinstance(error, OSError) else str(error)).splitlines()
        more = [f"... and {len(lines) - 20} more"] if len(lines) > 20 else []
        for line in [*lines[:20], *more]:
            print(f"prepare: {line}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
