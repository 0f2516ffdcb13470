"""The benchmark of training steps compares like with like."""

import copy
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from gan.speed import Speed
from gan.trainer import Trainer

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
import train_step

SMALL = {
    "tiny": [],
    "segan": ["generator.channels=[4,8]", "discriminator.channels=[4,8]"],
    "pix2pix": ["generator.channels=4", "generator.levels=6", "discriminator.channels=4"],
    "cyclegan": [
        "generator.channels=4",
        "generator.blocks=1",
        "target_discriminator.channels=4",
    ],
}


def small(name):
    """Return a system with few weights, and small pictures."""
    system = train_step.build(name, changes=[f"++game.{change}" for change in SMALL[name]])
    if name in ("pix2pix", "cyclegan"):
        system.data = train_step.Noise((3, 64, 64))
    return system


@pytest.mark.parametrize("name", SMALL)
def test_the_loop_by_hand_trains_as_the_trainer_does(name):
    system = small(name)
    before, by_hand, batches = copy.deepcopy(system.game), copy.deepcopy(system.game), []
    Trainer(
        system.game,
        system.players,
        system.data,
        steps=3,
        batch_size=2,
        seed=5,
        device="cpu",
        precision="fp32",
        speed=Speed.plain(),
        prepare=lambda batch: batches.append(batch) or batch,
        bar=False,
    ).run()

    torch.manual_seed(5)
    system.loop(by_hand, [(batch["source"], batch["target"]) for batch in batches[:3]])

    games = (game.named_parameters() for game in (before, system.game, by_hand))
    for (name, start), (_, ours), (_, theirs) in zip(*games, strict=True):
        if start.dim() > 1:  # biases before a normalization move by rounding alone
            assert (ours - theirs).abs().sum() < 0.05 * (ours - start).abs().sum(), name


def test_all_ways_to_train_take_turns():
    given = Namespace(device="cpu", batch=4, workers=0, rounds=2, seconds=0.0, cpu_time=False)
    times = train_step.race(train_step.tiny(), given)
    assert times.keys() == {"by hand", "plain", "defaults"}
    assert all(len(own) == 2 and min(own) > 0 for own in times.values())
