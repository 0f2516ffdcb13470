"""Lists of files to enhance: one path a line, tables of sources and targets, Kaldi's ``wav.scp``.

Relative paths begin where the command is run.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

from segan import audio, batch, filenames, kaldi
from segan.batch import MARK, Job

ARCHIVE = re.compile(r"\.ark:\d+$")


def plan(file: str, output: str | None) -> tuple[list[Job], list[str]]:
    """Return the jobs that a list names, and a line for each that cannot be done.

    Args:
        file: the list, ``-`` for standard input: a path a line, or ``source<TAB>target``.
        output: the folder of the outputs. A file without a target keeps its whole path below it;
            see ``below``. None: ``name.enhanced.ext`` beside each.

    Raises OSError or ValueError where the list cannot be read or a line makes no sense.
    """
    if output is not None:
        _check_folder(output, "--list")
    jobs = {  # a line that stands twice counts once
        Job(source, target or _place(source, output)): None for source, target in read(file, output)
    }
    if not jobs:
        raise ValueError(f"{_name(file)}: lists no files; one path a line is needed")
    problems: list[str] = []
    return batch.without_clashes(list(jobs), problems), problems


def read(file: str, output: str | None = None) -> Iterator[tuple[Path, Path | None]]:
    """Yield the sources of a list, each with its target where the list tells it."""
    for number, line in enumerate(_lines(file), 1):
        if not line:
            continue
        source, *rest = line.split("\t")
        if len(rest) > 1 or not source or rest == [""]:
            raise ValueError(
                f"{_name(file)}:{number}: {line!r} is neither a path nor source<TAB>target"
            )
        yield Path(source), Path(output or "", rest[0]) if rest else None


def _place(source: Path, output: str | None) -> Path:
    if output is None:
        return source.with_name(f"{source.stem}{MARK}{source.suffix}")
    return Path(output) / below(source)


def below(source: PurePath) -> PurePath:
    """Return a listed file's place below the folder of outputs: its whole path, without the root.

    So it doesn't depend on what else is in the list, and a list may be split among machines.

    >>> from pathlib import PurePosixPath, PureWindowsPath
    >>> below(PurePosixPath("ann/1.wav")), below(PurePosixPath("/data/ann/1.wav"))
    (PurePosixPath('ann/1.wav'), PurePosixPath('data/ann/1.wav'))
    >>> below(PureWindowsPath(r"C:\\data\\1.wav")).as_posix()
    'C/data/1.wav'
    """
    if ".." in source.parts:
        source = type(source)(os.path.abspath(source))
    drive = re.findall(r"[^\\/:?]+", source.drive)
    return type(source)(*drive, *source.parts[bool(source.anchor) :])


def _lines(file: str) -> Iterator[str]:
    """Yield the lines of a text, whatever system or editor wrote it."""
    if file == "-" and (sys.stdin is None or sys.stdin.isatty()):
        raise ValueError("standard input: nothing is piped in; --list FILE names a file")
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if wide else "utf-8-sig"
    try:
        text = content.decode(encoding, "strict" if wide or os.name == "nt" else "surrogateescape")
    except UnicodeDecodeError:
        raise ValueError(f"{_name(file)}: is not valid UTF-8; save it as UTF-8") from None
    if "\0" in text:
        raise ValueError(
            f"{_name(file)}: is no list of files but something binary; name it as INPUT"
        )
    for line in io.StringIO(text, newline=None):
        yield line.rstrip("\n")


def _name(file: str) -> str:
    return "standard input" if file == "-" else file


def _check_folder(output: str, option: str) -> None:
    if output == "-" or batch.names_file(output, tuple(audio.SUFFIXES)):
        raise ValueError(f"-o {output}: a folder is needed with {option}")


# Kaldi


def plan_kaldi(scp: str, output: str | None, force: bool = False) -> tuple[list[Job], list[str]]:
    """Return the jobs that a ``wav.scp`` names, and a line for each that cannot be done.

    An utterance goes to ``wav/UTTERANCE.ext`` below ``output``. Raises ValueError where there is a
    command among the entries, which is never run, where an utterance stands twice, and where
    ``output`` has a ``wav.scp`` that is not this program's.
    """
    if output is None:
        raise ValueError("--wav-scp: needs -o DIR, for the sound files and their wav.scp")
    _check_folder(output, "--wav-scp")
    table = kaldi.read_map(scp)
    for key, value in table.items():
        _check_entry(scp, key, value)
    _check_free(scp, Path(output), force)
    folder = Path(output) / "wav"
    jobs = [
        Job(Path(value), folder / (filenames.portable(key) + Path(value).suffix), key=key)
        for key, value in table.items()
    ]
    if not jobs:
        raise ValueError(f"{scp}: lists no utterances")
    problems: list[str] = []
    return batch.without_clashes(jobs, problems), problems


def _check_entry(scp: str, key: str, value: str) -> None:
    if value.endswith("|"):
        what = "is a command (it ends in '|'), and none is run; run it and name the file it makes"
    elif ARCHIVE.search(value):
        what = "is a place in an archive, which is not read; copy it to files with wav-copy"
    else:
        return
    raise ValueError(f"{scp}: {key}: {value!r} {what}")


def _check_free(scp: str, folder: Path, force: bool) -> None:
    """Raise where a ``wav.scp`` in the folder of outputs is the input, or names sound elsewhere."""
    place = folder / "wav.scp"
    if not place.exists():
        return
    if place.samefile(scp):
        raise ValueError(f"-o {folder}: its wav.scp is the input; name another folder")
    own = os.path.abspath(folder / "wav")
    if not force and any(os.path.dirname(path) != own for path in kaldi.read_map(place).values()):
        raise FileExistsError(f"{place}: exists, and names other sound; --force overwrites it")


def write_kaldi(folder: str, made: Mapping[str, Path]) -> Path:
    """Write the ``wav.scp`` of the enhanced utterances, by absolute paths; return its path."""
    place = Path(folder) / "wav.scp"
    kaldi.write_map(place, {key: os.path.abspath(path) for key, path in made.items()})
    return place
