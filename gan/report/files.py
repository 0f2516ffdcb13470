"""What reports are made of, read and checked: text, JSON, tables of scores, quotations."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from gan.outputs import Refusal


class Note(NamedTuple):
    """Something to bear in mind, and the items of the test set that it is said of."""

    text: str
    items: list[str]


class Quotation(NamedTuple):
    """A published row: scores as they were printed, and where."""

    name: str
    scores: dict[str, str]
    source: str


class Named(Protocol):
    """What a system is called, and the folder it is in."""

    @property
    def name(self) -> str:
        """The folder's name."""

    @property
    def folder(self) -> Path:
        """Where it was read."""


Own = TypeVar("Own", bound=Named)


def name_of(folder: Path) -> str:
    """Return the last component of a path, also of ``.`` and ``exp/..``."""
    return Path(os.path.abspath(folder)).name


def check_system(folder: Path, others: Sequence[Named], example: str) -> None:
    """Refuse what is no folder, and a folder called like one of the ``others``."""
    twin = next((one for one in others if one.name == name_of(folder)), None)
    if not folder.is_dir():
        raise Refusal(f"{folder}: no such folder; a system is a folder such as {example}")
    if twin:
        raise Refusal(
            f"{twin.folder} and {folder}: two systems called {twin.name}; rename a folder"
        )


def named(systems: Sequence[Own], name: str) -> Own:
    """Return the system called ``name``, as ``--baseline`` gives it."""
    for system in systems:
        if system.name == name:
            return system
    known = ", ".join(system.name for system in systems)
    raise Refusal(f"--baseline {name}: no such system; there are {known}")


def read_text(path: Path) -> str:
    """Return the text of a file, empty where there is no such file."""
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{path}: cannot be read ({error})") from None


def read_json(path: Path) -> dict:
    """Return the JSON object in a file, empty where there is no such file."""
    text = read_text(path)
    try:
        content = json.loads(text) if text else {}
    except json.JSONDecodeError as error:
        raise Refusal(f"{path}:{error.lineno}: not JSON ({error.msg}); make it again") from None
    if not isinstance(content, dict):
        raise Refusal(f"{path}: not a JSON object; make it again")
    return content


def within(content: object, *keys: str) -> dict:
    """Return the object that lies below ``keys`` in JSON content, empty where none does."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}


def explained(items: list[str], reasons: dict) -> list[str]:
    """Return the items, each with its reason where there is one."""
    return [f"{item} ({reasons[item]})" if item in reasons else item for item in items]


# Tab-separated files


def read_quotations(path: Path, metrics: Collection[str]) -> list[Quotation]:
    """Return the published rows in a file headed ``system``, names of metrics, ``source``.

    Raises ``Refusal`` naming the file and line of what is wrong.
    """
    if not path.is_file():
        raise Refusal(f"{path}: no such file of quoted scores")
    quotations = []
    for line, row in read_rows(path, ("system", "source"), metrics):
        name, source = row.pop("system").strip(), row.pop("source").strip()
        if not name or not source:
            raise Refusal(f"{path}:{line}: a quoted row needs a system and a source")
        cells = {metric: text.strip() for metric, text in row.items() if text.strip()}
        for metric, text in cells.items():
            as_score(path, line, metric, text)
            cells[metric] = re.sub(r"^-?(?=\.)", r"\g<0>0", text)  # .92 is 0.92 in a table
        quotations.append(Quotation(name, cells, source))
    return quotations


def read_rows(
    path: Path, needed: tuple[str, ...], metrics: Collection[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row with the number of its line, as cells by heading: ``needed`` and metrics."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter="\t", strict=True)
            heading = next(rows, [])
            check_heading(path, heading, needed, metrics)
            for row in rows:
                if row and len(row) != len(heading):
                    fault = f"{len(row)} cells under {len(heading)} headings; cells end in tabs"
                    raise Refusal(f"{path}:{rows.line_num}: {fault}")
                if row:
                    yield rows.line_num, dict(zip(heading, row, strict=True))
    except csv.Error as error:
        raise Refusal(f"{path}:{rows.line_num}: {error}") from None
    except UnicodeDecodeError as error:
        raise Refusal(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from None


def check_heading(
    path: Path, heading: list[str], needed: tuple[str, ...], metrics: Collection[str]
) -> None:
    """Refuse a heading that lacks a column, or has one twice, or one that is no metric."""
    wanted = f"want {' and '.join(needed)}, and metrics ({', '.join(metrics)})"
    for name in needed:
        if name not in heading:
            raise Refusal(f"{path}:1: no column {name!r}, separated by tabs; {wanted}")
    for name in heading:
        if name not in (*needed, *metrics) or heading.count(name) > 1:
            fault = "twice" if heading.count(name) > 1 else "unknown"
            raise Refusal(f"{path}:1: column {name!r} {fault}; {wanted}")


def as_score(path: Path, line: int, metric: str, text: str) -> float:
    """Return the score in a cell, NaN and infinity among them."""
    try:
        return float(text)
    except ValueError:
        raise Refusal(f"{path}:{line}: {metric} is {text!r}, not a number") from None
