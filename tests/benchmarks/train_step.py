"""How fast training steps are: the trainer against loops written by hand, in one run.

    python tests/benchmarks/train_step.py [--systems tiny,segan,pix2pix,cyclegan,default]

By hand (see ``by_hand.py``) is eager float32; so is the trainer where it is ``plain``, and
``defaults`` is what a run gets that says nothing. On a GPU the loop is also timed with torch's own
choice, convolutions in TF32. All train the same networks on the same data, take turns by blocks of
steps, and each pays for everything: data, reports and their files. A row is the median of the
blocks; the ratio is the median of the rounds' ratios to the loop by hand.

Afterwards each runs alone in a process of its own, for its peak memory (of the process on a CPU, of
torch's allocator on a GPU), and on a GPU for the share of the time in which no kernel runs (of 20
profiled steps, and so rather too large).

Shares of the ceilings, both measured first: the products and convolutions of a step against a large
product of matrices in the row's precision; the bytes that the eager loop moves against a large copy
(fused operators move fewer, and so may show more than they use).
"""

import argparse
import contextlib
import copy
import math
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import partial

import by_hand
import torch
from ceilings import bandwidth_ceiling, demands, matrix_ceiling, synchronize
from torch import nn
from torch.utils.data import DataLoader, Dataset

from gan.speed import Speed
from gan.trainer import Player, Trainer
from gan.translation import Translation

NAMES = ("tiny", "segan", "pix2pix", "cyclegan", "default")
BATCHES = {  # on a CPU, on a GPU
    "tiny": ([16], [16]),
    "segan": ([16], [100, 400]),
    "pix2pix": ([1, 16], [1, 16]),
    "cyclegan": ([1, 4], [1, 4]),
    "default": ([8], [8, 64]),
}
SHAPES = {
    "tiny": (16,),
    "segan": (1, 16384),
    "pix2pix": (3, 256, 256),
    "cyclegan": (3, 256, 256),
    "default": (1, 48000),
}
ROLES = ("source", "target")
WARMUP = 2  # steps; the trainer tries things out in the second


# -- what is trained -------------------------------------------------------------------------------


@dataclass
class System:
    """A game, its players, what trains it by hand, and what it learns from."""

    game: nn.Module
    players: dict
    loop: object  # (game, batches)
    data: Dataset
    averages: dict


class Noise(Dataset):
    """Pairs of tensors in memory, as many as 64 MiB hold."""

    def __init__(self, shape):
        count = min(2**23 // math.prod(shape), 4096)
        drawn = torch.randn(2, count, *shape, generator=torch.Generator().manual_seed(0))
        self.source, self.target = 0.1 * drawn

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return {"source": self.source[index], "target": self.target[index]}


class Judge(nn.Module):
    """A discriminator of three layers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(32, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))

    def forward(self, x, given):
        return self.layers(torch.cat([x, given], 1))


def tiny():
    generator = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 16))
    adam = partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999))
    players = {"discriminator": Player(adam), "generator": Player(adam, weights={"l1": 100})}
    game = Translation(generator, Judge())
    return System(game, players, by_hand.tiny, Noise(SHAPES["tiny"]), {})


def build(name, data=(), changes=()):
    """Return a system, on made data or on that which ``data`` names.

    Both ``data`` and ``changes`` of the system are settings of gan-train.
    """
    if name == "tiny":
        return tiny()
    from hydra import compose, initialize_config_module
    from hydra.utils import instantiate

    from gan.train import build_game

    with initialize_config_module("gan.conf", version_base="1.3"):
        settings = [f"system={name}", "name=benchmark", "trainer.steps=100000"]
        config = compose("train", [*settings, "trainer.epochs=null", *data, *changes])
    weights = dict(config.players.generator.get("weights", {}))
    loop = getattr(by_hand, name)
    return System(
        build_game(config),
        {name: instantiate(p, _convert_="all") for name, p in config.players.items()},
        partial(loop, weights=weights) if name == "default" else loop,
        instantiate(config.data, _convert_="all") if data else Noise(SHAPES[name]),
        dict(config.trainer.averages),
    )


# -- who trains it ---------------------------------------------------------------------------------


class Kernels:
    """Torch's choices for the whole process, which each way to train makes for itself."""

    def __init__(self):
        self.kept = torch.get_float32_matmul_precision(), *self.of_cudnn()

    def of_cudnn(self):
        return torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark

    def restore(self):
        precision, *of_cudnn = self.kept
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = of_cudnn


def loop_by_hand(system, given, gate, tf32=False):
    """Train by the loop, ``gate(batch)`` being called before each step."""
    torch.backends.cudnn.allow_tf32 = tf32
    device = torch.device(given.device)
    game = copy.deepcopy(system.game).to(device)
    on_gpu = device.type == "cuda"
    loader = DataLoader(
        system.data,
        given.batch,
        shuffle=True,
        drop_last=True,
        num_workers=given.workers,
        prefetch_factor=4 if given.workers else None,
        persistent_workers=given.workers > 0,
        pin_memory=on_gpu,
    )

    def batches():
        while True:
            for batch in loader:
                batch = gate({k: v.to(device, non_blocking=True) for k, v in batch.items()})
                yield batch["source"], batch["target"]

    system.loop(game, batches())


def trainer(system, given, gate, plain):
    """Train by the trainer, in a folder as ever."""
    settings = {"speed": Speed.plain(), "precision": "fp32"} if plain else {}
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            copy.deepcopy(system.game),
            system.players,
            system.data,
            steps=100000,
            folder=folder,
            batch_size=given.batch,
            workers=given.workers,
            device=given.device,
            averages=system.averages,
            prepare=gate,
            every={"report": 50, "save": 0},
            bar=False,
            **settings,
        ).run()


