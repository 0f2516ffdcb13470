"""Pictures as SVG that goes inside the page, in its own looks; the curves of a training.

Text and colors are the page's own: every color drawn here stands for one of its CSS variables, so
that pictures are as legible in the dark as in the light, and a system has one color everywhere.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from gan.report.training import Curve, Training, smoothed

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
POINTS = 800  # of a curve that are drawn


class Look(NamedTuple):
    """How a system is drawn: its color, the CSS variable that this stands for, its marker."""

    color: str
    variable: str
    marker: str


def looks(names: Sequence[str], untouched: str) -> dict[str, Look]:
    """Return each system's look: grey for ``untouched``, the input itself, and else a color.

    The colors are such as color-blind people tell apart.
    """
    colored = [name for name in names if name != untouched]
    found = {
        name: Look(color := SYSTEMS[i % len(SYSTEMS)], VARIABLES[color], MARKERS[i % len(MARKERS)])
        for i, name in enumerate(colored)
    }
    return {untouched: Look(GREY, VARIABLES[GREY], "o")} | found


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


def plain(text: str) -> str:
    """Return text that matplotlib draws as it is: dollars are no mathematics."""
    return ("\u200b" if text.startswith("_") else "") + text.replace("$", r"\$")


# Training


def training_picture(training: Training, look: Look, salt: str, headings: Mapping[str, str]) -> str:
    """Return the curves of a training as small multiples: losses by player, then the scores.

    ``headings`` are what scores are called, where that isn't their name in the log.
    """
    panels = [(name.replace("/", ": "), curve) for name, curve in training.losses.items()]
    panels += [
        (f"validation: {headings.get(name, name)}", curve)
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
