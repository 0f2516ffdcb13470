"""What makes steps fast: kernels, layouts, passes; chosen to suit the device, or told by name."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gan import distributed, noise
from gan.game import Batch, Game
from gan.layers import share_batch_norm

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
IMPLEMENTATIONS = ("fused", "foreach", "capturable")  # of an optimizer, not what it computes


@dataclass(frozen=True)
class Speed:
    """How the device is driven; ``auto`` is what suits it: on CUDA yes, on a CPU ``fused`` alone.

    Attributes:
        tf32: products and convolutions of float32 in TF32, with 10 bits of mantissa.
        autotune: cuDNN tries its convolutions and keeps the fastest; shapes should not vary.
        fused: optimizers that update all weights in one kernel.
        channels_last: pictures and their weights with the channels innermost.
        together: real and generated samples in one pass of the discriminator, where a trial shows
            that its normalization allows it exactly.
        compile: names of networks that ``torch.compile`` translates, or ``all``; where that fails
            in a trial, one line says so and all stay as they are.
        graphs: compiled networks are replayed as CUDA graphs.
        recompute: dotted names of modules, such as ``generator.blocks``, whose activations are
            computed again in the backward pass rather than kept; of a list, each member by itself.
        sync_batch_norm: batch normalization by the statistics of all processes.
    """

    tf32: bool | str = "auto"
    autotune: bool | str = "auto"
    fused: bool | str = "auto"
    channels_last: bool | str = "auto"
    together: bool | str = "auto"
    compile: Sequence[str] | str | bool = "auto"
    graphs: bool = False
    recompute: Sequence[str] = ()
    sync_batch_norm: bool = False

    @classmethod
    def plain(cls) -> Speed:
        """Return everything off: the trainer as a textbook has it."""
        return cls(False, False, False, False, False, ())

    def on(self, device: torch.device) -> Speed:
        """Return the same with nothing left to ``auto``."""
        on_cuda = device.type == "cuda"
        can_compile = on_cuda and importlib.util.find_spec("triton") is not None
        switches = ("tf32", "autotune", "fused", "channels_last", "together")
        auto = {**dict.fromkeys(switches, on_cuda), "compile": "all" if can_compile else ()}
        auto["fused"] = device.type in ("cpu", "cuda")
        chosen = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in chosen.items():
            if value == "auto" and name not in auto:
                raise ValueError(f"speed.{name} is auto: say true or false, or which")
            if name in switches and value not in (True, False, "auto"):
                raise ValueError(f"speed.{name} is {value!r}: say auto, true or false")
        return replace(self, **{n: auto[n] for n, value in chosen.items() if value == "auto"})

    # -- before a run, ``auto`` being settled ------------------------------------------------------

    def set_kernels(self, device: torch.device) -> None:
        """Choose the kernels of CUDA, for this process."""
        if device.type != "cuda":
            return
        torch.set_float32_matmul_precision("high" if self.tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = self.tf32
        torch.backends.cudnn.benchmark = self.autotune

    def set_layers(self, game: Game) -> None:
        """Change how the game's layers compute, before optimizers and averages are built."""
        if self.sync_batch_norm:
            share_batch_norm(game)
        if self.channels_last:
            game.to(memory_format=torch.channels_last)
        for name in self.recompute:
            for module in members(named(game, name, "recompute")):
                recomputed(module, name)

    def set_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Let an optimizer take its fused form, where it has one."""
        if self.fused and "fused" in optimizer.defaults:
            for group in optimizer.param_groups:
                group.update(fused=True, foreach=False)

    def networks(self, game: Game) -> list[nn.Module]:
        """Return the networks to compile."""
        if self.compile in ("all", True):
            return [n for n in game.children() if any(True for _ in n.parameters())]
        if isinstance(self.compile, str):
            raise ValueError(f"speed.compile is {self.compile!r}: a list of networks, all, or auto")
        return [named(game, name, "compile") for name in self.compile or ()]

    # -- in every step -----------------------------------------------------------------------------

    def laid_out(self, batch: Batch) -> Batch:
        """Return the batch, pictures with their channels innermost where that is asked for."""
        if not self.channels_last:
            return batch
        pictures = {name: x for name, x in batch.items() if x.dim() == 4}
        last = torch.channels_last
        return batch | {name: x.contiguous(memory_format=last) for name, x in pictures.items()}


def pick_device(name: str) -> torch.device:
    """Return the named device; ``auto`` is CUDA where there is one, else the CPU.

    Raises:
        ValueError: where torch has no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{distributed.local_rank()}"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} can't be used here ({reason})") from None
    return torch.device(name)


