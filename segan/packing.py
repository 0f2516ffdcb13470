"""Writing shards; what they are, ``segan.shards`` says."""

from __future__ import annotations

import functools
import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from segan import audio
from segan.corpus import length, numbers, speakers
from segan.kaldi import read_directory, shuffled
from segan.parallel import Progress, each, silent
from segan.shards import FORMAT, INDEX, checksum

SHARD_SIZE = 256 * 10**6
BYTES_A_SAMPLE = 1.2  # of 16-bit speech in FLAC, about


class Recording(NamedTuple):
    """One utterance to pack."""

    utterance: str
    speaker: str
    weight: float
    files: tuple[str, ...]  # itself, and its clean twin where there are twins


class Packed(NamedTuple):
    """What became of a shard: its entry in the index, its recordings' lengths, what went wrong."""

    entry: dict
    frames: list[int]
    errors: list[str]


def pack(
    folder: str | Path,
    target: str | Path,
    size: int = SHARD_SIZE,
    rate: int = 16000,
    seed: int = 0,
    jobs: int = 1,
    progress: Progress = silent,
) -> list[str]:
    """Write a data directory as shards; return a line for each recording that is left out.

    Recordings are shuffled, as a run reads some shards at a time. Channels are averaged, what
    exceeds full scale is scaled down, twins alike.

    Args:
        folder: data directory.
        target: folder of the shards.
        size: of a shard in bytes, about.
        rate: of what is written, in Hz.
        seed: of the order.
        jobs: processes, which take a shard each.
        progress: wraps what is iterated over, as tqdm does; takes its ``total``.

    Raises:
        ValueError: where the directory is no good, or nothing in it can be packed.
    """
    folder, target = Path(folder), Path(target)
    tables = read_directory(folder)
    recordings = planned(folder, tables, seed)
    samples = round(size / BYTES_A_SAMPLE / len(recordings[0].files))
    groups = grouped(recordings, lengths(folder, recordings, rate), samples)
    target.mkdir(parents=True, exist_ok=True)
    clear(target)
    write = functools.partial(write_shard, target=target, rate=rate)
    shards = each(write, list(enumerate(groups)), jobs, progress)
    errors = [line for shard in shards for line in shard.errors]
    shards = [shard for shard in shards if shard.frames]
    if not shards:
        raise ValueError("\n".join([f"{folder}: nothing could be packed", *errors]))
    write_index(target, rate, "spk1.scp" in tables, shards)
    return errors


def write_index(target: Path, rate: int, twins: bool, shards: Sequence[Packed]) -> None:
    """Write what says that the shards are complete."""
    index = {
        "format": FORMAT,
        "rate": rate,
        "twins": twins,
        "lengths": keep_lengths(target, [count for shard in shards for count in shard.frames]),
        "shards": [shard.entry for shard in shards],
    }
    part = target / f".{INDEX}.part"
    part.write_text(json.dumps(index, indent=1), encoding="utf-8")
    os.replace(part, target / INDEX)


def clear(target: Path) -> None:
    """Remove the shards of before, first of all the index that says they are complete."""
    (target / INDEX).unlink(missing_ok=True)
    for suffix in ("tar", "tsv", "npy"):
        for path in target.glob(f"*-????????.{suffix}"):
            path.unlink()


def keep_lengths(target: Path, frames: Sequence[int]) -> str:
    """Write the recordings' lengths; return the name of the file."""
    part = target / ".frames.npy"
    np.save(part, np.array(frames, np.int32))
    name = f"frames-{checksum(part)}.npy"
    os.replace(part, target / name)
    return name


def planned(folder: Path, tables: Mapping[str, Mapping[str, str]], seed: int) -> list[Recording]:
    """Return what is to be packed, shuffled."""
    names = shuffled(tables["wav.scp"], seed)
    if not names:
        raise ValueError(f"{folder / 'wav.scp'}: lists no recordings")
    sounds = [tables[name] for name in ("wav.scp", "spk1.scp") if name in tables]
    if unmatched := sorted(sounds[0].keys() ^ sounds[-1].keys()):
        raise ValueError(f"{folder}: wav.scp and spk1.scp disagree on {unmatched[0]!r}")
    columns = names, speakers(folder, names), numbers(folder / "utt2weight", names, 1.0).tolist()
    return [
        Recording(name, *rest, tuple(sound[name] for sound in sounds))
        for name, *rest in zip(*columns, strict=True)
    ]


