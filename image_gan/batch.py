"""Translating files: which, to where, one after the other.

An output appears whole or not at all: it is written beside its place under a temporary name and
moved there when it is complete.
"""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from image_gan import folders, images
from image_gan.folders import MARK
from image_gan.images import Picture, PictureWarning

if TYPE_CHECKING:
    from PIL import Image

    from image_gan.translate import PictureTranslator
    from image_gan.values import Ends

ROWS = 24  # the most that a contact sheet shows


class Job(NamedTuple):
    """A picture to translate, where to, and its target, to be shown beside it."""

    source: Path
    output: Path
    twin: Path | None = None


class Options(NamedTuple):
    """How files are translated."""

    force: bool = False  # overwrite what exists
    half: str = ""  # of the inputs, left or right: the source; the other half is the target
    seed: int = 0
    between: Ends | None = None
    color: bool = False


class Outcome(NamedTuple):
    """What came of a job: ``error`` is None where all went well."""

    job: Job
    notes: list[str]
    error: str | None = None
    shown: list[Image.Image | None] | None = None  # source, estimate, target


# Which files, to where


def plan(
    inputs: Iterable[str], output: str | None, recursive: bool = False, targets: str | None = None
) -> tuple[list[Job], list[str]]:
    """Return the jobs that the inputs stand for, and a line for each input that stands for none.

    Args:
        inputs: files, folders or patterns.
        output: a folder, a file for a single input, or None for ``name.generated.ext`` beside each
            input. Files from a folder keep their place below it.
        recursive: whether folders are searched to the bottom.
        targets: a folder with the target of each picture, at the same place and of the same name
            but for the suffix.

    Raises OSError or ValueError where ``output`` or ``targets`` won't do.
    """
    found: dict[Path, Path] = {}  # file -> the folder that its place is relative to
    problems = []
    for text in inputs:
        try:
            found |= find(text, recursive, output)
        except (OSError, ValueError) as error:
            problems.append(describe(error))
    outputs = outputs_of(found, output)
    jobs = [Job(source, place) for source, place in zip(found, outputs, strict=True)]
    if targets is not None:
        jobs = with_twins(jobs, found, folders.by_name(targets), targets, problems)
    return without_clashes(jobs, problems), problems


def find(text: str, recursive: bool, output: str | None) -> dict[Path, Path]:
    """Return the files that one input stands for, each with the folder it was found from."""
    path = Path(text)
    if path.is_dir():
        return in_folder(path, recursive, output)
    if path.exists():
        return {path: path.parent}
    matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]
    if not matches:
        raise FileNotFoundError(f"{path}: no such file or folder; check the name")
    found: dict[Path, Path] = {}
    for match in matches:
        if match.is_dir():
            found |= in_folder(match, recursive, output)
        elif Path(match.stem).suffix != MARK:
            found[match] = match.parent
    if not found:
        raise ValueError(f"{text}: only earlier outputs (*{MARK}.*) match; name one to mean it")
    return found


def in_folder(folder: Path, recursive: bool, output: str | None) -> dict[Path, Path]:
    """Return the pictures in a folder, without those in the folder of outputs."""
    own = {Path(output).resolve()} - {folder.resolve()} if output else set()
    try:
        found = folders.in_folder(folder, recursive)
    except ValueError as error:
        remedy = "name the files" if recursive else "-r looks into its subfolders too"
        raise ValueError(f"{error}; {remedy}") from None
    return {file: folder for file in found if own.isdisjoint(file.resolve().parents)}


def outputs_of(found: dict[Path, Path], output: str | None) -> list[Path]:
    """Return where the estimate of each file goes."""
    if output is None:
        return [file.with_name(f"{file.stem}{MARK}{file.suffix}") for file in found]
    path = Path(output)
    if not names_file(output):
        return [path / file.relative_to(root) for file, root in found.items()]
    if len(found) > 1:
        raise ValueError(f"-o {output}: one place for {len(found)} inputs; name a folder")
    return [path] * len(found)


