import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from gan.objectives import (
    DIVERGENCES,
    FDivergence,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Wasserstein,
)

SCORES = torch.tensor([1.0, 2.0, 3.0])
ALL = [Minimax(), NonSaturating(), LeastSquares(), Hinge(), Wasserstein()]
ALL += [FDivergence(name, saturating) for name in DIVERGENCES for saturating in (False, True)]

# f of D_f(P || Q) = sum q f(p / q), as in table 1 of Nowozin et al. 2016
GENERATORS = {
    "kl": lambda u: u * u.log(),
    "reverse_kl": lambda u: -u.log(),
    "pearson": lambda u: (u - 1) ** 2,
    "hellinger": lambda u: (u.sqrt() - 1) ** 2,
    "jensen_shannon": lambda u: -(u + 1) * ((1 + u) / 2).log() + u * u.log(),
    "gan": lambda u: u * u.log() - (u + 1) * (u + 1).log(),
}

BEST_SCORES = {
    "kl": lambda u: 1 + u.log(),
    "reverse_kl": lambda u: u.log(),
    "pearson": lambda u: 2 * (u - 1),
    "hellinger": lambda u: u.log() / 2,
    "jensen_shannon": lambda u: u.log(),
    "gan": lambda u: u.log(),
}


@pytest.mark.parametrize(
    ("objective", "judge", "fool"),
    [
        (LeastSquares(), 5 / 3 + 14 / 3, 5 / 3),
        (LeastSquares(scale=0.5), 5 / 6 + 14 / 6, 5 / 6),
        (LeastSquares(real=1, fake=-1, wanted=0), 5 / 3 + 29 / 3, 14 / 3),
        (Hinge(), 0 + 3, -2),
        (Wasserstein(), 0, -2),
        (FDivergence("kl"), (1 + math.e + math.e**2) / 3 - 2, -2),
        (FDivergence("pearson"), 14 / 12 + 2 - 2, -2),
        (
            FDivergence("reverse_kl", saturating=True),
            1 + sum(math.exp(-v) for v in (1, 2, 3)) / 3,
            -1,
        ),
    ],
)
def test_losses_of_the_scores_1_2_3(objective, judge, fool):
    assert objective.judge(SCORES, SCORES).item() == pytest.approx(judge, rel=1e-6, abs=1e-6)
    assert objective.fool(SCORES).item() == pytest.approx(fool, rel=1e-6)


def test_minimax_is_cross_entropy():
    real, fake = torch.randn(2, 50)
    ones, zeros = torch.ones(50), torch.zeros(50)
    expected = bce(real, ones * 0.9) + bce(fake, zeros)
    assert torch.allclose(Minimax(real=0.9).judge(real, fake), expected)
    assert torch.allclose(NonSaturating(real=0.9).judge(real, fake), expected)
    assert torch.allclose(Minimax().fool(fake), -bce(fake, zeros))
    assert torch.allclose(NonSaturating().fool(fake), bce(fake, ones))


def test_a_judge_that_cannot_tell_scores_two_log_two():
    zero = torch.zeros(4)
    assert Minimax().judge(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert FDivergence("gan").judge(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert FDivergence("jensen_shannon").judge(zero, zero).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("objective", ALL, ids=str)
def test_high_means_real(objective):
    real, fake = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    objective.judge(real, fake).backward()
    judged_fake = fake.grad.clone()
    fake.grad = None
    objective.fool(fake).backward()
    assert (real.grad < 0).all()
    assert (judged_fake >= 0).all()  # least squares is at its goal at a fake score of 0
    assert (fake.grad < 0).all()


@pytest.mark.parametrize("objective", [Minimax(), NonSaturating(), FDivergence("jensen_shannon")])
@pytest.mark.parametrize("score", [-1e4, 1e4])
def test_sure_scores_stay_finite(objective, score):
    real = torch.tensor([score], requires_grad=True)
    fake = torch.tensor([score], requires_grad=True)
    (objective.judge(real, fake) + objective.fool(fake)).backward()
    assert torch.isfinite(objective.judge(real, fake) + objective.fool(fake))
    assert torch.isfinite(real.grad).all() and torch.isfinite(fake.grad).all()


def test_only_the_non_saturating_generator_learns_from_a_sure_judge():
    gradients = []
    for objective in (Minimax(), NonSaturating()):
        fake = torch.tensor([-20.0], requires_grad=True)
        objective.fool(fake).backward()
        gradients.append(abs(fake.grad.item()))
    assert gradients[0] < 1e-8
    assert gradients[1] > 0.99


def test_smoothed_labels_put_the_optimum_at_their_own_log_odds():
    score = torch.tensor(math.log(9.0), requires_grad=True)
    Minimax(real=0.9).judge(score, torch.tensor(0.0)).backward()
    assert score.grad.item() == pytest.approx(0, abs=1e-6)


def test_maps_count_alike_whatever_their_size():
    real = [torch.randn(2, 1, 8, 8), torch.randn(2, 1, 3, 3)]
    fake = [torch.randn_like(r) for r in real]
    for objective in ALL:
        apart = [objective.judge(r, f) for r, f in zip(real, fake, strict=True)]
        assert torch.allclose(objective.judge(real, fake), sum(apart) / 2)
        assert torch.allclose(objective.fool(fake), sum(map(objective.fool, fake)) / 2)


def test_maps_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="zip"):
        Hinge().judge([SCORES, SCORES], [SCORES])


@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_best_judge_finds_the_divergence(name):
    """Its best score v of an atom has g(v) = f'(p / q); any other stays below."""
    p, q = torch.tensor([1, 2, 5]), torch.tensor([4, 3, 1])  # in eighths
    ratio = p.double() / q
    best = BEST_SCORES[name](ratio).requires_grad_()

    def bound(score):
        atoms = torch.arange(3)
        real, fake = score[atoms.repeat_interleave(p)], score[atoms.repeat_interleave(q)]
        return -FDivergence(name).judge(real, fake)

    bound(best).backward()
    divergence = (q * GENERATORS[name](ratio)).sum().item() / 8
    assert bound(best).item() == pytest.approx(divergence, rel=1e-9)
    assert best.grad.abs().max() < 1e-9
    assert all(bound(best + 0.1 * torch.randn(3)) < divergence for _ in range(20))


def test_the_gan_divergence_is_minimax():
    real, fake = torch.randn(2, 20)
    assert torch.allclose(FDivergence("gan").judge(real, fake), Minimax().judge(real, fake))
    saturating = FDivergence("gan", saturating=True)
    assert torch.allclose(saturating.fool(fake), Minimax().fool(fake))
    assert torch.allclose(FDivergence("gan").fool(fake), NonSaturating().fool(fake))


def test_an_unknown_divergence_is_named_with_what_would_do():
    with pytest.raises(ValueError, match=r"'kullback'; there are: kl, reverse_kl"):
        FDivergence("kullback")
