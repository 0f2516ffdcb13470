"""The same function over many items, in several processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from typing import TypeVar

from segan.evaluate import ignore_interrupts, interrupts_held_back

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
) -> list[Result]:
    """Return ``function(item)`` for each item, in their order, computed by ``jobs`` processes.

    With more than one job, ``function`` is importable by name and the calling program guards its
    main module by ``if __name__ == "__main__"``, as processes are spawned.

    Raises:
        RuntimeError: where a process dies.
    """
    jobs = min(jobs, len(items), 61)  # Windows can wait for no more processes
    if jobs <= 1:
        return [function(item) for item in progress(items, total=len(items))]
    for library in ("OMP", "OPENBLAS", "MKL"):  # the processes are the parallelism
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, spawn, initializer=ignore_interrupts)
    try:
        with interrupts_held_back():  # the processes start here
            futures = [pool.submit(function, item) for item in items]
        for _ in progress(as_completed(futures), total=len(futures)):
            pass
        return [future.result() for future in futures]
    except BrokenExecutor:
        raise RuntimeError("a process died, perhaps for lack of memory; try --jobs 1") from None
    except (KeyboardInterrupt, SystemExit):
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
