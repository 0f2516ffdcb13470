"""A folder of recordings, of any format, rate and channels -> a Kaldi data directory of mono WAV.

An utterance's id is its speaker's, a ``-``, and the rest of the file's name. Speakers' ids hold no
``-``, which sorts before all that they do hold: so utterances and speakers sort alike, as Kaldi
wants. For the same reason an utterance of unknown speaker, who is then named as itself, has none.
"""

from __future__ import annotations

import functools
import json
import os
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from segan.kaldi import begin, write_directory, write_wav
from segan.parallel import Progress, each, silent

if TYPE_CHECKING:
    import numpy as np

UNREAD = (
    ".m4a",
    ".mp4",
    ".aac",
    ".wma",
    ".amr",
    ".webm",
    ".raw",
    ".pcm",
)  # sound; says so if found
STAMP = ".import.json"  # of each utterance, the rate and the sources of the files in wav/
FULL = 1 - 2**-15  # the greatest sample of 16 bits

SpeakerRule = Callable[[PurePath], str | None]


class Task(NamedTuple):
    """One utterance: its recordings and where they go, the noisy one first where there are two."""

    utterance: str
    speaker: str
    sources: tuple[Path, ...]
    targets: tuple[Path, ...]


class Imported(NamedTuple):
    """What became of a task: samples in the files, what to bear in mind, why there are none."""

    frames: int = 0
    notes: tuple[str, ...] = ()
    error: str = ""


class Import(NamedTuple):
    """What became of a folder: utterances written, what was left out and why, what to know."""

    utterances: int
    left_out: list[str]
    notes: list[str]


def import_folder(
    folder: str | Path,
    target: str | Path,
    clean: str | Path | None = None,
    rate: int = 16000,
    speaker: str = "folder",
    jobs: int = 1,
    progress: Progress = silent,
) -> Import:
    """Write a data directory of the recordings below ``folder``; return what became of them.

    Channels are averaged; what then exceeds full scale is scaled down, twins alike. An import that
    was cut short is taken up where it was when it is called again with the same arguments.

    Args:
        folder: of recordings, or of noisy ones where ``clean`` is given.
        target: the data directory; sound goes to its ``wav``.
        clean: folder of clean twins, of the same names.
        rate: Hz of what is written.
        speaker: ``folder``, ``prefix``, ``none`` or a regular expression, see ``speaker_rule``.
        jobs: processes.
        progress: wraps what is iterated over, as tqdm does; takes its ``total``.

    Raises:
        ValueError: where there is nothing to import, or all of it is left out.
    """
    folder, target = Path(folder).absolute(), Path(target).absolute()
    clean = Path(clean).absolute() if clean else None
    tasks, left_out = _plan(folder, target, clean, speaker_rule(speaker))
    begin(target)
    _discard_others(target, rate, tasks)
    one = functools.partial(convert, rate=rate)
    done = list(zip(tasks, each(one, tasks, jobs, progress), strict=True))
    left_out += [one.error for _, one in done if one.error]
    good = [(task, one) for task, one in done if not one.error]
    if not good:
        raise ValueError("\n".join([f"{folder}: nothing could be imported", *left_out]))
    write_directory(target, _tables(good, rate))
    return Import(len(good), left_out, [note for _, one in good for note in one.notes])


def _discard_others(target: Path, rate: int, tasks: Iterable[Task]) -> None:
    """Remove what was written at another rate or of other sources; then what is there is of these.

    Which those are stands in a file, and is noted before anything is written.
    """
    path = target / STAMP
    now = {task.utterance: [rate, *map(_identity, task.sources)] for task in tasks}
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for task in tasks:
        if before.get(task.utterance) != now[task.utterance]:
            for own in task.targets:
                own.unlink(missing_ok=True)
    part = path.with_name(f"{STAMP}.part")
    part.write_text(json.dumps(now), encoding="utf-8")
    os.replace(part, path)


