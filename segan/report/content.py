"""All that a report says, computed once; the page and the table to keep are set from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gan.report import provenance, text
from gan.report.files import Note, Quotation
from gan.report.tables import Comparison, Row, comparisons
from gan.report.text import count
from gan.report.training import Training, read_training
from segan.evaluate import COLUMNS
from segan.report import tables
from segan.report.scores import Data, System, metrics_of
from segan.report.tables import Group

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
        comparisons=comparisons(systems, main, baseline.name),
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
    said = count(len(data.noisy), "utterance")
    if data.seconds is not None:
        said += f" ({tables.duration(data.seconds)})"
    groups = content.groups
    if "Speaker" in groups:
        said += f" by {count(len(groups['Speaker']), 'speaker')}"
    if "SNR" in groups:
        said += f", at SNRs of {listed([group.label for group in groups['SNR']])}"
    if "Noise" in groups:
        kinds = len(groups["Noise"])
        said += f", in {kinds} kind{'s' * (kinds != 1)} of noise"
    return f"{said}."


def listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence; a unit that all share is said once.

    >>> listed(["2.5 dB", "7.5 dB", "12.5 dB"])
    '2.5, 7.5 and 12.5 dB'
    """
    words = [word.removesuffix(" dB") for word in words[:-1]] + list(words[-1:])
    return text.listed(words)


def incomplete(content: Content, n: int) -> bool:
    """Return whether ``n`` utterances are only some of the test set."""
    return 0 < n < len(content.data.noisy)


def heading(metric: str) -> str:
    """Return the metric's name, with an arrow towards the better."""
    return f"{COLUMNS[metric][0]} {'↓' if metric in tables.LOWER_IS_BETTER else '↑'}"


def versions(content: Content) -> list[tuple[str, str]]:
    """Return what was made by which versions, a pair of texts each."""
    return provenance.versions(content.systems, content.trainings, LIBRARIES)
