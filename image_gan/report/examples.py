"""Pictures to look at, beside one another: which, and as small ones that go inside the page."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image

from gan.report.page import data_uri
from image_gan.images import read
from image_gan.metrics import COLUMNS
from image_gan.report.content import Content
from image_gan.report.systems import Pictures, contenders
from image_gan.sheet import SIDE, thumbnail

WIDEST = 1200  # pixels of a sheet
QUALITY = 88  # of a JPEG


class Shown(NamedTuple):
    """A picture on the page as a data: URI, its name for those who can't see it, or a problem."""

    uri: str
    size: tuple[int, int]  # width and height
    problem: str = ""


class Example(NamedTuple):
    """A row of pictures, one for each heading of the grid; ``why`` it was chosen."""

    name: str
    why: str
    pictures: list[Shown]


class Examples(NamedTuple):
    """The grid: its headings, each with whether it is a system, and its rows."""

    headings: list[tuple[str, bool]]
    rows: list[Example]


def examples(content: Content, number: int) -> Examples:
    """Return the grid: the best, the worst, and ``number`` sources evenly spread."""
    columns = columns_of(content)
    chosen = choose(content, number) if number else {}
    rows = [
        Example(name, why, [show(pictures, name) for _, _, pictures in columns])
        for name, why in chosen.items()
    ]
    return Examples([(heading, system) for heading, system, _ in columns], rows)


def columns_of(content: Content) -> list[tuple[str, bool, Pictures]]:
    """Return heading, whether it is a system's, and pictures: source, estimates, target or back."""
    made = [system for system in contenders(content.systems) if system.generated]
    columns = [("source", False, content.data.source)]
    for system in made:
        columns.append((system.name, True, system.generated))
        if system.cycled:
            columns.append((f"{system.name}, back", True, system.cycled))
    if content.data.paired:
        columns.append(("target", False, content.data.target))
    return columns


def choose(content: Content, number: int) -> dict[str, str]:
    """Return why each source is shown, by name; the best and the worst of the last system first."""
    names = sorted(content.data.source)
    chosen = extremes(content) if content.lead else {}
    rest = [name for name in names if name not in chosen]
    spread = np.linspace(0, len(rest) - 1, min(number, len(rest))).round().astype(int)
    return chosen | {rest[i]: "" for i in spread}


def extremes(content: Content) -> dict[str, str]:
    """Return the sources of the last system's best and worst scores, and what these are."""
    column, own = COLUMNS[content.lead], lead_scores(content)
    ranked = sorted(own, key=lambda name: (-own[name] if column.up else own[name], name))
    ends = {"best": ranked[:1], "worst": ranked[1:][-1:]}
    return {
        name: f"{which} {column.heading} of {content.last.name}: {own[name]:.{column.decimals}f}"
        for which, found in ends.items()
        for name in found
    }


def lead_scores(content: Content) -> Mapping[str, float]:
    """Return what the last system scores in the lead metric on each source."""
    scores = content.last.scores
    return {
        name: scores[name][content.lead]
        for name in content.data.source
        if content.lead in scores.get(name, {})
    }


# As they are shown


def show(pictures: Pictures, name: str) -> Shown:
    """Return the picture called ``name``, in small."""
    if name not in pictures:
        return Shown("", (0, 0), "no picture of this name")
    try:
        image = thumbnail(read(pictures[name]), SIDE)
    except (OSError, ValueError):
        return Shown("", (0, 0), "the file cannot be read")
    return Shown(smaller(image), image.size)


def sheets(content: Content) -> dict[str, Shown]:
    """Return the last contact sheet of each training that left one."""
    found: dict[str, Shown] = {}
    for system in content.systems:
        if system.sheet is None:
            continue
        try:
            image = thumbnail(read(system.sheet), WIDEST)
        except (OSError, ValueError):
            found[system.name] = Shown("", (0, 0), f"{system.sheet.name} cannot be read")
        else:
            found[system.name] = Shown(encoded(image, "JPEG"), image.size)
    return found


def smaller(image: Image.Image) -> str:
    """Return a picture as a data: URI of JPEG or PNG, whichever is shorter."""
    return min(encoded(image, "PNG"), encoded(image, "JPEG"), key=len)


def encoded(image: Image.Image, container: str) -> str:
    """Return a picture as a data: URI."""
    options: dict[str, Mapping] = {
        "PNG": {"optimize": True},
        "JPEG": {"quality": QUALITY, "subsampling": 0},
    }
    file = io.BytesIO()
    image.save(file, container, **options[container])
    return data_uri(f"image/{container.lower()}", file.getvalue())
