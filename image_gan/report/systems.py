"""What a report is made of, read and checked: systems with their scores, and the test set.

Pictures go by their place in their folder without suffix, as in ``image_gan.folders``. A score that
is undefined is NaN in the files, and absent here, as is an infinite one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gan.outputs import Refusal
from gan.report.files import (
    Note,
    as_score,
    check_system,
    explained,
    name_of,
    read_json,
    read_rows,
    read_text,
    within,
)
from gan.report.tables import Scores
from image_gan.metrics import COLUMNS

if TYPE_CHECKING:
    from image_gan.captions import Entry

NAME = "captions.jsonl"

Pictures = dict[str, Path]  # by name
Captions = dict[str, list[str]]  # by the name of the picture; the first was asked for


class Total(NamedTuple):
    """A score of all pictures together: over how many, and how it is computed."""

    value: float
    n: int
    protocol: str


class System(NamedTuple):
    """A system: its scores on the test set, and what its folder says of how they came about."""

    name: str
    folder: Path
    scores: Scores  # of each picture
    totals: dict[str, Total]  # by metric
    summary: dict  # of image-gan-evaluate
    versions: dict  # of gan-train, empty where it left none
    config: str
    generated: Pictures
    cycled: Pictures
    sheet: Path | None  # the last one of its training
    captions: Captions | None = None  # of what it generated, where that was made from text


class Data(NamedTuple):
    """A test set; where it is ``paired``, a source and its target have the same name.

    One of text has no sources, but ``captions`` of its targets, the real pictures.
    """

    name: str
    source: Pictures
    target: Pictures
    paired: bool
    captions: Captions | None = None


def is_called(name: str, kind: str) -> bool:
    """Return whether a system is the baseline ``kind``, ``copy`` or ``real``, of some test set."""
    return name == kind or name.startswith(f"{kind}_")


def contenders(systems: Sequence[System]) -> list[System]:
    """Return the systems that made something: neither sources nor targets as they are."""
    return [
        system
        for system in systems
        if not is_called(system.name, "copy") and not is_called(system.name, "real")
    ]


# The test set


def read_data(folder: Path, systems: Sequence[System]) -> Data:
    """Return the test set in ``folder``; it has no pairs where a system's pictures came back.

    Raises ``Refusal`` where its sources are missing, or no system has to do with it.
    """
    if any(system.captions for system in systems) or (folder / NAME).is_file():
        return read_captioned(folder)
    source, target = pictures(folder / "source"), pictures(folder / "target")
    if not source:
        raise Refusal(f"{folder / 'source'}: no pictures; --data is a folder of source and target")
    for system in systems:
        known = {**system.scores, **system.generated}
        if known and not any(name in source or name in target for name in known):
            fault = f"no picture of {name_of(folder)} is in it; is --data its test set?"
            raise Refusal(f"{system.folder}: {fault}")
    paired = not source.keys().isdisjoint(target) and not any(one.cycled for one in systems)
    return Data(name_of(folder), source, target, paired)


def read_captioned(folder: Path) -> Data:
    """Return the real pictures and captions in ``folder``; refuse one without captions."""
    from image_gan.asked import asked, listed_in

    if not (folder / NAME).is_file():
        raise Refusal(f"{folder / NAME}: no such file; --data is a folder of pictures and captions")
    target = listed_in(folder / NAME)
    return Data(name_of(folder), {}, target, False, captions(asked(folder / NAME, target)))


def captions(entries: Mapping[str, Entry]) -> Captions:
    """Return the captions of pictures, of their entries."""
    return {name: one.captions for name, one in entries.items()}


def pictures(folder: Path) -> Pictures:
    """Return the pictures below ``folder`` by name; none where it is missing or empty."""
    from image_gan.folders import by_name, in_folder

    if not folder.is_dir():
        return {}
    try:
        in_folder(folder)
    except ValueError:
        return {}
    try:
        return by_name(folder)
    except ValueError as error:
        raise Refusal(str(error)) from None


# The systems


def read_systems(folders: Sequence[Path]) -> list[System]:
    """Return the systems in ``folders``; raises ``Refusal`` where one has no scores."""
    systems: list[System] = []
    for folder in folders:
        check_system(folder, systems, "exp/pix2pix")
        systems.append(read_system(folder))
    return systems


def read_system(folder: Path) -> System:
    """Return the system in ``folder`` with all its scores."""
    place = folder / "scores"
    scores, summary = read_scores(place / "scores.tsv"), read_json(place / "summary.json")
    totals = read_totals(place / "summary.json", within(summary, "metrics"))
    if not totals and not any(scores.values()):
        raise Refusal(f"{place}: no score in it")
    generated = pictures(folder / "generated")
    return System(
        name=name_of(folder),
        folder=folder,
        scores=scores,
        totals=totals,
        summary=summary,
        versions=read_json(folder / "versions.json"),
        config=read_text(folder / "config.yaml"),
        generated=generated,
        cycled=pictures(folder / "cycled"),
        sheet=max((folder / "samples").glob("*.png"), default=None),
        captions=read_captions(folder / "generated" / NAME, generated),
    )


def read_captions(path: Path, generated: Pictures) -> Captions | None:
    """Return the captions that pictures were made from, None where they weren't made from text."""
    from image_gan.asked import asked

    return captions(asked(path, generated)) if path.is_file() else None