def _identity(path: Path) -> str:
    """Return what changes where a file or its place is taken by another, older or newer."""
    from segan.journal import stamp

    return f"{path} {stamp(path)}"


def _tables(good: list[tuple[Task, Imported]], rate: int) -> dict[str, dict[str, str]]:
    tables = {
        "wav.scp": {task.utterance: str(task.targets[0]) for task, _ in good},
        "utt2spk": {task.utterance: task.speaker for task, _ in good},
        "utt2dur": {task.utterance: f"{one.frames / rate:.6f}" for task, one in good},
    }
    if good[0][0].targets[1:]:
        tables["spk1.scp"] = {task.utterance: str(task.targets[1]) for task, _ in good}
    return tables


# Which recordings, under which names


def _plan(
    folder: Path, target: Path, clean: Path | None, rule: SpeakerRule
) -> tuple[list[Task], list[str]]:
    """Return a task for each recording, and a line for each that can't have one."""
    recordings = _recordings(folder, target)
    twins = _by_name(clean, _recordings(clean, target)) if clean else {}
    sides = ("noisy", "clean") if clean else ("",)
    tasks: dict[str, Task] = {}
    left_out = []
    for path in recordings:
        relative = path.relative_to(folder)
        try:
            twin = (_twin(path, relative.with_suffix(""), clean, twins),) if clean else ()
            utterance, speaker = identify(relative, rule)
            _check_free(path, utterance, tasks)
        except ValueError as error:
            left_out.append(str(error))
            continue
        targets = tuple(target / "wav" / side / f"{utterance}.wav" for side in sides)
        tasks[utterance.casefold()] = Task(utterance, speaker, (path, *twin), targets)
    left_out += [f"{path}: has no noisy twin in {folder}" for path in twins.values()]
    return list(tasks.values()), left_out


def _recordings(folder: Path, target: Path) -> list[Path]:
    """Return the sound files below ``folder``, without hidden ones and those below ``target``."""
    from segan.audio import SUFFIXES

    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; name one with recordings")
    own = target.resolve()
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in (*SUFFIXES, *UNREAD)
        and not path.name.startswith(".")
        and own not in path.resolve().parents
        and path.is_file()
    ]
    if not found:
        raise ValueError(f"{folder}: no recordings in it (*{' *'.join(SUFFIXES)})")
    return found


