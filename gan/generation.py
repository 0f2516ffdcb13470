"""Generation: samples made from a latent vector, perhaps given a condition."""

from __future__ import annotations

from torch import nn

from gan import noise
from gan.game import Batch, Game, Losses, Turn
from gan.objectives import NonSaturating
from gan.penalties import gradient_penalty


class Generation(Game):
    """The game of Goodfellow et al. 2014; conditional (Mirza and Osindero 2014) where ``given`` is.

    Batches hold ``target`` (real samples) and, for a conditional game, ``given``. Losses are
    ``adversarial`` and, for the discriminator, ``gradient_penalty`` where asked for.

    Args:
        generator: ``(z) -> sample``, or ``(z, given=...)``.
        discriminator: ``(x) -> raw scores``, or ``(x, given=...)``.
        latent: the size of z, drawn from the unit normal.
        objective: the adversarial loss.
        penalty: whether the discriminator's turn has WGAN-GP's penalty, weighted by its player.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: int,
        objective: NonSaturating | None = None,
        penalty: bool = False,
    ):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.latent, self.objective, self.penalty = latent, objective or NonSaturating(), penalty

    def play(self, batch: Batch) -> Batch:
        """Return as many samples as the batch holds."""
        z = noise.normal(len(batch["target"]), self.latent, like=batch["target"])
        return {"sample": self.generator(z, **condition(batch))}

    def turns(self) -> dict[str, Turn]:
        """Return the discriminator's turn, then the generator's."""
        return {
            "discriminator": Turn([self.discriminator], self.judge),
            "generator": Turn([self.generator], self.fool),
        }

    def judge(self, batch: Batch, play: Batch) -> Losses:
        """Return the discriminator's losses."""
        real, fake = batch["target"], play["sample"].detach()
        scores = [self.discriminator(x, **condition(batch)) for x in (real, fake)]
        losses = {"adversarial": self.objective.judge(*scores)}
        if self.penalty:
            losses["gradient_penalty"] = gradient_penalty(
                self.discriminator, real, fake, **condition(batch)
            )
        return losses

    def fool(self, batch: Batch, play: Batch) -> Losses:
        """Return the generator's loss."""
        score = self.discriminator(play["sample"], **condition(batch))
        return {"adversarial": self.objective.fool(score)}


def condition(batch: Batch) -> Batch:
    """Return the keyword ``given`` where the batch holds a condition."""
    return {"given": batch["given"]} if "given" in batch else {}
