"""Kaldi data directories: maps of ``key value`` lines that list a corpus.

``wav.scp`` names a sound file for each utterance (here, where there are pairs, the noisy one) and
``spk1.scp`` its clean twin; ``utt2spk`` names the speaker, ``spk2utt`` is its inverse, ``utt2dur``
gives seconds, and other ``utt2...`` and ``spk2...`` maps say more. Every map is sorted by its keys
as ``LC_ALL=C sort`` sorts, by the bytes of UTF-8. See https://kaldi-asr.org/doc/data_prep.html.

A directory is complete when its ``wav.scp`` is there: that is written last. Until then ``.begun``
says that it is ours.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Table = Mapping[str, object]

NAMES = re.compile(r"(utt2|spk2|reco2)\w+|\w+\.scp|text")  # of the maps in a data directory
SOUND = ("wav.scp", "spk1.scp")
BEGUN = ".begun"  # the mark of a directory that is being written; says which one along with it
BAD_IN_KEY = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ufeff]")
BAD_IN_VALUE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def order(key: str) -> bytes:
    """Return what ``key`` is sorted by: its bytes in UTF-8, as ``LC_ALL=C sort`` does.

    >>> sorted(["ä-1", "b-1", "B-1"], key=order)
    ['B-1', 'b-1', 'ä-1']
    """
    return key.encode("utf-8", "surrogatepass")


def keyed_by_speaker(name: str) -> bool:
    """Return whether the keys of the map called ``name`` are speakers, not utterances."""
    return name.startswith("spk2") or name == "cmvn.scp"


# One file


def read_map(path: str | Path) -> dict[str, str]:
    """Return the ``key value`` lines of a Kaldi file as a dict, in their order.

    Raises:
        ValueError: naming the file and line, where a line has no value or a key stands twice; where
            the file is not UTF-8, or begins with a byte order mark.
    """
    table: dict[str, str] = {}
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file; a Kaldi data directory has one")
    try:
        lines = Path(path).read_text(encoding="utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is not valid UTF-8; save it as UTF-8") from None
    if lines.startswith("\ufeff"):
        raise ValueError(f"{path}: begins with a byte order mark; save it as UTF-8 without BOM")
    for number, line in enumerate(lines.split("\n") if lines else [], 1):
        key, *value = re.split(r"[ \t]+", line.strip(" \t"), maxsplit=1)
        if not value:
            raise ValueError(f"{path}:{number}: expected 'key value', found {line!r}")
        if key in table:
            raise ValueError(f"{path}:{number}: {key!r} stands twice")
        table[key] = value[0]
    return table


def write_map(path: str | Path, table: Table) -> None:
    """Write ``key value`` lines, sorted by key in the C locale; whole or not at all.

    Raises:
        ValueError: where a key holds white space, or a value is empty or more than one line.
    """
    path = Path(path)
    lines = []
    for key in sorted(table, key=order):
        value = str(table[key])
        _check_entry(path, key, value)
        lines.append(f"{key} {value}\n")
    part = path.with_name(f".{path.name}.part")
    part.write_text("".join(lines), encoding="utf-8", newline="\n")
    os.replace(part, path)


def _check_entry(path: Path, key: str, value: str) -> None:
    if not key or BAD_IN_KEY.search(key):
        raise ValueError(f"{path}: id {key!r} is empty or holds white space; put '_' in its place")
    if not value or value.strip(" ") != value or BAD_IN_VALUE.search(value):
        raise ValueError(f"{path}: {key}: {value!r} doesn't fit a line; name it without such space")
    try:
        f"{key} {value}".encode()
    except UnicodeEncodeError:
        raise ValueError(f"{path}: {key}: {value!r} isn't valid text; rename the file") from None


def write_wav(path: Path, wave: np.ndarray, rate: int) -> None:
    """Write ``wave``, ``(T,)``, as 16-bit WAV; whole or not at all."""
    from segan import audio

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part.wav")
    audio.write(part, wave, rate, "PCM_16")
    os.replace(part, path)


# A directory of maps


def spk2utt(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """Return each speaker's utterances, joined by spaces; all in Kaldi's order.

    >>> spk2utt({"b-1": "b", "a-2": "a", "a-1": "a"})
    {'a': 'a-1 a-2', 'b': 'b-1'}
    """
    names: dict[str, list[str]] = {speaker: [] for speaker in sorted(utt2spk.values(), key=order)}
    for utterance in sorted(utt2spk, key=order):
        names[utt2spk[utterance]].append(utterance)
    return {speaker: " ".join(own) for speaker, own in names.items()}


def read_directory(folder: str | Path) -> dict[str, dict[str, str]]:
    """Return every map of a data directory by its file's name; the others, as ``segments``, stay.

    Raises:
        ValueError: where there is no ``wav.scp``, or a line is none of a map's.
    """
    folder = Path(folder)
    if not (folder / "wav.scp").is_file():
        raise ValueError(f"{folder}: no data directory, it has no wav.scp")
    names = sorted(path.name for path in folder.iterdir() if NAMES.fullmatch(path.name))
    return {name: read_map(folder / name) for name in names}


def write_directory(folder: str | Path, tables: Mapping[str, Table]) -> None:
    """Write a data directory; the maps that it had before go.

    ``spk2utt`` is derived. Where no ``utt2spk`` is given, each utterance is its own speaker. Sound
    files are named by their absolute paths. ``wav.scp`` is written last.

    Args:
        folder: is made where it doesn't exist.
        tables: maps by file name, as ``{"wav.scp": {"a-1": "a-1.wav"}, "utt2spk": {"a-1": "a"}}``.

    Raises:
        ValueError: naming the file and the id, where Kaldi would refuse the directory; nothing is
            written then.
    """
    folder = Path(folder)
    tables = completed(folder, tables)
    begin(folder)
    for path in folder.iterdir():
        if NAMES.fullmatch(path.name) and path.name not in tables:
            path.unlink()
    for name in sorted(tables, key=lambda name: (name == "wav.scp", name)):
        write_map(folder / name, tables[name])
    (folder / BEGUN).unlink(missing_ok=True)


def begin(folder: Path, along_with: Path | None = None) -> None:
    """Mark a directory as begun and take its ``wav.scp`` away, by which it counts as complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BEGUN).touch()
    if along_with:
        (folder / BEGUN).write_bytes(os.fsencode(along_with.resolve()))
    (folder / "wav.scp").unlink(missing_ok=True)


