"""Batches in an order that depends on the seed alone, from any step on."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count, islice

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from gan import signals

WINDOW = 8  # parts of a data set that are read at a time


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

    The epochs, each a permutation of its own, follow one another in one stream, which is cut into
    batches: every item comes exactly once an epoch, a batch may end one epoch and begin the next,
    and one that is larger than the data set spans several. Of ``world`` processes each is given its
    share of a batch, by ``rank``.

    Args:
        length: of the data set.
        batch_size: over all processes.
        seed: of the permutations.
        start: the first batch's number.
        rank: of this process,
        world: of so many.
        chunks: lengths of the parts in which the data set is stored. Parts are permuted, and items
            within ``WINDOW`` parts that follow one another, so that reading stays within these.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int = 0,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        chunks: Sequence[int] | None = None,
    ):
        if length < 1:
            raise ValueError("the data set is empty")
        if batch_size % world:
            raise ValueError(f"batch_size {batch_size}: {world} processes can't share it evenly")
        self.length, self.batch_size, self.seed, self.start = length, batch_size, seed, start
        self.rank, self.world = rank, world
        self.chunks = np.array(chunks if chunks is not None else [length], dtype=np.int64)
        if self.chunks.sum() != length:
            raise ValueError(f"chunks hold {self.chunks.sum()} items, the data set {length}")

    def __iter__(self) -> Iterator[list[Draw]]:
        draws = self.draws(self.start * self.batch_size)
        while True:
            whole = list(islice(draws, self.batch_size))
            yield whole[self.rank :: self.world]

    def draws(self, start: int) -> Iterator[Draw]:
        """Yield the stream from its item ``start`` on."""
        first, place = divmod(start, self.length)
        for epoch in count(first):
            for window in self.windows(epoch):
                size = int(self.chunks[window].sum())
                if place < size:
                    yield from (Draw(item, epoch) for item in self.shuffled(window, epoch)[place:])
                place = max(place - size, 0)

    def windows(self, epoch: int) -> list[np.ndarray]:
        """Return the parts, permuted, some at a time."""
        parts = np.random.default_rng([self.seed, epoch]).permutation(len(self.chunks))
        return [parts[first : first + WINDOW] for first in range(0, len(parts), WINDOW)]

    def shuffled(self, window: np.ndarray, epoch: int) -> np.ndarray:
        """Return the items of a window's parts, permuted."""
        ends = self.chunks.cumsum()[window]
        items = np.concatenate(
            [
                np.arange(end - size, end)
                for end, size in zip(ends, self.chunks[window], strict=True)
            ]
        )
        np.random.default_rng([self.seed, epoch, int(window[0])]).shuffle(items)
        return items


def feed(
    dataset: Dataset,
    batch_size: int,
    seed: int = 0,
    start: int = 0,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
    pin: bool = False,
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield batches, or a process's share of them, from ``start`` on, without an end.

    Worker processes change the speed, never the batches: a data set draws its randomness from the
    seed, the epoch and the index that it is asked for. Where it has ``chunks``, the lengths of the
    parts in which it is stored, the order keeps to some of them at a time; see ``Order``. ``pin``
    lays batches in page-locked memory, from which a GPU copies while it computes.
    """
    chunks = getattr(dataset, "chunks", None)
    loader = DataLoader(
        dataset,
        batch_sampler=Order(len(dataset), batch_size, seed, start, rank, world, chunks),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=pin,
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


def onto(
    device: torch.device, batches: Generator[dict[str, torch.Tensor], None, None]
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the batches on ``device``; a GPU copies the next one while it computes with this one.

    The copies overlap where the batches lie in pinned memory; see ``feed``. ``batches`` is closed
    at the end.
    """
    with closing(batches):
        if device.type == "cuda":
            yield from copied_ahead(device, batches)
        else:
            yield from (moved(batch, device) for batch in batches)


def copied_ahead(
    device: torch.device, batches: Iterable[dict[str, torch.Tensor]]
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the batches on a GPU, each copied by a stream of its own before it is asked for."""
    computing, copying = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    ready = None
    for batch in batches:
        computing.wait_stream(copying)  # for the batch that is ready, before the next is begun
        with torch.cuda.stream(copying):
            coming = moved(batch, device)
        if ready is not None:
            yield lent(ready, computing)
        ready = coming
    computing.wait_stream(copying)
    if ready is not None:
        yield lent(ready, computing)


def moved(batch: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """Return the batch on ``device``."""
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def lent(batch: dict[str, torch.Tensor], stream: torch.cuda.Stream) -> dict[str, torch.Tensor]:
    """Return the batch, whose memory is kept until ``stream`` has done with it."""
    for value in batch.values():
        value.record_stream(stream)
    return batch


def leave_group(_: int) -> None:
    """Leave the process group, whose signals (Ctrl-C, SIGTERM) are the trainer's to answer.

    A worker ends when it is told to, or when its parent is gone.
    """
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
    signals.forget(*signals.STOP)
