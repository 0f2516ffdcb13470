"""Enhancing files: which, to where, one after the other or in several processes.

An output appears whole or not at all: it is written beside its place under a temporary name and
moved there when it is complete.
"""

from __future__ import annotations

import glob
import os
import secrets
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import soundfile as sf

from segan import audio

if TYPE_CHECKING:
    from segan.enhance import Enhancer

MARK = ".enhanced"  # noisy.wav -> noisy.enhanced.wav
WAVES = {"WAV", "WAVEX", "RF64"}  # containers that all go by .wav


class Job(NamedTuple):
    """One sound to enhance. ``source`` None is standard input, ``target`` None standard output."""

    source: Path | None
    target: Path | None

    @property
    def name(self) -> str:
        """What messages call it."""
        return "standard input" if self.source is None else str(self.source)


class Options(NamedTuple):
    """How files are enhanced."""

    keep: float = 0.0  # share of the original in the output
    force: bool = False  # overwrite what exists
    raw: audio.Format | None = None  # what headerless inputs hold
    model: str = "default"
    device: str | None = None
    threads: int | None = None  # None: as many as torch takes, 1 where jobs share the cores


class Outcome(NamedTuple):
    """What came of a job: ``error`` is None where all went well."""

    target: Path | None
    seconds: float
    notes: list[str]
    error: str | None = None


# Which files, to where


def plan(
    inputs: Iterable[str], output: str | None, recursive: bool = False, raw: bool = False
) -> tuple[list[Job], list[str]]:
    """Return the jobs that the inputs stand for, and a line for each input that stands for none.

    Args:
        inputs: files, folders, patterns, or ``-`` for standard input.
        output: a folder, a file for a single input, ``-`` for standard output, or None for
            ``name.enhanced.ext`` beside each input. Files from a folder keep their place below it.
        recursive: whether folders are searched to the bottom.
        raw: whether folders are searched for headerless files in place of sound files.

    Raises ValueError where ``output`` doesn't suit the inputs.
    """
    suffixes = audio.RAW_SUFFIXES if raw else tuple(audio.SUFFIXES)
    found: dict[Path | None, Path] = {}  # file -> the folder that its place is relative to
    problems = []
    for text in inputs:
        try:
            found |= _find(text, recursive, suffixes, output)
        except (OSError, ValueError) as error:
            problems.append(describe(error))
    targets = _targets(found, output, suffixes)
    jobs = [Job(source, target) for source, target in zip(found, targets, strict=True)]
    return _without_clashes(jobs, problems), problems


def _find(text: str, recursive: bool, suffixes: tuple[str, ...], output: str | None) -> dict:
    """Return the files that one input stands for, each with its root."""
    path = Path(text)
    if text == "-":
        return {None: Path()}
    if path.is_dir():
        return _in_folder(path, recursive, suffixes, output)
    if path.exists():
        return {path: path.parent}
    matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]
    if not matches:
        raise FileNotFoundError(f"{path}: no such file or folder; check the name")
    found: dict = {}
    for match in matches:
        if match.is_dir():
            found |= _in_folder(match, recursive, suffixes, output)
        elif Path(match.stem).suffix != MARK:
            found[match] = match.parent
    if not found:
        raise ValueError(f"{text}: only earlier outputs (*{MARK}.*) match; name one to mean it")
    return found


def _in_folder(
    folder: Path, recursive: bool, suffixes: tuple[str, ...], output: str | None
) -> dict:
    """Return the sound files in ``folder``, without hidden ones and earlier outputs."""
    own = {_real(output)} - {_real(folder)} if output else set()
    files = sorted(folder.rglob("*") if recursive else folder.iterdir())
    found = {
        file: folder
        for file in files
        if file.suffix.lower() in suffixes
        and Path(file.stem).suffix != MARK
        and not file.name.startswith(".")
        and file.is_file()
        and own.isdisjoint(_real(file).parents)
    }
    if not found:
        remedy = "name the files" if recursive else "-r looks into its subfolders too"
        raise ValueError(f"{folder}: no sound files in it (*{' *'.join(suffixes)}); {remedy}")
    return found


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))  # unlike resolve(), not stopped by a loop of links


