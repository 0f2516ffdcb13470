"""Networks that clean a wave as it comes: what ``segan.stream`` asks of them, and torch's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from segan.onnx_backend import OnnxNetwork


@runtime_checkable
class Stepper(Protocol):
    """A network that is given a wave a few hops at a time, in NumPy.

    ``rate`` is in Hz; ``delay``, a multiple of ``hop``, is how many samples the output of ``step``
    lags its input.
    """

    rate: int
    hop: int
    delay: int

    def start(self, batch: int) -> Any:
        """Return the state before ``batch`` waves."""

    def step(self, noisy: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Return the next samples and the state after them.

        ``(B, n * hop) -> (B, n * hop)`` float32, for any n >= 1.
        """


class TorchStepper:
    """A causal network in torch as a ``Stepper``.

    Args:
        network: as ``segan.spectral.SpectralGenerator``, causal.
        device: where it runs, as torch names it; None and "auto" take CUDA where there is one; the
            CPU in place of mps, which has no doubles.

    Raises ValueError where the network is not causal and for a device that cannot be used.
    """

    def __init__(self, network, device="cpu"):
        if not getattr(network, "causal", False):
            ahead = network.context / network.rate
            raise ValueError(
                f"{type(network).__name__}: not causal, it hears {ahead:.2g} s ahead and needs "
                "files; a stream needs a causal model, such as streaming"
            )
        from segan.torch_backend import device_of

        self.device = device_of("cpu" if str(device).startswith("mps") else device)
        self.network = network.eval().to(self.device)
        self.rate, self.hop = network.rate, network.hop
        self.delay = network.window - network.hop

    def start(self, batch: int) -> dict:
        """Return the state before ``batch`` waves."""
        return self.network.start(batch)

    def step(self, noisy: np.ndarray, state: dict) -> tuple[np.ndarray, dict]:
        """Return the next samples and the state after them."""
        import torch

        with torch.inference_mode():
            wave = torch.from_numpy(noisy)[:, None].to(self.device)
            clean, state = self.network.step(wave, state)
            return clean[:, 0].cpu().numpy(), state


def stepper(
    model,
    device: str | None = "cpu",
    backend: str | None = None,
    threads: int | None = 1,
) -> Stepper:
    """Return ``model`` as a ``Stepper``, itself where it is one.

    ``model`` is the name of embedded weights, a weights file, an ``Enhancer`` or a network in
    torch; the rest is for ``segan.load``, where something is loaded. A hop is too little work for
    more than one of ``threads``, which are ONNX Runtime's. Raises what that does, and ValueError
    where the network isn't causal.
    """
    name = model if isinstance(model, (str, Path)) else type(model).__name__
    if isinstance(model, (str, Path)):
        from segan.enhance import load

        model = load(model, device, backend, threads)
    if not isinstance(model, Stepper) and hasattr(model, "network"):  # an Enhancer
        model, device = model.network, model.device
    if isinstance(model, OnnxNetwork):
        raise ValueError(
            f"{name}: whole waves only; export it with segan-export --streaming, "
            "which takes causal networks"
        )
    return model if isinstance(model, Stepper) else TorchStepper(model, device)
