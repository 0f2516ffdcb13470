"""Where the time of a training goes: a clock that always runs for one of its parts.

    clock = Clock(device)
    while ...:
        with clock("data"):
            batch = next(batches)
        with clock("play"):
            ...
        clock.step(samples)
    clock.read()

A part within a part stops the outer one meanwhile, so that all parts add up to the time gone by;
``other`` is what no part has claimed.

A GPU computes after the Python that asked it to, so that the times above say where Python waits,
not what the device is busy with. There, events are left in the stream as well where parts begin and
end, and the times between them read when they have come to pass. Nothing waits for the device.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from itertools import pairwise
from time import perf_counter

import torch

RARE = ("validate", "save")  # parts that the speed of training leaves out
MARKED = 10  # steps after each reading whose parts are timed on the device too
GIB = 2**30


class Part:
    """A stretch of code that a clock runs for."""

    __slots__ = ("clock", "name", "outer")

    def __init__(self, clock: Clock, name: str):
        self.clock, self.name = clock, name

    def __enter__(self) -> None:
        self.outer = self.clock.running
        self.clock.turn_to(self.name)

    def __exit__(self, *_) -> None:
        self.clock.turn_to(self.outer)


class Clock:
    """Times of the parts of a training step, speed and memory; see the module.

    Args:
        device: that the training computes on.
    """

    def __init__(self, device: str | torch.device = "cpu"):
        self.device = torch.device(device)
        self.running = "other"
        self.readings, self.spent, self.done = 0, 0.0, 0
        self.reset()

    def reset(self) -> None:
        """Begin to count anew, from now on."""
        self.since = perf_counter()
        self.seconds: dict[str, float] = defaultdict(float)
        self.steps = self.samples = 0
        self.marks: list[tuple[str, torch.cuda.Event]] = []
        self.marking = self.device.type == "cuda"

    def __call__(self, name: str) -> Part:
        """Return the context whose time counts as that of ``name``, but for parts within it."""
        return Part(self, name)

    def turn_to(self, name: str) -> None:
        """Let the time from now on count as that of ``name``."""
        now = perf_counter()
        self.seconds[self.running] += now - self.since
        self.running, self.since = name, now
        if self.marking:
            self.mark(name)

    def mark(self, name: str) -> None:
        """Leave an event in the device's stream, unless a CUDA graph is being recorded."""
        if not torch.cuda.is_current_stream_capturing():
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self.device))
            self.marks.append((name, event))

    def step(self, samples: int) -> None:
        """End a step that has learned from so many samples."""
        self.steps += 1
        self.samples += samples
        self.marking = self.marking and self.steps < MARKED

    def read(self) -> dict[str, float]:
        """Return the times, speed and memory since the last reading; nothing without a step.

            time/NAME            seconds a step that Python was in the part
            device/NAME          seconds a step that the part took on a GPU, waits for Python
                                 included; the mean of the first steps
            step_seconds         the sum of time/..., but for validation and saving
            samples_per_second   at that speed
            memory_gib           the most so far: allocated on a GPU, else by this process, where
                                 the system tells

        Read it after the losses were fetched: what the device hasn't done yet is left out.
        """
        if not self.steps:
            return {}
        self.turn_to(self.running)
        spent = sum(self.seconds.values())
        training = spent - sum(self.seconds.get(name, 0) for name in RARE)
        numbers = {
            **{f"time/{name}": value / self.steps for name, value in self.seconds.items() if value},
            **self.on_device(),
            "step_seconds": training / self.steps,
            "samples_per_second": self.samples / training,
            **memory(self.device),
        }
        self.keep_pace(spent)
        self.reset()
        return numbers

    def on_device(self) -> dict[str, float]:
        """Return the seconds a step that the parts took on the device, of those it has finished."""
        steps = min(self.steps, MARKED)
        seconds: dict[str, float] = defaultdict(float)
        for (name, begin), (_, end) in pairwise(self.marks):
            if not end.query():
                break
            seconds[name] += begin.elapsed_time(end) / 1000 / steps
        return {f"device/{name}": value for name, value in seconds.items() if name not in RARE}

    def keep_pace(self, spent: float) -> None:
        """Add up the time of the run; the first reading, with its warming up, counts but once."""
        if self.readings == 1:
            self.spent, self.done = 0.0, 0
        self.spent += spent
        self.done += self.steps
        self.readings += 1

    def left(self, steps: int) -> float:
        """Return the seconds that ``steps`` more will take, with validation and saving as so far.

        NaN before the first reading.
        """
        return steps * self.spent / self.done if self.done else float("nan")


def memory(device: torch.device) -> dict[str, float]:
    """Return the most memory used so far in GiB, ``{}`` where the system doesn't tell."""
    if device.type == "cuda":
        return {"memory_gib": torch.cuda.max_memory_allocated(device) / GIB}
    try:
        import resource
    except ImportError:  # Windows
        return {}
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux
    return {"memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB}