def is_begun(folder: Path, along_with: Path) -> bool:
    """Return whether two directories were being written together, this one last."""
    mark = folder / BEGUN
    return mark.is_file() and mark.read_bytes() == os.fsencode(along_with.resolve())


def strange_maps(folder: Path) -> list[str]:
    """Return what bears a map's name in a folder that is no data directory, not a begun one."""
    if not folder.is_dir() or any((folder / name).exists() for name in ("wav.scp", BEGUN)):
        return []
    return sorted(path.name for path in folder.iterdir() if NAMES.fullmatch(path.name))


def completed(folder: Path, tables: Mapping[str, Table]) -> dict[str, Table]:
    """Return the tables with ``utt2spk``, ``spk2utt`` and absolute paths.

    Raises ValueError where Kaldi would refuse them, as if they were in ``folder``.
    """
    tables = {name: table for name, table in tables.items() if name != "spk2utt"}
    if not tables.get("wav.scp"):
        raise ValueError(f"{folder / 'wav.scp'}: lists no utterances; a data directory needs some")
    tables.setdefault("utt2spk", {key: key for key in tables["wav.scp"]})
    for name, table in tables.items():
        for key, value in table.items():
            _check_entry(folder / name, key, str(value))
    speakers = {key: str(speaker) for key, speaker in tables["utt2spk"].items()}
    for speaker in speakers.values():
        _check_entry(folder / "utt2spk", speaker, speaker)
    _check_order(folder / "utt2spk", speakers)
    sounds = {
        name: {key: _absolute(str(path)) for key, path in tables[name].items()}
        for name in SOUND
        if name in tables
    }
    tables |= {"utt2spk": speakers, "spk2utt": spk2utt(speakers)} | sounds
    _check_keys(folder, tables)
    return tables


