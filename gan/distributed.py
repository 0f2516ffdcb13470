"""Several processes that train one model together, as torchrun starts them.

Every process (rank) takes its share of each batch, ``whole[rank::world]``, gradients are averaged
before an update, and so all of them hold the same weights. Alone, a process is rank 0 of 1 and
nothing here costs anything.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Item = TypeVar("Item")
Result = TypeVar("Result")

LARGE = 2**18  # numbers in a gradient that is worth an exchange of its own
_apart = False  # whether this process acts alone for the moment


class Lost(Exception):
    """Another process of the run is gone, and so the run can't go on."""

    def __init__(self, reason: str):
        super().__init__(
            f"another process of this run is gone ({reason}); the last checkpoint is kept: "
            "start the run again, with as many processes or with another number"
        )


@contextmanager
def exchange() -> Iterator[None]:
    """Raise Lost where what is sent or awaited inside fails, as torch says by a RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        raise Lost(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Return the first sentence of what torch says, without the place in its sources."""
    text = re.sub(r"^\[[^]]*\] ", "", " ".join(str(error).split()))
    return text.partition(". ")[0][:200]


# -- the group -------------------------------------------------------------------------------------


def start(device: torch.device, timeout: float = 600.0) -> None:
    """Join the group that torchrun's environment describes, if there is one.

    What another process does not answer within ``timeout`` seconds, it is lost for. Tensors are
    exchanged where they are: by NCCL on CUDA devices, by gloo on CPUs.

    Raises:
        ConnectionError: where the others can't be reached.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or dist.is_initialized():
        return
    backends = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        backends = "cpu:gloo,cuda:nccl"
    try:
        dist.init_process_group(backends, timeout=timedelta(seconds=timeout))
    except (RuntimeError, ValueError) as error:
        raise ConnectionError(
            f"can't join the other processes of this run ({_reason(error)})"
        ) from None


def stop() -> None:
    """Leave the group, once all of its processes are done; of one that is gone, nobody waits."""
    if dist.is_initialized():
        try:
            with exchange():
                dist.barrier()  # rank 0 holds what the others talk through
        except Lost:
            pass
        dist.destroy_process_group()


def local_rank() -> int:
    """Return which of this machine's processes, and so of its GPUs, is ours."""
    return int(os.environ.get("LOCAL_RANK", 0))


def rank() -> int:
    """Return which of the processes this is; 0 writes and speaks."""
    return dist.get_rank() if _together() else 0


def world() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if _together() else 1


def _together() -> bool:
    return dist.is_available() and dist.is_initialized() and not _apart


@contextmanager
def apart() -> Iterator[None]:
    """Let this process be rank 0 of 1 inside: what is called exchanges nothing with the others."""
    global _apart
    before, _apart = _apart, True
    try:
        yield
    finally:
        _apart = before


# -- batches ---------------------------------------------------------------------------------------


def own(x: Sequence[Item] | Tensor) -> Sequence[Item] | Tensor:
    """Return this process's share of what all processes have."""
    return x[rank() :: world()]


def whole(x: Tensor) -> Tensor:
    """Return the batch ``(world * B, ...)`` that each process has a share ``(B, ...)`` of.

    The inverse of ``own``. Gradients flow back to all shares.
    """
    return x if world() == 1 else everyone(x).transpose(0, 1).flatten(0, 1)


def everyone(x: Tensor) -> Tensor:
    """Return the tensors of one shape that the processes give, stacked by rank.

    ``(...) -> (world, ...)``, the same for all. Gradients, of any order, flow back: each process's
    tensor has the sum of what all of them want of it.
    """
    return x.unsqueeze(0) if world() == 1 else _Everyone.apply(x)


class _Everyone(torch.autograd.Function):
    @staticmethod
    def forward(_, x: Tensor) -> Tensor:
        x = x.contiguous()
        parts = [torch.empty_like(x) for _ in range(world())]
        with exchange():
            dist.all_gather(parts, x)
        return torch.stack(parts)

    @staticmethod
    def backward(_, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)[rank()]


class _Sum(torch.autograd.Function):
    """The sum of the processes' tensors; so is its gradient."""

    @staticmethod
    def forward(_, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        with exchange():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)


# -- weights ---------------------------------------------------------------------------------------


def share(module: nn.Module) -> None:
    """Give every process the parameters and buffers that rank 0 has."""
    if world() > 1:
        with torch.no_grad(), exchange():
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, 0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes.

    Large ones are exchanged where they lie, all others as one tensor a type.
    """
    if world() == 1:
        return
    alone: list[Tensor] = []
    joined: dict[torch.dtype, list[Tensor]] = {}
    for gradient in (p.grad for p in parameters if p.grad is not None):
        large = gradient.numel() >= LARGE and gradient.is_contiguous()
        (alone if large else joined.setdefault(gradient.dtype, [])).append(gradient)
    flat = [torch.cat([gradient.flatten() for gradient in few]) for few in joined.values()]
    with exchange():
        for work in [dist.all_reduce(sums, async_op=True) for sums in (*alone, *flat)]:
            work.wait()
    for sums in (*alone, *flat):
        sums /= world()
    for few, means in zip(joined.values(), flat, strict=True):
        pieces = means.split([gradient.numel() for gradient in few])
        torch._foreach_copy_(few, [p.view_as(g) for p, g in zip(pieces, few, strict=True)])


# -- anything else ---------------------------------------------------------------------------------


def mean(values: dict[str, float]) -> dict[str, float]:
    """Return the means over the processes of numbers that each has under the same names."""
    everyones = gather(values)
    return {name: sum(own[name] for own in everyones) / len(everyones) for name in values}


def gather(value: Item) -> list[Item]:
    """Return what each process gives, by rank."""
    if world() == 1:
        return [value]
    values = [None] * world()
    with exchange():
        dist.all_gather_object(values, value)
    return values


def each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return ``function(item)`` for each item, in order: the processes share them out.

    All processes give the same items and are given all results. Within ``function`` a process is on
    its own (``apart``). What it raises on one of them, all raise.
    """
    if world() == 1:
        return [function(item) for item in items]
    results, failure = [], None
    mine = own(items)
    try:
        with apart():
            results = [function(item) for item in mine]
    except Exception as error:
        failure = error
    everyones = gather((results, _portable(failure)))
    if failure:
        raise failure
    for _, error in everyones:
        if error:
            raise error
    return [everyones[i % world()][0][i // world()] for i in range(len(items))]


def _portable(error: Exception | None) -> Exception | None:
    """Return the error, or one that says the same where it can't be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class Stops:
    """The numbers by which processes ask one another to stop, exchanged at the back of the steps.

    Each step gives its process's number and learns the largest that was given at the step before:
    no step waits for an exchange, and all processes stop at the same one.
    """

    def __init__(self):
        with exchange():
            self.group = dist.new_group(backend="gloo") if world() > 1 else None  # beside NCCL too
        self.told, self.work = torch.zeros((), dtype=torch.long), None

    def any(self, number: int) -> int:
        """Return the largest number that any process gave in its previous call; alone, ``number``.

        Raises:
            Lost: where a process is gone.
        """
        if self.group is None:
            return number
        with exchange():
            if self.work:
                self.work.wait()
            before, self.told = int(self.told), torch.tensor(number)
            self.work = dist.all_reduce(self.told, dist.ReduceOp.MAX, self.group, async_op=True)
        return before
