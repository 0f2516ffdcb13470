"""Games that reach an optimum one can write down, and overfit one batch."""

from functools import partial

import pytest
import torch
from torch import nn

from gan.generation import Generation
from gan.objectives import FDivergence, LeastSquares, Minimax, NonSaturating
from gan.schedules import Cosine
from gan.trainer import Player, Trainer
from gan.translation import Translation


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


def mlp(inputs, outputs, width=16, kind=nn.Sequential):
    return kind(nn.Linear(inputs, width), nn.LeakyReLU(0.2), nn.Linear(width, outputs))


def line(slope, offset, inputs=1):
    """Return the linear map that starts there, of its first input."""
    layer = nn.Linear(inputs, 1)
    with torch.no_grad():
        layer.weight.zero_()[0, 0] = slope
        layer.bias.fill_(offset)
    return layer


def players(steps, rate=0.02, generator=None, discriminator=None):
    """Return both players, whose learning rate falls to zero, with what is special to each."""
    adam = partial(torch.optim.Adam, lr=rate, betas=(0.5, 0.9))
    fall = Cosine(1, 0, steps)
    return {
        "discriminator": Player(adam, schedule=fall, **(discriminator or {})),
        "generator": Player(adam, schedule=fall, **(generator or {})),
    }


def trained(game, data, moves, steps, batch_size=128):
    """Return the networks after the last step, averaged over some fifty steps."""
    names = [name for name, _ in game.named_children() if name in moves]
    trainer = Trainer(
        game,
        {name: moves[name] for name in game.turns()},
        data,
        steps=steps,
        batch_size=batch_size,
        device="cpu",
        averages=dict.fromkeys(names, 0.98),
    )
    trainer.run()
    return trainer.networks()


@pytest.mark.parametrize("objective", [LeastSquares(), NonSaturating()], ids=["squares", "logs"])
def test_generation_finds_the_mean_and_deviation_of_a_gaussian(objective):
    torch.manual_seed(0)
    data = Table(target=1 + 0.5 * torch.randn(4096, 1))
    game = Generation(line(1.0, 0.0), mlp(1, 1), 1, objective, penalty=True)
    moves = players(300, discriminator={"weights": {"gradient_penalty": 0.03}})
    generator = trained(game, data, moves, 300)["generator"]
    assert generator.bias.item() == pytest.approx(1, abs=0.15)
    assert generator.weight.item() == pytest.approx(0.5, abs=0.15)


def test_conditional_generation_listens_to_its_condition():
    torch.manual_seed(0)
    given = torch.randint(2, (4096, 1)) * 2.0 - 1
    data = Table(target=given + 0.3 * torch.randn(4096, 1), given=given)
    generator = Concatenated(nn.Linear(2, 1))
    game = Generation(generator, mlp(2, 1, kind=Concatenated), 1, LeastSquares(), penalty=True)
    moves = players(300, discriminator={"weights": {"gradient_penalty": 0.03}})
    best = trained(game, data, moves, 300)["generator"]
    with torch.no_grad():
        low, high = best(torch.zeros(2, 1), given=torch.tensor([[-1.0], [1.0]])).flatten()
    assert low.item() == pytest.approx(-1, abs=0.3)
    assert high.item() == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize(
    ("objective", "slope", "offset"),
    [
        (Minimax(), 1, 0),  # all of them: the score v where T = g_f(v) = f'(p / q)
        (FDivergence("jensen_shannon"), 1, 0),
        (FDivergence("kl"), 1, 1),
        (FDivergence("reverse_kl"), 1, 0),
        (FDivergence("hellinger"), 0.5, 0),
    ],
    ids=["minimax", "jensen_shannon", "kl", "reverse_kl", "hellinger"],
)
def test_the_best_judge_of_a_resting_generator_scores_the_ratio_of_densities(
    objective, slope, offset
):
    torch.manual_seed(0)
    data = Table(target=0.5 + torch.randn(8192, 1))  # p; log p / q is x
    game = Generation(line(1.0, -0.5), line(0.0, 0.0), 1, objective)
    moves = players(150, rate=0.05, generator={"when": lambda losses: False})
    networks = trained(game, data, moves, 150, batch_size=256)
    judge, generator = networks["discriminator"], networks["generator"]
    assert (generator.weight.item(), generator.bias.item()) == (1.0, -0.5)
    assert judge.weight.item() == pytest.approx(slope, abs=0.15)
    assert judge.bias.item() == pytest.approx(offset, abs=0.15)


@pytest.mark.parametrize("adversary", [True, False], ids=["adversarial", "alone"])
def test_translation_overfits_one_batch(adversary):
    torch.manual_seed(0)
    source, target = torch.randn(2, 8, 12)
    judge = mlp(24, 1, kind=Concatenated) if adversary else None
    game = Translation(mlp(12, 12, width=64), judge)
    before = nn.functional.l1_loss(game.generator(source), target).item()
    moves = players(200, generator={"weights": {"l1": 100}})
    generator = trained(game, Table(source=source, target=target), moves, 200, 8)["generator"]
    with torch.no_grad():
        after = nn.functional.l1_loss(generator(source), target).item()
    assert after < 0.05 * before


def test_translation_is_judged_given_its_source():
    torch.manual_seed(0)
    game = Translation(nn.Linear(3, 3), mlp(6, 1, kind=Concatenated))
    source, target = torch.randn(2, 5, 3)
    batch, swapped = {"source": source, "target": target}, {"source": target, "target": source}
    play = game.play(batch)
    real = game.discriminator(target, given=source)
    fake = game.discriminator(game.generator(source), given=source)
    loss = game.judge(batch, play)["adversarial"]
    assert torch.equal(loss, LeastSquares().judge(real, fake))
    assert not torch.isclose(loss, game.judge(swapped, play)["adversarial"], rtol=1e-3)


def test_a_judge_sends_no_gradient_to_the_generator():
    game = Translation(nn.Linear(3, 3), mlp(6, 1, kind=Concatenated))
    batch = dict(zip(("source", "target"), torch.randn(2, 5, 3), strict=True))
    game.judge(batch, game.play(batch))["adversarial"].backward()
    assert game.generator.weight.grad is None
    assert game.discriminator[0].weight.grad is not None


def test_generation_draws_as_many_samples_as_the_batch_holds():
    game = Generation(mlp(5, 2), mlp(2, 1), latent=5)
    batch = {"target": torch.zeros(7, 2)}
    one, other = (game.play(batch)["sample"] for _ in range(2))
    assert one.shape == (7, 2)
    assert not torch.equal(one, other)
