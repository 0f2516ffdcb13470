"""``RESULTS.md``: the table to keep beside a recipe, which says nothing of a machine's folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from segan.evaluate import COLUMNS
from segan.report.content import (
    Content,
    command_line,
    evaluation,
    incomplete,
    measured,
    sources,
    versions,
    without_place,
)
from segan.report.statistics import Interval
from segan.report.tables import Group, count, decimal, margin


def render(content: Content, root: Path) -> str:
    """Return the results as Markdown; paths are as seen from ``root``."""
    parts = [
        f"# {escaped(content.title)}",
        escaped(measured(content))
        + " Means over utterances ± half the width of their 95 % confidence interval (Student's t);"
        + " the best of the measured systems in bold.",
        overview(content),
        footnotes(content),
        *(
            f"## {COLUMNS[content.lead][0]} by {title if title == 'SNR' else title.lower()}\n\n"
            + condition(content, title, content.groups[title])
            for title in ("SNR", "Noise")
            if content.groups.get(title)
        ),
        provenance(content, root),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def overview(content: Content) -> str:
    """Return the table of the systems' means, quoted rows below them."""
    rows = [["system", *(COLUMNS[metric][0] for metric in content.metrics)]]
    for row in content.rows:
        cells = [
            cell(content, metric, row.means[metric], metric in row.best)
            for metric in content.metrics
        ]
        rows.append([escaped(row.name), *cells])
    numbers = sources(content.quotations)
    for quotation in content.quotations:
        name = f"*{escaped(quotation.name)}* (quoted, {numbers[quotation.source]})"
        cells = [quotation.scores.get(metric, "") for metric in content.metrics]
        rows.append([name, *cells])
    return table(rows)


def cell(content: Content, metric: str, own: Interval, best: bool) -> str:
    """Return a mean with its interval, and over how many where not over all."""
    mean = decimal(metric, own.mean)
    over = f"(n = {own.n})" if incomplete(content, own.n) else ""
    return " ".join(filter(None, [f"**{mean}**" if best else mean, margin(metric, own.half), over]))


def footnotes(content: Content) -> str:
    """Return the sources of the quoted rows."""
    notes = [f"{i}. {escaped(source)}" for source, i in sources(content.quotations).items()]
    return "\n".join(["Quoted, not measured here, from:\n", *notes]) if notes else ""


def condition(content: Content, title: str, groups: Sequence[Group]) -> str:
    """Return the table of the leading metric in each group."""
    rows = [[title, "n", *(escaped(system.name) for system in content.systems)]]
    for group in groups:
        size = len(group.utterances)
        cells = []
        for row in group.rows:
            own = row.means[content.lead]
            mean = decimal(content.lead, own.mean)
            bold = f"**{mean}**" if content.lead in row.best else mean
            cells.append(f"{bold} (n = {own.n})" if 0 < own.n < size else bold)
        rows.append([escaped(group.label), str(size), *cells])
    return table(rows)


def provenance(content: Content, root: Path) -> str:
    """Return the commands, versions and date that the results came about by."""
    commands = [
        command_line(command, root)
        for command in [*(evaluation(system) for system in content.systems), content.command]
        if command
    ]
    made = [f"- {escaped(what)}: {escaped(used)}" for what, used in versions(content)]
    said = [
        f"- {escaped(without_places(note.text, root))}: {count(len(note.utterances), 'utterance')}"
        for note in content.notes
    ]
    lines = ["## How these came about", "", "```sh", *commands, "```", "", f"{content.date}", ""]
    return "\n".join(lines + made + said)


def without_places(text: str, root: Path) -> str:
    """Return text with the absolute paths in it shortened."""
    return " ".join(without_place(word, root) for word in text.split())


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first their heading, as a Markdown table; numbers stand to the right."""
    head, *body = rows
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *body])


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is."""
    one_line = " ".join(text.split())
    return re.sub(r"[\\`*\[\]|~<>]|\b_|_\b|&(?=#?\w+;)", r"\\\g<0>", one_line)