def _absolute(path: str) -> str:
    return path if path.endswith("|") else os.path.abspath(path)


def _check_keys(folder: Path, tables: Mapping[str, Table]) -> None:
    for name, table in tables.items():
        source = "spk2utt" if keyed_by_speaker(name) else "wav.scp"
        if surplus := sorted(table.keys() - tables[source].keys()):
            raise ValueError(f"{folder / name}: {surplus[0]!r} is not in {source}; leave it out")
        if missing := sorted(tables[source].keys() - table.keys()):
            raise ValueError(f"{folder / name}: lacks {missing[0]!r} of {source}; add it")


def _check_order(path: Path, utt2spk: Mapping[str, str]) -> None:
    before = ""
    for key in sorted(utt2spk, key=order):
        speaker = utt2spk[key]
        if order(speaker) < order(before):
            raise ValueError(
                f"{path}: sorted by utterance, {key!r} of speaker {speaker!r} comes after speaker "
                f"{before!r}, which Kaldi refuses; begin each utterance's id with its speaker's "
                f"and '-', as {speaker}-{key}"
            )
        before = speaker


# Parts and sums


def subset(
    folder: str | Path,
    target: str | Path,
    *,
    utterances: Iterable[str] | None = None,
    speakers: Iterable[str] | None = None,
    per_speaker: int | None = None,
    count: int | None = None,
    first: int | None = None,
    seed: int = 0,
    exclude: bool = False,
) -> int:
    """Write a part of a data directory into another; return its number of utterances.

    Each criterion narrows what those before it left.

    Args:
        folder: data directory.
        target: where to.
        utterances: only these.
        speakers: only theirs.
        per_speaker: so many of each speaker, at random; all of a speaker who has fewer.
        count: so many, at random; all where there are fewer.
        first: so many, in their order.
        seed: of what is drawn at random.
        exclude: write all but those.

    Raises:
        ValueError: for names that the directory doesn't have, and where no utterance is left.
    """
    tables = read_directory(folder)
    speaker_of = speakers_of(tables)
    names = _matching(folder, speaker_of, utterances, speakers)
    if per_speaker is not None:
        groups = spk2utt({key: speaker_of[key] for key in names}).values()
        names = [key for group in groups for key in drawn(group.split(" "), per_speaker, seed)]
    names = drawn(names, count, seed)[:first]
    kept = set(speaker_of).difference(names) if exclude else set(names)
    write_directory(target, _part(target, tables, kept))
    return len(kept)


def _matching(
    folder: str | Path,
    speaker_of: Mapping[str, str],
    utterances: Iterable[str] | None,
    speakers: Iterable[str] | None,
) -> list[str]:
    """Return the utterances, in order, that are named and whose speakers are; None names all."""
    names = sorted(speaker_of, key=order)
    if utterances is not None:
        wanted = _known(folder, "utterance", utterances, names)
        names = [key for key in names if key in wanted]
    if speakers is not None:
        wanted = _known(folder, "speaker", speakers, speaker_of.values())
        names = [key for key in names if speaker_of[key] in wanted]
    return names


def speakers_of(tables: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """Return ``utt2spk``, each utterance its own speaker where there is none."""
    return tables.get("utt2spk") or {key: key for key in tables["wav.scp"]}


def _known(folder: str | Path, kind: str, names: Iterable[str], known: Iterable[str]) -> set[str]:
    names = set(names)
    if unknown := sorted(names.difference(known)):
        more = f" and {len(unknown) - 1} more" if unknown[1:] else ""
        raise ValueError(f"{folder}: has no {kind} {unknown[0]!r}{more}; check the name")
    return names


def shuffled(names: Iterable[str], seed: int) -> list[str]:
    """Return the names in random order, the same for the same seed.

    How two names are ordered doesn't hang on the others: most of a draw stays as a corpus grows.
    """
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())


