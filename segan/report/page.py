"""The page: the template filled with the content, the pictures and the sounds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from gan.report import page, text
from gan.report.drawing import looks, training_picture
from gan.report.provenance import evaluation, sources
from segan.evaluate import COLUMNS
from segan.report import pictures, tables
from segan.report.content import Content, heading, incomplete, measured, versions
from segan.report.examples import LONGEST, SPAN, Example

SPREAD = ("pesq", "stoi", "si_sdr")  # whose distributions are drawn
LONG = 30  # rows of a table that is folded up
TICKS = 10  # on a time axis, at most


def render(content: Content, examples: dict[str, list[Example]]) -> str:
    """Return the page, with ``examples`` to listen to under their titles."""
    names = [system.name for system in content.systems]
    return (
        environment()
        .get_template("page.html")
        .render(
            content=content,
            columns=COLUMNS,
            looks=looks(names, untouched="noisy"),
            examples={title: shown for title, shown in examples.items() if shown},
            scores={system.name: system.scores for system in content.systems},
            described=describe(content),
            LONGEST=LONGEST,
            SPAN=SPAN,
            LONG=LONG,
            tables=tables,
            text=text,
            measured=measured,
            incomplete=incomplete,
            heading=heading,
            evaluation=evaluation,
            sources=sources(content.quotations),
            versions=versions(content),
            ticks=ticks,
            **drawn(content),
        )
    )


def environment() -> Environment:
    """Return what fills the page in."""
    own = page.environment(Path(__file__).parent)
    own.filters["title_of"] = title_of
    return own


def drawn(content: Content) -> dict[str, object]:
    """Return the pictures that the page shows, as markup; empty where there is nothing to draw."""
    systems = content.systems
    look = looks([one.name for one in systems], untouched="noisy")
    headings = {metric: title_of(metric) for metric in COLUMNS}
    spread = [m for m in SPREAD if m in content.metrics] or content.metrics[:3]
    by_condition = pictures.condition_picture(systems, content.lead, content.groups, content.data)
    return {
        "condition_picture": Markup(by_condition),
        "histograms": Markup(pictures.histograms(systems, spread)),
        "brief": spread,
        "curves": {
            name: Markup(training_picture(training, look[name], f"training {i}", headings))
            for i, (name, training) in enumerate(content.trainings.items())
        },
    }


def describe(content: Content) -> dict[str, list[str]]:
    """Return what is known of each utterance: SNR, noise, speaker."""
    data = content.data
    known = {
        utterance: [
            f"{data.snr[utterance]:g} dB SNR" if utterance in data.snr else "",
            data.noise.get(utterance, ""),
            f"speaker {data.speaker[utterance]}" if utterance in data.speaker else "",
        ]
        for utterance in data.noisy
    }
    return {utterance: [text for text in texts if text] for utterance, texts in known.items()}


def title_of(metric: str) -> str:
    """Return what a metric is called in headings."""
    return COLUMNS[metric][0]


def ticks(seconds: float) -> Iterable[tuple[float, str]]:
    """Return the marks of a time axis: where each stands, in percent, and what it says."""
    step = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5) if seconds / s <= TICKS), 10)
    marks = [i * step for i in range(int(seconds / step) + 1)] if seconds else []
    return [(100 * mark / seconds, f"{mark:g}") for mark in marks]
