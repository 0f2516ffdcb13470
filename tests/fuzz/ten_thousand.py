"""Put ten thousand odd files through segan-enhance, and count what comes of them.

    python tests/fuzz/ten_thousand.py [--count 10000] [--seed 0] [--keep FOLDER]

The odd files of ``tests/make_odd_audio.py``, and such files with bits flipped, ends cut off, parts
of others in them and odd numbers in their headers. Each goes through the command's ``main`` in a
worker process, with a tiny network. What must hold: status 0 and an output of the same length, rate
and channels, all of it finite; or status 2 and one line that names the file. Never a traceback,
more than 10 s, more than 2 GiB, or anything left half-written. Exit status 1 where one doesn't.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import random
import re
import select
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stderr
from pathlib import Path

import segan  # noqa: F401, before tests/, where a folder has its name

sys.path.insert(1, str(Path(__file__).parents[1]))  # of make_odd_audio

SECONDS = 10.0
GIB_2 = 2 * 2**30
NUMBERS = [0, 1, 2, 255, 65535, 2**16, 2**31 - 1, 2**31, 2**32 - 1]


# The files


def inputs(count: int, seed: int) -> list[tuple[str, bytes]]:
    """Return ``count`` files, the odd ones first, then changed ones."""
    from make_odd_audio import files

    odd = list(files())
    rng = random.Random(seed)
    changed = [mutant(odd, rng, number) for number in range(count - len(odd))]
    return (odd + changed)[:count]


def mutant(odd: list[tuple[str, bytes]], rng: random.Random, number: int) -> tuple[str, bytes]:
    """Return an odd file changed one to three times, under its suffix or another's."""
    name, content = rng.choice(odd)
    for _ in range(rng.randint(1, 3)):
        content = rng.choice(CHANGES)(content, rng, rng.choice(odd)[1])
    suffix = Path(name if rng.random() < 0.9 else rng.choice(odd)[0]).suffix
    return f"mutant_{number}{suffix}", content


def flipped(content: bytes, rng: random.Random, _: bytes) -> bytes:
    """Flip a few bits, most of them in the header."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 16) if content else 0):
        place = rng.randrange(len(changed) if rng.random() < 0.3 else min(128, len(changed)))
        changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: random.Random, _: bytes) -> bytes:
    """Cut off the end."""
    return content[: rng.randrange(len(content) + 1)]


def spliced(content: bytes, rng: random.Random, other: bytes) -> bytes:
    """Put a part of another file somewhere."""
    place, start = rng.randrange(len(content) + 1), rng.randrange(len(other) + 1)
    part = other[start : start + rng.randrange(2000)]
    return content[:place] + part + content[place + rng.choice([0, len(part)]) :]


def numbered(content: bytes, rng: random.Random, _: bytes) -> bytes:
    """Put an odd number into the header, in either order of bytes."""
    width, order = rng.choice([1, 2, 4, 8]), rng.choice(["little", "big"])
    value = (rng.choice(NUMBERS) % 2 ** (8 * width)).to_bytes(width, order)
    place = rng.randrange(min(len(content), 160) + 1)
    return content[:place] + value + content[place + width :]


def repeated(content: bytes, rng: random.Random, _: bytes) -> bytes:
    """Repeat a part."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + content[place : place + 512] * rng.randint(1, 8) + content[place:]


CHANGES = (flipped, cut, spliced, numbered, numbered, repeated)


# The worker


