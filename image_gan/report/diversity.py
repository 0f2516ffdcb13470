"""Whether a generator has collapsed: how much its pictures differ from one another.

Measured is the mean L1 distance between two different pictures, over all pairs of up to 50 evenly
spread ones, each shrunk to 32 x 32 RGB with values from 0 to 1; the same of as many targets. What a
generator made of different sources differs less than a tenth as much as targets do: it collapsed,
and makes nearly the same picture of everything. Less than half as much: its pictures are less
varied, as those are that hedge between what is possible. Of what was made from text, the pictures
of one caption are compared in the same way, by the scores of ``image-gan-evaluate``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from image_gan.images import read
from image_gan.report.systems import Data, Pictures, System, contenders, is_called
from image_gan.sheet import thumbnail

PICTURES = 50  # at most
SIDE = 32  # pixels
COLLAPSED, NARROW = 0.1, 0.5  # of the targets' diversity


class Variety(NamedTuple):
    """How varied a system's pictures are, beside the targets, and what that says."""

    name: str
    own: float
    target: float
    verdict: str
    text: str
    worry: bool


class Words(NamedTuple):
    """What pictures are called that are compared: own ones, the others, and what they are of."""

    own: str
    targets: str
    source: str


TRANSLATED = Words("of its pictures", "targets", "source")
OF_CAPTIONS = Words("of its pictures", "real ones", "caption")
OF_ONE_CAPTION = Words("of its pictures of one caption", "real ones", "draw of noise")


def varieties(systems: Sequence[System], data: Data) -> list[Variety]:
    """Return how varied the pictures of each system are that left any."""
    made = [system for system in systems if system.generated]
    target = diversity(data.target) if made else 0.0
    words = TRANSLATED if data.captions is None else OF_CAPTIONS
    return [variety(one.name, diversity(one.generated), target, words) for one in made]


def varieties_of_captions(systems: Sequence[System]) -> list[Variety]:
    """Return how varied each system's pictures of one caption are, by its score, as real ones'."""
    scores = {
        one.name: one.totals["diversity"].value for one in systems if "diversity" in one.totals
    }
    target = next((score for name, score in scores.items() if is_called(name, "real")), None)
    made = [one.name for one in contenders(systems) if one.name in scores and target is not None]
    return [variety(name, scores[name], target, OF_ONE_CAPTION) for name in made]


def variety(name: str, own: float, target: float, words: Words = TRANSLATED) -> Variety:
    """Return what is to be said of a system, of its diversity and the targets'."""
    targets = words.targets
    if not target > 0 or not own >= 0:
        text = f"Two pictures and two {targets} that differ are needed, and can be read."
        return Variety(name, own, target, "not measured", text, False)
    said = f"Two {words.own} differ by {own:.3g} on average, two {targets} by {target:.3g}"
    if own < COLLAPSED * target:
        text = f"{said}: it makes nearly the same picture of every {words.source}."
        return Variety(name, own, target, "collapsed", text, True)
    if own < NARROW * target:
        text = f"{said}: it hedges, or leaves out much of what {targets} show."
        return Variety(name, own, target, "less varied", text, False)
    return Variety(name, own, target, "varied", f"{said}.", False)


def diversity(pictures: Pictures) -> float:
    """Return the mean L1 distance between two different pictures, NaN for fewer than two."""
    names = sorted(pictures)
    spread = np.linspace(0, len(names) - 1, min(PICTURES, len(names))).round().astype(int)
    small = [own for i in spread if (own := shrunk(pictures, names[i])) is not None]
    distances = [np.abs(one - other).mean() for one, other in combinations(small, 2)]
    return float(np.mean(distances)) if distances else np.nan


def shrunk(pictures: Pictures, name: str) -> np.ndarray | None:
    """Return a picture as ``(SIDE, SIDE, 3)`` from 0 to 1, None where it can't be read."""
    try:
        image = thumbnail(read(pictures[name]), 4 * SIDE)
    except (OSError, ValueError):
        return None
    return np.asarray(image.resize((SIDE, SIDE)), np.float64) / 255