def _targets(found: dict, output: str | None, suffixes: tuple[str, ...]) -> list[Path | None]:
    if output is None:
        return [f and f.with_name(f"{f.stem}{MARK}{f.suffix}") for f in found]
    path = Path(output)
    if output != "-" and not _names_file(output, suffixes):
        if None in found:
            raise ValueError(f"-o {output}: a folder, but standard input has no name; name a file")
        return [path / file.relative_to(root) for file, root in found.items()]
    if len(found) > 1:
        raise ValueError(f"-o {output}: one place for {len(found)} inputs; name a folder")
    return [None if output == "-" else path] * len(found)


def _names_file(output: str, suffixes: tuple[str, ...]) -> bool:
    path = Path(output)
    if path.exists():
        return path.is_file()
    known = path.suffix.lower() in (*suffixes, *audio.SUFFIXES)
    return known and not output.endswith(("/", os.sep))


def _without_clashes(jobs: list[Job], problems: list[str]) -> list[Job]:
    """Return the jobs whose output is no input and no other's output; report the others."""
    sources = {os.path.realpath(job.source) for job in jobs if job.source}
    taken: dict[str, Job] = {}
    good = []
    for job in jobs:
        place = os.path.realpath(job.target) if job.target else ""
        if job.target and place in sources:
            problems.append(f"{job.name}: its output {job.target} is an input; choose another -o")
        elif job.target and place in taken:
            problems.append(
                f"{job.name}: its output {job.target} is also that of {taken[place].name}; "
                "enhance them into different folders"
            )
        else:
            taken[place] = job
            good.append(job)
    return good


# One file


def enhance_file(
    enhancer: Enhancer, job: Job, options: Options, heard: Callable[[float], None] = lambda _: None
) -> tuple[Path | None, float]:
    """Enhance a file into another; return where it went and the seconds of sound in it.

    ``heard`` is told the seconds of every block written. Raises OSError or ValueError with a
    message that names the file, and leaves nothing behind.
    """
    seconds = 0.0
    with ExitStack() as stack:
        source = job.source or stack.enter_context(_standard_input())
        sound = stack.enter_context(audio.open_audio(source, options.raw, job.name))
        form, target = _destination(sound, job, options)
        part = stack.enter_context(_replacing(target) if target else _standard_output())
        file = stack.enter_context(audio.Writer(part, form))
        blocks = audio.samples(sound, job.name)
        for block in enhancer.stream(blocks, form.rate, options.keep):
            file.write(block)
            seconds += block.shape[1] / form.rate
            heard(block.shape[1] / form.rate)
    return target, seconds


def _destination(
    sound: sf.SoundFile, job: Job, options: Options
) -> tuple[audio.Format, Path | None]:
    """Return the output's format and path: the input's own format, unless the path names another.

    Where libsndfile reads a format that it doesn't write, a WAV is written.
    """
    own, target = audio.format_of(sound), job.target
    form = own.writable()
    if target and job.source and target.suffix.lower() == job.source.suffix.lower():
        if form.container != own.container:
            target = target.with_suffix(".wav")
            note = f"{own.container} {own.encoding} is read but not written; see {target}"
            warnings.warn(f"{job.name}: {note}", audio.AudioWarning, stacklevel=2)
    elif target and target.suffix.lower() in audio.SUFFIXES:
        container, encoding = audio.named_format(target)
        alike = own.container == container or {own.container, container} <= WAVES
        if not alike or encoding not in (None, own.encoding):
            form = own.converted(container, encoding)
    form = form.holding(sound.frames)
    _check_free(job, target, options.force)
    return form, target


