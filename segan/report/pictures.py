"""The pictures of a report: curves, histograms and conditions, as SVG that goes inside the page.

Text and colors are the page's own: every color drawn here stands for one of its CSS variables, so
that pictures are as legible in the dark as in the light, and a system has one color everywhere.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from segan.evaluate import COLUMNS
from segan.report.scores import Data, System
from segan.report.tables import Group, values
from segan.report.training import Curve, Training, smoothed

INK, MUTED, LINE, GREY = "#111112", "#666667", "#dddde1", "#888889"
SYSTEMS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#b07d00", "#33a0d4")
VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", GREY: "--noisy"} | {
    color: f"--system-{number}" for number, color in enumerate(SYSTEMS, 1)
}
MARKERS = "osD^vPX<>*"
STYLE = {
    "svg.fonttype": "none",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.05,
    "figure.constrained_layout.w_pad": 0.06,
}
WIDE = 9.6  # inches; the page shows it at half again the size
BINS = 30  # at most
KINDS = 16  # so many kinds of noise are still a picture
POINTS = 800  # of a curve that are drawn


class Look(NamedTuple):
    """How a system is drawn: its color, the CSS variable that this stands for, its marker."""

    color: str
    variable: str
    marker: str


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return each system's look: grey for ``noisy``, else colors that color-blind people tell."""
    colored = [name for name in names if name != "noisy"]
    found = {
        name: Look(color := SYSTEMS[i % len(SYSTEMS)], VARIABLES[color], MARKERS[i % len(MARKERS)])
        for i, name in enumerate(colored)
    }
    return {"noisy": Look(GREY, VARIABLES[GREY], "o")} | found


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw in the page's style inside the block, whatever the user's own settings are."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # letters are drawn by the browser's fonts
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def as_svg(figure: Figure, salt: str) -> str:
    """Return the figure as an ``<svg>`` element; ``salt`` keeps its ids apart from others'."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' id="[\w.]+_\d+"', "", text)  # axes_1, in every figure
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)  # the page's CSS has them
    for color, variable in VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    return text


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
    table = looks(names)
    return [(name, table[name]) for name in names]


def pen(look: Look, name: str) -> dict:
    """Return how a system's means and intervals are drawn."""
    style = {"color": look.color, "marker": look.marker, "markersize": 4.5, "elinewidth": 1}
    return style | {"label": plain(name), "markeredgewidth": 0}


def plain(text: str) -> str:
    """Return text that matplotlib draws as it is: dollars are no mathematics."""
    return ("\u200b" if text.startswith("_") else "") + text.replace("$", r"\$")


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


# Training


def training_picture(training: Training, look: Look, salt: str) -> str:
    """Return the curves of a training as small multiples: losses by player, then the scores."""
    panels = [(name.replace("/", ": "), curve) for name, curve in training.losses.items()]
    panels += [
        (f"validation: {COLUMNS[name][0] if name in COLUMNS else name}", curve)
        for name, curve in training.scores.items()
    ]
    columns = 4
    rows = max(math.ceil(len(panels) / columns), 1)
    with styled():
        figure = Figure(figsize=(WIDE, 0.25 + 1.5 * rows))
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, (title, curve) in zip(grid.flat, panels, strict=False):
            draw_curve(axes, title, curve, look)
        return as_svg(figure, salt)


def draw_curve(axes: Axes, title: str, curve: Curve, look: Look) -> None:
    """Draw a curve, a dense one faintly behind its moving average."""
    smooth = smoothed(curve)
    if smooth is not curve:
        axes.plot(*thinned(curve), color=look.color, alpha=0.25, linewidth=0.7)
    marker = look.marker if len(curve.steps) < 30 else None
    axes.plot(*thinned(smooth), color=look.color, marker=marker, markersize=3)
    axes.set_title(plain(title))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    low, high = min(curve.values), max(curve.values)
    if low > 0 and high > 5 * low:
        axes.set_yscale("log")


def thinned(curve: Curve) -> Curve:
    """Return the curve with no more points than one can see."""
    stride = max(len(curve.steps) // POINTS, 1)
    return Curve(curve.steps[::stride], curve.values[::stride])
