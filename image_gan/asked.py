"""Which pictures were asked for with which captions: a ``captions.jsonl`` beside its pictures.

The first caption of a line is the one asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan.outputs import Refusal, listed
from image_gan.batch import describe
from image_gan.captions import Entry, read


def entries(path: Path) -> list[Entry]:
    """Return the lines of a ``captions.jsonl``; refuse one that can't be read, or a twin in it."""
    try:
        found = read(path)
    except (OSError, ValueError) as error:
        raise Refusal(describe(error, str(path))) from None
    places = set()
    for one in found:
        if one.path.resolve() in places:
            raise Refusal(f"{path}: {one.path} has two lines; keep one of them")
        places.add(one.path.resolve())
    return found


def listed_in(path: Path) -> dict[str, Path]:
    """Return the pictures that a ``captions.jsonl`` lists, by place without suffix."""
    found: dict[str, Path] = {}
    for one in entries(path):
        inside = one.path.is_relative_to(path.parent)
        place = one.path.relative_to(path.parent) if inside else one.path
        name = place.with_suffix("").as_posix()
        if name in found:
            raise Refusal(f"{one.path}: {found[name].name} has the same name; keep one of them")
        found[name] = one.path
    return found


def asked(path: Path, generated: dict[str, Path]) -> dict[str, Entry]:
    """Return what was asked for with each of the pictures, by name.

    Refuses a picture without a line and a line without a picture.
    """
    lines = {one.path.resolve(): one for one in entries(path)}
    places = {name: picture.resolve() for name, picture in generated.items()}
    faults = [
        f"{generated[name]}: no line in {path} says what was asked for"
        for name, place in places.items()
        if place not in lines
    ]
    scored = set(places.values())
    faults += [
        f"{one.path}: has a line in {path}, and isn't among the pictures to score"
        for place, one in lines.items()
        if place not in scored
    ]
    if faults:
        raise Refusal(in_lines("captions and pictures differ, nothing scored", faults))
    return {name: lines[place] for name, place in places.items()}


def in_lines(text: str, faults: Sequence[str]) -> str:
    """Return what is wrong: in one line where it is one thing, else below a heading."""
    return faults[0] if len(faults) == 1 else "\n".join([f"{text}:", *listed(faults)])
