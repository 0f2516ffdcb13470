"""Stop segan-enhance at random moments: what its exit says and what it leaves.

    python tests/benchmarks/kill_enhance.py [--times 30] [--seed 0]

Each time the command is begun on three files and sent SIGINT or SIGTERM at a random moment, with
one process or with two. What must hold: exit status 130 or 143 (or 0, where it was quicker),
outputs whole or absent, no other file left, no traceback. Before the program has begun, while
Python itself starts, a signal does what it does to every Python program: that is counted apart.
"""

from __future__ import annotations

import argparse
import collections
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from segan import audio

NAMES = ("a.wav", "b.flac", "c.ogg")


def main() -> int:
    """Print the count by outcome; return 0 where all held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, table = random.Random(options.seed), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        sounds = Path(folder) / "in"
        sounds.mkdir()
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, (1, 30 * 16000))
        for name in NAMES:
            audio.write(sounds / name, noise, 16000)
        start = time.perf_counter()
        assert stopped(sounds, Path(folder) / "whole", None, 0, 1)[0] == 0
        whole = {path.name: path.read_bytes() for path in (Path(folder) / "whole").iterdir()}
        duration = time.perf_counter() - start
        print(f"undisturbed: {duration:.1f} s")
        for number in range(options.times):
            sign, jobs = (signal.SIGINT, signal.SIGTERM)[number % 2], 1 + number // 2 % 2
            out = Path(folder) / f"out{number}"
            code, said = stopped(sounds, out, sign, rng.uniform(0, 1.1 * duration), jobs)
            table[sign.name, f"jobs {jobs}", verdict(code, said, out, whole, sign)] += 1
    for row, count in sorted(table.items()):
        print(f"| {' | '.join(row)} | {count} |")
    return any(row[-1].startswith("WRONG") for row in table)


def stopped(sounds: Path, out: Path, sign, after: float, jobs: int) -> tuple[int, str]:
    """Return the exit status and the last lines of a command that is sent ``sign``."""
    command = [sys.executable, "-m", "segan.cli", str(sounds), "-o", str(out), "--jobs", str(jobs)]
    process = subprocess.Popen(
        [*command, "--threads", "1", "--device", "cpu"], stderr=subprocess.PIPE, text=True
    )
    if sign is not None:
        time.sleep(after)
        process.send_signal(sign)
    said = process.communicate(timeout=600)[1]
    return process.returncode, said


def verdict(code: int, said: str, out: Path, whole: dict[str, bytes], sign) -> str:
    """Return the row that an ending belongs to."""
    left = {path.name: path.read_bytes() for path in out.iterdir()} if out.exists() else {}
    if any(whole.get(name) != content for name, content in left.items()):
        return f"WRONG: left {sorted(left)}"
    if code == 0 and len(left) == len(whole):
        return "done before"
    if code == -sign or (code in (1, 130) and "segan-enhance" not in said and not left):
        return "before the program began"
    expected = 130 if sign == signal.SIGINT else 143
    if code != expected or "Traceback" in said:
        return f"WRONG: {code}, {said[-300:]!r}"
    return f"{code}, {len(left)} of {len(whole)} outputs, whole"


if __name__ == "__main__":
    sys.exit(main())