def ways(device):
    """Return the ways to train by name, ``(system, given, gate)`` each."""
    loop_tf32 = {"by hand, TF32": partial(loop_by_hand, tf32=True)} if device == "cuda" else {}
    plain, defaults = (partial(trainer, plain=choice) for choice in (True, False))
    return {"by hand": loop_by_hand, **loop_tf32, "plain": plain, "defaults": defaults}


# -- side by side ----------------------------------------------------------------------------------


class Enough(BaseException):
    """Ends a training at its gate."""


class Contender(threading.Thread):
    """A training in a thread of its own, which is let go on for some steps at a time."""

    def __init__(self, train, given):
        super().__init__(daemon=True)
        self.train, self.device = partial(train, gate=self.gate), torch.device(given.device)
        self.clock = time.process_time if given.cpu_time else time.perf_counter
        self.go, self.arrived = threading.Event(), threading.Event()
        self.left, self.error, self.over, self.kernels = 0, None, False, Kernels()

    def run(self):
        try:
            self.pause()
            self.train()
        except Enough:
            pass
        except Exception as error:
            self.error = error
        self.arrived.set()

    def gate(self, batch):
        """Return the batch, once its step is due."""
        if self.left == 0:
            self.pause()
        self.left -= 1
        return batch

    def pause(self):
        synchronize(self.device)
        self.kernels = Kernels()
        self.arrived.set()
        self.go.wait()
        self.go.clear()
        if self.over:
            raise Enough
        self.kernels.restore()

    def block(self, steps):
        """Return the seconds that some more steps took."""
        self.left = steps
        self.arrived.clear()
        start = self.clock()
        self.go.set()
        self.arrived.wait()
        if self.error:
            raise self.error
        return self.clock() - start

    def end(self):
        self.over = True
        self.go.set()
        self.join()


def race(system, given):
    """Return by name the seconds a step of each round."""
    contenders, kernels = {}, Kernels()
    for name, way in ways(given.device).items():
        contender = contenders[name] = Contender(partial(way, system, given), given)
        kernels.restore()
        contender.start()
        contender.arrived.wait()
        contender.block(WARMUP)
    slowest = max(contender.block(1) for contender in contenders.values())
    count = max(1, round(given.seconds / slowest))
    times = {name: [] for name in contenders}
    for _ in range(given.rounds):
        for name, contender in contenders.items():
            times[name].append(contender.block(count) / count)
    for contender in contenders.values():
        contender.end()
    kernels.restore()
    return times


# -- alone -----------------------------------------------------------------------------------------


class Steps:
    """A gate that lets some steps pass, and some more under the profiler on a GPU."""

    def __init__(self, device, steps, profiled):
        self.device, self.steps, self.profiled, self.number = device, steps, profiled, 0
        activities = [torch.profiler.ProfilerActivity.CUDA]
        self.profiler = torch.profiler.profile(activities=activities) if profiled else None
        self.seconds = 0.0

    def __call__(self, batch):
        if self.number == self.steps and self.profiled:
            synchronize(self.device)
            self.profiler.start()
            self.seconds = -time.perf_counter()
        if self.number == self.steps + self.profiled:
            synchronize(self.device)
            if self.profiled:
                self.seconds += time.perf_counter()
                self.profiler.stop()
            raise Enough
        self.number += 1
        return batch

    def idle(self):
        """Return the share of the profiled time in which the device had nothing to do."""
        there = (e for e in self.profiler.events() if e.device_type.name == "CUDA")
        spans = [e.time_range for e in there if not e.is_user_annotation]
        busy, until = 0.0, 0.0
        for span in sorted(spans, key=lambda span: span.start):
            busy += max(0.0, span.end - max(span.start, until))
            until = max(until, span.end)
        return 1 - busy / 1e6 / self.seconds


