"""The same function over many items, in several processes.

They end at once with the program: on Ctrl-C, on SIGTERM where that is ``SystemExit`` (as by
``gan.signals.exit_on_terminate``), and where it is killed.
"""

from __future__ import annotations

import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from contextlib import closing, suppress
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
    main module by ``if __name__ == "__main__"``, as processes are spawned. Where one dies, as in a
    system out of memory, what was at work is done once more, each item by itself; an item whose
    process dies again is lost.

    Args:
        function: of an item.
        items: in any number.
        jobs: processes, as many as there are items at most.
        progress: wraps what is iterated over.
        lost: gives the result of an item that is lost.

    Raises:
        RuntimeError: where an item is lost and there is no ``lost``.
    """
    jobs = min(jobs, len(items), 61)  # Windows can wait for no more processes
    if jobs <= 1:
        return [function(item) for item in progress(items, total=len(items))]
    for library in ("OMP", "OPENBLAS", "MKL"):  # the processes are the parallelism
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    with closing(in_processes(function, items, jobs, lost)) as done:
        results = dict(progress(done, total=len(items)))
    return [results[number] for number in range(len(items))]


def in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    lost: Callable[[Item], Result] | None,
) -> Iterator[tuple[int, Result]]:
    """Yield each item's number and its result, in the order in which they end."""
    left = list(range(len(items)))
    while left := (yield from until_one_dies(function, items, left, jobs)):
        suspects, left = left[:jobs], left[jobs:]  # items are begun in their order
        while suspects := (yield from until_one_dies(function, items, suspects, 1)):
            guilty = suspects.pop(0)
            if lost is None:
                raise RuntimeError("a process died twice over one item, perhaps for lack of memory")
            yield guilty, lost(items[guilty])


def until_one_dies(
    function: Callable[[Item], Result], items: Sequence[Item], numbers: Iterable[int], jobs: int
) -> Generator[tuple[int, Result], None, list[int]]:
    """Yield the results of the items with these numbers until a process dies.

    Return the numbers that are left then; the culprit is among the first ``jobs``.
    """
    left = dict.fromkeys(numbers)
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, spawn, initializer=begin)
    futures: dict[Future, int] = {}
    try:
        with suppress(BrokenExecutor), signals.held_back(signal.SIGINT):  # the processes start here
            for number in left:
                futures[pool.submit(function, items[number])] = number
        for future in as_completed(futures):
            try:
                result = future.result()
            except BrokenExecutor:
                continue
            del left[futures[future]]
            yield futures[future], result
        return list(left)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def begin() -> None:
    """Leave Ctrl-C to the parent process, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """End this process where its parent is killed, which would else wait for work for ever."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
