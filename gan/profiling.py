"""What a training spends its time on: a trace to look at, and a table of the slowest parts.

Some steps warm up, some are timed by ``gan.clock``, and a few traced by ``torch.profiler``, which
slows them down: the parts of a step are told by the clock, operators by the trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch.autograd import DeviceType
from torch.profiler import record_function, schedule

from gan import distributed
from gan.clock import Clock

SLOWEST = 20  # operators in a table
MIB = 2**20


class Watch(Clock):
    """A clock that keeps what it read of the timed steps, and names parts of the traced ones."""

    def __init__(self, device: torch.device, warmup: int, steps: int, profiler):
        super().__init__(device)
        self.profiler, self.number = profiler, 0
        self.first, self.last = warmup, warmup + steps
        self.numbers: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Return the context of a part, a range of the trace where there is one."""
        traced = self.number > self.last
        with super().__call__(name), record_function(name) if traced else nullcontext():
            yield

    def step(self, samples: int) -> None:
        """End a step."""
        super().step(samples)
        self.number += 1
        if self.number in (self.first, self.last):
            with self("report"):  # which waits for the device, as fetching the losses does
                drain(self.device)
            self.numbers = self.read()
        self.profiler.step()


def profile(trainer, folder: str | Path, warmup: int = 5, steps: int = 10, traced: int = 3) -> str:
    """Return a table of the slowest parts and operators of a training, after some steps of it.

    Prints it as well, and writes it to ``folder/profile/table.txt``; beside it ``trace.json.gz``,
    which Perfetto and Chrome's tracing show. Nothing is resumed, and nothing else written: no
    checkpoint, no log. The trainer is used up.
    """
    plan = schedule(wait=warmup + steps, warmup=1, active=traced, repeat=1)
    profiler = torch.profiler.profile(schedule=plan, profile_memory=True, acc_events=True)
    watch = Watch(trainer.device, warmup, steps, profiler)
    trainer.clock, trainer.folder, trainer.kept, trainer.validate = watch, None, None, None
    trainer.steps = trainer.step_number + warmup + steps + 1 + traced
    trainer.every = dict.fromkeys(trainer.every, 0)
    with profiler:
        trainer.run()
    text = table(watch.numbers, profiler.key_averages(), traced, trainer.device)
    if distributed.rank() == 0:
        place = Path(folder) / "profile"
        place.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(place / "trace.json.gz"))
        (place / "table.txt").write_text(text, encoding="utf-8")
        print(text, end="")
    return text


def drain(device: torch.device) -> None:
    """Wait until the device has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def table(numbers: dict[str, float], events, steps: int, device: torch.device) -> str:
    """Return the report on what a clock read and what a profiler saw in so many steps."""
    own = [event for event in events if event.device_type == DeviceType.CPU]
    kernels = [e for e in events if e.device_type != DeviceType.CPU and not e.is_user_annotation]
    step, busy = numbers["step_seconds"], sum(e.self_device_time_total for e in kernels)
    lines = [
        f"{1000 * step:.2f} ms a step on {device}, "
        f"{numbers['samples_per_second']:,.1f} samples a second",
        *parts_of(numbers, step),
        *slowest("on the CPU", own, "cpu", steps),
    ]
    if kernels:
        share = busy / steps / 1e6 / step
        lines += slowest(f"on {device}", kernels, "device", steps)
        lines += ["", f"The device is busy for {share:.0%} of a step."]
    lines += [
        "",
        "Own ms are without what was called; MiB were taken less given back; a step each.",
    ]
    return "\n".join(lines) + "\n"


def parts_of(numbers: dict[str, float], step: float) -> list[str]:
    """Return the lines on the parts of a step, the longest first."""
    times = {k.partition("/")[2]: v for k, v in numbers.items() if k.startswith("time/")}
    there = {name: numbers[f"device/{name}"] for name in times if f"device/{name}" in numbers}
    heading = f"{'part':<56}{'ms':>10}{'share':>8}"
    lines = ["", heading + f"{'ms on the device':>18}" * bool(there)]
    for name, seconds in sorted(times.items(), key=lambda item: -item[1]):
        line = f"{name:<56}{1000 * seconds:10.2f}{seconds / step:8.1%}"
        lines.append(line + (f"{1000 * there[name]:18.2f}" if name in there else ""))
    return lines


def slowest(where: str, events: list, kind: str, steps: int) -> list[str]:
    """Return the lines on the operators or kernels whose own time is the longest, a step."""
    total = sum(getattr(event, f"self_{kind}_time_total") for event in events)
    lines = ["", f"{where:<56}{'own ms':>10}{'share':>8}{'calls':>9}{'MiB':>9}"]
    rows = sorted(events, key=lambda event: -getattr(event, f"self_{kind}_time_total"))
    for event in rows[:SLOWEST]:
        own = getattr(event, f"self_{kind}_time_total")
        name = f"{event.key} (outside operators)" if event.is_user_annotation else event.key
        taken = event.self_cpu_memory_usage + event.self_device_memory_usage
        memory = round(taken / MIB / steps, 1) or 0.0  # no -0.0
        numbers = f"{own / 1000 / steps:10.3f}{own / total:8.1%}{event.count / steps:9.1f}"
        lines.append(f"{short(name):<56}{numbers}{memory:9.1f}")
    return lines


def short(name: str, width: int = 54) -> str:
    """Return a name of at most so many characters."""
    return name if len(name) <= width else f"{name[: width - 3]}..."