def alone(name, way, given):
    """Return the peak memory in GiB, and on a GPU its idle share, of this fresh process."""
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    on_gpu = device.type == "cuda"
    gate = Steps(device, WARMUP + 10 if on_gpu else WARMUP, 20 if on_gpu else 0)
    with contextlib.suppress(Enough):
        ways(given.device)[way](build(name, given.data), given, gate)
    if on_gpu:
        return torch.cuda.max_memory_allocated() / 2**30, gate.idle()
    return peak_of_process() / 2**30, None


def peak_of_process():
    """Return the most bytes that this process has held, NaN where the system doesn't say."""
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def in_new_process(function, *arguments):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


# -- the table -------------------------------------------------------------------------------------


def ceilings(device):
    """Return the ceilings by precision, and that of copying."""
    torch.set_float32_matmul_precision("highest")
    found = {"fp32": matrix_ceiling(device)}
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        found["tf32"] = matrix_ceiling(device)
        found["bf16"] = matrix_ceiling(device, torch.bfloat16)
        torch.set_float32_matmul_precision("highest")
    return found, bandwidth_ceiling(device)


def precision_of(way, device):
    if device == "cpu" or way in ("by hand", "plain"):
        return "fp32"
    return "tf32" if way == "by hand, TF32" else "bf16"


def asked(system, given):
    """Return the operations and the bytes of a step of the loop by hand."""
    device = torch.device(given.device)
    items = [system.data[i % len(system.data)] for i in range(given.batch)]
    batch = [torch.stack([torch.as_tensor(i[k]) for i in items]).to(device) for k in ROLES]
    game = copy.deepcopy(system.game).to(device)
    return demands(lambda: system.loop(game, [batch]))


def compare(name, given, tops):
    """Print the rows of one system at one batch size."""
    system = build(name, given.data)
    operations, traffic = asked(system, given)
    times = race(system, given)
    del system
    for way, seconds in times.items():
        step = statistics.median(seconds)
        ratios = [hand / own for hand, own in zip(times["by hand"], seconds, strict=True)]
        top = tops[0][precision_of(way, given.device)]
        memory, idle = in_new_process(alone, name, way, given) if given.alone else (math.nan, None)
        row = f"{name:<9} {given.batch:>5}  {way:<14} {1000 * step:>10.2f} "
        row += f"{given.batch / step:>11.2f} {statistics.median(ratios):>7.3f} {memory:>7.2f} "
        row += f"{operations / step / top:>7.1%} {traffic / step / tops[1]:>7.1%}"
        print(row + ("" if idle is None else f" {idle:>6.1%}"), flush=True)


def options():
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", default=",".join(NAMES), help="separated by commas")
    parser.add_argument("--batch", type=int, help="one batch size in place of the usual ones")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    parser.add_argument("--workers", type=int, help="that read data: 0 on a CPU, 4 on a GPU")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a block, at least one step")
    parser.add_argument(
        "--cpu-time", action="store_true", help="in place of the clock's, on a busy machine"
    )
    parser.add_argument("--quick", action="store_true", help="the smallest batch, one short round")
    parser.add_argument(
        "--data", default="", help="settings of gan-train in place of made data, such as 'data=...'"
    )
    given = parser.parse_args()
    if unknown := set(given.systems.split(",")) - set(NAMES):
        parser.error(f"no system {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return settled(given)


def settled(given):
    """Return the options with nothing left open."""
    if given.device == "auto":
        given.device = "cuda" if torch.cuda.is_available() else "cpu"
    if given.workers is None:
        given.workers = 4 if given.device == "cuda" else 0
    given.data, given.alone = given.data.split(), not given.quick
    if given.quick:
        given.rounds, given.seconds = 1, 0.0
    return given


def main():
    """Print the table."""
    given = options()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    tops = ceilings(device)
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{given.threads} threads"
    of_products = ", ".join(f"{name} {top / 1e9:,.0f}" for name, top in tops[0].items())
    print(f"torch {torch.__version__}, {where}, {given.workers} workers")
    print(f"ceilings: products {of_products} GFLOP/s; copies {tops[1] / 1e9:,.1f} GB/s")
    idle = "   idle" if device.type == "cuda" else ""
    print(f"system    batch  {'':<14}    ms/step   samples/s   ratio     GiB  matrix    copy{idle}")
    for name in given.systems.split(","):
        batches = [given.batch] if given.batch else BATCHES[name][device.type == "cuda"]
        for batch in batches[:1] if given.quick else batches:
            compare(name, argparse.Namespace(**{**vars(given), "batch": batch}), tops)


if __name__ == "__main__":
    main()
