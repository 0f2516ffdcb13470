"""What a device can do at most, and what a piece of work asks of it."""

import time

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work, device, rounds=5):
    """Return the least time of some calls."""
    work()
    times = []
    for _ in range(rounds):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


def matrix_ceiling(device, dtype=torch.float32):
    """Return the operations a second of a large product of square matrices."""
    side = 8192 if device.type == "cuda" else 1536
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / seconds(lambda: a @ b, device)


def bandwidth_ceiling(device):
    """Return the bytes a second, read and written, of a large copy."""
    count = 2**28 if device.type == "cuda" else 2**25
    a = torch.ones(count, device=device)
    b = torch.empty_like(a)
    return 2 * 4 * count / seconds(lambda: b.copy_(a), device)


class Traffic(TorchDispatchMode):
    """Adds up the bytes of what eager operators read and write, views left out."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        returns = function._schema.returns
        if not any(r.alias_info and not r.alias_info.is_write for r in returns):
            tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
            self.bytes += sum(t.nbytes for t in tensors)
        return result


def demands(work):
    """Return the operations of the products and convolutions in ``work()``, and its traffic."""
    with FlopCounterMode(display=False) as flops, Traffic() as traffic:
        work()
    return flops.get_total_flops(), traffic.bytes
