"""What it costs to run a network in torch and in ONNX Runtime: size, start, speed, in one run.

    python tests/benchmarks/backends.py [--model default] [--seconds 60] [--rounds 3]

A start is `segan-enhance` on one second of sound, in a process of its own. Speed is a real-time
factor (seconds of processor time for a second of sound), one thread each, in turns; a number is the
best of the rounds. A causal model, exported with --streaming, is also given its hops one by one.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BACKENDS = ("torch", "onnx")


def start(folder: Path, backend: str, model: str) -> tuple[float, float]:
    """Return the wall and processor seconds of enhancing a file of one second."""
    command = [sys.executable, "-m", "segan.cli", folder / "second.wav", "-f", "-q"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    options = ["--backend", backend, "--model", model, "--threads", "1"]
    subprocess.run([*command, *options], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - wall, spent


def factor(enhancer, wave: np.ndarray) -> float:
    """Return the real-time factor of a wave as a whole."""
    begin = time.process_time()
    enhancer(wave, 16000)
    return (time.process_time() - begin) / (len(wave) / 16000)


def hop_time(enhancer, hops: int = 300) -> float:
    """Return the milliseconds that a hop of a causal network takes, on the median."""
    from segan.stepping import stepper

    network = stepper(enhancer)
    state, hop, times = network.start(1), np.zeros((1, network.hop), np.float32), []
    for _ in range(hops):
        begin = time.perf_counter()
        _, state = network.step(hop, state)
        times.append(time.perf_counter() - begin)
    return 1e3 * float(np.median(times))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="of the package, in both formats")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    import torch

    import segan
    from segan import audio
    from segan.enhance import weights

    torch.set_num_threads(1)
    noise = 0.1 * np.random.default_rng(0).standard_normal(round(16000 * given.seconds))
    wave = noise.astype(np.float32)
    enhancers = {b: segan.load(given.model, "cpu", b, threads=1) for b in BACKENDS}
    starts = {b: [] for b in BACKENDS}
    factors = {b: [] for b in BACKENDS}
    hops = {b: [] for b in BACKENDS}
    causal = getattr(enhancers["torch"].network, "causal", False)
    with tempfile.TemporaryDirectory() as folder:
        audio.write(Path(folder) / "second.wav", wave[:16000], 16000)
        for _ in range(given.rounds):
            for b in BACKENDS:
                starts[b].append(start(Path(folder), b, given.model))
                factors[b].append(factor(enhancers[b], wave))
                hops[b].append(hop_time(enhancers[b]) if causal else float("nan"))
    print("backend  size, MB  start, s: wall  processor  real-time factor  ms a hop of 16")
    for b in BACKENDS:
        with weights(given.model, b) as path:
            size = path.stat().st_size / 1e6
        wall, spent = (min(column) for column in zip(*starts[b], strict=True))
        print(
            f"{b:<8} {size:8.2f} {wall:14.2f} {spent:10.2f} {min(factors[b]):17.4f} "
            f"{min(hops[b]):15.2f}"
        )
    out = [enhancers[b](wave[: 5 * 16000], 16000) for b in BACKENDS]
    print(f"the largest difference of a sample over 5 s: {np.abs(out[0] - out[1]).max():.1e}")


if __name__ == "__main__":
    main()
