"""Where a run's numbers go: one JSON line a report, a progress bar, TensorBoard."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm


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
        """Write one report."""
        line = {"step": self.step, "kind": title, **{k: round(v, 7) for k, v in values.items()}}
        with self.lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in values.items():
            if self.board:
                self.board.add_scalar(f"{title}/{name}", value, self.step)
        shown = " ".join(f"{name.split('/')[-1]} {value:.4g}" for name, value in values.items())
        if self.bar.disable and not self.quiet:
            print(f"step {self.step}: {title}: {shown}", flush=True)
        elif title == "train":
            self.bar.set_postfix_str(shown, refresh=False)
        else:
            self.bar.write(f"step {self.step}: {title}: {shown}")

    def audio(self, name: str, wave: np.ndarray, rate: int) -> None:
        """Show a wave ``(T,)`` in TensorBoard."""
        if self.board:
            self.board.add_audio(name, wave[None], self.step, sample_rate=rate)

    def image(self, name: str, picture: np.ndarray) -> None:
        """Show a picture ``(C, H, W)`` in [0, 1] in TensorBoard."""
        if self.board:
            self.board.add_image(name, picture, self.step)

    def close(self) -> None:
        """Flush and close."""
        self.bar.close()
        if self.board:
            self.board.close()


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
    """Return a TensorBoard writer, or None where the package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder, purge_step=start + 1 if start else None)