def pick_precision(name: str, device: torch.device) -> torch.dtype | None:
    """Return what autocast computes in, None for float32; ``auto`` is bf16 on CUDA that has it."""
    if name == "auto":
        name = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if name not in PRECISIONS:
        raise ValueError(f"precision {name!r}: choose one of auto, {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def named(game: Game, name: str, setting: str) -> nn.Module:
    """Return the game's module of a dotted name."""
    try:
        return game.get_submodule(name)
    except AttributeError:
        known = ", ".join(n for n, _ in game.named_children())
        raise ValueError(
            f"speed.{setting}: the game has no {name!r}; its networks are {known}"
        ) from None


def members(module: nn.Module) -> Iterable[nn.Module]:
    """Return the members of a list of modules, else the module itself."""
    return list(module) if isinstance(module, nn.Sequential | nn.ModuleList) else [module]


def recomputed(module: nn.Module, name: str) -> None:
    """Let ``module`` keep its input alone for the backward pass, and compute the rest again.

    Raises:
        ValueError: where it has a state that changes in training, which would change twice.
    """
    if module.state_dict().keys() - dict(module.named_parameters()).keys():
        raise ValueError(
            f"speed.recompute: {name!r} holds buffers, such as batch or spectral normalization "
            "has, which a second computation would change again; leave it out"
        )
    kind = type(module)

    class Recomputed(kind):  # a class, for copies of the module keep it
        def forward(self, *arguments, **named_arguments):
            forward = kind.forward.__get__(self)
            options = {"use_reentrant": False, "context_fn": same_noise}
            return checkpoint(forward, *arguments, **options, **named_arguments)

    Recomputed.__name__, Recomputed.__qualname__ = kind.__name__, kind.__qualname__
    Recomputed.__module__ = kind.__module__
    module.__class__ = Recomputed


def same_noise() -> tuple:
    """Return the contexts of two computations, of which the second draws the first one's noise."""
    return nullcontext(), noise.replayed(noise.state())


def keep_implementation(optimizer: torch.optim.Optimizer, state: Mapping) -> dict:
    """Return a saved state that leaves ``optimizer`` its own implementation.

    What is fused on one device may not be on the one that a run is resumed on.
    """
    groups = [
        {**saved, **{name: own[name] for name in IMPLEMENTATIONS if name in own}}
        for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    return {**state, "param_groups": groups}


# -- a trial of what may not work ------------------------------------------------------------------


@contextmanager
def undone(game: Game):
    """Put the game's buffers, gradients and torch's random state back after the block."""
    buffers = [(module, n, b) for module in game.modules() for n, b in module._buffers.items()]
    before = [None if b is None else b.clone() for _, _, b in buffers]
    devices = sorted({p.device.index for p in game.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices):
        yield
    for (module, name, _), value in zip(buffers, before, strict=True):
        module._buffers[name] = value
    game.zero_grad(set_to_none=True)


def compiled(networks: Sequence[nn.Module], graphs: bool, trial: Callable[[], object]) -> str:
    """Compile ``networks`` and run ``trial``; return why that fails, nothing where it works."""
    for network in networks:
        network.compile(mode="reduce-overhead" if graphs else None)
    try:
        trial()
    except Exception as error:  # whatever the compiler stumbles over
        return " ".join(str(error).split())[:200] or type(error).__name__
    return ""


def uncompiled(networks: Sequence[nn.Module], reason: str) -> None:
    """Take ``networks`` as they are, and say why."""
    for network in networks:
        network._compiled_call_impl = None
    warnings.warn(f"torch.compile fails here, going on without it ({reason})", stacklevel=2)


def same(apart: Sequence[Tensor], together: Sequence[Tensor]) -> bool:
    """Return whether two ways gave the same numbers, within rounding."""
    return len(apart) == len(together) and all(
        a.shape == b.shape and torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-5)
        for a, b in zip(apart, together, strict=True)
    )
