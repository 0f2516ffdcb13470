"""``RESULTS.md``: the table to keep beside a recipe, which says nothing of a machine's folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan.report.markdown import escaped, footnotes, provenance, table
from gan.report.provenance import evaluation, sources
from gan.report.statistics import Interval
from segan.evaluate import COLUMNS
from segan.report.content import Content, incomplete, measured, versions
from segan.report.tables import Group, decimal, margin


def render(content: Content, root: Path) -> str:
    """Return the results as Markdown; paths are as seen from ``root``."""
    parts = [
        f"# {escaped(content.title)}",
        escaped(measured(content))
        + " Means over utterances ± half the width of their 95 % confidence interval (Student's t);"
        + " the best of the measured systems in bold.",
        overview(content),
        footnotes(sources(content.quotations)),
        *(
            f"## {COLUMNS[content.lead][0]} by {title if title == 'SNR' else title.lower()}\n\n"
            + condition(content, title, content.groups[title])
            for title in ("SNR", "Noise")
            if content.groups.get(title)
        ),
        provenance(
            [*(evaluation(system) for system in content.systems), content.command],
            versions(content),
            content.notes,
            noun="utterance",
            date=content.date,
            root=root,
        ),
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
