"""Two processes that share each batch, against one that has all of it."""

import os
import socket

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from gan import distributed
from gan.feed import Order
from gan.schedules import Above
from gan.trainer import Player, Trainer
from gan.translation import Translation

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch without distributed")
STEPS = 4


class Generator(nn.Module):
    def __init__(self, noise=0.0):
        super().__init__()
        self.net, self.noise = nn.Conv1d(1, 1, 5, padding=2), noise

    def forward(self, source):
        return self.net(source + self.noise * torch.randn_like(source))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv1d(2, 4, 4, 2), nn.LeakyReLU(0.3), nn.Conv1d(4, 1, 4, 2))

    def forward(self, x, given):
        return self.net(torch.cat([x, given], dim=1))


class Waves(torch.utils.data.Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, index):
        rng = np.random.default_rng(int(index))
        source, target = rng.standard_normal((2, 1, 32)).astype(np.float32)
        return {"source": source, "target": target}


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.01)


def validate(networks, log):
    return {"weight": float(networks["generator"].net.weight.detach().sum())}


def train(folder, steps=STEPS, noise=0.0):
    torch.manual_seed(dist.get_rank() if dist.is_initialized() else 0)  # ranks must agree anyway
    players = {
        "discriminator": Player(adam, when=Above("adversarial", 0.5)),
        "generator": Player(adam, weights={"l1": 10}, clip=1.0),
    }
    Trainer(
        Translation(Generator(noise), Discriminator(), distances={"l1": nn.L1Loss()}),
        players,
        Waves(),
        steps=steps,
        batch_size=6,
        device="cpu",
        folder=folder,
        validate=validate,
        best=("weight", "max"),
        every={"report": 1, "validate": 2, "save": 2},
        bar=False,
    ).run()


def process(rank, port, folder, runs, noise):
    """Be one of two processes, as torchrun would start it; train up to each step of ``runs``."""
    torch.set_num_threads(1)
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()}, MASTER_ADDR="127.0.0.1")
    for steps in runs:
        train(folder, steps, noise)
    distributed.stop()
    os._exit(0)  # torch's threads have been seen to abort an interpreter that is taken down


def train_in_two(folder, runs=(STEPS,), noise=0.0):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(process, (port, folder, runs, noise), nprocs=2)


def state(folder):
    return torch.load(folder / "last.pt", weights_only=True)


def test_two_halves_give_the_update_of_the_whole(tmp_path):
    train(tmp_path / "one")
    train_in_two(tmp_path / "two")
    one, two = state(tmp_path / "one"), state(tmp_path / "two")
    for name, weight in one["game"].items():
        torch.testing.assert_close(two["game"][name], weight, rtol=1e-5, atol=1e-6)
    assert two["best_score"] == pytest.approx(one["best_score"], rel=1e-5)
    one, two = ((tmp_path / name / "log.jsonl").read_text() for name in ("one", "two"))
    assert len(two.splitlines()) == len(one.splitlines())  # rank 0 alone writes


def test_two_resumed_equal_two_uninterrupted_each_with_its_own_noise(tmp_path):
    train_in_two(tmp_path / "whole", noise=0.5)
    train_in_two(tmp_path / "parts", runs=(2, STEPS), noise=0.5)
    whole, parts = (state(tmp_path / name) for name in ("whole", "parts"))
    assert all(torch.equal(parts["game"][name], w) for name, w in whole["game"].items())
    first, second = (own["torch"] for own in whole["random"])
    assert not torch.equal(first, second)


def test_one_goes_on_from_what_two_have_left(tmp_path):
    train_in_two(tmp_path, runs=(2,))
    train(tmp_path)
    assert state(tmp_path)["step"] == STEPS


def test_the_shares_of_a_batch_are_the_batch():
    whole = iter(Order(10, 4, seed=1))
    shares = [iter(Order(10, 4, seed=1, rank=rank, world=2)) for rank in (0, 1)]
    for _ in range(6):
        assert sorted(next(whole)) == sorted(next(shares[0]) + next(shares[1]))


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="batch_size 5: 2 processes can't share it evenly"):
        Order(10, 5, world=2)