def lengths(folder: Path, recordings: Sequence[Recording], rate: int) -> Iterator[int]:
    """Yield how many samples each recording has; none where it can't be read."""
    seconds = numbers(folder / "utt2dur", [one.utterance for one in recordings], np.nan)
    for one, duration in zip(recordings, seconds, strict=True):
        try:
            yield length(one.files[0], rate) if np.isnan(duration) else round(duration * rate)
        except ValueError:
            yield 0


def grouped(
    recordings: Iterable[Recording], frames: Iterable[int], samples: int
) -> list[list[Recording]]:
    """Return the recordings of each shard, ``samples`` in all or one recording more."""
    groups: list[list[Recording]] = []
    room = 0
    for one, count in zip(recordings, frames, strict=True):
        if room <= 0:
            groups.append([])
            room = samples
        groups[-1].append(one)
        room -= count
    return groups


def write_shard(group: tuple[int, Sequence[Recording]], target: Path, rate: int) -> Packed:
    """Write a tar file and its list, named by number and checksum; whole or not at all."""
    number, recordings = group
    part = target / f".{number:06d}.tar.part"
    frames, errors = {}, []
    try:
        with tarfile.open(part, "w") as archive:
            for one in recordings:
                try:
                    frames[one] = add(archive, one, rate)
                except (OSError, ValueError, RuntimeError) as error:
                    errors.append(f"{one.utterance}: {' '.join(str(error).split())}")
        entry = settle(part, frames) if frames else {}
    finally:
        part.unlink(missing_ok=True)
    return Packed(entry, list(frames.values()), errors)


def settle(part: Path, frames: Mapping[Recording, int]) -> dict:
    """Give a tar file its name, write its list beside it, and return its entry in the index."""
    with tarfile.open(part) as archive:
        places = {member.name: (member.offset_data, member.size) for member in archive}
    rows = []
    for one, count in frames.items():
        own = [value for name in members(one) for value in places[name]]
        rows.append([one.utterance, one.speaker, one.weight, count, *own])
    name = f"{part.name.split('.')[1]}-{checksum(part)}"
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    part.with_name(f"{name}.tsv").write_text(text, encoding="utf-8", newline="\n")
    os.replace(part, part.with_name(f"{name}.tar"))
    return {
        "name": name,
        "recordings": len(rows),
        "frames": sum(frames.values()),
        "mass": sum(count * one.weight for one, count in frames.items()),
    }


def members(one: Recording) -> list[str]:
    """Return the names of a recording's files in the tar file."""
    return [f"{one.utterance}.flac", f"{one.utterance}.clean.flac"][: len(one.files)]


def add(archive: tarfile.TarFile, one: Recording, rate: int) -> int:
    """Append a recording, and its twin; return how many samples it has."""
    waves = [mono(path, rate) for path in one.files]
    if len(waves[0]) != len(waves[-1]):
        have = f"{len(waves[0])} samples, but its clean twin has {len(waves[-1])}"
        raise ValueError(f"{one.files[0]}: {have}; align them first")
    gain = 1 / max(1.0, *(np.abs(wave).max() for wave in waves))
    for name, wave in zip(members(one), waves, strict=True):
        flac = io.BytesIO()
        soundfile.write(flac, gain * wave, rate, "PCM_16", format="FLAC")
        member = tarfile.TarInfo(name)
        member.size = flac.getbuffer().nbytes
        flac.seek(0)
        archive.addfile(member, flac)
    return len(waves[0])


def mono(path: str, rate: int) -> np.ndarray:
    """Return a recording at ``rate`` Hz, ``(T,)``."""
    wave, own = audio.read(path)
    if own < rate:
        raise ValueError(f"{path}: {own} Hz; leave it out, or pack at that rate")
    if not np.isfinite(wave).all():
        raise ValueError(f"{path}: holds what is not a finite number; leave it out")
    return audio.resample(wave.mean(0), own, rate)
