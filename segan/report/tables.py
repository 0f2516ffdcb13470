"""The tables of a report, before they are set on a page: rows of numbers, and numbers as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

from segan.evaluate import COLUMNS
from segan.report.scores import Data, System
from segan.report.statistics import Interval, holm, interval, signed_rank

MAIN = ("pesq", "stoi", "csig", "cbak", "covl", "ssnr", "si_sdr")  # of the SEGAN paper's table
LOWER_IS_BETTER = {"llr", "wss"}
ALL_PAIRS = 5  # so many systems are compared each with each
LEVELS = 8  # more SNRs than these are not levels that somebody chose
BIN = 5  # dB, of SNRs that are not levels


class Row(NamedTuple):
    """A system's means over some utterances, by metric; ``best`` are those that none surpasses."""

    name: str
    means: dict[str, Interval]
    best: set[str]


class Group(NamedTuple):
    """The utterances of one condition, and the systems' rows over them."""

    label: str
    utterances: list[str]
    rows: list[Row]


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
    systems: Sequence[System], metrics: Sequence[str], utterances: Iterable[str]
) -> list[Row]:
    """Return the row of each system over ``utterances``, or what of them it has."""
    chosen = list(utterances)
    table = {
        system.name: {metric: interval(values(system, metric, chosen)) for metric in metrics}
        for system in systems
    }
    best = {
        metric: best_mean(metric, (row[metric].mean for row in table.values()))
        for metric in metrics
    }
    return [
        Row(name, row, {m for m in metrics if len(table) > 1 and row[m].mean == best[m]})
        for name, row in table.items()
    ]


def values(system: System, metric: str, utterances: Iterable[str]) -> list[float]:
    """Return the system's scores where they are defined."""
    scores = (system.scores.get(utterance, {}) for utterance in utterances)
    return [own[metric] for own in scores if metric in own]


def best_mean(metric: str, candidates: Iterable[float]) -> float:
    """Return the best of the means, NaN where there is none."""
    choose = min if metric in LOWER_IS_BETTER else max
    return choose((mean for mean in candidates if not math.isnan(mean)), default=math.nan)


# Differences


def comparisons(
    systems: Sequence[System], metrics: Sequence[str], baseline: str
) -> list[Comparison]:
    """Return the paired differences, over the utterances that both systems of a pair have.

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


def pairs_of(systems: Sequence[System], baseline: str) -> list[tuple[System, System]]:
    """Return which systems to compare, the baseline's pairs first."""
    ordered = sorted(systems, key=lambda system: system.name != baseline)
    if len(ordered) <= ALL_PAIRS:
        return list(combinations(ordered, 2))
    return [(ordered[0], other) for other in ordered[1:]] + list(pairwise(ordered[1:]))


def gains(first: System, second: System, metric: str) -> dict[str, float]:
    """Return by how much the second scores higher, for each utterance scored for both.

    A difference that isn't finite, as of infinite scores, is left out.
    """
    scored = [u for u in first.scores if metric in first.scores[u]]
    shared = [u for u in scored if metric in second.scores.get(u, {})]
    with_all = {u: second.scores[u][metric] - first.scores[u][metric] for u in shared}
    return {u: gain for u, gain in with_all.items() if math.isfinite(gain)}


# Conditions


def conditions(data: Data) -> dict[str, dict[str, list[str]]]:
    """Return the utterances by label of each condition that is known: SNR, noise, speaker.

    An utterance that is its own speaker, as Kaldi has it where speakers are unknown, has none.
    """
    known = {u: level for u, level in data.snr.items() if u in data.noisy}
    found = {"SNR": by_snr(known)}
    for title, table in (("Noise", data.noise), ("Speaker", data.speaker)):
        labelled = sorted(table.items(), key=lambda item: item[1])
        found[title] = grouped((u, v) for u, v in labelled if u in data.noisy and u != v)
    return {title: groups for title, groups in found.items() if groups}


def by_snr(snr: dict[str, float]) -> dict[str, list[str]]:
    """Return the utterances by SNR, in ranges of 5 dB where the SNRs are many."""
    levels = sorted(snr.items(), key=lambda item: item[1])
    if len(set(snr.values())) <= LEVELS:
        return grouped((utterance, f"{level:g} dB") for utterance, level in levels)
    lower = ((utterance, math.floor(level / BIN) * BIN) for utterance, level in levels)
    return grouped((utterance, f"{low} to {low + BIN} dB") for utterance, low in lower)


def grouped(labelled: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the utterances of each label, in the order of the labels' first."""
    groups: dict[str, list[str]] = {}
    for utterance, label in labelled:
        groups.setdefault(label, []).append(utterance)
    return groups


def breakdown(
    systems: Sequence[System], metrics: Sequence[str], groups: dict[str, list[str]]
) -> list[Group]:
    """Return the systems' rows for each group of utterances, without groups that none scored."""
    found = [Group(label, own, means(systems, metrics, own)) for label, own in groups.items()]
    return [
        group for group in found if any(cell.n for row in group.rows for cell in row.means.values())
    ]


# Numbers as text


def decimal(metric: str, value: float, sign: str = "") -> str:
    """Return the value with its metric's decimals; ``sign="+"`` shows a plus."""
    return "–" if math.isnan(value) else f"{value:{sign}.{COLUMNS[metric][1]}f}"


def margin(metric: str, half: float) -> str:
    """Return half an interval's width as ``± 0.040``, nothing where it is undefined."""
    return "" if math.isnan(half) else f"± {decimal(metric, half)}"


def p_value(p: float) -> str:
    """Return a p-value as text, ``p < 0.001`` where it is below.

    >>> p_value(0.0123), p_value(3e-9), p_value(1.0)
    ('p = 0.012', 'p < 0.001', 'p = 1.00')
    """
    if math.isnan(p):
        return ""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"


def duration(seconds: float) -> str:
    """Return a length of time for people: seconds, minutes or hours.

    >>> duration(42.4), duration(1234), duration(40000)
    ('42 s', '20.6 min', '11.1 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def count(number: int, noun: str) -> str:
    """Return ``1 speaker`` or ``12 speakers``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
