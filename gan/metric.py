"""Translation against a discriminator that learns a metric, which has no gradient of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from gan.game import Batch, Losses
from gan.translation import Distance, Translation


class MetricTranslation(Translation):
    """MetricGAN (Fu et al. 2019, eq. 4 and 5): the discriminator predicts the score of an estimate.

    It is given the target: ``D(x, given=target)``, one raw score a sample. It learns 1 for targets
    and the metric for what else it sees: estimates, and of every fourth sample the source (as
    MetricGAN+, Fu et al. 2021, has it for the noisy speech). The generator's estimates are to score
    1. Losses are ``adversarial`` and the distances' names.

    Args:
        generator: ``(source) -> estimate``.
        discriminator: ``(x, given=target) -> (B,)`` or ``(B, 1)``.
        metric: ``(x, target) -> (B,)``, 1 for the target itself, not finite where undefined; such
            samples are left out.
        distances: see ``Translation``.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        metric: Callable[[Tensor, Tensor], Tensor],
        distances: Mapping[str, Distance] | None = None,
    ):
        super().__init__(generator, discriminator, distances=distances)
        self.metric = metric

    def judge(self, batch: Batch, play: Batch) -> Losses:
        """Return the squared error of the predicted scores."""
        target = batch["target"]
        sample = torch.arange(len(target), device=target.device) % 4 == 3
        sample = sample.view(-1, *[1] * (target.dim() - 1))
        sample = torch.where(sample, batch["source"], play["estimate"].detach())
        with torch.no_grad():
            goal = self.metric(sample, target).to(target.device)
        real, fake = self.scores(self.discriminator, target, sample, given=target)
        error = (fake.flatten() - goal.nan_to_num()).square()
        known = goal.isfinite()
        error = (error * known).sum() / known.sum().clamp(min=1)
        return {"adversarial": error + (real - 1).square().mean()}

    def fool(self, batch: Batch, play: Batch) -> Losses:
        """Return how far the predicted scores are from the best, and the distances."""
        estimate, target = play["estimate"], batch["target"]
        losses = {name: distance(estimate, target) for name, distance in self.distances.items()}
        fake = self.discriminator(estimate, given=target)
        return {"adversarial": (fake - 1).square().mean(), **losses}
