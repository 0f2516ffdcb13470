"""A ring of eight Gaussians, learnt with each objective of ``gan``: a table and a picture.

    python egs/ring.py                                # writes exp/ring/ring.tsv and ring.png
    python egs/ring.py --objectives Hinge FDivergence-kl --seeds 0 1 2

A sample is good within 3 standard deviations of a mode's center: of real points, 98.9 % are. A mode
is reached where it gets a third of its fair share: 1/24 of all samples are good and nearest to it.
The spread is the standard deviation of the good samples around their centers, 1 for real points.
"""

import argparse
import math
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import StackDataset

from gan import objectives
from gan.generation import Generation
from gan.schedules import Cosine
from gan.trainer import Player, Trainer

MODES, DEVIATION = 8, 0.05
LATENT, WIDTH = 4, 64
ANGLES = torch.arange(MODES) * (2 * math.pi / MODES)
REAL_SPREAD = DEVIATION * math.sqrt(2 - 9 / (math.exp(4.5) - 1))  # of distances below 3 DEVIATION
CENTERS = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)  # on the unit circle

FIVE = ("Minimax", "NonSaturating", "LeastSquares", "Hinge", "Wasserstein")
OBJECTIVES = {name: getattr(objectives, name)() for name in FIVE}
OBJECTIVES |= {f"FDivergence-{d}": objectives.FDivergence(d) for d in objectives.DIVERGENCES}
SIX = (*FIVE, "FDivergence-hellinger")


def ring(seed: int, count: int = 16384) -> Tensor:
    """Return points of the ring, as many of each mode. ``(count, 2)``."""
    drawn = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return CENTERS.repeat(count // MODES, 1) + DEVIATION * drawn


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return a network of ``hidden`` layers of WIDTH units."""
    sizes = pairwise([inputs, *[WIDTH] * hidden])
    layers = [layer for a, b in sizes for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return nn.Sequential(*layers, nn.Linear(WIDTH, outputs))


def train(objective, seed: int, steps: int) -> tuple[nn.Module, nn.Module]:
    """Return the generator and the discriminator."""
    torch.manual_seed(seed)
    adam = partial(torch.optim.Adam, betas=(0.5, 0.9), fused=True)
    fall = Cosine(1.0, 0.05, steps)
    players = {
        "discriminator": Player(partial(adam, lr=8e-3), {"gradient_penalty": 0.03}, fall),
        "generator": Player(partial(adam, lr=4e-3), schedule=fall),
    }
    game = Generation(mlp(LATENT, 4, 2), mlp(2, 3, 1), LATENT, objective, penalty=True)
    options = {"steps": steps, "batch_size": 256, "seed": seed, "device": "cpu"}
    points = StackDataset(target=ring(seed))
    Trainer(game, players, points, **options).run()
    return game.generator, game.discriminator


@torch.no_grad()
def sample(generator: nn.Module, count: int = 16384) -> Tensor:
    """Return samples, of the same latent vectors each time. ``(count, 2)``."""
    return generator(torch.randn(count, LATENT, generator=torch.Generator().manual_seed(0)))


def measure(samples: Tensor) -> tuple[int, float, float]:
    """Return how many modes the samples reach, the share of good ones, and their spread."""
    distance, mode = torch.cdist(samples, CENTERS).min(1)
    good = distance < 3 * DEVIATION
    shares = torch.bincount(mode[good], minlength=MODES) / len(samples)
    spread = distance[good].square().mean().sqrt() / REAL_SPREAD
    return int((shares > 1 / (3 * MODES)).sum()), float(good.float().mean()), float(spread)


def panel(axis, samples: Tensor, discriminator: nn.Module) -> None:
    """Draw real points and samples on the score: blue is above its median, red below."""
    side = torch.linspace(-1.6, 1.6, 161)
    with torch.no_grad():
        score = discriminator(torch.cartesian_prod(side, side)).reshape(161, 161).T
    score -= score.median()
    score = (score / score.abs().quantile(0.9)).clamp(-1, 1)
    axis.contourf(side, side, score, 20, cmap="RdBu", vmin=-1.3, vmax=1.3)
    for points, color in ((ring(0, 1024), "black"), (samples[:1024], "gold")):
        axis.plot(*points.T, ".", color=color, markersize=2, markeredgewidth=0)
    axis.set(xticks=[], yticks=[], aspect="equal")


def draw(results: dict[str, tuple[Tensor, nn.Module]], path: Path) -> None:
    """Draw a panel for each objective."""
    import matplotlib.pyplot as plt

    columns = min(len(results), 3)
    rows = -(-len(results) // columns)
    figure = plt.figure(figsize=(3 * columns, 3.2 * rows), layout="constrained")
    for place, (name, result) in enumerate(results.items(), 1):
        panel(figure.add_subplot(rows, columns, place, title=name), *result)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=SIX)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("-o", "--output", type=Path, default=Path("exp/ring"))
    given = parser.parse_args()
    lines, results = ["objective\tseed\tmodes\tgood\tspread"], {}
    for name in given.objectives:
        for seed in given.seeds:
            generator, discriminator = train(OBJECTIVES[name], seed, given.steps)
            samples = sample(generator)
            results.setdefault(name, (samples, discriminator))
            lines.append("{}\t{}\t{}\t{:.3f}\t{:.2f}".format(name, seed, *measure(samples)))
            print(lines[-1], flush=True)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "ring.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw(results, given.output / "ring.png")


if __name__ == "__main__":
    main()
