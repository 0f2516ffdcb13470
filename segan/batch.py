"""Enhancing files: which, to where, one after the other or in several processes.

An output appears whole or not at all: it is written beside its place under a temporary name and
moved there when it is complete.
"""

from __future__ import annotations

import glob
import hashlib
import os
import secrets
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import soundfile as sf

from segan import audio, filenames
from segan.filenames import shown
from segan.parallel import end_with_parent

if TYPE_CHECKING:
    from segan.enhance import Enhancer

MARK = ".enhanced"  # noisy.wav -> noisy.enhanced.wav
WAVES = {"WAV", "WAVEX", "RF64"}  # containers that all go by .wav


class Job(NamedTuple):
    """One sound to enhance. ``source`` None is standard input, ``target`` None standard output."""

    source: Path | None
    target: Path | None
    key: str = ""  # of the utterance, where Kaldi's map lists it
    mine: bool = False  # begun before and never ended: what is at ``target`` may be replaced

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
    backend: str | None = None  # None: what suits the model


class Outcome(NamedTuple):
    """What came of a job: ``error`` is None where all went well."""

    target: Path | None
    seconds: float
    notes: list[str]
    error: str | None = None
    rate: int = 0  # Hz
    channels: int = 0
    elapsed: float = 0.0  # seconds of work
    job: Job | None = None


class Written(NamedTuple):
    """An output: where it is, its seconds of sound, its rate in Hz and its channels."""

    target: Path | None
    seconds: float
    rate: int
    channels: int


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
            found |= _find(text, recursive, suffixes, output, problems)
        except (OSError, ValueError) as error:
            problems.append(describe(error))
    targets = _targets(found, output, suffixes)
    jobs = [Job(source, target) for source, target in zip(found, targets, strict=True)]
    return without_clashes(jobs, problems), problems


def _find(
    text: str, recursive: bool, suffixes: tuple[str, ...], output: str | None, problems: list[str]
) -> dict:
    """Return the files that one input stands for, each with its root."""
    path = Path(text)
    if text == "-":
        return {None: Path()}
    if path.is_dir():
        return _in_folder(path, recursive, suffixes, output, problems)
    if path.exists():
        return {path: path.parent}
    matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]
    if not matches:
        raise FileNotFoundError(f"{path}: no such file or folder; check the name")
    found: dict = {}
    for match in matches:
        if match.is_dir():
            found |= _in_folder(match, recursive, suffixes, output, problems)
        elif Path(match.stem).suffix != MARK:
            found[match] = match.parent
    if not found:
        raise ValueError(f"{text}: only earlier outputs (*{MARK}.*) match; name one to mean it")
    return found


def _in_folder(
    folder: Path, recursive: bool, suffixes: tuple[str, ...], output: str | None, problems: list
) -> dict:
    """Return the sound files in ``folder``, without hidden ones and earlier outputs.

    Links to folders are not entered. What cannot be looked into is a problem.
    """
    own = os.path.realpath(output) if output else None
    found = {}
    for place, names, files in os.walk(folder, onerror=lambda e: problems.append(describe(e))):
        outputs = (name for name in names if os.path.realpath(os.path.join(place, name)) == own)
        names[:] = sorted(set(names).difference(outputs)) if recursive else []
        for name in sorted(files):
            stem, suffix = os.path.splitext(name)
            wanted = suffix.lower() in suffixes and not stem.endswith(MARK)
            if wanted and not name.startswith(".") and os.path.isfile(os.path.join(place, name)):
                found[Path(place, name)] = folder
    if not found:
        remedy = "name the files" if recursive else "-r looks into its subfolders too"
        raise ValueError(f"{folder}: no sound files in it (*{' *'.join(suffixes)}); {remedy}")
    return found


def _targets(found: dict, output: str | None, suffixes: tuple[str, ...]) -> list[Path | None]:
    if output is None:
        return [f and f.with_name(f"{f.stem}{MARK}{f.suffix}") for f in found]
    path = Path(output)
    if output != "-" and not names_file(output, suffixes):
        if None in found:
            raise ValueError(f"-o {output}: a folder, but standard input has no name; name a file")
        return [path / file.relative_to(root) for file, root in found.items()]
    if len(found) > 1:
        raise ValueError(f"-o {output}: one place for {len(found)} inputs; name a folder")
    return [None if output == "-" else path] * len(found)


def names_file(output: str, suffixes: tuple[str, ...]) -> bool:
    """Return whether ``-o`` means a file: one that is there, or one called like a sound file."""
    path = Path(output)
    if path.exists():
        return path.is_file()
    known = path.suffix.lower() in (*suffixes, *audio.SUFFIXES)
    return known and not output.endswith(("/", os.sep))


