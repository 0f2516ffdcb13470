"""Where a run's numbers go: one JSON line a report, a progress bar, TensorBoard."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

MEASURED = ("time/", "device/")  # begin the names that are of no player's loss; see gan.clock
NUMBERS = ("seconds", "seconds_left", "step_seconds", "samples_per_second", "memory_gib")
WAITING = 0.1  # of a step, for data: from which share on somebody should know


class Log:
    """The reports of a run in ``folder``: ``log.jsonl``, ``tensorboard/``, a bar on a terminal.

    Args:
        folder: of the run.
        steps: of the whole run, for the bar.
        start: the step resumed from; lines of later steps, which will be written again, are cut.
        bar: None shows a progress bar on a terminal and plain lines elsewhere, False nothing.
    """

    def __init__(self, folder: str | Path, steps: int, start: int = 0, bar: bool | None = None):
        self.folder, self.step = Path(folder), start
        self.lines = self.folder / "log.jsonl"
        cut_lines(self.lines, start)
        self.quiet = bar is False
        hidden = True if self.quiet else None
        self.bar = tqdm(total=steps, initial=start, disable=hidden, dynamic_ncols=True, unit="step")
        self.board = open_board(self.folder / "tensorboard", start)

    def advance(self, step: int) -> None:
        """Move the bar to ``step``."""
        self.bar.update(step - self.step)
        self.step = step

    def scalars(self, values: Mapping[str, float], title: str = "train") -> None:
        """Write one report, all of it into files, what a person wants to know to the terminal.

        Raises:
            OSError: where ``log.jsonl`` can't be written, as on a full disk.
        """
        self.write(
            {"step": self.step, "kind": title, **{k: round(v, 7) for k, v in values.items()}}
        )
        self.draw(lambda board: add_scalars(board, title, values, self.step))
        if self.bar.disable and not self.quiet:
            left = time_left(values.get("seconds_left", 0))
            print(f"step {self.step}: {title}: {told(values)}{left}", flush=True)
        elif title == "train":
            self.bar.set_postfix_str(told(values), refresh=False)
        else:
            self.bar.write(f"step {self.step}: {title}: {told(values)}")

    def write(self, line: Mapping) -> None:
        """Add a line to ``log.jsonl``, where it survives the process."""
        try:
            with self.lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise OSError(
                f"{self.lines}: can't be written ({error.strerror}); the last checkpoint is kept: "
                "make room and run again"
            ) from None

    def draw(self, add: Callable) -> None:
        """Let ``add(board)`` add to TensorBoard's files; train on without them where it can't."""
        if not self.board:
            return
        try:
            add(self.board)
        except OSError as error:
            self.board = None
            reason = f"can't be written ({error.strerror or error}), and is left as it is"
            print(f"{self.folder / 'tensorboard'}: {reason}", file=sys.stderr)

    def audio(self, name: str, wave: np.ndarray, rate: int) -> None:
        """Show a wave ``(T,)`` in TensorBoard."""
        self.draw(lambda board: board.add_audio(name, wave[None], self.step, sample_rate=rate))

    def image(self, name: str, picture: np.ndarray) -> None:
        """Show a picture ``(C, H, W)`` in [0, 1] in TensorBoard."""
        self.draw(lambda board: board.add_image(name, picture, self.step))

    def close(self) -> None:
        """Flush and close."""
        self.bar.close()
        self.draw(lambda board: board.close())


def told(values: Mapping[str, float]) -> str:
    """Return losses or scores, the speed, and the wait for data where it is long, in words.

    >>> losses = {"discriminator/adversarial": 0.25, "generator/adversarial": 1, "generator/l1": 3}
    >>> speed = {"samples_per_second": 32, "step_seconds": 0.5, "time/data": 0.3, "time/play": 0.2}
    >>> told({**losses, **speed})
    'discriminator adversarial 0.25, generator adversarial 1 l1 3, 32.0 samples/s, 60 % data wait'
    >>> told({"pesq": 2.5, "stoi": 0.9})
    'pesq 2.5 stoi 0.9'
    """
    names = [name for name in values if name not in NUMBERS and not name.startswith(MEASURED)]
    parts = []
    for player, own in groupby(names, key=lambda name: name.rpartition("/")[0]):
        losses = [f"{name.rpartition('/')[2]} {values[name]:.4g}" for name in own]
        parts.append(" ".join([player, *losses]).strip())
    if "samples_per_second" in values:
        parts.append(f"{values['samples_per_second']:,.1f} samples/s")
    waiting = values.get("time/data", 0) / values.get("step_seconds", 1)
    return ", ".join(parts + [f"{100 * waiting:.0f} % data wait"] * (waiting > WAITING))


def time_left(seconds: float) -> str:
    """Return how much longer the run will take, in words; nothing where it is at its end."""
    return f", {tqdm.format_interval(seconds)} left" if seconds > 0 else ""


def cut_lines(path: Path, step: int) -> None:
    """Leave the lines up to ``step``; a half-written last line goes too."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] > step:
                break
        except (json.JSONDecodeError, KeyError):
            break
        kept.append(line + "\n")
    part = path.with_suffix(".part")
    part.write_text("".join(kept), encoding="utf-8")
    os.replace(part, path)


def open_board(folder: Path, start: int):
    """Return a TensorBoard writer, or None where the package is not installed.

    It has a thread and a queue of its own, so that a slow disk holds nobody up.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder, purge_step=start + 1 if start else None, max_queue=1000)


def add_scalars(board, title: str, values: Mapping[str, float], step: int) -> None:
    """Add the numbers of a report as one record, which takes a tenth of the time of many."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    numbers = [Summary.Value(tag=f"{title}/{k}", simple_value=v) for k, v in values.items()]
    board.file_writer.add_summary(Summary(value=numbers), step)
