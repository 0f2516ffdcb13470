"""Stop segan-enhance at random moments: what its exit says and what it leaves.

    python tests/benchmarks/kill_enhance.py [--times 30] [--seed 0]

A process that has imported everything forks the command, which enhances three files with the
default network and is sent SIGINT or SIGTERM at a random moment. What must hold: exit status 130 or
143 (or 0, where it was quicker), outputs whole or absent, no other file left, no traceback.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from segan import audio, cli, enhance, journal

NAMES = ("a.wav", "b.flac", "c.mp3")
SECONDS = 5
STOP = (signal.SIGINT, signal.SIGTERM)


def main() -> int:
    """Print the count by outcome; return 0 where all held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    enhancer = enhance.load("default", "cpu")
    enhance.load = lambda *_: enhancer
    rng, table = random.Random(options.seed), collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, (1, SECONDS * 16000))
        for sound in NAMES:
            (folder / "in").mkdir(exist_ok=True)
            audio.write(folder / "in" / sound, noise, 16000)
        start = time.perf_counter()
        assert stopped(folder, "whole", None, 0) == (0, "")
        duration = time.perf_counter() - start
        for number in range(options.times):
            sign = (signal.SIGINT, signal.SIGTERM)[number % 2]
            code, said = stopped(folder, f"out{number}", sign, rng.uniform(0, duration))
            table[sign.name, verdict(code, said, folder / f"out{number}", folder / "whole")] += 1
    print(f"undisturbed {duration:.1f} s")
    for row, count in sorted(table.items()):
        print(f"| {' | '.join(row)} | {count} |")
    return int(any(row[-1].startswith("WRONG") for row in table))


def stopped(folder: Path, out: str, sign, after: float) -> tuple[int, str]:
    """Return the exit status and the lines of a command that is sent ``sign``."""
    said = folder / "said"
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)  # until the child is ready
    child = os.fork()
    if child == 0:
        with said.open("w", buffering=1) as sys.stderr:
            os._exit(run([str(folder / "in"), "-o", str(folder / out), "-q"]))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
    if sign is not None:
        time.sleep(after)
        os.kill(child, sign)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.read_text()


def run(arguments: list[str]) -> int:
    """Return the exit status of the command, as the interpreter would make it."""
    try:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
        return cli.main(arguments)
    except SystemExit as end:
        return end.code
    except KeyboardInterrupt:  # before main has begun
        print("segan-enhance: interrupted", file=sys.stderr)
        return 130


def verdict(code: int, said: str, out: Path, whole: Path) -> str:
    """Return the row that an ending belongs to."""
    left = [path for path in out.glob("*") if path.name != journal.NAME]
    good = sum(
        (whole / path.name).exists() and path.read_bytes() == (whole / path.name).read_bytes()
        for path in left
    )
    expected = {130: "segan-enhance: interrupted\n", 143: "", 0: ""}
    if good != len(left) or said != expected.get(code):
        return f"WRONG: {code}, {said!r}, {good} of {len(left)} are whole"
    return f"{code}, {good} of {len(NAMES)} outputs, whole"


if __name__ == "__main__":
    sys.exit(main())
