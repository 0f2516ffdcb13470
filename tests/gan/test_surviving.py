"""Runs that die, fill their disk, or find their checkpoints damaged: they go on as if they hadn't.

Processes that are killed are forked by a fresh one, which has imported torch and not yet used it.
"""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gan import checkpoint, run_folder
from gan.run_folder import RunFolder
from gan.trainer import Interrupted, Player, Trainer
from gan.translation import Translation

IMPORTED = ["torch._dynamo", "torch.utils.tensorboard", "pytest"]  # what is slow, once for all
FORKS = pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="needs fork"
)
SIZE = 16


class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2 * SIZE, SIZE), nn.BatchNorm1d(SIZE), nn.Tanh())

    def forward(self, x, given):
        return self.net(torch.cat([x, given], dim=1)).mean(1)


class Pairs(torch.utils.data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        rng = np.random.default_rng([int(index), getattr(index, "epoch", 0)])
        return {name: rng.standard_normal(SIZE, dtype=np.float32) for name in ("source", "target")}


def trainer(folder, steps, every=1, **options):
    """Return one of a small game with dropout; it saves in ``every`` so many steps."""
    torch.manual_seed(1)
    generator = nn.Sequential(nn.Linear(SIZE, 512), nn.Dropout(), nn.ReLU(), nn.Linear(512, SIZE))
    return Trainer(
        Translation(generator, Judge()),
        {"discriminator": Player(torch.optim.RMSprop), "generator": Player(torch.optim.Adam)},
        Pairs(),
        steps=steps,
        folder=folder,
        batch_size=4,
        device="cpu",
        averages={"generator": 0.9},
        bar=False,
        every={"report": 0, "validate": 2, "save": every},
        **options,
    )


def outcome(folder):
    """Return every tensor of a run's last checkpoint, by name."""
    state = checkpoint.load(Path(folder) / "last.pt")
    return {"step": torch.tensor(state["step"])} | tensors_of(state, "")


def tensors_of(state, name):
    if isinstance(state, torch.Tensor):
        return {name: state}
    if isinstance(state, (list, tuple)):
        state = dict(enumerate(state))
    if not isinstance(state, dict):
        return {}
    return {
        k: v for key, item in state.items() for k, v in tensors_of(item, f"{name}/{key}").items()
    }


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


# -- killed ------------------------------------------------------------------------------------


def fresh():
    """Return the context that starts fresh processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    return context


def elsewhere(function, *arguments):
    """Return what ``function`` returns in a fresh process."""
    with ProcessPoolExecutor(1, fresh()) as pool:
        return pool.submit(function, *arguments).result()


def forked(function, *arguments):
    """Return the id of a process that runs ``function`` and ends with code 0, or with 1."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            function(*arguments)
            code = 0
        finally:
            os._exit(code)
    return child


def wait(child):
    """Return how a process ended: its code, or minus the signal's number."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(folder, steps, every=1):
    trainer(folder, steps, every, keep=2).run()


def kill_at_random_moments(folder, times):
    """Return how the processes ended that ran a training in turn, each killed at some moment.

    Every second one is killed early, perhaps while it resumes; the others after a save of theirs.
    """
    endings = []
    for attempt in range(times):
        before = modified(folder / "last.pt")
        child = forked(run, folder, 10**6)
        if attempt % 2:
            time.sleep(random.uniform(0, 0.2))
        else:
            wait_until(lambda: modified(folder / "last.pt") not in (None, before))  # noqa: B023
            time.sleep(random.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        endings.append(wait(child))
    return endings


def wait_until(condition):
    for _ in range(60_000):
        if condition():
            return
        time.sleep(0.001)


def modified(path):
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def finish(killed, whole):
    """Take the killed run three steps further; run another to that step in one go."""
    step = RunFolder(killed).latest()[1]["step"] + 3
    assert wait(forked(run, killed, step)) == 0
    assert wait(forked(run, whole, step, 0)) == 0
    return step


@FORKS
@pytest.mark.slow
def test_killed_at_20_random_moments_it_ends_with_the_same_weights(tmp_path):
    endings = elsewhere(kill_at_random_moments, tmp_path / "killed", 20)
    assert endings == [-signal.SIGKILL] * 20
    assert elsewhere(finish, tmp_path / "killed", tmp_path / "whole") >= 13
    assert_same(outcome(tmp_path / "killed"), outcome(tmp_path / "whole"))


def small(step):
    return {"step": step, "weights": torch.full((10,), float(step))}


def save_and_die(folder, step, line):
    """Save; be killed at the so many-th line of this project's that is run for it."""
    lines = iter(range(1, line))

    def trace(frame, event, argument):
        if event == "line" and next(lines, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        ours = Path(frame.f_code.co_filename).name in ("checkpoint.py", "run_folder.py")
        return trace if ours else None

    sys.settrace(trace)
    folder.save(small(step))


def save_half_and_die(folder, step):
    """Save; be killed when half of it is written."""

    def half(state, file):
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half
    folder.save(small(step))


def readable(path):
    return {checkpoint.load(file)["step"] for file in path.glob("*.pt")}


def kill_saves_everywhere(path):
    """Return, for every line of a save, the step of the last save and what a kill there leaves."""
    folder, left, ending = RunFolder(path, keep=3), [], -signal.SIGKILL
    for step in range(1, 4):
        folder.save(small(step))
    while ending == -signal.SIGKILL:
        line, last = len(left), folder.step
        if line == 0:
            ending = wait(forked(save_half_and_die, folder, last + 1))
        else:
            ending = wait(forked(save_and_die, folder, last + 1, line))
        folder = RunFolder(path, keep=3)
        with folder.lock():
            latest = folder.latest()[1]["step"]
            left.append((last, latest, readable(path), any(path.glob(".*.part"))))
        folder.save(small(latest + 1))
    assert ending == 0
    return left


@FORKS
def test_a_save_killed_anywhere_loses_nothing(tmp_path):
    left = elsewhere(kill_saves_everywhere, tmp_path)
    assert len(left) > 30
    assert {latest - last for last, latest, _, _ in left} == {0, 1}
    for last, latest, steps, parts in left:
        assert {last, last - 1} <= steps
        assert max(steps) == latest
        assert not parts


def hold(path, held):
    with RunFolder(path).lock():
        held.send("held")
        time.sleep(600)


@FORKS
def test_who_is_killed_holds_no_folder(tmp_path, monkeypatch):
    ours, theirs = multiprocessing.Pipe()
    process = fresh().Process(target=hold, args=(tmp_path, theirs))
    process.start()
    assert ours.recv() == "held"
    monkeypatch.setattr(run_folder, "PATIENCE", 0.0)
    with pytest.raises(ValueError, match="another training runs in this folder"):
        trainer(tmp_path, 3).run()
    process.kill()
    process.join()
    trainer(tmp_path, 3).run()
    assert outcome(tmp_path)["step"] == 3


# -- a full disk -------------------------------------------------------------------------------


@contextmanager
def small_disk(path):
    """Mount 1 MB on ``path``; give what fills it but for 100 kB, and returns what makes room."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("can't mount a small disk")

    def fill():
        other = path / "other"
        other.write_bytes(bytes(shutil.disk_usage(path).free - 100_000))
        return other.unlink

    try:
        yield fill
    finally:
        subprocess.run(["umount", str(path)], check=True)


@contextmanager
def small_files(path):
    """Give what lets no file grow beyond 100 kB, and returns what lets them again."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def make_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        return make_room

    try:
        yield fill
    finally:
        make_room()


@pytest.mark.parametrize("lack_of_room", [small_disk, small_files])
def test_a_full_disk_is_one_line_and_the_old_checkpoint_stays(tmp_path, lack_of_room):
    folder = tmp_path / "disk" / "run"
    with lack_of_room(tmp_path / "disk") as fill:
        trainer(folder, 2).run()
        before = (folder / "last.pt").read_bytes()
        make_room = fill()
        with pytest.raises(OSError, match=r"last.pt: can't be written \(.*\); it needs 0\.\d MB"):
            trainer(folder, 4).run()
        assert (folder / "last.pt").read_bytes() == before
        assert [path.name for path in folder.glob("*pt*")] == ["last.pt"]
        make_room()
        trainer(folder, 4).run()
        resumed = outcome(folder)
    trainer(tmp_path / "whole", 4).run()
    assert_same(resumed, outcome(tmp_path / "whole"))


# -- damage ------------------------------------------------------------------------------------


def test_with_the_last_checkpoint_damaged_it_goes_on_from_the_one_before(tmp_path, capsys):
    trainer(tmp_path / "run", 5, keep=2).run()
    last = tmp_path / "run" / "last.pt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    trainer(tmp_path / "run", 8, keep=2).run()
    assert "Going on from" in capsys.readouterr().err
    trainer(tmp_path / "whole", 8).run()
    assert_same(outcome(tmp_path / "run"), outcome(tmp_path / "whole"))


# -- stopped in a validation -------------------------------------------------------------------


def test_a_signal_ends_a_validation_and_the_run_goes_on_as_if_it_had_not(tmp_path):
    def validate(networks, log):
        batch = torch.rand(3, SIZE)  # draws, which training must not notice
        return {"score": float(networks["generator"](batch).sum())}

    def interrupted(networks, log):
        torch.rand(2)
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("the validation went on")

    options = {"every": 0, "best": ("score", "max")}
    trainer(tmp_path / "whole", 6, validate=validate, **options).run()
    with pytest.raises(Interrupted, match="SIGTERM"):
        trainer(tmp_path / "parts", 6, validate=interrupted, **options).run()
    assert outcome(tmp_path / "parts")["step"] == 2
    trainer(tmp_path / "parts", 6, validate=validate, **options).run()
    assert_same(outcome(tmp_path / "parts"), outcome(tmp_path / "whole"))
    states = [checkpoint.load(tmp_path / name / "best.pt") for name in ("whole", "parts")]
    assert states[0]["best_score"] == states[1]["best_score"]


# -- another precision -------------------------------------------------------------------------


def test_a_run_goes_on_in_another_precision(tmp_path):
    for steps, precision in enumerate(["fp32", "fp16", "bf16", "fp16", "fp32"], start=1):
        trainer(tmp_path / "run", 2 * steps, precision=precision).run()
    trainer(tmp_path / "whole", 10, precision="fp32").run()
    own, whole = (outcome(tmp_path / name) for name in ("run", "whole"))
    assert own["step"] == 10
    for name in (name for name in whole if name.startswith("/game/generator")):
        assert own[name].dtype == torch.float32
        torch.testing.assert_close(own[name], whole[name], atol=0.02, rtol=0)
