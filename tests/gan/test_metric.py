"""A discriminator that learns a metric, and a generator that learns from it."""

import pytest
import torch
from torch import nn

from gan.metric import MetricTranslation


class Told(nn.Module):
    """A discriminator that says what it is told of each kind of sample, and keeps what it saw."""

    def __init__(self, **scores):
        super().__init__()
        self.scores, self.seen = scores, []

    def forward(self, x, given):
        self.seen.append(x)
        return torch.where((x == given).flatten(1).all(1), self.scores["real"], self.scores["fake"])


def half(x, target):
    """A metric that is undefined for the first sample, and says .5 of the others."""
    score = torch.full((len(x),), 0.5)
    score[0] = float("nan")
    return score


@pytest.fixture
def batch():
    return {"source": torch.zeros(4, 1, 3), "target": torch.ones(4, 1, 3)}


def test_the_discriminator_learns_the_metric_and_one_for_targets(batch):
    judge = Told(real=torch.tensor(0.8), fake=torch.tensor(0.1))
    game = MetricTranslation(nn.Identity(), judge, half)
    loss = game.judge(batch, {"estimate": torch.full((4, 1, 3), 7.0)})
    assert float(loss["adversarial"]) == pytest.approx((0.1 - 0.5) ** 2 + (0.8 - 1) ** 2)
    assert [float(x.mean()) for x in judge.seen[1]] == [7, 7, 7, 0]  # every fourth is the source


def test_nothing_is_learnt_where_the_metric_is_undefined(batch):
    judge = Told(real=torch.tensor(1.0), fake=torch.tensor(0.1))
    game = MetricTranslation(nn.Identity(), judge, lambda x, _: torch.full((len(x),), torch.nan))
    assert float(game.judge(batch, {"estimate": batch["source"]})["adversarial"]) == 0


def test_the_generator_is_to_score_one_beside_its_distances(batch):
    judge = Told(real=torch.tensor(1.0), fake=torch.tensor(0.4))
    game = MetricTranslation(nn.Identity(), judge, half)
    losses = game.fool(batch, {"estimate": batch["source"]})
    assert float(losses["adversarial"]) == pytest.approx(0.36)
    assert float(losses["l1"]) == pytest.approx(1)


def test_a_generator_climbs_a_metric_that_has_no_gradient():
    """The metric counts in steps of a fifth how near to 3 a number is; no distance is weighed."""
    torch.manual_seed(0)
    number = nn.Linear(1, 1)
    critic = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1))

    class Critic(nn.Module):
        def forward(self, x, given):
            return critic(torch.cat([x, given], 1))

    def metric(x, target):
        return 1 - ((x - target).abs() / 4 * 5).round().clamp(max=5)[:, 0] / 5

    game = MetricTranslation(number, Critic(), metric, {"l1": lambda *_: torch.zeros(())})
    one = torch.ones(16, 1)
    teach = torch.optim.Adam(critic.parameters(), 0.01)
    learn = torch.optim.Adam(number.parameters(), 0.01)
    for _ in range(400):
        batch = {"source": one * torch.randn(16, 1), "target": 3 * one}
        play = game.play(batch)
        for optimizer, losses in [(teach, game.judge), (learn, game.fool)]:
            optimizer.zero_grad()
            losses(batch, play)["adversarial"].backward(retain_graph=True)
            optimizer.step()
    with torch.no_grad():
        assert float(metric(number(torch.randn(64, 1)), 3 * torch.ones(64, 1)).mean()) > 0.9
