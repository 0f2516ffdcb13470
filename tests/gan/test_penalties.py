import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from gan.penalties import (
    clip_weights_,
    feature_matching,
    gradient_penalty,
    kl_to_unit_normal,
    mean_matching,
    r1,
)

W = torch.tensor([3.0, 4.0])  # of length 5


def linear(x, given=None):
    return x @ W if given is None else x @ W * given


def patches(x, given=None):
    """Two maps of one slope: a sample's mean score is x @ W in both."""
    score = x @ W
    return [score[:, None].repeat(1, 7), score[:, None, None].repeat(1, 2, 3)]


@pytest.mark.parametrize("critic", [linear, patches])
def test_penalties_of_a_linear_critic(critic):
    real, fake = torch.randn(2, 6, 2)
    assert gradient_penalty(critic, real, fake).item() == pytest.approx((5 - 1) ** 2, rel=1e-5)
    assert gradient_penalty(critic, real, fake, target=5).item() == pytest.approx(0, abs=1e-9)
    assert r1(critic, real).item() == pytest.approx(25 / 2, rel=1e-6)


def test_the_condition_reaches_the_critic():
    real, fake = torch.randn(2, 6, 2)
    given = torch.full((6,), 2.0)
    assert gradient_penalty(linear, real, fake, given).item() == pytest.approx(81, rel=1e-5)
    assert r1(linear, real, given).item() == pytest.approx(50, rel=1e-5)


def test_the_penalty_is_taken_between_the_pairs():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.sum(1)

    real, fake = torch.zeros(500, 3), torch.ones(500, 3) * torch.tensor([1.0, 2.0, 4.0])
    gradient_penalty(critic, real, fake)
    share = seen[0] / fake
    assert torch.allclose(share, share[:, :1].expand(-1, 3))  # one share a sample
    assert share.min() < 0.05 and share.max() > 0.95 and share.std() > 0.2


@pytest.mark.parametrize("penalty", [lambda d, x: gradient_penalty(d, x, x + 1), r1])
def test_penalties_train_the_critic_and_nothing_else(penalty):
    critic = nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1))
    x = torch.randn(4, 2, requires_grad=True)
    penalty(critic, x).backward()
    assert x.grad is None
    assert critic[0].weight.grad.abs().sum() > 0


def test_a_flat_critic_has_a_finite_gradient():
    critic = nn.Linear(2, 1)
    nn.init.zeros_(critic.weight)
    loss = gradient_penalty(critic, torch.randn(4, 2), torch.randn(4, 2))
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert torch.isfinite(critic.weight.grad).all()


def test_clipping_changes_only_what_is_beyond_the_limit():
    module = nn.Linear(3, 1)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[-2.0, 0.005, 3.0]]))
        module.bias.fill_(0.02)
    clip_weights_(module, 0.01)
    assert torch.equal(module.weight, torch.tensor([[-0.01, 0.005, 0.01]]))
    assert torch.equal(module.bias, torch.tensor([0.01]))


def test_feature_matching_by_hand():
    real = [torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 5, 4)]
    fake = [torch.full((2, 3), 2.0, requires_grad=True), torch.full((2, 5, 4), -1.0)]
    loss = feature_matching(real, fake)
    assert loss.item() == pytest.approx((2 + 1) / 2)
    loss.backward()
    assert real[0].grad is None and fake[0].grad is not None


def test_mean_matching_sees_means_alone():
    real = torch.tensor([[0.0, 0.0], [2.0, 4.0]])  # mean (1, 2)
    fake = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
    assert mean_matching(real, fake).item() == 0
    assert mean_matching(real, fake + 1).item() == pytest.approx(1)


def test_kl_agrees_with_the_distributions():
    mean, log_variance = torch.randn(2, 4, 3, 2)
    normal = Normal(mean, (log_variance / 2).exp())
    expected = kl_divergence(normal, Normal(0.0, 1.0)).sum((1, 2)).mean()
    assert torch.allclose(kl_to_unit_normal(mean, log_variance), expected, rtol=1e-5)
