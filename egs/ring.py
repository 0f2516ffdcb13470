"""A ring of eight Gaussians, learnt with each objective of ``gan``: a table and a picture.

    python egs/ring.py                                   # writes exp/ring/ring.tsv and ring.png
    python egs/ring.py --objectives Hinge kl --steps 4000 --seeds 0 1 2

A mode is reached if it gets a third of its fair share: 1/24 of all samples lie within 3 standard
deviations of it. Samples that near to any mode are good ones; of real points, 98.9 % are.
"""

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.data import Dataset

from gan.generation import Generation
from gan.objectives import FDivergence, Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein
from gan.schedules import Cosine
from gan.trainer import Player, Trainer

MODES, DEVIATION, LATENT = 8, 0.05, 4
ANGLES = torch.arange(MODES) * (2 * math.pi / MODES)
CENTERS = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)  # on the unit circle, (8, 2)


class Setting(NamedTuple):
    objective: Minimax | LeastSquares | Hinge | Wasserstein | FDivergence
    penalty: float  # weight of the gradient penalty


SETTINGS = {
    "Minimax": Setting(Minimax(), 1.0),
    "NonSaturating": Setting(NonSaturating(), 1.0),
    "LeastSquares": Setting(LeastSquares(), 0.1),
    "Hinge": Setting(Hinge(), 1.0),
    "Wasserstein": Setting(Wasserstein(), 1.0),
    "FDivergence": Setting(FDivergence("jensen_shannon"), 1.0),
}


class Ring(Dataset):
    """``count`` points of the ring, as many from each mode."""

    def __init__(self, count: int, seed: int):
        random = torch.Generator().manual_seed(seed)
        modes = torch.arange(count) % MODES
        self.points = CENTERS[modes] + DEVIATION * torch.randn(count, 2, generator=random)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"target": self.points[index]}


def mlp(inputs: int, outputs: int, width: int = 128) -> nn.Sequential:
    sizes = [inputs, width, width]
    layers = [m for a, b in zip(sizes, sizes[1:]) for m in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def player(rate, steps, **rest) -> Player:
    return Player(
        lambda p: torch.optim.Adam(p, lr=rate, betas=(0.5, 0.9), fused=True),
        schedule=Cosine(1.0, 0.05, steps),
        **rest,
    )


def train(
    setting: Setting,
    steps: int,
    seed: int,
    rate=1e-3,
    critic=1,
    ema=0.998,
    batch=256,
    width=128,
    betas=(0.5, 0.9),
    drate=None,
):
    torch.manual_seed(seed)
    game = Generation(
        mlp(LATENT, 2, width), mlp(2, 1, width), LATENT, setting.objective, penalty=True
    )
    players = {
        "discriminator": player(
            drate or rate, steps, weights={"gradient_penalty": setting.penalty}
        ),
        "generator": player(rate, steps, every=critic),
    }
    trainer = Trainer(
        game,
        players,
        Ring(16384, seed),
        steps=steps,
        batch_size=batch,
        seed=seed,
        averages={"generator": ema},
        device="cpu",
    )
    trainer.run()
    return trainer


@torch.no_grad()
def measure(generator: nn.Module, seed: int = 0, count: int = 16384):
    z = torch.randn(count, LATENT, generator=torch.Generator().manual_seed(seed))
    samples = generator(z)
    distance, mode = torch.cdist(samples, CENTERS).min(1)
    good = distance < 3 * DEVIATION
    shares = torch.bincount(mode[good], minlength=MODES) / count
    return int((shares > 1 / (3 * MODES)).sum()), float(good.float().mean()), shares
