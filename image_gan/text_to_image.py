"""Text to image: pictures that look real, and go with what was said."""

from __future__ import annotations

import torch
from torch import Tensor

from gan import noise
from gan.game import Batch, Game, Losses, Turn
from gan.objectives import NonSaturating
from gan.penalties import kl_to_unit_normal
from image_gan.stackgan import MatchingDiscriminator, StackGAN


class TextToImage(Game):
    """The game of both stages of StackGAN (Zhang et al. 2017, eqs. 3 to 6), and of cGANs.

    Batches hold ``target``, ``text`` that goes with it and ``wrong``, text that doesn't; or, in
    place of the two, ``embedding`` and ``wrong_embedding`` that were made elsewhere. Losses are
    ``adversarial``, the generator's ``kl`` where its condition is augmented, and its ``realism``
    where the discriminator scores that by itself.

    Args:
        generator: text encoder and stages; the last stage trains.
        discriminator: ``(x, given=condition) -> raw scores``.
        objective: the adversarial loss.
        matching_aware: whether real pictures with wrong text are for the discriminator what
            generated ones are (Reed et al. 2016, algorithm 1); else it is never shown them, as in
            the conditional GAN of Mirza and Osindero 2014.
    """

    def __init__(
        self,
        generator: StackGAN,
        discriminator: MatchingDiscriminator,
        objective: NonSaturating | None = None,
        matching_aware: bool = True,
    ):
        super().__init__()
        if generator.size != discriminator.size:
            raise ValueError(
                f"the generator makes pictures of {generator.size} pixels, the discriminator "
                f"judges those of {discriminator.size}; make them the same"
            )
        self.generator, self.discriminator = generator, discriminator
        self.objective, self.matching_aware = objective or NonSaturating(), matching_aware

    def play(self, batch: Batch) -> Batch:
        """Return pictures made of the texts, and the condition they were made by."""
        target, embedding = batch["target"], self.embedding(batch)
        z = noise.normal(len(target), self.generator.latent, like=target)
        drawn = self.generator(z, embedding)
        play = {"sample": drawn.picture, "mean": drawn.mean}
        return play if drawn.log_variance is None else {**play, "log_variance": drawn.log_variance}

    def embedding(self, batch: Batch, wrong: bool = False) -> Tensor:
        """Return the embeddings of the texts, or of the wrong ones."""
        made = "wrong_embedding" if wrong else "embedding"
        if made in batch:
            return batch[made]
        return self.generator.embed(batch["wrong" if wrong else "text"])

    def turns(self) -> dict[str, Turn]:
        """Return the discriminator's turn, then the generator's."""
        return {
            "discriminator": Turn([self.discriminator], self.judge),
            "generator": Turn([self.generator], self.fool),
        }

    def judge(self, batch: Batch, play: Batch) -> Losses:
        """Return the discriminator's loss.

        The mean over all that is taught as real, and over all that is taught as fake: the weights
        of the authors' code.
        """
        judge, given = self.discriminator, play["mean"].detach()
        real = judge.features(batch["target"])
        fake = judge.features(play["sample"].detach())
        taught = [judge.matching(real, given)], [judge.matching(fake, given)]
        if self.matching_aware:
            taught[1].append(judge.matching(real, self.wrong_condition(batch)))
        if judge.realism is not None:
            taught[0].append(judge.plausible(real))
            taught[1].append(judge.plausible(fake))
        return {"adversarial": self.objective.judge(*(torch.cat(scores) for scores in taught))}

    @torch.no_grad()
    def wrong_condition(self, batch: Batch) -> Tensor:
        """Return the mean condition of the wrong texts, a constant."""
        conditioning = self.generator.last.conditioning
        return conditioning.distribution(self.embedding(batch, wrong=True))[0]

    def fool(self, batch: Batch, play: Batch) -> Losses:
        """Return the generator's losses."""
        judge = self.discriminator
        features = judge.features(play["sample"])
        matching = judge.matching(features, play["mean"].detach())
        losses = {"adversarial": self.objective.fool(matching)}
        if judge.realism is not None:
            losses["realism"] = self.objective.fool(judge.plausible(features))
        if "log_variance" in play:
            losses["kl"] = kl_to_unit_normal(play["mean"], play["log_variance"])
        return losses
