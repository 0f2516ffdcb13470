"""Moving averages of weights, which generate better than the weights themselves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def moving_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """Return how ``torch.optim.swa_utils.AveragedModel`` takes an exponential moving average.

    After n updates the past is kept by ``min(decay, (1 + n) / (10 + n))``: a short run's average
    would else be half of its random beginning.

    Raises:
        ValueError: where ``decay`` is not from 0 up and below 1.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay {decay} of an average: from 0 up and below 1 is needed")

    @torch.no_grad()
    def update(averages: list[Tensor], weights: list[Tensor], count: Tensor) -> None:
        changes = torch._foreach_sub(weights, averages)
        torch._foreach_mul_(changes, 1 - ((1 + count) / (10 + count)).clamp(max=decay))
        torch._foreach_add_(averages, changes)

    return update