def names_file(output: str) -> bool:
    """Return whether ``-o`` means a file: one that is there, or one called like a picture."""
    path = Path(output)
    if path.exists():
        return path.is_file()
    return path.suffix.lower() in images.SUFFIXES and not output.endswith(("/", os.sep))


def with_twins(
    jobs: list[Job],
    found: dict[Path, Path],
    targets: dict[str, Path],
    folder: str,
    problems: list[str],
) -> list[Job]:
    """Return the jobs with their targets; report those that have none, which are done without."""
    paired = []
    for job in jobs:
        name = job.source.relative_to(found[job.source]).with_suffix("").as_posix()
        if name not in targets:
            problems.append(f"{job.source}: has no target {name}.* in {folder}")
        paired.append(job._replace(twin=targets.get(name)))
    return paired


def without_clashes(jobs: list[Job], problems: list[str]) -> list[Job]:
    """Return the jobs whose output is no input and no other's output; report the others."""
    inputs = {os.path.realpath(path) for job in jobs for path in (job.source, job.twin) if path}
    taken: dict[str, Job] = {}
    good = []
    for job in jobs:
        place = os.path.realpath(job.output)
        if place in inputs:
            problems.append(f"{job.source}: its output {job.output} is an input; choose another -o")
        elif place in taken:
            problems.append(
                f"{job.source}: its output {job.output} is also that of {taken[place].source}; "
                "translate them into different folders"
            )
        else:
            taken[place] = job
            good.append(job)
    return good


def chosen(jobs: list[Job]) -> set[Job]:
    """Return the jobs that a contact sheet shows: all, or as many as fit, evenly spread."""
    spread = np.linspace(0, len(jobs) - 1, min(ROWS, len(jobs))).round().astype(int)
    return {jobs[index] for index in spread}


# One file


def attempt(
    model: PictureTranslator,
    job: Job,
    options: Options,
    show: bool = False,
    heard: Callable[[int], object] = lambda _: None,
) -> Outcome:
    """Return what came of a job, its error and warnings as lines of text.

    ``show`` keeps small pictures for a contact sheet, ``heard`` is told the pixels that are done.
    """
    line, shown = None, None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PictureWarning)
        try:
            shown = translate_file(model, job, options, show, heard)
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            line = describe(error, str(job.source))
    notes = [str(note.message) for note in caught if note.category is PictureWarning]
    return Outcome(job, notes, line, shown)


def translate_file(
    model: PictureTranslator,
    job: Job,
    options: Options,
    show: bool,
    heard: Callable[[int], object],
) -> list[Image.Image | None] | None:
    """Translate a file into another; return source, estimate and target in small, if asked for.

    Raises OSError or ValueError, and leaves nothing behind.
    """
    check_free(job, options.force)
    images.container_of(job.output)
    source, target = images.read(job.source), None
    if options.half:
        source, target = images.halves(source, options.half)
    estimate = model.picture(source, options.seed, options.between, options.color, heard)
    write(job.output, estimate)
    if not show:
        return None
    from image_gan.sheet import thumbnail

    target = images.read(job.twin) if job.twin else target
    return [picture and thumbnail(picture) for picture in (source, estimate, target)]


def write(path: Path, picture: Picture) -> None:
    """Write a picture; raise an OSError that names its folder where that can't be."""
    try:
        images.write(path, picture)
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(
            f"{path.parent}: cannot write there ({why}); choose another folder with -o"
        ) from None


def check_free(job: Job, force: bool) -> None:
    """Raise where an output would overwrite what it may not."""
    if not job.output.exists():
        return
    if job.output.samefile(job.source):
        raise ValueError(f"{job.source}: its output would replace it; choose another -o")
    if not job.output.is_file():
        raise ValueError(f"{job.output}: not a regular file; choose another -o")
    if not force:
        raise FileExistsError(f"{job.output}: exists; --force overwrites it, -o goes elsewhere")


def describe(error: BaseException, name: str = "") -> str:
    """Return an error as one line that begins with the name of what it concerns."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, OSError) and error.strerror:
        line = f"{error.filename or name}: {error.strerror.lower()}"
    return line if name in line else f"{name}: {line}"
