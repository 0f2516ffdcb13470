"""Cycle: translation both ways between pictures that have no pairs."""

from __future__ import annotations

from torch import nn

from gan.game import Batch, Game, Losses, Turn
from gan.objectives import LeastSquares
from gan.pool import Pool
from gan.translation import Distance


class Cycle(Game):
    """The game of CycleGAN (Zhu et al. 2017, eq. 3) and of DiscoGAN (Kim et al. 2017).

    Batches hold ``source`` and ``target``, as many of each, which have nothing to do with one
    another. The generators' turn comes first, as in the authors' code. Losses are named for the
    domain they are measured in: ``target_adversarial``, ``source_adversarial``, ``source_cycle``,
    ``target_cycle`` and, where asked for, ``target_identity``, ``source_identity``.

    Args:
        generator: G, ``(source) -> estimate of a target``.
        inverse: F, ``(target) -> estimate of a source``.
        target_discriminator: D_Y, ``(x) -> raw scores``, high for real targets.
        source_discriminator: D_X, the same for sources.
        objective: the adversarial loss.
        distance: between a picture and what came round the cycle; L1 where none is given.
        identity: whether a generator should leave alone what already is in the domain it
            translates to (section 5.2 of Zhu et al., for paintings; half the cycle's weight).
        pool: past estimates of each domain that its discriminator is shown; 0 shows new ones.
    """

    def __init__(
        self,
        generator: nn.Module,
        inverse: nn.Module,
        target_discriminator: nn.Module,
        source_discriminator: nn.Module,
        objective: LeastSquares | None = None,
        distance: Distance | None = None,
        identity: bool = False,
        pool: int = 50,
    ):
        super().__init__()
        self.generator, self.inverse = generator, inverse
        self.target_discriminator = target_discriminator
        self.source_discriminator = source_discriminator
        self.objective, self.distance = objective or LeastSquares(), distance or nn.L1Loss()
        self.identity = identity
        self.target_pool, self.source_pool = Pool(pool, seed=0), Pool(pool, seed=1)

    def play(self, batch: Batch) -> Batch:
        """Return an estimate of each domain, made from the other."""
        return {
            "target_estimate": self.generator(batch["source"]),
            "source_estimate": self.inverse(batch["target"]),
        }

    def turns(self) -> dict[str, Turn]:
        """Return the turn of both generators, then that of both discriminators."""
        judges = [self.target_discriminator, self.source_discriminator]
        return {
            "generator": Turn([self.generator, self.inverse], self.fool),
            "discriminator": Turn(judges, self.judge),
        }

    def fool(self, batch: Batch, play: Batch) -> Losses:
        """Return the generators' losses."""
        source, target = batch["source"], batch["target"]
        to_target, to_source = play["target_estimate"], play["source_estimate"]
        losses = {
            "target_adversarial": self.objective.fool(self.target_discriminator(to_target)),
            "source_adversarial": self.objective.fool(self.source_discriminator(to_source)),
            "source_cycle": self.distance(self.inverse(to_target), source),
            "target_cycle": self.distance(self.generator(to_source), target),
        }
        if self.identity:
            losses["target_identity"] = self.distance(self.generator(target), target)
            losses["source_identity"] = self.distance(self.inverse(source), source)
        return losses

    def judge(self, batch: Batch, play: Batch) -> Losses:
        """Return the discriminators' losses, of real pictures and of pooled estimates."""
        to_target = self.target_pool(play["target_estimate"])
        to_source = self.source_pool(play["source_estimate"])
        of_targets = self.scores(self.target_discriminator, batch["target"], to_target)
        of_sources = self.scores(self.source_discriminator, batch["source"], to_source)
        return {
            "target_adversarial": self.objective.judge(*of_targets),
            "source_adversarial": self.objective.judge(*of_sources),
        }
