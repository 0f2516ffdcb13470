"""Networks in torch, as ``segan.enhance`` uses them: NumPy in and out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from segan.onnx_backend import ROWS


class TorchNetwork:
    """A network in torch on whole waves, in evaluation mode.

    What it draws at random is drawn anew from a fixed seed at each call, and torch's own random
    state is left as it was.

    Args:
        network: ``(B, 1, T) -> (B, 1, T)`` float.
        device: where it runs, as torch names it; None and "auto" take CUDA where there is one.

    Raises ValueError for a device that cannot be used.
    """

    def __init__(self, network: nn.Module, device: str | None):
        self.device = device_of(device)
        self.network = network.eval().to(self.device)

    def enhance(self, noisy: np.ndarray) -> np.ndarray:
        """Return the clean waves. ``(C, T) -> (C, T)`` float32."""
        rows = torch.from_numpy(noisy)[:, None].split(ROWS)  # each (<= ROWS, 1, T)
        with torch.inference_mode(), _fixed_seed(self.device):
            clean = [self.network(row.to(self.device)).cpu() for row in rows]
            return torch.cat(clean)[:, 0].numpy()


@contextmanager
def _fixed_seed(device: torch.device) -> Iterator[None]:
    """Seed what is drawn inside, and leave the random state as it was."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        generators.append(torch.cuda.default_generators[index])
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(0)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def device_of(name: str | None) -> torch.device:
    """Return the device of that name. Raises ValueError where it cannot be used."""
    if name in (None, "auto"):
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(
            f"device {name}: this PyTorch cannot use it here; cpu always does, cuda with a GPU"
        ) from None