def _check_free(job: Job, target: Path | None, force: bool) -> None:
    if target is None or not os.path.lexists(target):
        return
    if not target.exists():
        raise ValueError(f"{target}: a link that leads nowhere; remove it or choose another -o")
    if job.source and target.samefile(job.source):
        raise ValueError(f"{job.name}: its output would replace it; choose another -o")
    if not force:
        raise FileExistsError(f"{target}: exists; --force overwrites it, -o goes elsewhere")
    if not target.is_file():
        raise ValueError(f"{target}: not a regular file; choose another -o")


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside ``target``, moved there if all goes well, removed if not."""
    part = target.with_name(f".segan-{secrets.token_hex(6)}.part")
    try:
        _create(part)
        yield part
        os.replace(part, target)
    finally:
        with suppress(OSError):  # where it could not even be made
            part.unlink()


def _create(part: Path) -> None:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.open("xb").close()
    except OSError as error:
        reason = f"cannot write there ({error.strerror})"
        raise OSError(f"{part.parent}: {reason}; choose another folder with -o") from None


@contextmanager
def _standard_input() -> Iterator[Path]:
    """Give a temporary file with all of standard input: most formats are read back and forth."""
    if sys.stdin is None or sys.stdin.isatty():
        raise ValueError("standard input: nothing is piped in; name a file, or use < FILE")
    with TemporaryDirectory(prefix="segan-") as folder:
        path = Path(folder) / "input"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


@contextmanager
def _standard_output() -> Iterator[Path]:
    """Give a temporary path, sent to standard output once it is complete."""
    if sys.stdout is None or sys.stdout.isatty():
        raise ValueError("standard output: a terminal; send it to a file or a pipe, or use -o FILE")
    with TemporaryDirectory(prefix="segan-") as folder:
        path = Path(folder) / "output"
        yield path
        # Not sys.stdout.buffer, which would try again at exit to write to a pipe that is closed.
        with path.open("rb") as file, open(sys.stdout.fileno(), "wb", closefd=False) as out:
            shutil.copyfileobj(file, out)


# Many files


def attempt(enhancer: Enhancer, job: Job, options: Options, heard: Callable) -> Outcome:
    """Return what came of a job, its error and warnings as lines of text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", audio.AudioWarning)
        target, seconds, line = None, 0.0, None
        try:
            target, seconds = enhance_file(enhancer, job, options, heard)
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            line = describe(error, job.name)
    notes = [shown(str(note.message)) for note in caught if note.category is audio.AudioWarning]
    return Outcome(target, seconds, notes, line)


def describe(error: BaseException, name: str = "") -> str:
    """Return an error as one line that begins with the name of what it concerns."""
    line = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        line = f"{error.filename or name}: {error.strerror.lower()}"
    elif not isinstance(error, (OSError, ValueError)):  # not ours, and sometimes long
        line = line.splitlines()[0]
    return shown(line if name in line else f"{name}: {line}")


def shown(text: str) -> str:
    """Return ``text`` with what a terminal would obey or not show as its escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def in_turn(
    enhancer: Enhancer, jobs: Iterable[Job], options: Options, heard: Callable[[float], None]
) -> Iterator[Outcome]:
    """Yield the outcomes of jobs done one after the other."""
    for job in jobs:
        yield attempt(enhancer, job, options, heard)


def in_processes(
    count: int, jobs: list[Job], options: Options, heard: Callable[[float], None]
) -> Iterator[Outcome]:
    """Yield the outcomes of jobs done by ``count`` processes, in the order in which they end."""
    context = get_context("spawn")  # the one way that every system has, and safe with CUDA
    stop = context.Event()
    pool = ProcessPoolExecutor(count, context, _begin, (options, stop))
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the new processes
    try:
        futures = {pool.submit(_work, job, options): job for job in jobs}
        signal.signal(signal.SIGINT, interrupt)
        for future in as_completed(futures):
            outcome = _result(future, futures[future])
            heard(outcome.seconds)
            yield outcome
    finally:
        signal.signal(signal.SIGINT, interrupt)
        stop.set()
        pool.shutdown(cancel_futures=True)


def _result(future, job: Job) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        line = f"{job.name}: its process was killed; fewer --jobs need less memory"
        return Outcome(None, 0.0, [], line)


class _Worker:
    """What a worker process holds between its jobs."""

    enhancer: Enhancer
    stop = None


def _begin(options: Options, stop) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and tells us through stop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    import torch

    from segan import enhance

    torch.set_num_threads(options.threads or 1)
    _Worker.enhancer = enhance.load(options.model, options.device)
    _Worker.stop = stop


def _work(job: Job, options: Options) -> Outcome:
    _stop_if_told()
    return attempt(_Worker.enhancer, job, options, _stop_if_told)


def _stop_if_told(_: float = 0) -> None:
    if _Worker.stop.is_set():
        raise KeyboardInterrupt
