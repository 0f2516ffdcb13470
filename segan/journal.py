"""The table of what was done, by which a batch that was stopped goes on.

A line is appended as each file begins and as it ends, in one piece, so that several programs may
share a table. A line that was torn when the program was killed is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from segan import enhance
from segan.batch import Job, Options, Outcome
from segan.filenames import shown

NAME = "segan-enhance.tsv"  # what it is called in a folder of outputs
COLUMNS = (
    "source",  # its absolute path
    "target",
    "status",  # begun, done, converted (done, in another format than planned) or failed
    "seconds",  # of sound
    "rate",  # Hz
    "channels",
    "elapsed",  # seconds of work
    "source_stamp",  # size in bytes and time of change
    "target_stamp",
    "settings",  # what the result depends on
    "message",
)
HEADER = "\t".join(COLUMNS) + "\n"
DONE = ("done", "converted")


class Row(NamedTuple):
    """What later runs ask of a line."""

    suffix: str  # of the target
    status: str
    source_stamp: str
    target_stamp: str
    settings: str


@dataclass
class Sorted:
    """What a table says of jobs: those to do, what was made of the others, and what is wrong."""

    todo: list[Job] = field(default_factory=list)
    done: list[tuple[Job, Path]] = field(default_factory=list)  # and where each went
    problems: list[str] = field(default_factory=list)


class Journal:
    """A table of what was done at ``path``, made where there is none.

    Args:
        path: of the file.
        settings: what the result depends on beside the source; see ``settings``.

    Raises OSError where it cannot be written, ValueError where the file is something else.
    """

    def __init__(self, path: Path, settings: str):
        self.path, self.settings = path, settings
        self.stamps: dict[Job, str] = {}  # of the sources that are at work
        self.file = _open(path)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_) -> None:
        self.file.close()

    def sort(self, jobs: Iterable[Job], force: bool = False) -> Sorted:
        """Return the jobs that are to be done and those that were done before.

        One whose file, settings or result changed since is to be done with ``force``, and is else
        a problem. One that was begun and never ended may replace its target.
        """
        rows, found = self._rows(), Sorted()
        for job in jobs:
            row = rows.get(_key(job.source, job.target))
            target = _result(row, job) if row else None
            if target is None:
                found.todo.append(job._replace(mine=row is not None and row.status == "begun"))
            elif not (change := self._change(row, job.source, target)):
                found.done.append((job, target))
            elif force:
                found.todo.append(job)
            else:
                line = f"{job.name}: {change} since it was enhanced into {target}"
                found.problems.append(f"{line}; --force does it again")
        return found

    def _rows(self) -> dict[str, Row]:
        """Return the last line of each source and target."""
        rows = {}
        with self.path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for line in file:
                cells = line.rstrip("\n").split("\t")
                if len(cells) == len(COLUMNS):
                    source, target, status, *_, before, after, settings, _ = cells
                    stem, suffix = os.path.splitext(target)
                    row = Row(suffix, status, before, after, settings)
                    rows[f"{source}\t{stem}"] = Row(*map(sys.intern, row))
        return rows

    def _change(self, row: Row, source: Path, target: Path) -> str | None:
        """Return what changed since a job was done, None where nothing did."""
        if row.source_stamp != stamp(source):
            return "it changed"
        if row.settings != self.settings:
            return f"the settings changed ({_difference(row.settings, self.settings)})"
        if row.target_stamp != stamp(target):
            return "the result changed"
        return None

    def handed_out(self, jobs: Iterable[Job], force: bool = False) -> Iterator[Job]:
        """Yield the jobs; each is noted as begun where it may write its target."""
        for job in jobs:
            self.stamps[job] = stamp(job.source)
            if force or job.mine or not os.path.lexists(job.target):
                self._append(job.source, job.target, "begun", before=self.stamps[job])
            yield job

    def end(self, outcome: Outcome) -> None:
        """Note what came of a job."""
        job, status, after = outcome.job, "failed", ""
        if outcome.error is None:
            status = "done" if outcome.target == job.target else "converted"
            after = stamp(outcome.target)
        sound = (f"{outcome.seconds:.3f}", outcome.rate, outcome.channels)
        self._append(
            job.source,
            outcome.target or job.target,
            status,
            *(sound if outcome.error is None else ("", "", "")),
            f"{outcome.elapsed:.3f}",
            before=self.stamps.pop(job),
            after=after,
            message="; ".join([*outcome.notes, *([outcome.error] if outcome.error else [])]),
        )

    def _append(
        self,
        source: Path,
        target: Path,
        status: str,
        seconds: object = "",
        rate: object = "",
        channels: object = "",
        elapsed: object = "",
        *,
        before: str = "",
        after: str = "",
        message: str = "",
    ) -> None:
        places = (os.path.abspath(source), os.path.abspath(target))
        cells = (*places, status, seconds, rate, channels, elapsed, before, after, self.settings)
        line = "\t".join(shown(str(cell)) for cell in (*cells, message)) + "\n"
        content = line.encode()
        try:
            whole = self.file.write(content) == len(content)
        except OSError as error:
            raise OSError(f"{self.path}: cannot be written ({error.strerror})") from None
        if not whole:
            raise OSError(f"{self.path}: cannot be written to its end; is the disk full?")


def settings(options: Options) -> str:
    """Return what results depend on: the model's weights and the options that change samples."""
    raw = ":".join(map(str, options.raw)) if options.raw else "no"
    return shown(f"model={_model(options)} keep={options.keep!r} raw={raw}")