def read_scores(path: Path) -> Scores:
    """Return the scores of each picture that ``image-gan-evaluate`` wrote, the finite ones.

    Raises ``Refusal`` naming the file and line of what is wrong.
    """
    if not path.is_file():
        raise Refusal(f"{path}: no such file; image-gan-evaluate GENERATED -o writes it")
    scores: Scores = {}
    for line, row in read_rows(path, ("picture",), COLUMNS):
        picture = row.pop("picture")
        if picture in scores:
            raise Refusal(f"{path}:{line}: {picture!r} is scored twice")
        cells = {metric: as_score(path, line, metric, text) for metric, text in row.items()}
        scores[picture] = {m: score for m, score in cells.items() if math.isfinite(score)}
    return scores


def read_totals(path: Path, metrics: dict) -> dict[str, Total]:
    """Return the scores of all pictures together that a summary has; metrics unknown are no part.

    Raises ``Refusal`` where one has no number.
    """
    totals = {}
    for metric, entry in metrics.items():
        value = entry.get("value") if isinstance(entry, dict) else entry
        if metric not in COLUMNS or value is None:
            continue
        if not isinstance(value, (int, float)) or not isinstance(entry, dict):
            raise Refusal(f"{path}: {metric} is {value!r}, not a number; make it again")
        n, protocol = entry.get("n", 0), str(entry.get("protocol", ""))
        totals[metric] = Total(float(value), n if isinstance(n, int) else 0, protocol)
    return totals


# What is to be said of them


def shortcomings(system: System, data: Data) -> list[Note]:
    """Return a note on pictures without scores, without one score, of another set, not made."""
    reasons = within(system.summary, "not_scored")
    missing = [name for name in expected(system, data) if name not in system.scores]
    own = system.generated
    notes = [
        Note("scores not of this test set, left out", strangers(system, data)),
        Note("not scored", explained(missing, reasons)),
        *lacking(system),
        Note("nothing generated of", [n for n in data.source if n not in own] if own else []),
    ]
    return [Note(f"{system.name}: {note.text}", note.items) for note in notes if note.items]


def expected(system: System, data: Data) -> Collection[str]:
    """Return the names of the pictures that a system should have scores of."""
    real = is_called(system.name, "real")
    if data.captions is None:
        return data.target if real else data.source
    return system.generated or (data.target if real else system.scores)


def strangers(system: System, data: Data) -> list[str]:
    """Return the pictures that a system is scored on, and that aren't in the test set."""
    own = {*expected(system, data), *(() if data.captions else data.target)}
    return [name for name in system.scores if name not in own]


def without_strangers(system: System, data: Data) -> System:
    """Return the system with its scores of the test set alone."""
    left_out = set(strangers(system, data))
    own = {name: scores for name, scores in system.scores.items() if name not in left_out}
    return system._replace(scores=own)


def unmade(systems: Sequence[System]) -> list[Note]:
    """Return a note on the captions that other systems made pictures of, and a system didn't."""
    own = {one.name: asked_for(one.captions) for one in contenders(systems) if one.captions}
    every = dict.fromkeys(caption for found in own.values() for caption in found)
    notes = [
        Note(
            f"{name}: nothing generated of", [caption for caption in every if caption not in found]
        )
        for name, found in own.items()
    ]
    return [note for note in notes if note.items]


def asked_for(captions: Captions) -> dict[str, list[str]]:
    """Return the pictures that were asked for with each caption, by name, in order."""
    found: dict[str, list[str]] = {}
    for name in sorted(captions):
        found.setdefault(captions[name][0], []).append(name)
    return found


def lacking(system: System) -> list[Note]:
    """Return a note for each metric that some pictures have and others lack."""
    present = {metric for own in system.scores.values() for metric in own}
    found = []
    for metric in (metric for metric in COLUMNS if metric in present):
        reasons = within(system.summary, "metrics", metric, "undefined")
        names = [name for name, own in system.scores.items() if own and metric not in own]
        text = f"no finite {COLUMNS[metric].heading}, left out of that mean alone"
        found.append(Note(text, explained(names, reasons)))
    return found