def _by_name(folder: Path, paths: Iterable[Path]) -> dict[PurePath, Path]:
    """Return files by their paths in ``folder`` without suffix."""
    named: dict[PurePath, Path] = {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("")
        if name in named:
            raise ValueError(f"{named[name]} and {path} share a name; keep one of them")
        named[name] = path
    return named


def _twin(path: Path, name: PurePath, clean: Path, twins: dict[PurePath, Path]) -> Path:
    """Return the clean twin of ``path``, taken out of ``twins``."""
    if name not in twins:
        raise ValueError(f"{path}: has no clean twin {clean / name}.*")
    return twins.pop(name)


def _check_free(path: Path, utterance: str, tasks: dict[str, Task]) -> None:
    """Refuse an id that is taken, also where only capitals differ, which some systems don't see."""
    if other := tasks.get(utterance.casefold()):
        raise ValueError(
            f"{path}: its id would be {utterance!r}, as that of {other.sources[0]}; rename it, or "
            "tell speakers apart with --speaker"
        )


def speaker_rule(text: str) -> SpeakerRule:
    """Return what tells a recording's speaker by its path in the folder; None: itself.

    ``folder`` is the name of the subfolder that it lies in, ``prefix`` what its name has before the
    first ``_`` or ``-``, ``none`` says that the speakers are unknown. Anything else is a regular
    expression, searched in the path with ``/``: its first group, or all that it matches.

    Raises ValueError where that is no regular expression.

    >>> speaker_rule("folder")(PurePath("ann/001.wav")), speaker_rule("folder")(PurePath("001.wav"))
    ('ann', None)
    >>> speaker_rule("prefix")(PurePath("p226_001.wav"))
    'p226'
    >>> speaker_rule("^([^/]+)/")(PurePath("ann/monday/001.wav"))
    'ann'
    """
    if text in RULES:
        return RULES[text]
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(
            f"--speaker {text}: {error}; folder, prefix, none or a regular expression"
        ) from None
    return functools.partial(_by_pattern, pattern)


def _by_folder(path: PurePath) -> str | None:
    return path.parent.name or None


def _by_prefix(path: PurePath) -> str | None:
    prefix, *rest = re.split("[_-]", path.stem, maxsplit=1)
    return prefix if rest else None


def _unknown(path: PurePath) -> None:
    return None


def _by_pattern(pattern: re.Pattern, path: PurePath) -> str:
    match = pattern.search(path.as_posix())
    if not match:
        raise ValueError(f"{path}: --speaker {pattern.pattern} doesn't match it")
    return match[1] if pattern.groups else match[0]


RULES: dict[str, SpeakerRule] = {"folder": _by_folder, "prefix": _by_prefix, "none": _unknown}


def identify(path: PurePath, rule: SpeakerRule) -> tuple[str, str]:
    """Return the ids of utterance and speaker of the recording at ``path`` in its folder.

    >>> identify(PurePath("p226/p226_001.wav"), speaker_rule("folder"))
    ('p226-001', 'p226')
    >>> identify(PurePath("park/dogs (2).wav"), speaker_rule("none"))
    ('park_dogs_2_', 'park_dogs_2_')
    """
    speaker = rule(path)
    if not speaker:
        own = _safe(path.with_suffix("").as_posix())
        return own, own
    speaker, name = _safe(speaker), _safe(path.stem, keep="-")
    rest = re.sub(f"^{re.escape(speaker)}[_-](?=.)", "", name)
    return f"{speaker}-{rest}", speaker


def _safe(name: str, keep: str = "") -> str:
    """Return a name of letters, digits, ``_``, ``.`` and what ``keep`` adds."""
    return re.sub(rf"[^\w.{keep}]+", "_", unicodedata.normalize("NFC", name)) or "_"


# One utterance


def convert(task: Task, rate: int) -> Imported:
    """Write the recordings of a task, unless they are there; return what became of them."""
    from segan import audio
    from segan.batch import describe

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", audio.AudioWarning)
        try:
            frames = _finished(task) or _convert(task, rate)
        except (OSError, ValueError, RuntimeError) as error:
            return Imported(error=describe(error, str(task.sources[0])))
    notes = tuple(str(one.message) for one in caught if one.category is audio.AudioWarning)
    return Imported(frames, notes)


def _finished(task: Task) -> int:
    """Return the samples of files that are written already, 0 where one isn't."""
    from segan import audio

    if not all(target.is_file() for target in task.targets):
        return 0
    with audio.open_audio(task.targets[0]) as file:
        return file.frames


def _convert(task: Task, rate: int) -> int:
    waves = [_mono(source, rate) for source in task.sources]
    lengths = [len(wave) for wave in waves]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"{task.sources[0]}: {lengths[0]} samples at {rate} Hz, but its clean twin has "
            f"{lengths[1]}; align them and cut both to one length"
        )
    loudest = max(float(abs(wave).max()) for wave in waves)
    gain = min(1.0, FULL / loudest)
    for wave, target in zip(waves, task.targets, strict=True):
        write_wav(target, gain * wave, rate)
    return lengths[0]


def _mono(path: Path, rate: int) -> np.ndarray:
    """Return the mean of a file's channels at ``rate`` Hz, ``(T,)``; refuse silence."""
    from segan import audio

    wave, own = audio.read(path)
    wave = audio.resample(wave.mean(0), own, rate)
    if abs(wave).max() < (1 - FULL) / 2:
        raise ValueError(f"{path}: silent; record it anew or leave it out")
    return wave
