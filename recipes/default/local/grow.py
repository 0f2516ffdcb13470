"""Write a wider, deeper or causal BandGenerator that begins with what a given one knows.

    grow.py default.safetensors quality.safetensors channels=96 narrow=16 'dilations=[1,2,4]'
    grow.py default.safetensors streaming.safetensors causal=true

Channels may be doubled, each copy with a random share of what the two are used for (Net2Net: Chen,
Goodfellow and Shlens 2016, section 2.2); further blocks add nothing yet. Until it is trained, a
wider and deeper network computes what the given one does; a causal one leaves out what is to come.
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
    layer, kind = name.split(".")[-2:]
    if name.startswith("enter"):
        return doubled(weight, -1)
    if name.startswith("leave"):
        return shared(weight, 1) if layer == "weights" else weight
    if layer == "mix" and weight.ndim == 2:  # of all narrow channels of all bands
        return shared(weight.unflatten(1, (bands, -1)), 2).flatten(1)
    if layer == "back":
        return doubled(weight.unflatten(0, (bands, -1)), 1).flatten(0, 1)
    return doubled(weight if kind == "bias" or weight.ndim == 1 else shared(weight, 1), 0)


def past(weight: Tensor) -> Tensor:
    """Return a convolution whose taps are two frames ago, one ago and now, without the next."""
    return torch.cat([torch.zeros_like(weight[:, :, :1]), weight[:, :, :2]], dim=2)


def grown(small: BandGenerator, options: dict) -> BandGenerator:
    """Return a network of ``options`` that begins with the weights of ``small``."""
    large = BandGenerator(**options)
    weights = {name: weight.float() for name, weight in small.state_dict().items()}
    if large.enter.bias.shape != small.enter.bias.shape:
        keep = [name for name in weights if name.endswith("mix.bias") and odd(name)]
        bands = len(small.enter.bias)
        weights = {n: w if n in keep else wider(n, w, bands) for n, w in weights.items()}
    if large.causal and not small.causal:
        weights = {n: past(w) if w.ndim == 4 else w for n, w in weights.items()}
    large.load_state_dict(large.state_dict() | weights)
    with torch.no_grad():
        for block in large.blocks[len(small.blocks) :]:
            for parameter in (block.out if hasattr(block, "out") else block.up).parameters():
                parameter.zero_()
    return large


def odd(name: str) -> bool:
    """Return whether a parameter is of a block across bands, whose hidden units don't change."""
    return int(name.split(".")[1]) % 2 == 1


def main() -> None:
    """Grow the network of one file into another."""
    source, target, *settings = sys.argv[1:]
    options = {key: json.loads(value) for key, value in (one.split("=") for one in settings)}
    torch.manual_seed(0)
    small = load_network(source, KINDS).float()
    large = grown(small, options)
    wave = torch.randn(1, 1, 32000)
    with torch.no_grad():
        difference = (large(wave) - small(wave)).abs().max()
    print(f"{target}: differs by {difference:.1e} from {source} on noise of unit level")
    export(target, large, {"_target_": "segan.generator.BandGenerator", **options})


if __name__ == "__main__":
    main()
