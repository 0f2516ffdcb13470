"""Whether a training is well: who is winning, whether its losses are steady, and finite.

A loss of the discriminator says little by itself. It is compared here with the loss of the best
discriminator where generated samples are as good as real ones and nobody could tell: log 4 of
``gan.objectives.NonSaturating`` and ``Minimax``, scale / 2 of ``LeastSquares`` with labels 0 and
1, 2 of ``Hinge``. ``gan-train`` logs losses before their weights, so that no weight enters.
Wasserstein and f-divergences have no such level: their losses are estimates of a distance.

What is said rests on means over the last fifth of the reports:

    below 5 % of that level         the discriminator is winning, the generator learns little
    below 25 %                      the discriminator is ahead
    up to 95 %                      both are in the game
    up to 110 %                     the discriminator can't tell
    above                           the generator is winning, the discriminator is fooled

The discriminator is winning as well where the generator's loss has come nine tenths of the way from
what it is where nobody could tell to what it is where generated samples are found out (by a
probability of 99 %; by their label; by the margin). Losses swing where the discriminator's standard
deviation over the last half of the reports is above 25 % of the level; where there is none, of the
mean of its absolute values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gan.report.training import Curve, Training

WON, AHEAD, EVEN, LOST = 0.05, 0.25, 0.95, 1.1  # of the discriminator's level
FOUND_OUT = 0.9  # of the way to the generator's ceiling
SURE = 0.99  # the probability that is as good as certainty
SWING = 0.25  # of the discriminator's level
FEWEST = 5  # reports that something can be said of
LOGARITHMIC = ("Minimax", "NonSaturating")


class Levels(NamedTuple):
    """Losses of an objective where nobody could tell, and the generator's where it is found out."""

    judge: float
    fool: float
    ceiling: float


class Finding(NamedTuple):
    """What is said of one loss in plain words; ``worry`` where somebody should look into it."""

    about: str
    verdict: str
    text: str
    worry: bool


# What losses would be


def minimax(real: float = 1.0) -> Levels:
    """Return the levels of ``Minimax``; where nobody could tell, D is half the label of real."""
    return Levels(cross_entropy(real), math.log(1 - real / 2), math.log(SURE))


def non_saturating(real: float = 1.0) -> Levels:
    """Return the levels of ``NonSaturating``."""
    return Levels(cross_entropy(real), -math.log(real / 2), -math.log(1 - SURE))


def cross_entropy(real: float, generated: float = 1.0) -> float:
    """Return the least loss of a discriminator that can't tell; log 4 for the label 1.

    ``generated`` is the weight of generated samples among all that it is taught are fake; it does
    tell the others.
    """
    taken = real / (1 + generated)  # for real
    return -real * math.log(taken) - (1 - real + generated) * math.log(1 - taken)


def least_squares(
    real: float = 1.0, fake: float = 0.0, wanted: float = 1.0, scale: float = 1.0
) -> Levels:
    """Return the levels of ``LeastSquares``; where nobody could tell, D is between its labels."""
    between = (real + fake) / 2
    squares = ((real - fake) ** 2 / 2, (between - wanted) ** 2, (fake - wanted) ** 2)
    return Levels(*(scale * square for square in squares))


def hinge() -> Levels:
    """Return the levels of ``Hinge``."""
    return Levels(2.0, 0.0, 1.0)


KNOWN: dict[str, Callable[..., Levels]] = {
    "Minimax": minimax,
    "NonSaturating": non_saturating,
    "LeastSquares": least_squares,
    "Hinge": hinge,
}


def levels(config: str) -> Levels | None:
    """Return the levels of the objective in a ``config.yaml``, None where it has or says none."""
    name, fields = objective(config)
    try:
        found = KNOWN[name](**fields)
        return found if found.judge > 0 else None
    except (KeyError, TypeError, ValueError):  # no level; fields that the class hasn't; labels
        return None


def objective(config: str) -> tuple[str, dict[str, float]]:
    """Return the class in ``gan.objectives`` that a ``config.yaml`` names, and its fields.

    Games take LeastSquares where nothing is named. The name is empty without a configuration, and
    for a class elsewhere.

    >>> objective("game:\\n  objective:\\n    _target_: gan.objectives.Minimax\\n    real: 0.9\\n")
    ('Minimax', {'real': 0.9})
    """
    block = re.search(r"^( *)objective: *\n((?:\1 +.*\n?)+)", config, re.MULTILINE)
    if not block:
        return ("LeastSquares" if config else ""), {}
    pairs = dict(line.strip().partition(":")[::2] for line in block[2].splitlines())
    module, _, name = pairs.pop("_target_", "").strip().rpartition(".")
    numbers = {key: float(text) for key, text in pairs.items() if is_number(text)}
    return (name if module == "gan.objectives" else ""), numbers


