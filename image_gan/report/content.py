"""All that a report says, computed once; the page and the table to keep are set from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gan.report import provenance
from gan.report.files import Note, Quotation
from gan.report.health import Finding, assess
from gan.report.statistics import Interval, interval
from gan.report.tables import Comparison, Row, comparisons, marked, values
from gan.report.text import count
from gan.report.training import Training, read_training
from image_gan.metrics import COLUMNS
from image_gan.report.diversity import Variety, varieties, varieties_of_captions
from image_gan.report.systems import (
    Data,
    System,
    asked_for,
    contenders,
    is_called,
    shortcomings,
    unmade,
    without_strangers,
)

LIBRARIES = ("segan", "scipy", "matplotlib", "pillow")
LEADS = ("l1", "cycle_l1")  # metrics that examples go by, the first that there is
LOWER_IS_BETTER = {metric for metric, column in COLUMNS.items() if not column.up}


class Content(NamedTuple):
    """What a report says.

    ``per_picture`` are the metrics that have a score for each picture; ``lead``, one of them or
    empty, is the one that examples go by, in ``last``: the last system that isn't a baseline.
    ``protocols`` are by metric, those of all systems.
    """

    title: str
    data: Data
    systems: list[System]
    last: System
    metrics: list[str]
    per_picture: list[str]
    lead: str
    rows: list[Row]
    quotations: list[Quotation]
    protocols: dict[str, list[str]]
    comparisons: list[Comparison]
    trainings: dict[str, Training]
    health: dict[str, list[Finding]]
    varieties: list[Variety]
    notes: list[Note]
    command: list[str]
    date: str


def compute(
    systems: list[System],
    data: Data,
    quotations: list[Quotation],
    *,
    title: str,
    command: list[str],
    date: str,
) -> Content:
    """Return the content of the report on ``systems``."""
    notes = [note for system in systems for note in shortcomings(system, data)] + unmade(systems)
    systems = [without_strangers(system, data) for system in systems]
    metrics, per_picture = metrics_of(systems)
    last = (contenders(systems) or systems)[-1]
    own = {metric for scores in last.scores.values() for metric in scores}
    trainings = {system.name: read_training(system.folder) for system in systems}
    found = {name: training for name, training in trainings.items() if training}
    return Content(
        title=title,
        data=data,
        systems=systems,
        last=last,
        metrics=metrics,
        per_picture=per_picture,
        lead=next((m for m in leads(data, per_picture) if m in own), ""),
        rows=rows(systems, metrics),
        quotations=quotations,
        protocols=protocols(systems, metrics),
        comparisons=differences(systems, per_picture),
        trainings=found,
        health={
            one.name: assess(found[one.name], one.config) for one in systems if one.name in found
        },
        varieties=varieties(contenders(systems), data) + varieties_of_captions(systems),
        notes=notes,
        command=command,
        date=date,
    )


def metrics_of(systems: Sequence[System]) -> tuple[list[str], list[str]]:
    """Return the metrics that any system has, in the order of tables, and those per picture."""
    single = {m for system in systems for scores in system.scores.values() for m in scores}
    present = single | {metric for system in systems for metric in system.totals}
    return [m for m in COLUMNS if m in present], [m for m in COLUMNS if m in single]


def leads(data: Data, per_picture: Sequence[str]) -> Sequence[str]:
    """Return the metrics that examples may go by; those of captions go by none."""
    return (*LEADS, *per_picture) if data.captions is None else ()


def rows(systems: Sequence[System], metrics: Sequence[str]) -> list[Row]:
    """Return the row of each system; the targets themselves are the best of nothing."""
    table = {one.name: {metric: score(one, metric) for metric in metrics} for one in systems}
    own = {name: scores for name, scores in table.items() if not is_called(name, "real")}
    found = {row.name: row for row in marked(own, LOWER_IS_BETTER)}
    return [found.get(name) or Row(name, table[name], set()) for name in table]


def score(system: System, metric: str) -> Interval:
    """Return a system's mean over its pictures, or its score of all together, without interval."""
    own = values(system, metric, system.scores)
    if own:
        return interval(own)
    total = system.totals.get(metric)
    return Interval(total.value, math.nan, total.n) if total else interval([])


def differences(systems: Sequence[System], metrics: Sequence[str]) -> list[Comparison]:
    """Return the paired differences of the systems that share pictures, without the targets.

    What was made from text is paired where the same was asked for by the same names.
    """
    own = [system for system in systems if not is_called(system.name, "real")]
    own = [system for system in own if system.captions == own[0].captions]
    found = comparisons(own, metrics, own[0].name) if own and metrics else []
    return [pair for pair in found if any(cell.interval.n for cell in pair.differences.values())]


def protocols(systems: Sequence[System], metrics: Sequence[str]) -> dict[str, list[str]]:
    """Return how each metric was computed; where that differs, each way with the systems' names."""
    found: dict[str, list[str]] = {}
    for metric in metrics:
        ways: dict[str, list[str]] = {}
        for system in systems:
            if metric in system.totals and system.totals[metric].protocol:
                ways.setdefault(system.totals[metric].protocol, []).append(system.name)
        if len(ways) > 1:
            found[metric] = [f"{', '.join(names)}: {way}" for way, names in ways.items()]
        elif ways:
            found[metric] = list(ways)
    return found


# What both the page and the table to keep say


def measured(content: Content) -> str:
    """Return a sentence on what was measured."""
    data = content.data
    if data.captions is not None:
        return f"{made_of(content)} {count(len(data.target), 'real picture')} to compare with."
    if data.paired:
        return f"{count(len(data.source), 'picture')} with their targets."
    return f"{count(len(data.source), 'picture')}, without pairs."


def made_of(content: Content) -> str:
    """Return a sentence on how many pictures were made of how many captions, where it is known."""
    own = [asked_for(one.captions) for one in contenders(content.systems) if one.captions]
    if not own:
        return "Pictures made from text."
    sizes = [sum(map(len, found.values())) for found in own]
    most = max(range(len(own)), key=sizes.__getitem__)
    pictures, captions = count(sizes[most], "picture"), count(len(own[most]), "caption")
    return f"{pictures} made from {captions}."


def heading(metric: str) -> str:
    """Return the metric's name, with an arrow towards the better."""
    return f"{COLUMNS[metric].heading} {'↑' if COLUMNS[metric].up else '↓'}"


def incomplete(content: Content, metric: str, n: int) -> bool:
    """Return whether a mean is over ``n`` pictures that are only some of the test set."""
    return metric in content.per_picture and 0 < n < len(content.data.source)  # none of captions


def several(content: Content) -> list[str]:
    """Return the metrics that were computed in more than one way."""
    return [COLUMNS[metric].heading for metric, ways in content.protocols.items() if ways[1:]]


def versions(content: Content) -> list[tuple[str, str]]:
    """Return what was made by which versions, a pair of texts each."""
    return provenance.versions(content.systems, content.trainings, LIBRARIES)


def untrained(content: Content) -> list[str]:
    """Return the systems that have no training log."""
    return [system.name for system in content.systems if system.name not in content.trainings]
