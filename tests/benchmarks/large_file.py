"""What a file of 5 GiB takes: accepted, enhanced to its end, at the memory of a short one.

    python tests/benchmarks/large_file.py FOLDER [--container W64] [--gib 5]

FOLDER needs room for the output; the input is sparse. A stand-in network that halves takes the
place of the real one, so that reading, chunks, writing and memory are measured end to end: 46 hours
of sound take the default network about an hour on one core.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import torch

import segan  # noqa: F401, before tests/, where a folder has its name

sys.path.insert(1, str(Path(__file__).parents[1]))  # of make_odd_audio
import make_odd_audio

from segan import audio, cli, enhance

MIB = 1024 if sys.platform.startswith("linux") else 2**20


class Halving(torch.nn.Module):
    """A network that halves, and looks around as far as the default does."""

    rate, hop, context = 16000, 256, 26624

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        """Return half. ``(B, 1, T) -> (B, 1, T)``."""
        return noisy / 2


def main() -> int:
    """Print a table; return 0 where the output is as long as the input and memory constant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--container", default="RF64", choices=("RF64", "W64"))
    parser.add_argument("--gib", type=float, default=5.0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    enhance.load = lambda *_: enhance.Enhancer(Halving())
    rows = []
    for name, size in (("short", 2**26), ("large", round(options.gib * 2**30))):
        files = make_odd_audio.large(options.folder, size)
        rows.append(enhanced(next(f for f in files if options.container in f.name.upper())))
        print("| {} | {:.2f} GiB | {:.1f} h | {:.0f} s | {:.0f} MiB |".format(name, *rows[-1]))
    return 0 if rows[1][3] < 1.1 * rows[0][3] else 1


def enhanced(path: Path) -> tuple[float, float, float, float]:
    """Return a file's GiB, its hours, the seconds it took and the peak of memory so far in MiB."""
    start, target = time.perf_counter(), path.with_stem("clean")
    assert cli.main([str(path), "-o", str(target), "--force", "-q"]) == 0
    taken = time.perf_counter() - start
    with audio.open_audio(path) as before, audio.open_audio(target) as after:
        assert (after.frames, after.format) == (before.frames, before.format)
        hours = before.frames / before.samplerate / 3600
    size = target.stat().st_size
    target.unlink()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB
    return size / 2**30, hours, taken, most


if __name__ == "__main__":
    sys.exit(main())
