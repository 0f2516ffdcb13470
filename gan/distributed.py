"""Several processes that train one model together, as torchrun starts them.

Every process (rank) takes its share of each batch, gradients are averaged before an update, and so
all of them hold the same weights. Alone, a process is rank 0 of 1 and nothing here costs anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import nn


def start(device: torch.device) -> None:
    """Join the group that torchrun's environment describes, if there is one."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def stop() -> None:
    """Leave the group, once all of its processes are done."""
    if dist.is_initialized():
        dist.barrier()  # rank 0 holds what the others talk through
        dist.destroy_process_group()


def local_rank() -> int:
    """Return which of this machine's processes, and so of its GPUs, is ours."""
    return int(os.environ.get("LOCAL_RANK", 0))


def rank() -> int:
    """Return which of the processes this is; 0 writes and speaks."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def share(module: nn.Module) -> None:
    """Give every process the parameters and buffers that rank 0 has."""
    if world() > 1:
        with torch.no_grad():
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, 0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes, in one exchange a type."""
    if world() == 1:
        return
    by_type: dict[torch.dtype, list[torch.Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            by_type.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in by_type.values():
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= world()
        pieces = flat.split([gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))


def mean(values: dict[str, float]) -> dict[str, float]:
    """Return the means over the processes of numbers that each has under the same names."""
    everyone = gather(values)
    return {name: sum(own[name] for own in everyone) / len(everyone) for name in values}


def gather(value) -> list:
    """Return what each process gives, by rank."""
    if world() == 1:
        return [value]
    values = [None] * world()
    dist.all_gather_object(values, value)
    return values
