"""All that a report says, computed once; the page and the table to keep are set from it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from segan.evaluate import COLUMNS, version
from segan.report import tables
from segan.report.scores import Data, Note, Quotation, System, metrics_of, within
from segan.report.tables import Comparison, Group, Row
from segan.report.training import Training, read_training

LIBRARIES = ("segan", "scipy", "matplotlib")


class Content(NamedTuple):
    """What a report says. ``lead`` is the metric that examples and pictures go by."""

    title: str
    data: Data
    systems: list[System]
    baseline: System
    metrics: list[str]
    main: list[str]
    lead: str
    rows: list[Row]
    quotations: list[Quotation]
    comparisons: list[Comparison]
    groups: dict[str, list[Group]]
    trainings: dict[str, Training]
    notes: list[Note]
    command: list[str]
    date: str


def compute(
    systems: list[System],
    data: Data,
    baseline: System,
    quotations: list[Quotation],
    notes: list[Note],
    *,
    title: str,
    command: list[str],
    date: str,
) -> Content:
    """Return the content of the report on ``systems``."""
    metrics = metrics_of(systems)
    main = [metric for metric in tables.MAIN if metric in metrics] or metrics
    trainings = {system.name: read_training(system.folder) for system in systems}
    return Content(
        title=title,
        data=data,
        systems=systems,
        baseline=baseline,
        metrics=metrics,
        main=main,
        lead=main[0],
        rows=tables.means(systems, metrics, data.noisy),
        quotations=quotations,
        comparisons=tables.comparisons(systems, main, baseline.name),
        groups={
            title: tables.breakdown(systems, main, groups)
            for title, groups in tables.conditions(data).items()
        },
        trainings={name: training for name, training in trainings.items() if training},
        notes=notes,
        command=command,
        date=date,
    )


# What both the page and the table to keep say


def measured(content: Content) -> str:
    """Return a sentence on what was measured: utterances, duration, speakers, conditions."""
    data = content.data
    text = tables.count(len(data.noisy), "utterance")
    if data.seconds is not None:
        text += f" ({tables.duration(data.seconds)})"
    groups = content.groups
    if "Speaker" in groups:
        text += f" by {tables.count(len(groups['Speaker']), 'speaker')}"
    if "SNR" in groups:
        text += f", at SNRs of {listed([group.label for group in groups['SNR']])}"
    if "Noise" in groups:
        kinds = len(groups["Noise"])
        text += f", in {kinds} kind{'s' * (kinds != 1)} of noise"
    return f"{text}."


def listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence; a unit that all share is said once.

    >>> listed(["2.5 dB", "7.5 dB", "12.5 dB"])
    '2.5, 7.5 and 12.5 dB'
    """
    words = [word.removesuffix(" dB") for word in words[:-1]] + list(words[-1:])
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def sources(quotations: Sequence[Quotation]) -> dict[str, int]:
    """Return the number of each source's footnote."""
    return {source: i for i, source in enumerate(dict.fromkeys(q.source for q in quotations), 1)}


def incomplete(content: Content, n: int) -> bool:
    """Return whether ``n`` utterances are only some of the test set."""
    return 0 < n < len(content.data.noisy)


def heading(metric: str) -> str:
    """Return the metric's name, with an arrow towards the better."""
    return f"{COLUMNS[metric][0]} {'↓' if metric in tables.LOWER_IS_BETTER else '↑'}"


def evaluation(system: System) -> list[str]:
    """Return the command that scored the system, empty where that isn't known."""
    command = system.summary.get("command")
    return [str(word) for word in command] if isinstance(command, list) else []


def versions(content: Content) -> list[tuple[str, str]]:
    """Return what was made by which versions, a pair of texts each."""
    made: dict[str, list[str]] = {}
    for system in content.systems:
        used = said_versions(within(system.summary, "versions"))
        made.setdefault(used or "versions unknown", []).append(system.name)
    lines = [(f"scores of {', '.join(names)}", used) for used, names in made.items()]
    for system in content.systems:
        training = content.trainings.get(system.name)
        steps = [f"{training.step:,} steps"] if training else []
        used = said_versions(system.versions)
        if steps or used:
            lines.append((f"training of {system.name}", "; ".join([*steps, *filter(None, [used])])))
    own = said_versions({name: version(name) for name in LIBRARIES})
    return [*lines, ("this report", own)]


def said_versions(table: dict) -> str:
    """Return versions as text; of Python's long one, the number."""
    return ", ".join(
        f"{name} {str(number or 'unknown').split()[0]}" for name, number in table.items()
    )


def command_line(words: Sequence[str], root: Path | None = None) -> str:
    """Return a command as one types it; below ``root``, as seen from there and without its place.

    Absolute paths elsewhere keep their last two components then.
    """
    return shlex.join(words if root is None else [without_place(word, root) for word in words])


def without_place(word: str, root: Path) -> str:
    """Return an argument, ``path`` or ``name=path``, with absolute paths shortened.

    >>> without_place("data.folder=/home/me/voicebank/data/train", Path("/home/me/voicebank"))
    'data.folder=data/train'
    >>> without_place("/home/me/corpora/voicebank", Path("/elsewhere"))
    'corpora/voicebank'
    """
    name, equals, value = word.rpartition("=")
    path = next(
        (p for p in (PurePosixPath(value), PureWindowsPath(value)) if p.is_absolute()), None
    )
    if path is None:
        return word
    top = type(path)(os.path.abspath(root))
    if len(top.parts) > 2 and path.is_relative_to(top):
        return name + equals + path.relative_to(top).as_posix()
    return name + equals + "/".join(path.parts[2:][-2:] or path.parts[1:])
