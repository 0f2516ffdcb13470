"""Terms beside the objective: penalties on a discriminator's slope, matched features, KL.

Each is a scalar, unweighted: its weight is the game's business. Discriminators are called as
``discriminator(x, given=given)``, or ``discriminator(x)`` where nothing is given. Where one returns
a score for every patch, or several maps of them, the slope is that of a sample's mean score, which
is what the objectives average.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from gan import noise


def gradient_penalty(
    discriminator: Callable,
    real: Tensor,
    fake: Tensor,
    given: Tensor | None = None,
    target: float = 1.0,
) -> Tensor:
    """Return E[(|grad D(x)| - target)^2], x drawn between real and fake samples.

    ``real`` and ``fake`` have the same shape (B, ...); each pair is mixed with a share of its own
    drawn from U(0, 1). Its usual weight is 10. Gulrajani et al. 2017, eq. 3.
    """
    share = noise.uniform(len(real), *[1] * (real.dim() - 1), like=real)
    mixed = torch.lerp(real.detach(), fake.detach(), share)
    return (_slope(discriminator, mixed, given).norm(dim=1) - target).square().mean()


def r1(discriminator: Callable, real: Tensor, given: Tensor | None = None) -> Tensor:
    """Return E[|grad D(x)|^2] / 2 at real samples (B, ...).

    Its weight is the paper's gamma, 10 there. Mescheder et al. 2018, eq. 9.
    """
    return _slope(discriminator, real.detach(), given).square().sum(1).mean() / 2


def _slope(discriminator: Callable, x: Tensor, given: Tensor | None) -> Tensor:
    """Return the gradient of each sample's mean score by that sample, flat: (B, ...) -> (B, N)."""
    x = x.clone().requires_grad_()
    scores = discriminator(x) if given is None else discriminator(x, given=given)
    maps = [scores] if isinstance(scores, Tensor) else scores
    total = sum(m.flatten(1).mean(1).sum() if m.dim() > 1 else m.sum() for m in maps) / len(maps)
    (gradient,) = torch.autograd.grad(total, x, create_graph=True)
    return gradient.flatten(1)


@torch.no_grad()
def clip_weights_(module: nn.Module, limit: float) -> None:
    """Clamp every parameter of ``module`` to [-limit, limit], in place.

    Arjovsky et al. 2017, algorithm 1, with a limit of .01.
    """
    for parameter in module.parameters():
        parameter.clamp_(-limit, limit)


def feature_matching(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Return the mean absolute difference of paired activations, averaged over the layers.

    ``real`` and ``fake`` are what a discriminator's ``features`` returns for paired samples; the
    real ones are constants to the gradient. Wang et al. 2018 (pix2pixHD), eq. 4.
    """
    losses = [l1_loss(f, r.detach()) for r, f in zip(real, fake, strict=True)]
    return sum(losses) / len(losses)


def mean_matching(real: Tensor, fake: Tensor) -> Tensor:
    """Return the mean squared difference of one layer's batch means, (B, ...) each.

    The samples need not be paired; the real ones are constants to the gradient. Salimans et al.
    2016, section 3.1, divided by the number of features as in their code.
    """
    return (real.detach().mean(0) - fake.mean(0)).square().mean()


def kl_to_unit_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_variance)) || N(0, I)) in nats, averaged over the batch.

    Both are (B, ...); the divergence is summed over everything but the batch. Kingma and Welling
    2014, appendix B.
    """
    terms = mean.square() + log_variance.exp() - 1 - log_variance
    return terms.flatten(1).sum(1).mean() / 2
