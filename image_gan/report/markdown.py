"""``RESULTS.md``: the table to keep beside a recipe, which says nothing of a machine's folders."""

from __future__ import annotations

from pathlib import Path

from gan.report.markdown import escaped, footnotes, provenance, table
from gan.report.provenance import evaluation, sources
from gan.report.statistics import Interval
from gan.report.text import decimal, margin
from image_gan.metrics import COLUMNS
from image_gan.report.content import Content, heading, incomplete, measured, versions


def render(content: Content, root: Path) -> str:
    """Return the results as Markdown; paths are as seen from ``root``."""
    parts = [
        f"# {escaped(content.title)}",
        f"{measured(content)} {explanation(content)}",
        overview(content),
        footnotes(sources(content.quotations)),
        protocols(content),
        health(content),
        provenance(
            [*(evaluation(system) for system in content.systems), content.command],
            versions(content),
            content.notes,
            noun="picture",
            date=content.date,
            root=root,
        ),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def explanation(content: Content) -> str:
    """Return what the numbers in the table are."""
    text = "The best of the measured systems in bold."
    if not content.per_picture:
        return text
    return f"Means over pictures ± half the width of their 95 % confidence interval. {text}"


def overview(content: Content) -> str:
    """Return the table of the systems' scores, quoted rows below them."""
    rows = [["system", *(heading(metric) for metric in content.metrics)]]
    for row in content.rows:
        cells = [cell(content, m, row.means[m], m in row.best) for m in content.metrics]
        rows.append([escaped(row.name), *cells])
    numbers = sources(content.quotations)
    for quotation in content.quotations:
        name = f"*{escaped(quotation.name)}* (quoted, {numbers[quotation.source]})"
        rows.append([name, *(quotation.scores.get(metric, "") for metric in content.metrics)])
    return table(rows)


def cell(content: Content, metric: str, own: Interval, best: bool) -> str:
    """Return a score, with its interval where it has one, and over how many where not over all."""
    decimals = COLUMNS[metric].decimals
    value = decimal(own.mean, decimals)
    over = f"(n = {own.n})" if incomplete(content, metric, own.n) else ""
    words = [f"**{value}**" if best else value, margin(own.half, decimals), over]
    return " ".join(filter(None, words))


def protocols(content: Content) -> str:
    """Return how each score is computed."""
    lines = [
        f"- {escaped(COLUMNS[metric].heading)}: {escaped(way)}"
        for metric, ways in content.protocols.items()
        for way in ways
    ]
    return "\n".join(["## Protocols", "", *lines]) if lines else ""


def health(content: Content) -> str:
    """Return who was winning each training, and which generators collapsed."""
    lines = [
        f"- {escaped(name)}, {escaped(finding.about)}: {finding.verdict}. {escaped(finding.text)}"
        for name, found in content.health.items()
        for finding in found
    ]
    lines += [
        f"- {escaped(one.name)}, diversity: {one.verdict}. {escaped(one.text)}"
        for one in content.varieties
    ]
    return "\n".join(["## Health", "", *lines]) if lines else ""
