"""The page: the template filled with the content, the curves and the pictures."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from gan.report import health, page, text
from gan.report.drawing import Look, looks, training_picture
from gan.report.provenance import evaluation, sources
from image_gan.metrics import COLUMNS
from image_gan.report import diversity
from image_gan.report.captioned import SAMPLES
from image_gan.report.content import (
    Content,
    heading,
    incomplete,
    measured,
    several,
    untrained,
    versions,
)
from image_gan.report.examples import Examples, sheets
from image_gan.report.systems import is_called


def render(content: Content, examples: Examples) -> str:
    """Return the page, with ``examples`` to look at."""
    own = page.environment(Path(__file__).parent)
    own.filters["decimal"] = lambda value, metric, sign="": text.signed(
        text.decimal(value, COLUMNS[metric].decimals, sign)
    )
    own.filters["margin"] = lambda half, metric: text.margin(half, COLUMNS[metric].decimals)
    return own.get_template("page.html").render(
        content=content,
        examples=examples,
        columns=COLUMNS,
        looks=looks_of(content),
        curves=curves(content),
        sheets=sheets(content),
        sources=sources(content.quotations),
        versions=versions(content),
        untrained=untrained(content),
        several=several(content),
        numbers={metric: i for i, metric in enumerate(content.protocols)},
        heading=heading,
        incomplete=incomplete,
        measured=measured,
        evaluation=evaluation,
        health=health,
        diversity=diversity,
        text=text,
        captioned=content.data.captions is not None,
        samples=SAMPLES,
    )


def looks_of(content: Content) -> dict[str, Look]:
    """Return each system's look; the sources as they are, are grey."""
    names = [system.name for system in content.systems]
    return looks(names, next((name for name in names if is_called(name, "copy")), "copy"))


def curves(content: Content) -> dict[str, Markup]:
    """Return the curves of each training."""
    look = looks_of(content)
    headings = {metric: column.heading for metric, column in COLUMNS.items()}
    return {
        name: Markup(training_picture(training, look[name], f"training {i}", headings))
        for i, (name, training) in enumerate(content.trainings.items())
    }
