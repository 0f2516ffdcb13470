"""Write a wider and deeper BandGenerator that computes, to begin with, what a given one does.

    grow.py default.safetensors quality.safetensors channels=96 narrow=16 'dilations=[1,2,4]'

Channels are doubled, each copy with a random share of what the two are used for (Net2Net: Chen,
Goodfellow and Shlens 2016, section 2.2); further blocks add nothing yet.
"""

import json
import sys

import torch
from torch import Tensor

from gan.checkpoint import export, load_network
from segan.generator import KINDS, BandGenerator


def doubled(weight: Tensor, axis: int) -> Tensor:
    """Return ``weight`` with every output along ``axis`` twice."""
    return torch.cat([weight, weight], dim=axis)


def shared(weight: Tensor, axis: int) -> Tensor:
    """Return ``weight`` with every input along ``axis`` shared by two, at random."""
    share = 0.5 + 0.5 * torch.randn_like(weight)
    return torch.cat([weight * share, weight * (1 - share)], dim=axis)


def wider(name: str, weight: Tensor, bands: int) -> Tensor:
    """Return a parameter of the doubled network, by the name it has in both."""
    if name.startswith("enter"):
        return doubled(weight, -1)
    if name.startswith("leave"):
        return shared(weight, 1) if "weights" in name else weight
    if "norm" in name or name.endswith(("out.bias", "up.bias", "down.bias")):
        return doubled(weight, 0)
    if name.endswith(("out.weight", "up.weight", "down.weight")) or weight.ndim == 4:
        return doubled(shared(weight, 1), 0)
    if name.endswith("back.weight"):  # from hidden units to the narrow channels of every band
        return doubled(weight.unflatten(0, (bands, -1)), 1).flatten(0, 1)
    if name.endswith("back.bias"):
        return doubled(weight.unflatten(0, (bands, -1)), 1).flatten()
    if weight.ndim == 2:  # Across.mix: the way there
        return shared(weight.unflatten(1, (bands, -1)), 2).flatten(1)
    return weight if len(weight) == HIDDEN else doubled(weight, 0)  # bias of Across.mix, Near.mix


def main() -> None:
    """Grow the network of one file into another."""
    global HIDDEN
    source, target, *settings = sys.argv[1:]
    small = load_network(source, KINDS)
    options = {key: json.loads(value) for key, value in (one.split("=") for one in settings)}
    large = BandGenerator(**options)
    torch.manual_seed(0)
    HIDDEN = small.blocks[1].mix.out_features
    bands = small.enter.bias.shape[0]
    weights = large.state_dict()
    weights |= {n: wider(n, w.float(), bands) for n, w in small.state_dict().items()}
    large.load_state_dict(weights)
    with torch.no_grad():
        for block in large.blocks[len(small.blocks) :]:
            for parameter in (block.out if hasattr(block, "out") else block.up).parameters():
                parameter.zero_()
    wave = torch.randn(1, 1, 32000)
    with torch.no_grad():
        torch.testing.assert_close(large(wave), small.float()(wave), atol=1e-4, rtol=0)
    export(target, large, {"_target_": "segan.generator.BandGenerator", **options})


if __name__ == "__main__":
    main()