def drawn(names: Sequence[str], count: int | None, seed: int) -> list[str]:
    """Return ``count`` of the names at random, in their order; all where ``count`` is None."""
    winners = set(shuffled(names, seed)[:count])
    return [name for name in names if name in winners]


def _part(
    target: str | Path, tables: Mapping[str, Mapping[str, str]], utterances: Collection[str]
) -> dict[str, Table]:
    """Return the lines of some utterances; refuse where there would be none in ``target``."""
    if not utterances:
        raise ValueError(f"{target}: no utterance would be in it; select others")
    speaker_of = speakers_of(tables)
    speakers = {speaker_of[key] for key in utterances}
    part = {}
    for name, table in tables.items():
        keys = speakers if keyed_by_speaker(name) else utterances
        part[name] = {key: value for key, value in table.items() if key in keys}
    return part


def hold_out(
    folder: str | Path, rest: str | Path, held: str | Path, speakers: int = 2, seed: int = 0
) -> list[str]:
    """Write ``speakers`` drawn speakers into ``held``, the others into ``rest``; return the drawn.

    ``held`` is complete last, and until then marked as begun along with ``rest``.

    Raises:
        ValueError: where no speaker would be left.
    """
    tables, rest, held = read_directory(folder), Path(rest), Path(held)
    speaker_of = speakers_of(tables)
    names = sorted(set(speaker_of.values()), key=order)
    if not 0 < speakers < len(names):
        have = f"has {len(names)} speaker{'s' * (len(names) != 1)}"
        raise ValueError(f"{folder}: {have}, {speakers} can't be held out; one must stay")
    chosen = drawn(names, speakers, seed)
    inside = {key for key, speaker in speaker_of.items() if speaker in chosen}
    parts = {rest: speaker_of.keys() - inside, held: inside}
    done = {place: completed(place, _part(place, tables, keys)) for place, keys in parts.items()}
    begin(held, along_with=rest)
    for place, part in done.items():
        write_directory(place, part)
    return chosen


def combine(folders: Sequence[str | Path], target: str | Path) -> list[str]:
    """Write one data directory with what is in several; return the maps that were left out.

    Left out are maps that some of them lack, as in Kaldi.

    Raises:
        ValueError: where an utterance is in two of them, a speaker's map says two things, or only
            some have clean twins.
    """
    parts = []
    for folder in folders:
        tables = read_directory(folder)
        parts.append(tables | {"utt2spk": dict(speakers_of(tables))})
    every = dict.fromkeys(name for tables in parts for name in tables)
    shared = [name for name in every if all(name in tables for tables in parts)]
    if "spk1.scp" in every and "spk1.scp" not in shared:
        lacks = next(at for at, one in zip(folders, parts, strict=True) if "spk1.scp" not in one)
        raise ValueError(f"{lacks}: has no spk1.scp, others have; combine pairs with pairs only")
    sums = {name: _sum(name, folders, [one[name] for one in parts]) for name in shared}
    write_directory(target, sums)
    return sorted(set(every) - set(shared))


def _sum(name: str, folders: Sequence[str | Path], tables: Sequence[Mapping[str, str]]) -> dict:
    """Return the tables' lines together."""
    total: dict[str, str] = {}
    origin: dict[str, str | Path] = {}
    for folder, table in zip(folders, tables, strict=True):
        for key, value in table.items():
            same = keyed_by_speaker(name) and (name == "spk2utt" or total.get(key) == value)
            if key in total and not same:
                places = f"{Path(origin[key]) / name} and {Path(folder) / name}"
                raise ValueError(f"{places}: both have {key!r}; leave one out with `subset`")
            total[key], origin[key] = value, folder
    return total
