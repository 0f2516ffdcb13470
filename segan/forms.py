"""The forms in which a network leaves the package: plain tensors in and out, real numbers inside.

Both take the channels of a recording as rows, each cleaned by itself.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from segan.spectral import SpectralGenerator, averaged, compress_parts

# Shapes below: C channels, T samples, N frames, K = window // 2 + 1 bins.

NEXT = "_next"  # what the state that goes out is called after the one that came in


class Whole(nn.Module):
    """A network on whole waves: ``(C, T) -> (C, T)``, any C and T from 1 up.

    The samples of the network's own ``forward``, to float rounding.
    """

    name = "whole"
    inputs = outputs = ()  # of a state: there is none

    def __init__(self, network: SpectralGenerator):
        super().__init__()
        self.network = network

    def forward(self, noisy: Tensor) -> tuple[Tensor]:
        """Return the clean wave."""
        return (averaged(self.wave, noisy, self.network.hop, self.network.shifts),)

    def wave(self, noisy: Tensor) -> Tensor:
        """Return the clean wave from a single grid of frames."""
        network, lap = self.network, self.network.window - self.network.hop
        length = noisy.shape[1]
        end = lap + (length + network.window - 1) // network.hop * network.hop
        wave = F.pad(noisy, (lap, 2 * network.window))[:, :end]  # a cut, whatever the length
        clean = self.clean(network.analysis_step(wave))
        wave, _ = network.synthesis_step(clean, torch.zeros_like(wave[:, :lap]))
        return wave[:, lap : lap + length]

    def clean(self, spectrum: Tensor) -> Tensor:
        """Return the clean spectrum, real and imaginary parts. ``(C, 2, K, N) -> (C, 2, K, N)``."""
        network = self.network
        level = network.level(spectrum.square().sum(1))[:, None]  # (C, 1, 1, N)
        compressed = compress_parts(spectrum / level, network.power)
        size = compressed.square().sum(1).sqrt()
        (x, y), (u, v) = compressed.unbind(1), network.mask_parts(size, *compressed.unbind(1))
        masked = torch.stack([x * u - y * v, x * v + y * u], dim=1)
        return compress_parts(masked, 1 / network.power) * level


class Hops(nn.Module):
    """A causal network on a wave as it comes: a few hops a call, and its state, both ways.

    ``(C, n * hop), state -> (C, n * hop), state`` for any n from 1 up; the state is a tensor for
    each name in ``inputs``, all zeros before the wave. The samples are those of the network,
    ``window - hop`` late.

    Raises ValueError where the network is not causal.
    """

    name = "hops"

    def __init__(self, network: SpectralGenerator):
        super().__init__()
        self.network = network
        self.inputs = tuple(network.start())
        self.outputs = tuple(name + NEXT for name in self.inputs)

    def forward(self, noisy: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return the next clean samples and the state after them."""
        named = dict(zip(self.inputs, state, strict=True))
        clean, named = self.network.step(noisy[:, None], named)
        return (clean[:, 0], *(named[name] for name in self.inputs))


def traced(form: Whole | Hops) -> ExportedProgram:
    """Return what ``torch.export`` makes of a form: for any channels and samples that it takes."""
    hop, state = form.network.hop, ()
    channels = Dim("channels", min=1)
    if form.inputs:
        samples, state = hop * Dim("hops", min=1), tuple(form.network.start(2).values())
    else:
        samples = Dim("samples", min=1)
    shapes = {0: channels, 1: samples}, tuple({0: channels} for _ in state)
    length = 3 * hop if state else 9 * hop + 1
    return torch.export.export(
        form.eval(),
        (torch.zeros(2, length), *state),
        dynamic_shapes=shapes if state else shapes[:1],
        strict=False,
        prefer_deferred_runtime_asserts_over_guards=True,
    )
