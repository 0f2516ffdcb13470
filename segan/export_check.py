"""Whether an exported network still does what the network does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from segan.forms import Hops, Whole

Runner = Callable[[list[np.ndarray]], list[np.ndarray]]  # inputs, outputs, each in order


def difference(runner: Runner, form: Whole | Hops) -> tuple[float, str]:
    """Return by how much a sample differs from the network's at most, and what was tried.

    The reference is the network's own ``forward``, with its complex numbers, on the whole wave.
    NaN where the exported network gives one.
    """
    trials = _steps(runner, form) if form.inputs else _waves(runner, form)
    worst, waves = zip(*trials, strict=True)
    return float(np.max(worst)), "; ".join(waves)


def _waves(runner: Runner, form: Whole):
    """Yield the difference on waves of several lengths and numbers of channels."""
    network = form.network
    lengths = (1, network.hop - 1, network.hop + 1, 5 * network.window, 3 * network.rate)
    for channels, length in zip((1, 2, 3, 1, 2), lengths, strict=True):
        noisy = _sound(channels, length)
        (clean,) = runner([noisy])
        yield np.abs(clean - _reference(network, noisy)).max(), f"{channels} x {length} samples"


def _steps(runner: Runner, form: Hops):
    """Yield the difference on waves that come in portions, longer than what is remembered."""
    network = form.network
    hops = network.context // network.hop + 8
    for channels, portion in ((1, 1), (2, 4)):
        count = -(-hops // portion)
        noisy = _sound(channels, count * portion * network.hop)
        state = [tensor.numpy() for tensor in network.start(channels).values()]
        parts = []
        for part in np.split(noisy, count, axis=1):
            clean, *state = runner([part, *state])
            parts.append(clean)
        delay = network.window - network.hop
        clean = np.concatenate(parts, axis=1)[:, delay:]
        reference = _reference(network, noisy)[:, : clean.shape[1]]
        yield np.abs(clean - reference).max(), f"{channels} x {count} steps of {portion} hops"


def _reference(network, noisy: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(noisy)[:, None])[:, 0].numpy()


def _sound(channels: int, length: int) -> np.ndarray:
    """Return noise that comes and goes, from full scale to nothing at all. ``(C, T)`` float32."""
    time = np.arange(length) / max(length, 2)
    noise = np.random.default_rng(length).uniform(-1, 1, (channels, length))
    return (noise * np.maximum(0, np.sin(7 * np.pi * time + 1))).astype(np.float32)
