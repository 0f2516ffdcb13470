"""Games that reach an optimum one can write down, and overfit one batch."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from gan.game import Game
from gan.generation import Generation
from gan.objectives import FDivergence, LeastSquares, NonSaturating, Wasserstein
from gan.trainer import Player, Trainer
from gan.translation import Translation

adam = partial(torch.optim.Adam, lr=1e-2, betas=(0.5, 0.9))


class Table(torch.utils.data.Dataset):
    """The rows of some tensors, by name."""

    def __init__(self, **columns):
        self.columns = columns

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index):
        return {name: column[index] for name, column in self.columns.items()}


class Concatenated(nn.Sequential):
    """Layers that are given a condition beside their input."""

    def forward(self, x, given):
        return super().forward(torch.cat([x, given], dim=1))


class Linear(nn.Linear):
    """A linear critic of a sample and its condition: the score is the bilinear form of both."""

    def forward(self, x, given):
        return (super().forward(given) * x).sum(1, keepdim=True)


def trained(game: Game, dataset, steps: int, players: dict | None = None, batch_size=128):
    """Return the networks after some steps, averaged over the last of them."""
    players = players or {name: Player(adam) for name in game.turns()}
    averages = {name: 0.98 for name in ("generator", "discriminator") if getattr(game, name)}
    options = {"batch_size": batch_size, "device": "cpu", "averages": averages}
    trainer = Trainer(game, players, dataset, steps=steps, **options)
    trainer.run()
    return trainer.networks()


def small(inputs: int, outputs: int = 1, kind=nn.Sequential) -> nn.Sequential:
    return kind(nn.Linear(inputs, 16), nn.LeakyReLU(0.2), nn.Linear(16, outputs))


@pytest.mark.parametrize("objective", [LeastSquares(), Wasserstein()], ids=["squares", "earth"])
def test_generation_finds_the_mean_and_deviation_of_a_gaussian(objective):
    torch.manual_seed(0)
    mean, deviation = 2.0, 0.5
    game = Generation(nn.Linear(1, 1), small(1), 1, objective, penalty=True)
    players = {
        "discriminator": Player(adam, weights={"gradient_penalty": 0.1}),
        "generator": Player(adam),
    }
    generator = trained(game, Table(target=mean + deviation * torch.randn(4096, 1)), 400, players)[
        "generator"
    ]
    assert generator.bias.item() == pytest.approx(mean, abs=0.15)
    assert abs(generator.weight.item()) == pytest.approx(deviation, abs=0.15)
