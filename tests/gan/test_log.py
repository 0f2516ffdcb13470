"""The log of a run: everything in its files, what a person wants on the terminal."""

import io
import json
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tqdm import tqdm

from gan.clock import Clock
from gan.log import Log, told
from gan.report.training import Curve, read_training

LOSSES = {"discriminator/adversarial": 0.25, "generator/adversarial": 1.0, "generator/l1": 3.5}
TIMES = {
    "seconds": 77.0,
    "time/data": 0.01,
    "time/play": 0.19,
    "device/play": 0.2,
    "step_seconds": 0.2,
    "samples_per_second": 1234.56,
    "memory_gib": 2.0,
    "seconds_left": 3725.0,
}


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]


def curves(folder):
    board = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {
        tag: [(event.step, event.value) for event in board.Scalars(tag)]
        for tag in board.Tags()["scalars"]
    }


def write(folder, steps, start=0, **options):
    log = Log(folder, 10, start, **options)
    for step in steps:
        log.advance(step)
        log.scalars({**LOSSES, **TIMES})
    log.close()


def test_files_have_every_number_and_the_terminal_what_a_person_wants(tmp_path, capsys):
    write(tmp_path, [5])
    assert lines(tmp_path) == [{"step": 5, "kind": "train", **LOSSES, **TIMES}]
    assert curves(tmp_path) == {
        f"train/{name}": [(5, pytest.approx(value))] for name, value in {**LOSSES, **TIMES}.items()
    }
    assert capsys.readouterr().out == (
        "step 5: train: discriminator adversarial 0.25, generator adversarial 1 l1 3.5, "
        "1,234.6 samples/s, 1:02:05 left\n"
    )


def test_scores_are_shown_as_they_are(tmp_path, capsys):
    log = Log(tmp_path, 10)
    log.scalars({"pesq": 2.5, "stoi": 0.93751}, "validation")
    log.close()
    assert capsys.readouterr().out == "step 0: validation: pesq 2.5 stoi 0.9375\n"
    assert set(curves(tmp_path)) == {"validation/pesq", "validation/stoi"}


def test_a_quiet_run_prints_nothing(tmp_path, capsys):
    write(tmp_path, [5], bar=False)
    assert capsys.readouterr().out == "" and len(lines(tmp_path)) == 1


def test_a_bar_shows_losses_and_speed_and_tells_the_time_left_itself(tmp_path, capsys):
    log, screen = Log(tmp_path, 10), io.StringIO()
    log.bar = tqdm(total=10, file=screen, disable=False, ncols=200)
    log.advance(5)
    log.scalars({**LOSSES, **TIMES})
    log.scalars({"pesq": 2.5}, "validation")
    log.close()
    shown = screen.getvalue()
    assert "generator adversarial 1 l1 3.5, 1,234.6 samples/s]" in shown and "left" not in shown
    assert capsys.readouterr().out == "step 5: validation: pesq 2.5\n"


@pytest.mark.parametrize(("data", "said"), [(0.02, ""), (0.03, ", 15 % data wait")])
def test_a_wait_for_data_is_told_where_it_is_long(data, said):
    speed = "1,234.6 samples/s"
    assert told({**TIMES, "time/data": data}) == speed + said


def test_at_the_end_of_a_run_no_time_is_left(tmp_path, capsys):
    log = Log(tmp_path, 10, bar=None)
    log.scalars({**LOSSES, "seconds_left": 0.0})
    log.close()
    assert "left" not in capsys.readouterr().out


def test_no_number_of_the_clock_is_taken_for_a_loss(tmp_path):
    clock = Clock()
    with clock("data"), clock("discriminator"):
        clock.step(1)
    numbers = {**clock.read(), "device/generator": 0.1}
    assert "time/discriminator" in numbers
    log = Log(tmp_path, 10, bar=False)
    log.scalars({**LOSSES, **numbers, "seconds": 1.0, "seconds_left": clock.left(1)})
    log.close()
    found = read_training(tmp_path)
    assert found.losses == {name: Curve([0], [value]) for name, value in LOSSES.items()}
    assert "adversarial 0.25, generator adversarial 1 l1 3.5," in told({**LOSSES, **numbers})


def test_lines_of_steps_that_will_be_taken_again_are_cut(tmp_path):
    write(tmp_path, [2, 4, 6, 8], bar=False)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 9, "ki')  # killed here
    write(tmp_path, [7, 9], start=6, bar=False)
    assert [line["step"] for line in lines(tmp_path)] == [2, 4, 6, 7, 9]
    assert [step for step, _ in curves(tmp_path)["train/generator/l1"]] == [2, 4, 6, 7, 9]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_is_one_line_that_names_the_file(tmp_path):
    log = Log(tmp_path, 10, bar=False)
    log.lines = Path("/dev/full")
    with pytest.raises(OSError, match=r"^/dev/full: can't be written \(No space left on device\)"):
        log.scalars(LOSSES)
    log.close()


def test_without_tensorboard_s_files_the_run_goes_on(tmp_path, capsys):
    log = Log(tmp_path, 10, bar=False)
    board, log.board = log.board, Broken()
    board.close()
    for _ in range(2):
        log.scalars(LOSSES)
    log.image("samples", torch.zeros(3, 8, 8).numpy())
    log.close()
    assert len(lines(tmp_path)) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "tensorboard: can't be written (No space left on device)" in said[0]


class Broken:
    """A TensorBoard writer on a full disk."""

    @property
    def file_writer(self):
        raise OSError(28, "No space left on device")