def without_clashes(jobs: list[Job], problems: list[str]) -> list[Job]:
    """Return the jobs whose output is no input and no other's output; report the others.

    Names that differ in case alone are one file where the folder ignores case. Names that Windows
    refuses are reported there.
    """
    real = _Real()
    inputs, taken, good = _Places(), _Places(), []
    for job in jobs:
        if job.source:
            inputs.add(real(job.source), job)
    for job in jobs:
        place = real(job.target) if job.target else ""
        if not job.target:
            good.append(job)
        elif fault := filenames.fault(job.target):
            problems.append(f"{job.name}: its output {job.target}: {fault}; name it otherwise")
        elif inputs.owner(place):
            problems.append(f"{job.name}: its output {job.target} is an input; choose another -o")
        elif owner := taken.owner(place):
            problems.append(
                f"{job.name}: its output {job.target} is also that of {owner.name}; "
                "enhance them into different folders"
            )
        else:
            taken.add(place, job)
            good.append(job)
    return good


class _Places:
    """Whose files lie where; in a folder that ignores case, so do these."""

    def __init__(self):
        self.exact: dict[str, Job] = {}
        self.folded: dict[str, Job] = {}

    def add(self, place: str, job: Job) -> None:
        self.exact[place] = self.folded[filenames.folded(place)] = job

    def owner(self, place: str) -> Job | None:
        """Return the job whose file is at ``place``, None where none is."""
        alike = self.folded.get(filenames.folded(place))
        if place in self.exact or alike is None:
            return self.exact.get(place)
        return alike if filenames.ignores_case(os.path.dirname(place)) else None


class _Real:
    """``os.path.realpath`` of many files, each folder looked up once."""

    def __init__(self):
        self.folders: dict[str, str] = {}

    def __call__(self, path: Path) -> str:
        folder, name = os.path.split(path)
        if name in ("", "..") or os.path.islink(path):
            return os.path.realpath(path)
        if folder not in self.folders:
            self.folders[folder] = os.path.realpath(folder)
        return os.path.join(self.folders[folder], name)


# One file


def enhance_file(
    enhancer: Enhancer, job: Job, options: Options, heard: Callable[[float], None] = lambda _: None
) -> Written:
    """Enhance a file into another; return where it went and what sound is in it.

    ``heard`` is told the seconds of every block written. Raises OSError or ValueError with a
    message that names the file, and leaves nothing behind.
    """
    seconds = 0.0
    if job.mine:
        remove_parts(job)
    with ExitStack() as stack:
        source = job.source or stack.enter_context(_standard_input())
        sound = stack.enter_context(audio.open_audio(source, options.raw, job.name))
        form, target = _destination(sound, job, options)
        part = stack.enter_context(_replacing(target, job.target) if target else _standard_output())
        file = stack.enter_context(audio.Writer(part, form))
        blocks = audio.samples(sound, job.name)
        for block in enhancer.stream(blocks, form.rate, options.keep):
            file.write(block)
            seconds += block.shape[1] / form.rate
            heard(block.shape[1] / form.rate)
    return Written(target, seconds, form.rate, form.channels)


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
    _check_free(job, target, options.force or (job.mine and target == job.target))
    return form, target


def _check_free(job: Job, target: Path | None, force: bool) -> None:
    if target is None or not _is_there(target):
        return
    if not target.exists():
        raise ValueError(f"{target}: a link that leads nowhere; remove it or choose another -o")
    if job.source and target.samefile(job.source):
        raise ValueError(f"{job.name}: its output would replace it; choose another -o")
    if not force:
        raise FileExistsError(f"{target}: exists; --force overwrites it, -o goes elsewhere")
    if not target.is_file():
        raise ValueError(f"{target}: not a regular file; choose another -o")


def _is_there(target: Path) -> bool:
    """Return whether something lies there, a link to nowhere too. OSError for a name too long."""
    try:
        os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


@contextmanager
def _replacing(target: Path, planned: Path) -> Iterator[Path]:
    """Give a temporary path beside ``target``, moved there if all goes well, removed if not.

    It is named after the job's ``planned`` target, from which a conversion may differ.
    """
    part = target.with_name(f"{_part_stem(planned)}-{secrets.token_hex(6)}.part")
    try:
        _create(part)
        yield part
        _move(part, target)
    finally:
        with suppress(OSError):  # where it could not even be made
            part.unlink()


def _part_stem(target: Path) -> str:
    return f".segan-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]}"


def remove_parts(job: Job) -> None:
    """Remove the temporary files that killed processes left of a job."""
    for left in job.target.parent.glob(f"{_part_stem(job.target)}-*.part") if job.target else ():
        with suppress(OSError):  # still open on Windows, in a process that is about to end
            left.unlink()


def _create(part: Path) -> None:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.open("xb").close()
    except OSError as error:
        reason = f"cannot write there ({error.strerror})"
        if filenames.too_long(part):
            reason += "; the path is long: switch on long paths in Windows, or"
        else:
            reason += ";"
        raise OSError(f"{part.parent}: {reason} choose another folder with -o") from None


