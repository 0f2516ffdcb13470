"""Values that change over the steps of a run, and gates that read losses.

A schedule is called with a step, counted from 0, and returns a float: a learning rate's multiplier,
a loss's weight, the strength of a noise. It depends on the step alone, so that resuming needs none
of its state. A gate is called with a turn's named losses and returns whether the turn is taken.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Schedule = Callable[[int], float]


def _check_steps(name: str, steps: int) -> None:
    if steps < 1:
        raise ValueError(f"{name} must be 1 or more, not {steps}")


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and 1 at most, not {share}")


@dataclass(frozen=True)
class Constant:
    """The same value at every step."""

    value: float = 1.0

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        return self.value


@dataclass(frozen=True)
class Linear:
    """A line from ``start`` to ``end`` over ``steps`` steps from step ``begin``, flat elsewhere.

    >>> decay = Linear(start=1.0, end=0.0, steps=100, begin=100)  # CycleGAN's, in epochs
    >>> decay(50), decay(150), decay(500)
    (1.0, 0.5, 0.0)
    """

    start: float
    end: float
    steps: int
    begin: int = 0

    def __post_init__(self):
        _check_steps("steps", self.steps)

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        share = min(max((step - self.begin) / self.steps, 0.0), 1.0)
        return self.start + (self.end - self.start) * share


@dataclass(frozen=True)
class LinearTail:
    """1, until over the last ``share`` of ``steps`` steps it falls in a line to 0.

    >>> rate = LinearTail(steps=200)  # CycleGAN's: half of the run constant, half falling
    >>> rate(99), rate(150), rate(200)
    (1.0, 0.5, 0.0)
    """

    steps: int
    share: float = 0.5

    def __post_init__(self):
        _check_steps("steps", self.steps)
        _check_share(self.share)

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        return min(max((self.steps - step) / (self.share * self.steps), 0.0), 1.0)


@dataclass(frozen=True)
class StepTail:
    """1, and ``factor`` in the last ``share`` of ``steps`` steps.

    >>> rate = StepTail(steps=200_000)  # SRGAN's: 1e-4, then 1e-5
    >>> rate(99_999), rate(100_000)
    (1.0, 0.1)
    """

    steps: int
    share: float = 0.5
    factor: float = 0.1

    def __post_init__(self):
        _check_steps("steps", self.steps)
        _check_share(self.share)

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        return self.factor if step >= (1 - self.share) * self.steps else 1.0


@dataclass(frozen=True)
class Stairs:
    """1, multiplied by ``factor`` after each of ``stairs`` equal parts of ``steps`` steps.

    >>> rate = Stairs(steps=600)  # StackGAN's, in epochs: halved after every 100 of 600
    >>> rate(99), rate(100), rate(599)
    (1.0, 0.5, 0.03125)
    """

    steps: int
    stairs: int = 6
    factor: float = 0.5

    def __post_init__(self):
        _check_steps("steps", self.steps)
        _check_steps("stairs", self.stairs)

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        return float(self.factor ** min(step * self.stairs // self.steps, self.stairs - 1))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from ``start`` to ``end`` over ``steps`` steps, flat after.

    Loshchilov and Hutter 2017, eq. 5, without restarts.
    """

    start: float
    end: float
    steps: int

    def __post_init__(self):
        _check_steps("steps", self.steps)

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        share = min(max(step / self.steps, 0.0), 1.0)
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class Steps:
    """``start``, multiplied by ``factor`` at each of the steps ``at``.

    >>> rate = Steps(start=1e-4, factor=0.1, at=[100_000])
    >>> rate(99_999), round(rate(100_000), 9)
    (0.0001, 1e-05)
    """

    start: float
    factor: float
    at: Sequence[int]

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        return self.start * self.factor ** sum(step >= drop for drop in self.at)


@dataclass(frozen=True)
class Decay:
    """``start``, multiplied by ``factor`` every ``every`` steps.

    >>> noise = Decay(start=0.5, factor=0.7, every=1000)
    >>> noise(999), noise(1000)
    (0.5, 0.35)
    """

    start: float
    factor: float
    every: int

    def __post_init__(self):
        _check_steps("every", self.every)

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        return self.start * self.factor ** (step // self.every)


@dataclass(frozen=True)
class Warmup:
    """The schedule ``then``, scaled up to its full value over the first ``steps`` steps.

    Step 0 gets the share 1 / steps, not 0, so that it isn't wasted.
    """

    steps: int
    then: Schedule

    def __post_init__(self):
        _check_steps("steps", self.steps)

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        return self.then(step) * min((step + 1) / self.steps, 1.0)


def _value(losses: Mapping[str, float], name: str) -> float:
    if name not in losses:
        raise ValueError(f"no loss called {name!r} to wait for; there are: {', '.join(losses)}")
    return float(losses[name])


@dataclass(frozen=True)
class Above:
    """Open while the loss called ``loss`` is above ``threshold``.

    >>> rested = Above("adversarial", 0.1)
    >>> rested({"adversarial": 0.05})
    False
    """

    loss: str
    threshold: float

    def __call__(self, losses: Mapping[str, float]) -> bool:
        """Return whether it is open; raise ValueError where no such loss is."""
        return _value(losses, self.loss) > self.threshold


@dataclass(frozen=True)
class Below:
    """Open while the loss called ``loss`` is below ``threshold``."""

    loss: str
    threshold: float

    def __call__(self, losses: Mapping[str, float]) -> bool:
        """Return whether it is open; raise ValueError where no such loss is."""
        return _value(losses, self.loss) < self.threshold