def work(folder: Path) -> None:
    """Enhance the files named on standard input, a line each; tell what came of each."""
    import resource

    import torch

    from segan import cli, enhance
    from segan.generator import BandGenerator

    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = BandGenerator(channels=8, dilations=(1, 2), narrow=2, hidden=16)
    torch.nn.init.normal_(network.leave.weights[0], std=0.1)
    enhancer = enhance.Enhancer(network)
    enhance.load = lambda *_: enhancer
    answers, printed = (
        os.fdopen(os.dup(1), "w"),
        os.open(folder / "printed", os.O_RDWR | os.O_CREAT),
    )
    os.dup2(printed, 1)
    os.dup2(printed, 2)  # what libraries print by themselves
    for line in sys.stdin:
        os.ftruncate(printed, 0)
        outcome = one(cli.main, Path(line.rstrip("\n")), folder / "out")
        outcome["printed"] = os.fstat(printed).st_size
        outcome["bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(outcome), file=answers, flush=True)


def one(main, source: Path, out: Path) -> dict:
    """Return what came of a file: its status, its lines and what is wrong with them."""
    from segan import journal

    out.mkdir(exist_ok=True)
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            status = main([str(source), "-o", f"{out}/", "--force"])
    except BaseException as error:
        return {"status": -1, "lines": [], "wrong": f"raised {error!r}"}
    lines = [line for line in said.getvalue().splitlines() if " file" not in line[:25]]
    left = sorted(path for path in out.iterdir() if path.name != journal.NAME)
    wrong = ""
    if status == 0:
        wrong = "no output" if len(left) != 1 else differs(source, left[0])
    elif status != 2 or len(lines) != 1 or source.name not in lines[0]:
        wrong = f"status {status}, {lines}"
    elif left:
        wrong = f"left {left}"
    for path in out.iterdir():
        path.unlink()
    return {"status": status, "lines": lines, "wrong": str(wrong)}


def differs(source: Path, target: Path) -> str:
    """Return what is wrong with an output, nothing where all is well."""
    import warnings

    import numpy as np

    from segan import audio

    shapes = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in (source, target):
            try:
                wave, rate = audio.read(path)  # raises where a sample is not finite
            except (OSError, ValueError) as error:
                return f"{path} cannot be read: {error}"
            shapes.append((*wave.shape, rate))
    loud = not np.abs(wave).max() <= audio.LOUDEST
    return f"{shapes[0]} -> {shapes[1]}" if shapes[0] != shapes[1] or loud else ""


# The count


class Worker:
    """A process that does ``work``, started again where it died or was too slow."""

    def __init__(self, folder: Path):
        self.folder, self.process = folder, None

    def start(self) -> None:
        """Begin where it is not at work; return when it is ready."""
        if self.process is None:
            command = [sys.executable, __file__, "--worker", str(self.folder)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self.process = subprocess.Popen(command, text=True, **pipes)
            self.ask(self.folder)  # a folder, which it refuses

    def ask(self, path: Path) -> dict:
        """Return what came of a file."""
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        limit = SECONDS if path != self.folder else 120
        if not select.select([self.process.stdout], [], [], limit)[0]:
            self.process.kill()
            return self.lost(f"more than {limit} s")
        answer = self.process.stdout.readline()
        return json.loads(answer) if answer else self.lost("its process ended")

    def lost(self, wrong: str) -> dict:
        """Return what is wrong with a worker that does not answer, and give it up."""
        code = self.process.wait()
        self.process = None
        wrong = f"{wrong}, {code}"
        return {"status": -1, "lines": [], "wrong": wrong, "bytes": 0, "printed": 0}


def verdict(outcome: dict) -> str:
    """Return the row of the table that an outcome belongs to."""
    if outcome["wrong"] or outcome["bytes"] > GIB_2 or outcome["printed"]:
        return "WRONG"
    if outcome["status"] == 0:
        return "enhanced, with a note" if outcome["lines"] else "enhanced"
    return f"refused: {reason(outcome['lines'][0])}"


def reason(line: str) -> str:
    """Return what a line says is wrong, without names, numbers and the remedy."""
    text = re.sub(r"^segan-enhance: \S*: ", "", line).split(";")[0]
    return re.sub(r"[-+]?\d[\d.e+-]*", "#", text)[:60]


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="where files that show a fault are kept")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return 0
    table, slowest, most, start = collections.Counter(), 0.0, 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(Path(folder))
        for name, content in inputs(options.count, options.seed):
            path = Path(folder) / "in" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            worker.start()
            before = time.monotonic()
            outcome = worker.ask(path)
            slowest, most = max(slowest, time.monotonic() - before), max(most, outcome["bytes"])
            row = verdict(outcome)
            table[row] += 1
            if row == "WRONG":
                print(f"{name}: {outcome}", flush=True)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / name).write_bytes(content)
            path.unlink()
        if worker.process:
            worker.process.stdin.close()
            worker.process.wait()
    for row, number in table.most_common():
        print(f"| {row} | {number} |")
    taken = time.monotonic() - start
    print(
        f"{table.total()} files in {taken:.0f} s; slowest {slowest:.1f} s, {most / 2**20:.0f} MiB"
    )
    return 1 if table["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
