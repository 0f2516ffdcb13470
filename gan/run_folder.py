"""The folder of a run: held by one training, never without a checkpoint that can be read."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gan import checkpoint, distributed

OLDER = re.compile(r"step-(\d{8,})\.pt")
PATIENCE = 6.0  # seconds; what a killed run leaves of its data workers notices within 5


class RunFolder:
    """The checkpoints in ``path``: ``last.pt``, the ones before it by their step, ``best.pt``.

    Killed between any two of its operations, it still holds every checkpoint that was written: an
    older one is ``step-00001000.pt``, or else it is ``last.pt``. Ask ``latest`` before ``save``.

    Args:
        path: made where it isn't there.
        keep: how many of the last checkpoints are kept, ``last.pt`` among them.

    Raises:
        ValueError: where ``keep`` is less than 1.
    """

    def __init__(self, path: str | Path, keep: int = 1):
        if keep < 1:
            raise ValueError(f"keep is {keep}: keep at least 1 checkpoint")
        self.path, self.keep = Path(path), keep
        self.last, self.best = self.path / "last.pt", self.path / "best.pt"
        self.step: int | None = None  # of last.pt, where that can be read

    @contextmanager
    def lock(self):
        """Hold the folder for one training (its rank 0); clear away what a killed one half wrote.

        The system lets go of it when the process ends, however it ends.

        Raises:
            ValueError: where another training holds it.
            OSError: where the folder can't be made or written to.
        """
        if distributed.rank() > 0:
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            raise ValueError(
                f"{self.path}: another training runs in this folder; "
                "wait for its end, stop it, or choose another folder"
            ) from None
        try:
            checkpoint.remove_parts(self.path)
            yield
        finally:
            lock.release()

    def save(self, state: Mapping) -> None:
        """Write ``last.pt``; what it was becomes ``step-<its step>.pt``, and the oldest ones go.

        ``state["step"]`` is the step. Raises an OSError where it can't be written; then the
        checkpoints are as they were.
        """
        aside = None
        if self.keep > 1 and self.step is not None:
            aside = self.path / f"step-{self.step:08d}.pt"
        checkpoint.save(self.last, state, aside)
        self.step = state["step"]
        older = self.older()  # may hold steps to come, where the run went on from an older one
        kept = [step for step in older if step < self.step][: self.keep - 1]
        for step in older.keys() - kept:
            older[step].unlink(missing_ok=True)

    def save_best(self, state: Mapping) -> None:
        """Write ``best.pt``."""
        checkpoint.save(self.best, state)

    def latest(self) -> tuple[Path, dict] | None:
        """Return the newest checkpoint that can be read, its path and its state; None without any.

        What is damaged, and what is used instead, is said on standard error.

        Raises:
            ValueError: where there are checkpoints, and none can be read.
        """
        bad = []
        for path in (self.last, *self.older().values()):
            try:
                state = checkpoint.load(path)
            except FileNotFoundError:
                bad.append(f"{path}: is missing")
            except ValueError as error:
                bad.append(str(error))
            else:
                self.step = state.get("step") if path == self.last else None
                if bad and distributed.rank() == 0:
                    print("; ".join(bad) + f". Going on from {path}", file=sys.stderr)
                return path, state
        if self.last.exists() or len(bad) > 1:
            raise ValueError("; ".join(bad))
        return None

    def older(self) -> dict[int, Path]:
        """Return the checkpoints before the last by their steps, newest first."""
        matches = [(OLDER.fullmatch(path.name), path) for path in self.path.glob("step-*.pt")]
        found = {int(match[1]): path for match, path in matches if match}
        return dict(sorted(found.items(), reverse=True))
