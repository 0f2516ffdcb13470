"""The tables of a report, before they are set on a page: means, the best, paired differences."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple, Protocol, TypeVar

from gan.report.statistics import Interval, holm, interval, signed_rank

ALL_PAIRS = 5  # so many systems are compared each with each

Scores = dict[str, dict[str, float]]  # item of the test set: metric: score, where it is defined


class Scored(Protocol):
    """A system with its scores."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def scores(self) -> Scores:
        """Of each item that it was scored on."""


Own = TypeVar("Own", bound=Scored)


class Row(NamedTuple):
    """A system's means over some items, by metric; ``best`` are those that none surpasses."""

    name: str
    means: dict[str, Interval]
    best: set[str]


class Difference(NamedTuple):
    """A mean of paired differences, and the corrected p-value of there being none."""

    interval: Interval
    p: float


class Comparison(NamedTuple):
    """How much higher the second system scores than the first, by metric."""

    first: str
    second: str
    differences: dict[str, Difference]


def means(
    systems: Sequence[Scored], metrics: Sequence[str], items: Iterable[str], lower: Collection[str]
) -> list[Row]:
    """Return the row of each system over ``items``, or what of them it has.

    ``lower`` are the metrics of which less is better.
    """
    chosen = list(items)
    table = {
        system.name: {metric: interval(values(system, metric, chosen)) for metric in metrics}
        for system in systems
    }
    return marked(table, lower)


def marked(table: dict[str, dict[str, Interval]], lower: Collection[str]) -> list[Row]:
    """Return the rows of means by system and metric, the best of each metric marked."""
    metrics = dict.fromkeys(metric for row in table.values() for metric in row)
    best = {
        metric: best_mean((row[metric].mean for row in table.values()), metric in lower)
        for metric in metrics
    }
    return [
        Row(name, row, {m for m in metrics if len(table) > 1 and row[m].mean == best[m]})
        for name, row in table.items()
    ]


def values(system: Scored, metric: str, items: Iterable[str]) -> list[float]:
    """Return the system's scores where they are defined."""
    scores = (system.scores.get(item, {}) for item in items)
    return [own[metric] for own in scores if metric in own]


def best_mean(candidates: Iterable[float], lower: bool) -> float:
    """Return the best of the means, NaN where there is none."""
    choose = min if lower else max
    return choose((mean for mean in candidates if not math.isnan(mean)), default=math.nan)


# Differences


def comparisons(
    systems: Sequence[Scored], metrics: Sequence[str], baseline: str
) -> list[Comparison]:
    """Return the paired differences, over the items that both systems of a pair have.

    Every system is compared with the baseline, and with every other where they are few, else with
    its neighbour. The p-values are corrected over the whole table.
    """
    pairs = pairs_of(systems, baseline)
    found = {
        (i, metric): list(gains(*pair, metric).values())
        for i, pair in enumerate(pairs)
        for metric in metrics
    }
    p_values = holm([signed_rank(own) for own in found.values()])
    cells = {
        key: Difference(interval(own), p)
        for (key, own), p in zip(found.items(), p_values, strict=True)
    }
    return [
        Comparison(a.name, b.name, {metric: cells[i, metric] for metric in metrics})
        for i, (a, b) in enumerate(pairs)
    ]


def pairs_of(systems: Sequence[Own], baseline: str) -> list[tuple[Own, Own]]:
    """Return which systems to compare, the baseline's pairs first."""
    ordered = sorted(systems, key=lambda system: system.name != baseline)
    if len(ordered) <= ALL_PAIRS:
        return list(combinations(ordered, 2))
    return [(ordered[0], other) for other in ordered[1:]] + list(pairwise(ordered[1:]))


def gains(first: Scored, second: Scored, metric: str) -> dict[str, float]:
    """Return by how much the second scores higher, for each item scored for both.

    A difference that isn't finite, as of infinite scores, is left out.
    """
    scored = [item for item in first.scores if metric in first.scores[item]]
    shared = [item for item in scored if metric in second.scores.get(item, {})]
    with_all = {i: second.scores[i][metric] - first.scores[i][metric] for i in shared}
    return {item: gain for item, gain in with_all.items() if math.isfinite(gain)}