def _move(part: Path, target: Path) -> None:
    try:
        os.replace(part, target)
    except PermissionError:  # Windows replaces no file that is open
        remedy = "close what has it open, or choose another -o"
        raise OSError(f"{target}: cannot be replaced (permission denied); {remedy}") from None
    except FileNotFoundError:
        what = "its temporary file was removed; is the same command at work twice?"
        raise OSError(f"{target}: {what}") from None


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


def load(options: Options) -> Enhancer:
    """Return the enhancer that the options ask for. Raises as ``segan.enhance.load``."""
    from segan import enhance

    backend = enhance.backend_of(options.model, options.backend)
    if options.threads and backend == "torch":
        import torch

        torch.set_num_threads(options.threads)
    return enhance.load(options.model, options.device, backend, options.threads)


def attempt(enhancer: Enhancer, job: Job, options: Options, heard: Callable) -> Outcome:
    """Return what came of a job, its error and warnings as lines of text."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", audio.AudioWarning)
        written, line = Written(None, 0.0, 0, 0), None
        try:
            written = enhance_file(enhancer, job, options, heard)
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            line = describe(error, job.name)
    notes = [shown(str(note.message)) for note in caught if note.category is audio.AudioWarning]
    target, seconds, rate, channels = written
    elapsed = time.perf_counter() - start
    return Outcome(target, seconds, notes, line, rate, channels, elapsed, job)


def describe(error: BaseException, name: str = "") -> str:
    """Return an error as one line that begins with the name of what it concerns."""
    line = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        line = f"{error.filename or name}: {error.strerror.lower()}"
    elif not isinstance(error, (OSError, ValueError)):  # not ours, and sometimes long
        line = line.splitlines()[0]
    return shown(line if name in line else f"{name}: {line}")


def in_turn(
    enhancer: Enhancer, jobs: Iterable[Job], options: Options, heard: Callable[[float], None]
) -> Iterator[Outcome]:
    """Yield the outcomes of jobs done one after the other."""
    for job in jobs:
        yield attempt(enhancer, job, options, heard)


def in_processes(
    count: int, jobs: Iterable[Job], options: Options, heard: Callable[[float], None]
) -> Iterator[Outcome]:
    """Yield the outcomes of jobs done by ``count`` processes, in the order in which they end.

    Jobs are taken as they are needed. Where a process is killed, as by a system out of memory, what
    was at work is done once more, each by itself, and what kills its process again has failed.
    """
    waiting = iter(jobs)
    while lost := (yield from _until_lost(count, 2 * count, waiting, options, heard)):
        for job in lost:
            remove_parts(job)
        suspects = iter(lost)
        while guilty := (yield from _until_lost(1, 1, suspects, options, heard)):
            yield killed(guilty[0])


def killed(job: Job) -> Outcome:
    """Return what came of a job whose process was killed, and remove what it left."""
    remove_parts(job)
    line = f"{job.name}: its process was killed; fewer --jobs need less memory"
    return Outcome(None, 0.0, [], line, job=job)


def _until_lost(
    count: int, most: int, jobs: Iterator[Job], options: Options, heard: Callable[[float], None]
) -> Generator[Outcome, None, list[Job]]:
    """Yield outcomes until a process dies; return the jobs, ``most`` at a time, that it took along.

    None are returned at the end.
    """
    context = get_context("spawn")  # the one way that every system has, and safe with CUDA
    stop = context.Event()
    pool = ProcessPoolExecutor(count, context, _begin, (options, stop))
    flying: dict[Future, Job] = {}
    lost: list[Job] = []
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the new processes
    try:
        _submit(pool, islice(jobs, most), options, flying, lost)
        signal.signal(signal.SIGINT, interrupt)
        while flying:
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                job = flying.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    lost.append(job)
                    continue
                heard(outcome.seconds)
                yield outcome
            if not lost:
                _submit(pool, islice(jobs, most - len(flying)), options, flying, lost)
        return lost
    finally:
        signal.signal(signal.SIGINT, interrupt)
        stop.set()
        pool.shutdown(cancel_futures=True)


def _submit(
    pool: ProcessPoolExecutor,
    jobs: Iterable[Job],
    options: Options,
    flying: dict[Future, Job],
    lost: list[Job],
) -> None:
    for job in jobs:
        try:
            flying[pool.submit(_work, job, options)] = job
        except BrokenProcessPool:
            lost.append(job)
            return


class _Worker:
    """What a worker process holds between its jobs."""

    enhancer: Enhancer
    stop = None


def _begin(options: Options, stop) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and tells us through stop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    _Worker.enhancer = load(options._replace(threads=options.threads or 1))
    _Worker.stop = stop


def _work(job: Job, options: Options) -> Outcome:
    _stop_if_told()
    return attempt(_Worker.enhancer, job, options, _stop_if_told)


def _stop_if_told(_: float = 0) -> None:
    if _Worker.stop.is_set():
        raise KeyboardInterrupt
