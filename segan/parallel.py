"""The same function over many items, in several processes; Ctrl-C ends them at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from typing import TypeVar

from gan import signals

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[..., Iterable]  # takes an iterable and its total, as tqdm does


def silent(iterable: Iterable, total: int) -> Iterable:
    """Return ``iterable``: no progress is shown."""
    return iterable


def each(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int = 1,
    progress: Progress = silent,
    lost: Callable[[Item], Result] | None = None,
) -> list[Result]:
    """Return ``function(item)`` for each item, in their order, computed by ``jobs`` processes.

    With more than one job, ``function`` is importable by name and the calling program guards its
    main module by ``if __name__ == "__main__"``, as processes are spawned.

    Args:
        function: of an item.
        items: in any number.
        jobs: processes, as many as there are items at most.
        progress: wraps what is iterated over.
        lost: gives the result of an item whose process died.

    Raises:
        RuntimeError: where a process dies and there is no ``lost``.
    """
    jobs = min(jobs, len(items), 61)  # Windows can wait for no more processes
    if jobs <= 1:
        return [function(item) for item in progress(items, total=len(items))]
    for library in ("OMP", "OPENBLAS", "MKL"):  # the processes are the parallelism
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, spawn, initializer=ignore_interrupts)
    try:
        with signals.held_back(signal.SIGINT):  # the processes start here
            futures = [pool.submit(function, item) for item in items]
        for _ in progress(as_completed(futures), total=len(futures)):
            pass
        return [result_of(*pair, lost) for pair in zip(futures, items, strict=True)]
    except (KeyboardInterrupt, SystemExit):
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def result_of(future: Future, item: Item, lost: Callable[[Item], Result] | None) -> Result:
    """Return the future's result, or that of a lost item where its process died."""
    try:
        return future.result()
    except BrokenExecutor:
        if lost:
            return lost(item)
        raise RuntimeError("a process died, perhaps for lack of memory; try --jobs 1") from None


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
