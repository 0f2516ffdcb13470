"""Batches in an order that depends on the seed alone, from any step on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from gan import signals


class Draw(int):
    """An index that knows its epoch, so that a data set can draw anew in each.

    >>> Draw(3, epoch=2), Draw(3, epoch=2).epoch
    (3, 2)
    """

    def __new__(cls, index: int, epoch: int):
        """Return the index, with its epoch."""
        self = super().__new__(cls, index)
        self.epoch = epoch
        return self

    def __getnewargs__(self) -> tuple[int, int]:
        return int(self), self.epoch


class Order(Sampler):
    """The batches of step ``start`` and all later ones, without an end.

    Every epoch is a permutation of its own; what does not fill a batch is left for another epoch.
    A data set smaller than a batch is gone through several times within it. Of ``world`` processes
    each is given its share of a batch, by ``rank``.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int = 0,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
    ):
        if length < 1:
            raise ValueError("the data set is empty")
        if batch_size % world:
            raise ValueError(f"batch_size {batch_size}: {world} processes can't share it evenly")
        self.length, self.batch_size, self.seed, self.start = length, batch_size, seed, start
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[list[Draw]]:
        copies = -(-self.batch_size // self.length)
        per_epoch = self.length * copies // self.batch_size
        epoch, position = divmod(self.start, per_epoch)
        while True:
            random = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = [torch.randperm(self.length, generator=random) for _ in range(copies)]
            draws = [Draw(index, epoch) for index in torch.cat(order).tolist()]
            for batch in range(position, per_epoch):
                whole = draws[batch * self.batch_size : (batch + 1) * self.batch_size]
                yield whole[self.rank :: self.world]
            epoch, position = epoch + 1, 0


def feed(
    dataset: Dataset,
    batch_size: int,
    seed: int = 0,
    start: int = 0,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield batches, or a process's share of them, from ``start`` on, without an end.

    Worker processes change the speed, never the batches: a data set draws its randomness from the
    seed, the epoch and the index that it is asked for.
    """
    loader = DataLoader(
        dataset,
        batch_sampler=Order(len(dataset), batch_size, seed, start, rank, world),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(seed),
        worker_init_fn=leave_group,
    )
    with signals.held_back(*signals.STOP):  # the workers start here, in the trainer's group
        batches = iter(loader)
    try:
        yield from batches
    finally:  # at once: a traceback may keep the iterator, and its workers, until the very end
        if workers:
            batches._shutdown_workers()


def leave_group(_: int) -> None:
    """Leave the process group, whose signals (Ctrl-C, SIGTERM) are the trainer's to answer.

    A worker ends when it is told to, or when its parent is gone.
    """
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
    signals.forget(*signals.STOP)
