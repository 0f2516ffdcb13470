"""What systems and their scores were made by: commands, versions, sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gan.outputs import version
from gan.report.files import Quotation, within
from gan.report.training import Training


class Made(Protocol):
    """A system with what its folder says of how it came about."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def summary(self) -> dict:
        """Of the program that scored it, empty where it left none."""

    @property
    def versions(self) -> dict:
        """Of gan-train, likewise."""


def sources(quotations: Sequence[Quotation]) -> dict[str, int]:
    """Return the number of each source's footnote."""
    return {source: i for i, source in enumerate(dict.fromkeys(q.source for q in quotations), 1)}


def evaluation(system: Made) -> list[str]:
    """Return the command that scored the system, empty where that isn't known."""
    command = system.summary.get("command")
    return [str(word) for word in command] if isinstance(command, list) else []


def versions(
    systems: Sequence[Made], trainings: Mapping[str, Training], libraries: Sequence[str]
) -> list[tuple[str, str]]:
    """Return what was made by which versions, a pair of texts each; ``libraries`` made this."""
    made: dict[str, list[str]] = {}
    for system in systems:
        used = said_versions(within(system.summary, "versions"))
        made.setdefault(used or "versions unknown", []).append(system.name)
    lines = [(f"scores of {', '.join(names)}", used) for used, names in made.items()]
    for system in systems:
        training = trainings.get(system.name)
        steps = [f"{training.step:,} steps"] if training else []
        used = said_versions(system.versions)
        if steps or used:
            lines.append((f"training of {system.name}", "; ".join([*steps, *filter(None, [used])])))
    own = said_versions({name: version(name) for name in libraries})
    return [*lines, ("this report", own)]


def said_versions(table: dict) -> str:
    """Return versions as text; of Python's long one, the number."""
    return ", ".join(
        f"{name} {str(number or 'unknown').split()[0]}" for name, number in table.items()
    )
