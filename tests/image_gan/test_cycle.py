"""The Cycle game: values by hand, turns that leave others alone, a known optimum."""

from functools import partial

import pytest
import torch
from torch import nn

from gan.schedules import LinearTail
from gan.trainer import Player, Trainer
from image_gan.cycle import Cycle

SOURCE, TARGET = torch.full((2, 1), 3.0), torch.full((2, 1), 8.0)
BATCH = {"source": SOURCE, "target": TARGET}


class Affine(nn.Module):
    """``slope * x + offset``, both to be learnt."""

    def __init__(self, slope, offset=0.0):
        super().__init__()
        self.slope, self.offset = (nn.Parameter(torch.tensor(v)) for v in (slope, offset))

    def forward(self, x):
        return self.slope * x + self.offset


def game(**options):
    """G doubles, F takes a third; D_Y scores x / 10, D_X scores x / 100."""
    return Cycle(Affine(2.0), Affine(1 / 3), Affine(0.1), Affine(0.01), **options)


def by_name(losses):
    return {name: pytest.approx(loss.item(), rel=1e-5) for name, loss in losses.items()}


def test_the_generators_losses_are_those_of_the_paper():
    rules = game()
    losses = rules.fool(BATCH, rules.play(BATCH))
    assert by_name(losses) == {
        "target_adversarial": (0.6 - 1) ** 2,  # D_Y(G(3))
        "source_adversarial": (8 / 300 - 1) ** 2,  # D_X(F(8))
        "source_cycle": 1.0,  # F(G(3)) = 2
        "target_cycle": 8 - 16 / 3,  # G(F(8))
    }


def test_the_discriminators_losses_are_those_of_the_paper():
    rules = game()
    losses = rules.judge(BATCH, rules.play(BATCH))
    assert by_name(losses) == {
        "target_adversarial": (0.8 - 1) ** 2 + 0.6**2,
        "source_adversarial": (0.03 - 1) ** 2 + (8 / 300) ** 2,
    }


def test_identity_is_of_pictures_that_are_there_already():
    rules = game(identity=True)
    losses = rules.fool(BATCH, rules.play(BATCH))
    assert losses["target_identity"].item() == 8.0  # G(8) = 16
    assert losses["source_identity"].item() == pytest.approx(2.0)  # F(3) = 1


def test_the_distance_is_a_choice():
    rules = game(distance=nn.MSELoss(), identity=True)
    losses = rules.fool(BATCH, rules.play(BATCH))
    assert losses["target_cycle"].item() == pytest.approx((8 - 16 / 3) ** 2)
    assert losses["target_identity"].item() == 64.0


def test_generators_that_undo_each_other_have_no_cycle_error():
    rules = Cycle(Affine(2.0, 1.0), Affine(0.5, -0.5), Affine(1.0), Affine(1.0))
    batch = {"source": torch.randn(4, 3), "target": torch.randn(4, 3)}
    losses = rules.fool(batch, rules.play(batch))
    assert losses["source_cycle"] < 1e-6 and losses["target_cycle"] < 1e-6


def test_the_way_back_is_the_same_game():
    """With both domains and both pairs of networks exchanged, so are the losses."""
    rules = game(identity=True)
    mirrored = Cycle(
        rules.inverse,
        rules.generator,
        rules.source_discriminator,
        rules.target_discriminator,
        identity=True,
    )
    other = {"source": TARGET, "target": SOURCE}

    def exchanged(losses):
        names = {"source": "target", "target": "source"}
        return {f"{names[k.split('_')[0]]}_{k.split('_')[1]}": v for k, v in losses.items()}

    for turn in ("fool", "judge"):
        losses = getattr(rules, turn)(BATCH, rules.play(BATCH))
        back = getattr(mirrored, turn)(other, mirrored.play(other))
        assert {k: v.item() for k, v in exchanged(back).items()} == {
            k: v.item() for k, v in losses.items()
        }


def test_discriminators_are_shown_past_estimates():
    rules = game(pool=2)
    first = rules.play(BATCH)
    rules.judge(BATCH, first)  # fills the pools
    later = {name: torch.full_like(estimate, 50.0) for name, estimate in first.items()}
    seen = []
    rules.target_discriminator.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for _ in range(5):
        rules.judge(BATCH, later)
    fakes = torch.cat(seen[1::2]).flatten().tolist()
    assert set(fakes) == {6.0, 50.0}
    assert fakes.count(6.0) == 2 - rules.target_pool.samples.eq(6.0).sum()  # each comes out once


def test_pools_are_saved_with_the_game():
    rules, fresh = game(pool=3), game(pool=3)
    rules.judge(BATCH, rules.play(BATCH))
    state = rules.state_dict()
    assert torch.equal(state["target_pool.samples"], 2 * SOURCE)
    assert torch.equal(state["source_pool.samples"], TARGET / 3)
    fresh.load_state_dict(state)
    assert torch.equal(fresh.target_pool.samples, 2 * SOURCE)


def sgd_players(**weights):
    sgd = partial(torch.optim.SGD, lr=0.01)
    return {"generator": Player(sgd, weights=weights), "discriminator": Player(sgd)}


class Rows(torch.utils.data.Dataset):
    """The rows of two tensors that are no pairs."""

    def __init__(self, source, target):
        self.source, self.target = source, target

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return {"source": self.source[index], "target": self.target[index]}


def trainer(rules, players, rows=None, **options):
    options = {"steps": 1, "device": "cpu", "bar": False, **options}
    return Trainer(rules, players, rows or Rows(SOURCE, TARGET), **options)


@pytest.mark.parametrize(
    ("player", "trained"),
    [
        ("generator", {"generator", "inverse"}),
        ("discriminator", {"target_discriminator", "source_discriminator"}),
    ],
)
def test_a_turn_changes_its_own_networks_alone(player, trained):
    run = trainer(game(identity=True), sgd_players())
    assert list(run.game.turns()) == ["generator", "discriminator"]
    before = {name: p.clone() for name, p in run.game.named_parameters()}
    play = run.play(BATCH)
    run.take(player, run.game.turns()[player], [BATCH], play, keep=True)
    changed = {name for name, p in run.game.named_parameters() if not torch.equal(p, before[name])}
    assert {name.split(".")[0] for name in changed} == trained
    touched = {name for name, p in run.game.named_parameters() if p.grad is not None}
    assert {name.split(".")[0] for name in touched} == trained


def test_a_weight_for_identity_needs_identity():
    with pytest.raises(ValueError, match=r"weights for \['target_identity'\]"):
        trainer(game(), sgd_players(target_identity=5.0)).run()


@pytest.mark.parametrize("pool", [0, 20])
def test_it_finds_the_way_between_two_domains_and_back(pool):
    torch.manual_seed(2)
    source, target = -1 + 0.2 * torch.randn(256, 1), 2 + 0.4 * torch.randn(256, 1)
    rules = Cycle(Affine(1.0), Affine(1.0), nn.Linear(1, 1), nn.Linear(1, 1), pool=pool)
    adam = partial(torch.optim.Adam, lr=0.05, betas=(0.5, 0.9))
    players = {name: Player(adam, schedule=LinearTail(150)) for name in rules.turns()}
    trainer(rules, players, Rows(source, target), steps=150, batch_size=16).run()
    with torch.no_grad():
        assert rules.generator(source).mean().item() == pytest.approx(2, abs=0.2)
        assert rules.inverse(target).mean().item() == pytest.approx(-1, abs=0.2)
        again = rules.inverse(rules.generator(source))
    assert (again - source).abs().mean() < 0.1  # 0.16 for an inverse that forgets its source
