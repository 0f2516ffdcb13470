"""What the two players of an adversarial game minimize.

One convention for the whole project: scores are raw (logits, never squashed) and high means real.
An objective has two methods, each a scalar that its player minimizes:

    judge(real, fake)   the discriminator's loss, of its scores of real and of generated samples
    fool(fake)          the generator's loss, of the discriminator's scores of what it generated

Scores are a tensor of any shape, averaged over all its elements, or a list of such tensors (one for
each scale, say), whose losses are averaged. D below stands for sigmoid(score).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from math import log
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

__all__ = [
    "DIVERGENCES",
    "Divergence",
    "FDivergence",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "Wasserstein",
]

Scores = Tensor | Sequence[Tensor]


def _over_maps(loss: Callable) -> Callable:
    """Let a loss of score maps take lists of them too, and return the mean over the list."""

    @wraps(loss)
    def averaged(self, *scores: Scores) -> Tensor:
        if isinstance(scores[0], Tensor):
            return loss(self, *scores)
        losses = [loss(self, *maps) for maps in zip(*scores, strict=True)]
        return sum(losses) / len(losses)

    return averaged


@dataclass(frozen=True)
class Minimax:
    """The game of Goodfellow et al. 2014, eq. 1.

    ``real`` is the probability that the discriminator is taught for real samples: .9 is the
    one-sided label smoothing of Salimans et al. 2016, section 3.4.

    >>> score = torch.tensor([0.0])
    >>> Minimax().judge(score, score)  # 2 log 2, where the discriminator can't tell
    tensor(1.3863)
    """

    real: float = 1.0

    @_over_maps
    def judge(self, real: Tensor, fake: Tensor) -> Tensor:
        """-E[r log D(x) + (1 - r) log(1 - D(x))] - E[log(1 - D(G))], r the label of real."""
        smoothed = self.real * softplus(-real) + (1 - self.real) * softplus(real)
        return smoothed.mean() + softplus(fake).mean()

    @_over_maps
    def fool(self, fake: Tensor) -> Tensor:
        """E[log(1 - D(G))], whose gradient vanishes where the discriminator is sure."""
        return -softplus(fake).mean()


@dataclass(frozen=True)
class NonSaturating(Minimax):
    """Minimax's discriminator; the generator maximises E[log D(G)] (Goodfellow 2014, section 3)."""

    @_over_maps
    def fool(self, fake: Tensor) -> Tensor:
        """-E[log D(G)], whose gradient is strongest where the discriminator is sure."""
        return softplus(-fake).mean()


@dataclass(frozen=True)
class LeastSquares:
    """Squared distances of the scores to labels (Mao et al. 2017, eq. 2).

    ``real``, ``fake`` and ``wanted`` are the paper's b, a and c: the labels of real and of
    generated samples, and what the generator wants its own to be taken for. ``scale`` is .5 in the
    papers, 1 in the code of SEGAN.
    """

    real: float = 1.0
    fake: float = 0.0
    wanted: float = 1.0
    scale: float = 1.0

    @_over_maps
    def judge(self, real: Tensor, fake: Tensor) -> Tensor:
        """scale * (E[(D(x) - real)^2] + E[(D(G) - fake)^2]), D the raw score."""
        return self.scale * (
            (real - self.real).square().mean() + (fake - self.fake).square().mean()
        )

    @_over_maps
    def fool(self, fake: Tensor) -> Tensor:
        """scale * E[(D(G) - wanted)^2], D the raw score."""
        return self.scale * (fake - self.wanted).square().mean()


@dataclass(frozen=True)
class Hinge:
    """Scores beyond the margins of +1 and -1 cost nothing (Lim and Ye 2017; Miyato et al. 2018)."""

    @_over_maps
    def judge(self, real: Tensor, fake: Tensor) -> Tensor:
        """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G))], D the raw score."""
        return relu(1 - real).mean() + relu(1 + fake).mean()

    @_over_maps
    def fool(self, fake: Tensor) -> Tensor:
        """-E[D(G)], D the raw score."""
        return -fake.mean()


@dataclass(frozen=True)
class Wasserstein:
    """The difference of mean scores (Arjovsky et al. 2017, eq. 2).

    It estimates a distance only where the critic's slope is bounded: see ``gan.penalties``.
    """

    @_over_maps
    def judge(self, real: Tensor, fake: Tensor) -> Tensor:
        """E[D(G)] - E[D(x)], D the raw score."""
        return fake.mean() - real.mean()

    @_over_maps
    def fool(self, fake: Tensor) -> Tensor:
        """-E[D(G)], D the raw score."""
        return -fake.mean()


class Divergence(NamedTuple):
    """A row of Nowozin et al. 2016, table 6, as functions of the raw score v.

    ``activation`` is g_f(v), which maps scores into the domain of the conjugate f*; ``conjugate``
    is f*(g_f(v)) in closed form, which doesn't overflow where f* of the activation would.
    """

    activation: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]


DIVERGENCES = {
    "kl": Divergence(lambda v: v, lambda v: torch.exp(v - 1)),
    "reverse_kl": Divergence(lambda v: -torch.exp(-v), lambda v: v - 1),
    "pearson": Divergence(lambda v: v, lambda v: v * v / 4 + v),
    "hellinger": Divergence(lambda v: -torch.expm1(-v), torch.expm1),
    "jensen_shannon": Divergence(lambda v: log(2) - softplus(-v), lambda v: softplus(v) - log(2)),
    "gan": Divergence(lambda v: -softplus(-v), softplus),
}


@dataclass(frozen=True)
class FDivergence:
    """The variational f-GAN game (Nowozin et al. 2016, eq. 6).

    ``divergence`` is a name in DIVERGENCES. Where the discriminator is at its best, -judge is the
    divergence of the real distribution from the generated one; "jensen_shannon" is twice the usual
    Jensen-Shannon divergence and "gan" is that minus log 4, as in the paper's table 1.
    ``saturating`` takes the minimax loss for the generator instead of the paper's alternative
    (section 3.2).

    Raises ValueError for a name that isn't in DIVERGENCES.
    """

    divergence: str = "jensen_shannon"
    saturating: bool = False

    def __post_init__(self):
        if self.divergence not in DIVERGENCES:
            known = ", ".join(DIVERGENCES)
            raise ValueError(f"no f-divergence called {self.divergence!r}; there are: {known}")

    @_over_maps
    def judge(self, real: Tensor, fake: Tensor) -> Tensor:
        """E[f*(T(G))] - E[T(x)], with T = g_f(score)."""
        activation, conjugate = DIVERGENCES[self.divergence]
        return conjugate(fake).mean() - activation(real).mean()

    @_over_maps
    def fool(self, fake: Tensor) -> Tensor:
        """-E[T(G)], or -E[f*(T(G))] if saturating."""
        activation, conjugate = DIVERGENCES[self.divergence]
        return -(conjugate if self.saturating else activation)(fake).mean()
