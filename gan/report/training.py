"""The curves of a training: what ``gan-train`` left in ``log.jsonl``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.log import MEASURED
from gan.outputs import Refusal

DENSE = 80  # points from which on a curve is smoothed
SMOOTH = 20  # a dense curve is averaged over one part in so many


class Curve(NamedTuple):
    """A number in the course of a training, at increasing steps."""

    steps: list[int]
    values: list[float]


class Training(NamedTuple):
    """Losses by ``player/name``, validation scores by name, and the step it has come to.

    Curves have finite values alone; ``not_finite`` has the first step of another, by name.
    """

    losses: dict[str, Curve]
    scores: dict[str, Curve]
    step: int
    not_finite: dict[str, int]


def read_training(folder: Path) -> Training | None:
    """Return the training in ``folder``, None where no ``log.jsonl`` with a report is there.

    A last line that was cut short is passed over. Raises ``Refusal`` for any other malformed line.
    """
    path = folder / "log.jsonl"
    reports = read_reports(path) if path.is_file() else []
    losses: dict[str, Curve] = {}
    scores: dict[str, Curve] = {}
    not_finite: dict[str, int] = {}
    for report in reports:
        curves = scores if report["kind"] == "validation" else losses
        for name, value in report.items():
            if name in ("step", "kind") or (curves is losses and not is_loss(name)):
                continue
            if not isinstance(value, (int, float)):
                continue
            if not math.isfinite(value):
                not_finite.setdefault(name, report["step"])
                continue
            curve = curves.setdefault(name, Curve([], []))
            curve.steps.append(report["step"])
            curve.values.append(value)
    step = max((report["step"] for report in reports), default=0)
    return Training(losses, scores, step, not_finite) if reports else None


def is_loss(name: str) -> bool:
    """Return whether a number of a training's report is a player's loss, and no time or speed."""
    return "/" in name and not name.startswith(MEASURED)


def read_reports(path: Path) -> list[dict]:
    """Return the reports in a log."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{path}: cannot be read ({error})") from None
    reports = []
    for number, line in enumerate(lines, 1):
        try:
            report = json.loads(line)
            {"step": int(report["step"]), "kind": str(report["kind"])}
            reports.append(report)
        except (ValueError, KeyError, TypeError):
            if number < len(lines):
                raise Refusal(f"{path}:{number}: not a report of gan-train: {line!r}") from None
    return reports


def smoothed(curve: Curve) -> Curve:
    """Return the curve, a dense one as its centered moving average; NaN-free, as long as before."""
    count = len(curve.values)
    if count < DENSE:
        return curve
    reach = count // SMOOTH // 2
    sums = np.cumsum([0.0, *curve.values])
    first = np.maximum(np.arange(count) - reach, 0)
    last = np.minimum(np.arange(count) + reach + 1, count)
    return Curve(curve.steps, ((sums[last] - sums[first]) / (last - first)).tolist())
