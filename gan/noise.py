"""Noise that stays the same however many processes share a batch.

A network or game that draws from here draws for every sample of the batch, wherever it is computed:
processes hold generators that go in step, draw for the whole batch, and keep their own share. Alone
it is torch's global generator that is drawn from, as by ``torch.randn_like``.

>>> code = torch.zeros(4, 8)
>>> normal_like(code).shape, uniform(4, 1, like=code).shape
(torch.Size([4, 8]), torch.Size([4, 1]))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gan import distributed

_generator: torch.Generator | None = None  # None is torch's global one


def normal_like(x: Tensor) -> Tensor:
    """Return noise from N(0, 1) of the shape, type and device of a batch ``(B, ...)``."""
    return torch.randn_like(x) if distributed.world() == 1 else _share(torch.randn, x.shape, x)


def normal(*shape: int, like: Tensor) -> Tensor:
    """Return noise from N(0, 1) of that shape ``(B, ...)``, of the type and device of ``like``."""
    return _share(torch.randn, shape, like)


def uniform(*shape: int, like: Tensor) -> Tensor:
    """Return noise from U(0, 1) of that shape ``(B, ...)``, of the type and device of ``like``."""
    return _share(torch.rand, shape, like)


def seed(number: int, device: torch.device) -> None:
    """Begin the noise of a run on ``device``; its processes all call this with the same number.

    Alone this seeds nothing: the global generator is the caller's to seed.
    """
    global _generator
    if distributed.world() > 1:
        _generator = torch.Generator(device).manual_seed(number)
    elif device.type == "cuda":
        torch.cuda.init()
        _generator = torch.cuda.default_generators[device.index or 0]
    else:
        _generator = torch.default_generator


def state() -> Tensor:
    """Return the state that the noise is in, the same for all processes of the run.

    Set in a run of another number of processes, it goes on there with the same numbers.
    """
    return (_generator or torch.default_generator).get_state()


def set_state(state: Tensor) -> None:
    """Go on from ``state``; one that comes of another kind of device changes nothing."""
    generator = _generator or torch.default_generator
    if state.shape == generator.get_state().shape:
        generator.set_state(state)


@contextmanager
def replayed(before: Tensor) -> Iterator[None]:
    """Draw the noise that came after ``before`` again inside, and go on where it was."""
    now = state()
    set_state(before)
    try:
        yield
    finally:
        set_state(now)


def _share(draw: Callable[..., Tensor], shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return what is drawn for the whole batch, as far as it is for this process's share."""
    kind = {"dtype": like.dtype, "device": like.device}
    if distributed.world() == 1:
        return draw(shape, **kind)
    count, *rest = shape
    return distributed.own(draw(count * distributed.world(), *rest, generator=_generator, **kind))
