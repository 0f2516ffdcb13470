"""Fuzz the loader of checkpoints, which a run resumes from: any bytes are a state, or one line.

    python tests/fuzz/checkpoints.py --corpus DIR [--minutes 10]

An archive's checksums would stop every change, so changed ones are put right half of the time.
"""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import atheris
import torch
from campaign import fuzz, one_line
from torch._weights_only_unpickler import Unpickler

with atheris.instrument_imports(include=["gan.checkpoint"]):
    from gan import checkpoint

Unpickler.load = atheris.instrument_func(Unpickler.load)

LONGEST = 16384
STATES = (
    {"step": 3, "weights": torch.arange(6.0), "names": ["a", "b"], "rate": 0.5},
    {"game": {"a": torch.zeros(2, 3, dtype=torch.float16)}, "random": (1, (2, 3), None)},
    {"step": 0, "optimizer": [{"state": {0: {"exp_avg": torch.ones(4)}}, "groups": []}]},
)


def try_one(data: bytes, folder: Path) -> None:
    """Load ``data`` as a checkpoint."""
    path = folder / "last.pt"
    path.write_bytes(data)
    try:
        assert isinstance(checkpoint.load(path), dict)
    except (OSError, ValueError) as error:
        one_line(error, path.name)


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Return ``data`` changed: within a member of the archive, or anywhere."""
    rng = random.Random(seed)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        if rng.random() < 0.3 or not members:
            raise ValueError("libFuzzer's turn")
    except Exception:  # whatever a damaged archive raises
        return atheris.Mutate(data, longest)
    chosen = rng.choice([name for name in members if name.endswith("pkl")] or list(members))
    members[chosen] = atheris.Mutate(members[chosen], len(members[chosen]) + 64)
    return packed(members, rng.random() < 0.95)[:longest]


def packed(members: dict[str, bytes], stored: bool) -> bytes:
    """Return an archive of ``members``."""
    file = io.BytesIO()
    kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def seeds() -> list[bytes]:
    """Return small checkpoints."""
    made = []
    for state in STATES:
        file = io.BytesIO()
        torch.save(state, file)
        made.append(file.getvalue())
    return made


if __name__ == "__main__":
    fuzz(try_one, seeds(), LONGEST, mutate)