def _model(options: Options) -> str:
    """Return the name of a model and the beginning of its weights' SHA-256."""
    if options.model == "wiener":
        return options.model
    backend = enhance.backend_of(options.model, options.backend)
    with enhance.weights(options.model, backend) as path:
        content = path.read_bytes()
    name = Path(options.model).name.replace(" ", "_")
    return f"{name}:{hashlib.sha256(content).hexdigest()[:12]}"


def _difference(before: str, now: str) -> str:
    """Return the settings that differ, as they were and are.

    >>> _difference("model=a keep=0.0", "model=a keep=0.1")
    'keep=0.0 then, keep=0.1 now'
    """
    pairs = zip(before.split(" "), now.split(" "), strict=False)
    return ", ".join(f"{old} then, {new} now" for old, new in pairs if old != new) or before


def stamp(path: str | Path) -> str:
    """Return a file's size and time of change, '' where there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return ""
    return f"{status.st_size}@{status.st_mtime_ns // 1000}"


def _key(source: str | Path, target: str | Path) -> str:
    """Return what a line is found by: its source, and its target up to the suffix."""
    paths = (os.path.abspath(source), os.path.splitext(os.path.abspath(target))[0])
    return "\t".join(map(shown, paths))


def _result(row: Row, job: Job) -> Path | None:
    """Return the file that a job was done into, None where the line or the file says it was not."""
    converted = row.status == "converted"
    if row.status not in DONE or not (converted or row.suffix == shown(job.target.suffix)):
        return None
    target = job.target.with_suffix(row.suffix) if converted else job.target
    return target if target.exists() else None


def _open(path: Path):
    """Return the file, open for appending, with its header; a torn last line is ended."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path)
        file = path.open("a+b", buffering=0)
    except OSError as error:
        reason = f"cannot write there ({error.strerror})"
        raise OSError(f"{path.parent}: {reason}; choose another place with -o or --log") from None
    try:
        _begin(file, path)
    except BaseException:
        file.close()
        raise
    return file


def _make(path: Path) -> None:
    """Make the table with its header where there is none: of several programs, one does."""
    if path.exists():
        return
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".segan-") as folder:
        new = Path(folder) / path.name
        new.write_bytes(HEADER.encode())
        with contextlib.suppress(OSError):  # another was first, or no links here: _begin does it
            os.link(new, path)


def _begin(file, path: Path) -> None:
    header = HEADER.encode()
    file.seek(0)
    start = file.read(len(header))
    if start == header:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    elif header.startswith(start):  # new, or killed while this was written
        file.write(header[len(start) :])
    else:
        raise ValueError(f"{path}: is no table of segan-enhance; choose another place with --log")
