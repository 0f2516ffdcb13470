"""The pictures of a report: histograms and conditions, as SVG that goes inside the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gan.report.drawing import WIDE, Look, as_svg, looks, plain, styled
from gan.report.tables import values
from segan.evaluate import COLUMNS
from segan.report.scores import Data, System
from segan.report.tables import Group

BINS = 30  # at most
KINDS = 16  # so many kinds of noise are still a picture


# By condition


def condition_picture(
    systems: Sequence[System], metric: str, groups: dict[str, list[Group]], data: Data
) -> str:
    """Return means with confidence intervals against SNR and by kind of noise, where known."""
    snr, noise = groups.get("SNR", []), groups.get("Noise", [])
    panels = [len(snr) > 1, 1 < len(noise) <= KINDS]
    if not any(panels):
        return ""
    with styled():
        figure = Figure(figsize=(WIDE, max(3.2, 1.2 + 0.26 * len(noise) * panels[1])))
        axes = figure.subplots(1, sum(panels), squeeze=False)[0]
        if panels[0]:
            draw_snr(axes[0], systems, metric, snr, data)
        if panels[1]:
            draw_noise(axes[-1], systems, metric, noise)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=8, handletextpad=0.3)
        return as_svg(figure, "conditions")


def draw_snr(
    axes: Axes, systems: Sequence[System], metric: str, groups: list[Group], data: Data
) -> None:
    """Draw a line a system, over the mean SNR of each group."""
    centers = np.array([np.mean([data.snr[u] for u in group.utterances]) for group in groups])
    apart = 0.012 * np.ptp(centers)  # so that intervals don't hide each other
    for i, (name, look) in enumerate(looked(systems)):
        cells = [row.means[metric] for group in groups for row in group.rows if row.name == name]
        axes.errorbar(
            centers + apart * (i - (len(systems) - 1) / 2),
            [cell.mean for cell in cells],
            [cell.half for cell in cells],
            **pen(look, name),
        )
    axes.set_xticks(centers, [f"{center:.3g}" for center in centers])
    axes.set_xlabel("SNR of the noisy input, dB")
    axes.set_title(COLUMNS[metric][0])
    axes.grid(axis="x", visible=False)


def draw_noise(axes: Axes, systems: Sequence[System], metric: str, groups: list[Group]) -> None:
    """Draw a dot a system for each kind of noise, the hardest for the first system at the top."""
    means = {group.label: group.rows[0].means[metric].mean for group in groups}
    groups = sorted(groups, key=lambda group: -np.nan_to_num(means[group.label], nan=-math.inf))
    for i, (name, look) in enumerate(looked(systems)):
        cells = [row.means[metric] for group in groups for row in group.rows if row.name == name]
        axes.errorbar(
            [cell.mean for cell in cells],
            np.arange(len(groups)) - 0.11 * (i - (len(systems) - 1) / 2),
            xerr=[cell.half for cell in cells],
            **pen(look, name) | {"linestyle": "none"},
        )
    axes.set_yticks(range(len(groups)), [plain(group.label) for group in groups])
    axes.set_title(f"{COLUMNS[metric][0]} by noise")


def looked(systems: Sequence[System]) -> list[tuple[str, Look]]:
    """Return the systems' names with their looks."""
    names = [system.name for system in systems]
    table = looks(names, untouched="noisy")
    return [(name, table[name]) for name in names]


def pen(look: Look, name: str) -> dict:
    """Return how a system's means and intervals are drawn."""
    style = {"color": look.color, "marker": look.marker, "markersize": 4.5, "elinewidth": 1}
    return style | {"label": plain(name), "markeredgewidth": 0}


# Distributions


def histograms(systems: Sequence[System], metrics: Sequence[str]) -> str:
    """Return histograms, a row a system and a column a metric, each column on common axes."""
    with styled():
        figure = Figure(figsize=(WIDE, 0.75 + 0.72 * len(systems)))
        grid = figure.subplots(
            len(systems), len(metrics), squeeze=False, sharex="col", sharey="col"
        )
        for metric, column in zip(metrics, grid.T, strict=True):
            draw_column(column, systems, metric)
        for (name, look), axes in zip(looked(systems), grid[:, 0], strict=True):
            axes.set_ylabel(plain(name), rotation=0, ha="right", va="center", color=look.color)
        return as_svg(figure, "histograms")


def draw_column(column: Sequence[Axes], systems: Sequence[System], metric: str) -> None:
    """Draw one metric's histograms below each other, with the means."""
    scores = [np.array(values(system, metric, system.scores)) for system in systems]
    scores = [own[np.isfinite(own)] for own in scores]
    pooled = np.concatenate(scores)
    bins = int(np.clip(2 * np.sqrt(len(pooled) / len(scores)), 6, BINS))
    edges = np.histogram_bin_edges(pooled if len(pooled) else [0.0], bins)
    for axes, own, (_, look) in zip(column, scores, looked(systems), strict=True):
        counts, _ = np.histogram(own, edges)
        axes.stairs(counts, edges, fill=True, color=look.color, alpha=0.55, linewidth=0)
        if len(own):
            axes.axvline(own.mean(), color=look.color)
        axes.set_yticks([])
        axes.spines.left.set_visible(False)
        axes.grid(axis="y", visible=False)
    column[0].set_title(COLUMNS[metric][0])
