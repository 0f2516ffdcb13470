"""The clock of a training: its parts add up, and nothing waits for the device."""

import sys
from pathlib import Path

import pytest
import torch

from gan import clock as clocks
from gan.clock import MARKED, Clock, memory


@pytest.fixture
def time(monkeypatch):
    """Time that passes only where a test says so: ``time.passes(seconds)``."""

    class Time:
        now = 100.0

        def passes(self, seconds):
            self.now += seconds

    time = Time()
    monkeypatch.setattr(clocks, "perf_counter", lambda: time.now)
    return time


def times(numbers):
    return {k[5:]: pytest.approx(v) for k, v in numbers.items() if k.startswith("time/")}


def test_parts_are_told_by_the_step_and_add_up_to_the_time_gone_by(time):
    clock = Clock()
    for _ in range(4):
        with clock("data"):
            time.passes(1)
        time.passes(0.5)
        with clock("play"):
            time.passes(2)
        clock.step(8)
    numbers = clock.read()
    assert times(numbers) == {"data": 1, "other": 0.5, "play": 2}
    assert numbers["step_seconds"] == pytest.approx(3.5)
    assert numbers["samples_per_second"] == pytest.approx(8 / 3.5)


def test_a_part_within_a_part_stops_the_outer_one(time):
    clock = Clock()
    with clock("generator"):
        time.passes(1)
        with clock("play"):
            time.passes(2)
            with clock("generator"):
                time.passes(4)
        time.passes(8)
    clock.step(1)
    assert times(clock.read()) == {"generator": 13, "play": 2}


def test_an_error_ends_its_part(time):
    clock = Clock()
    with pytest.raises(KeyError), clock("data"), clock("play"):
        time.passes(1)
        raise KeyError
    time.passes(2)
    clock.step(1)
    assert times(clock.read()) == {"play": 1, "other": 2}


def test_a_reading_begins_anew_also_within_a_part(time):
    clock = Clock()
    with clock("report"):
        time.passes(1)
        clock.step(1)
        clock.read()
        time.passes(2)
    clock.step(1)
    assert times(clock.read()) == {"report": 2}


def test_without_a_step_nothing_is_read_and_nothing_lost(time):
    clock = Clock()
    time.passes(1)
    assert clock.read() == {}
    time.passes(1)
    clock.step(1)
    assert times(clock.read()) == {"other": 2}


def test_validation_and_saving_do_not_slow_training_down_but_are_awaited(time):
    clock = Clock()
    for _ in range(2):
        time.passes(1)
        clock.step(3)
    with clock("validate"):
        time.passes(10)
        with clock("save"):
            time.passes(6)
    numbers = clock.read()
    assert numbers["time/validate"] == 5 and numbers["time/save"] == 3
    assert numbers["step_seconds"] == 1 and numbers["samples_per_second"] == 3
    assert clock.left(5) == 5 * 9


def test_the_time_left_forgets_the_warming_up_but_no_validation(time):
    clock = Clock()
    assert not clock.left(10) >= 0  # NaN
    for seconds, left in [(50, 500), (1, 10), (2, 15), (6, 30)]:
        time.passes(seconds)
        clock.step(1)
        clock.read()
        assert clock.left(10) == pytest.approx(left)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells")
def test_memory_on_a_cpu_is_the_peak_of_the_process():
    told = Path("/proc/self/status").read_text()
    peak = int(told.split("VmHWM:")[1].split()[0])  # KiB
    assert memory(torch.device("cpu"))["memory_gib"] == pytest.approx(peak / 2**20, rel=0.02)


def test_a_system_that_does_not_tell_memory_is_no_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert memory(torch.device("cpu")) == {}


class Stream:
    """A device with a queue: events come to pass as far as it has got."""

    def __init__(self, monkeypatch):
        self.time, self.done, self.recording = 0.0, 0, False
        self.recorded = []
        stream = self

        class Event:
            def __init__(self, enable_timing):
                assert enable_timing

            def record(self, on):
                assert on is stream
                self.at, self.number = stream.time, len(stream.recorded)
                stream.recorded.append(self)

            def query(self):
                return self.number < stream.done

            def elapsed_time(self, end):
                assert self.query() and end.query()
                return 1000 * (end.at - self.at)

        for name, value in {
            "Event": Event,
            "current_stream": lambda device: stream,
            "is_current_stream_capturing": lambda: self.recording,
            "max_memory_allocated": lambda device: 3 * 2**30,
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)

    def finish(self):
        self.done = len(self.recorded)


def take_steps(clock, stream, count):
    for _ in range(count):
        with clock("play"):
            stream.time += 2
            with clock("data"):
                stream.time += 3
        clock.step(1)


def test_a_gpu_tells_its_own_times_and_memory(monkeypatch):
    stream = Stream(monkeypatch)
    clock = Clock("cuda")
    take_steps(clock, stream, 5)
    stream.finish()
    numbers = clock.read()
    assert numbers["device/play"] == pytest.approx(2)
    assert numbers["device/data"] == pytest.approx(3)
    assert numbers["memory_gib"] == 3
    with clock("validate"):
        stream.time += 100
    take_steps(clock, stream, 2 * MARKED)
    stream.finish()
    told = {k: pytest.approx(v) for k, v in clock.read().items() if k.startswith("device/")}
    assert told == {"device/play": 2, "device/data": 3, "device/other": 0}


def test_what_a_gpu_has_not_done_is_left_out_rather_than_awaited(monkeypatch):
    stream = Stream(monkeypatch)
    clock = Clock("cuda")
    take_steps(clock, stream, 1)
    stream.done = 2  # the events of two beginnings, not those of ends
    assert {k: v for k, v in clock.read().items() if k.startswith("device/")} == {"device/play": 2}


def test_events_do_not_pile_up_in_a_run_without_reports(monkeypatch):
    stream = Stream(monkeypatch)
    clock = Clock("cuda")
    take_steps(clock, stream, 10 * MARKED)
    assert len(stream.recorded) == 4 * MARKED
    stream.finish()
    assert clock.read()["device/data"] == pytest.approx(3)


def test_no_event_goes_into_a_graph_that_is_being_recorded(monkeypatch):
    stream = Stream(monkeypatch)
    stream.recording = True
    take_steps(Clock("cuda"), stream, 3)
    assert stream.recorded == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_work_that_a_gpu_does_late_is_its_parts_own():
    clock, x = Clock("cuda"), torch.randn(4096, 4096, device="cuda")
    for _ in range(3):
        with clock("work"):
            for _ in range(20):
                x = (x @ x).clamp(-1, 1)
        with clock("rest"):
            pass
        clock.step(1)
    torch.cuda.synchronize()
    numbers = clock.read()
    assert numbers["device/work"] > 10 * numbers["device/rest"]
    assert numbers["memory_gib"] > 0.1
