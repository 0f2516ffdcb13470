"""The tables of a report, before they are set on a page: means, by condition too, and as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gan.report import tables, text
from gan.report.tables import Row
from segan.evaluate import COLUMNS
from segan.report.scores import Data, System

MAIN = ("pesq", "stoi", "csig", "cbak", "covl", "ssnr", "si_sdr")  # of the SEGAN paper's table
LOWER_IS_BETTER = {"llr", "wss"}
LEVELS = 8  # more SNRs than these are not levels that somebody chose
BIN = 5  # dB, of SNRs that are not levels


class Group(NamedTuple):
    """The utterances of one condition, and the systems' rows over them."""

    label: str
    utterances: list[str]
    rows: list[Row]


def means(
    systems: Sequence[System], metrics: Sequence[str], utterances: Iterable[str]
) -> list[Row]:
    """Return the row of each system over ``utterances``, or what of them it has."""
    return tables.means(systems, metrics, utterances, LOWER_IS_BETTER)


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
    return text.decimal(value, COLUMNS[metric][1], sign)


def margin(metric: str, half: float) -> str:
    """Return half an interval's width as ``± 0.040``, nothing where it is undefined."""
    return text.margin(half, COLUMNS[metric][1])


def duration(seconds: float) -> str:
    """Return a length of time for people: seconds, minutes or hours.

    >>> duration(42.4), duration(1234), duration(40000)
    ('42 s', '20.6 min', '11.1 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"
