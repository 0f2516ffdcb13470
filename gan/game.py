"""What a game is: a forward pass that its turns share, and the turns in order.

The glossary of the project:

    source    what a network is given: a noisy wave, a label map, a latent vector's label
    target    what it should make of it
    estimate  what it does make of it
    judge     the discriminator's turn: tell real from generated
    fool      the generator's turn: pass for real
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

Batch = dict[str, Tensor]
Losses = dict[str, Tensor]


class Turn(NamedTuple):
    """One player's move.

    Attributes:
        trains: the modules that it updates.
        losses: ``(batch, play) ->`` its losses, named, scalar, not yet weighted.
    """

    trains: Sequence[nn.Module]
    losses: Callable[[Batch, Batch], Losses]


class Game(nn.Module):
    """The rules of a training method; networks are its sub-modules.

    A new kind of move (a cycle, a stack, a third player) is a new small game. The trainer takes the
    turns in order, and isolates the players: a turn's losses reach no weights but those it trains.

    Attributes:
        together: whether ``scores`` takes all samples through the discriminator in one pass.
    """

    together = False

    def scores(self, discriminator: nn.Module, *samples: Tensor, **given: Tensor) -> list:
        """Return the discriminator's raw scores of each batch of samples."""
        if not self.together:
            return [discriminator(x, **given) for x in samples]
        count = len(samples)
        given = {name: torch.cat([x] * count) for name, x in given.items()}
        scores = discriminator(torch.cat(samples), **given)
        if isinstance(scores, Tensor):
            return list(scores.chunk(count))
        return [list(own) for own in zip(*(s.chunk(count) for s in scores), strict=True)]

    def play(self, batch: Batch) -> Batch:
        """Return what the turns of a step share, such as ``{"estimate": ...}``."""
        return {}

    def turns(self) -> dict[str, Turn]:
        """Return the turns by player, in the order they are taken."""
        raise NotImplementedError
