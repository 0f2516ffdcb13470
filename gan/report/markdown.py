"""Tables and text in Markdown, and how results came about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gan.report.files import Note
from gan.report.text import command_line, count, without_places


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first their heading, as a Markdown table; numbers stand to the right."""
    head, *body = rows
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *body])


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is."""
    one_line = " ".join(text.split())
    return re.sub(r"[\\`*\[\]|~<>]|\b_|_\b|&(?=#?\w+;)", r"\\\g<0>", one_line)


def footnotes(sources: Mapping[str, int]) -> str:
    """Return the numbered sources of the quoted rows, nothing for none."""
    notes = [f"{i}. {escaped(source)}" for source, i in sources.items()]
    return "\n".join(["Quoted, not measured here, from:\n", *notes]) if notes else ""


def provenance(
    commands: Iterable[Sequence[str]],
    made: Iterable[tuple[str, str]],
    notes: Iterable[Note],
    *,
    noun: str,
    date: str,
    root: Path,
) -> str:
    """Return the commands, versions and date that results came about by, paths as from ``root``."""
    shown = [command_line(command, root) for command in commands if command]
    versions = [f"- {escaped(what)}: {escaped(used)}" for what, used in made]
    said = [
        f"- {escaped(without_places(note.text, root))}: {count(len(note.items), noun)}"
        for note in notes
    ]
    lines = ["## How these came about", "", "```sh", *shown, "```", "", date, ""]
    return "\n".join(lines + versions + said)
