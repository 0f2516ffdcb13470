"""Translation: an estimate made from a source, judged given the source, near to its target.

SEGAN, pix2pix, SRGAN and inpainting are this game with different networks and distances.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from gan.game import Batch, Game, Losses, Turn
from gan.objectives import LeastSquares
from gan.penalties import feature_matching

Distance = Callable[[Tensor, Tensor], Tensor]


class Translation(Game):
    """Conditional adversarial translation (Isola et al. 2017, eq. 4; Pascual et al. 2017, eq. 5).

    Batches hold ``source`` and ``target``. Losses are ``adversarial``, the distances' names and,
    where asked for, ``features``.

    Args:
        generator: ``(source) -> estimate``.
        discriminator: ``(x, given=source) -> raw scores``, high for real; None trains the
            generator alone, on its distances (SRGAN's first run).
        objective: the adversarial loss, see ``gan.objectives``.
        distances: ``(estimate, target) -> scalar``, by name; L1 where nothing is given.
        matching: whether the discriminator's ``features`` of estimates should be those of targets:
            a distance that looks at structure and needs no other network (pix2pixHD's).
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None = None,
        objective: LeastSquares | None = None,
        distances: Mapping[str, Distance] | None = None,
        matching: bool = False,
    ):
        super().__init__()
        if matching and not hasattr(discriminator, "features"):
            raise ValueError("matching: needs a discriminator that tells its features")
        self.matching = matching
        self.generator, self.discriminator = generator, discriminator
        self.objective = objective or LeastSquares()
        self.distances = dict(distances or {"l1": nn.L1Loss()})
        self.modules_of_distances = nn.ModuleList(
            distance for distance in self.distances.values() if isinstance(distance, nn.Module)
        )

    def play(self, batch: Batch) -> Batch:
        """Return the estimate."""
        return {"estimate": self.generator(batch["source"])}

    def turns(self) -> dict[str, Turn]:
        """Return the discriminator's turn, where there is one, then the generator's."""
        fool = {"generator": Turn([self.generator], self.fool)}
        if self.discriminator is None:
            return fool
        return {"discriminator": Turn([self.discriminator], self.judge), **fool}

    def judge(self, batch: Batch, play: Batch) -> Losses:
        """Return the discriminator's loss."""
        samples = batch["target"], play["estimate"].detach()
        scores = self.scores(self.discriminator, *samples, given=batch["source"])
        return {"adversarial": self.objective.judge(*scores)}

    def fool(self, batch: Batch, play: Batch) -> Losses:
        """Return the generator's losses."""
        estimate, target = play["estimate"], batch["target"]
        losses = {name: distance(estimate, target) for name, distance in self.distances.items()}
        if self.discriminator is None:
            return losses
        if self.matching:
            features, given = self.discriminator.features, batch["source"]
            pair = (features(x, given=given) for x in (target, estimate))
            losses["features"] = feature_matching(*pair)
        fake = self.discriminator(estimate, given=batch["source"])
        return {"adversarial": self.objective.fool(fake), **losses}