def is_number(text: str) -> bool:
    """Return whether ``text`` is a number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


# What they are


def assess(training: Training, config: str) -> list[Finding]:
    """Return what is to be said of a training, given its ``config.yaml``; see the module."""
    found = [
        Finding(name, "not finite", f"NaN or infinite at step {step:,}.", True)
        for name, step in training.not_finite.items()
    ]
    level, more = levels(config), of_matching(config)
    judged = [name for name in training.losses if name.startswith("discriminator/")]
    for name in judged:
        other = training.losses.get(name.replace("discriminator/", "generator/"))
        first, *rest = of_player(name, training.losses[name], other, level)
        found += [first._replace(text=first.text + more) if level else first, *rest]
    if not judged:
        text = "No discriminator: nothing that could win or be fooled."
        found.append(Finding("game", "no adversary", text, False))
    return found


def of_matching(config: str) -> str:
    """Return what else a discriminator's loss is to be compared with, if it is shown wrong pairs.

    Such a one (``image_gan.text_to_image``) is never at a loss: real samples with a wrong condition
    are half of what it is taught are fake, a third where it also scores realism by itself.
    """
    name, fields = objective(config)
    if not re.search(r"^ +matching_aware: true$", config, re.MULTILINE) or name not in LOGARITHMIC:
        return ""
    realism = re.search(r"^ +realism: true$", config, re.MULTILINE)
    level = cross_entropy(fields.get("real", 1.0), 2 / 3 if realism else 1 / 2)
    return (
        " Where it tells wrong conditions, but not generated samples from real ones, its loss is "
        f"{level:.3g}."
    )


def of_player(name: str, judge: Curve, fool: Curve | None, level: Levels | None) -> list[Finding]:
    """Return what is to be said of a discriminator's loss, and of the generator's against it."""
    about = name.partition("/")[2]
    reports = len(judge.values)
    if reports < FEWEST:
        text = f"{reports} reports are too few to judge by; {FEWEST} are needed."
        return [Finding(about, "too short", text, False)]
    if level is None:
        text = "This objective has no level at which the discriminator can't tell."
        return [Finding(about, "no level", text, False), steadiness(about, judge, None)]
    return [
        balance(about, recent(judge), fool and recent(fool), level),
        steadiness(about, judge, level),
    ]


def recent(curve: Curve) -> float:
    """Return the mean over the last fifth of a curve."""
    return float(np.mean(curve.values[-max(len(curve.values) // 5, 1) :]))


def balance(about: str, judge: float, fool: float | None, level: Levels) -> Finding:
    """Return who is winning, of the recent losses of discriminator and generator."""
    share, way = judge / level.judge, 0.0
    text = f"Discriminator {judge:.3g}, {100 * share:.0f} % of "
    text += f"the {level.judge:.3g} where it can't tell"
    if fool is not None:
        way = (fool - level.fool) / (level.ceiling - level.fool or math.inf)
        text += f"; generator {fool:.3g}, between {level.fool:.3g} (it can't tell) and "
        text += f"{level.ceiling:.3g} (found out)"
    verdict = verdict_of(share, way)
    return Finding(about, verdict, f"{text}. {MEANING[verdict]}", "winning" in verdict)


MEANING = {
    "discriminator winning": "It tells nearly all samples, and the generator learns little from "
    "it: lower its learning rate, smooth its label or show it noise.",
    "discriminator ahead": "It tells most samples; the generator still learns from it.",
    "in balance": "Both players are in the game.",
    "can't tell": "Either the generated samples are as good as real ones, or the discriminator "
    "doesn't learn: look at the pictures.",
    "generator winning": "The discriminator is worse than one that says the same of everything, "
    "and teaches little: give it more capacity or more steps.",
}


def verdict_of(share: float, way: float) -> str:
    """Return the verdict on a discriminator's ``share`` of its level and a generator's ``way``."""
    if share < WON or way > FOUND_OUT:
        return "discriminator winning"
    if share < AHEAD:
        return "discriminator ahead"
    if share <= EVEN:
        return "in balance"
    return "can't tell" if share <= LOST else "generator winning"


def steadiness(about: str, judge: Curve, level: Levels | None) -> Finding:
    """Return whether a discriminator's loss swings in the last half of its reports."""
    late = np.array(judge.values[len(judge.values) // 2 :])
    against = level.judge if level else float(np.abs(late).mean())
    swing = float(late.std()) / (against or math.inf)
    text = f"Standard deviation over the last half {late.std():.2g}, {100 * swing:.0f} % of "
    text += "that level." if level else "the mean of its absolute values."
    return Finding(about, "swings" if swing > SWING else "steady", text, swing > SWING)
