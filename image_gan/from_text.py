"""Painting many texts: which, to where, one after the other.

Beside the pictures there is a ``captions.jsonl`` that says what each was to show. Every file
appears whole or not at all.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from image_gan import captions, images
from image_gan.batch import describe, write

if TYPE_CHECKING:
    from PIL import Image

    from image_gan.paint import Painter

ROWS, COLUMNS = 24, 8  # the most that a contact sheet shows


class Wish(NamedTuple):
    """What pictures are to show, and what they are called."""

    text: str
    name: str
    attributes: dict[str, str] = {}  # noqa: RUF012 (of a NamedTuple, never changed)

    def places(self, folder: Path, count: int) -> list[Path]:
        """Return where the pictures go."""
        return [folder / f"{self.name}.{number}.png" for number in range(1, count + 1)]


class Painted(NamedTuple):
    """What came of a wish: ``error`` is None where all went well."""

    wish: Wish
    places: list[Path]
    pictures: list[Image.Image]  # that a contact sheet shows
    note: str | None = None
    error: str | None = None


def wishes(texts: Sequence[str], file: str | None) -> list[Wish]:
    """Return what is asked for by texts, and by a file of them.

    Args:
        texts: as they were given.
        file: a ``captions.jsonl``, of whose captions each different one counts, with the attributes
            told of its first picture; or a text file with a line for each.

    Raises:
        OSError: where there is no such file.
        ValueError: where it is wrong.
    """
    told = {text: {} for text in texts}
    if file is not None:
        for text, attributes in in_file(Path(file)):
            told.setdefault(text, attributes)
    width = len(str(len(told)))
    return [
        Wish(text, f"{number:0{width}}-{slug(text)}" if len(told) > 1 else slug(text), attributes)
        for number, (text, attributes) in enumerate(told.items(), 1)
    ]


def in_file(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the texts in a file, with their attributes."""
    if path.suffix == ".jsonl" or path.is_dir():
        for one in captions.read(path):
            for caption in one.captions:
                yield caption, one.attributes
        return
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: no text in UTF-8, and no captions.jsonl") from None
    if not any(map(str.strip, lines)):
        raise ValueError(f"{path}: holds no text; a line for each is needed")
    yield from ((line.strip(), {}) for line in lines if line.strip())


def slug(text: str) -> str:
    """Return what files are called after a text.

    >>> slug("A small, blue bird!"), slug("青い鳥")
    ('a-small-blue-bird', 'text')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-") or "text"


def check_free(found: Sequence[Wish], folder: Path, count: int, force: bool) -> None:
    """Raise an OSError where a file that is to be written is there already."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: a file, where a folder is needed; choose another -o")
    places = [place for wish in found for place in wish.places(folder, count)]
    there = [place for place in (folder / captions.NAME, *places) if place.exists()]
    if there and not force:
        raise FileExistsError(f"{there[0]}: exists; --force overwrites it, -o goes elsewhere")


def attempt(painter: Painter, wish: Wish, folder: Path, count: int, seed: int) -> Painted:
    """Return what came of a wish, its error as a line of text."""
    places, kept = wish.places(folder, count), []
    try:
        note = painter.note(wish.text)
        folder.mkdir(parents=True, exist_ok=True)
        for place, picture in zip(places, painter.pictures(wish.text, count, seed), strict=True):
            write(place, images.from_array(np.asarray(picture)))
            if len(kept) < COLUMNS:
                kept.append(picture)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        return Painted(wish, [], [], error=describe(error, repr(wish.text)))
    return Painted(wish, places, kept, note)


def note_captions(done: Sequence[Painted], folder: Path) -> None:
    """Write the ``captions.jsonl`` of what was painted."""
    from gan.checkpoint import atomic

    lines = []
    for one in done:
        said = {"captions": [one.wish.text]}
        if one.wish.attributes:
            said["attributes"] = one.wish.attributes
        lines += [json.dumps({"image": place.name, **said}) + "\n" for place in one.places]
    with atomic(folder / captions.NAME) as part:
        part.write_text("".join(lines), encoding="utf-8", newline="\n")


def sheet_of(done: Sequence[Painted]) -> Image.Image:
    """Return a contact sheet: a row for each text, or for some of them, evenly spread."""
    from image_gan.sheet import sheet

    spread = np.linspace(0, len(done) - 1, min(ROWS, len(done))).round().astype(int)
    rows = [(done[index].wish.text, done[index].pictures) for index in spread]
    return sheet([""] * max(len(pictures) for _, pictures in rows), rows)
