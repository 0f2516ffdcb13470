"""Fuzz the loader of weights: any bytes are a network that gives numbers, or one line.

    python tests/fuzz/weights.py --corpus DIR [--minutes 10]

Half of the changes are libFuzzer's own; the others put odd values into a valid header.
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import atheris
import numpy as np
from campaign import fuzz, one_line

with atheris.instrument_imports(include=["gan.checkpoint", "segan.spectral", "segan.paper"]):
    from gan import checkpoint
    from segan import paper, spectral  # noqa: F401 - instrumented before generator imports them

with atheris.instrument_imports(include=["segan.generator", "segan.enhance"]):
    from segan import enhance, generator

LONGEST = 65536
WAVE = np.random.default_rng(0).uniform(-0.5, 0.5, 1000).astype(np.float32)
CONFIGS = (
    {"_target_": "segan.generator.BandGenerator", "channels": 2, "dilations": [1], "narrow": 1}
    | {"hidden": 2, "bands": [[2, 4]], "window": 16, "hop": 8, "level": 0.1},
    {"_target_": "segan.generator.MaskGenerator", "channels": 2, "dilations": [1, 2]}
    | {"window": 16, "hop": 8, "level": 0.1},
    {"_target_": "segan.paper.Generator", "channels": [2, 3], "kernel": 5},
    {"_target_": "segan.paper.GeneratorPlus", "channels": [2, 3], "kernel": 5, "stride": 4},
)
ODD = [0, 1, -1, 2, 3, 7, 255, 2**24, 2**31, 2**63, 10**30, 1e-300, 1e300, 0.5, True, None, ""]
ODD += ["8", [], {}, [[]], [0], [1] * 50, [[1, 1]] * 8, {"_target_": "os.system"}, "F32", "I64"]
ODD += [[2**40], [-1], [0, 8], "\u0000", "é"]


def try_one(data: bytes, folder: Path) -> None:
    """Load ``data`` as weights and enhance a wave with what came of it."""
    path = folder / "model.safetensors"
    path.write_bytes(data)
    try:
        enhancer = enhance.load(path, "cpu")
    except (OSError, ValueError) as error:
        one_line(error, path.name)
        return
    try:
        out = enhancer(WAVE, 16000)
    except (ValueError, RuntimeError):  # segan-enhance makes a line of them
        return
    assert out.shape == WAVE.shape and np.isfinite(out).all()


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Return ``data`` changed: an odd value put into its header, or by libFuzzer."""
    rng = random.Random(seed)
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        config = json.loads(header["__metadata__"]["config"])
        if rng.random() < 0.5:
            raise ValueError("libFuzzer's turn")
        spoil(config if rng.random() < 0.7 else header, rng)
        if isinstance(header.get("__metadata__"), dict):
            header["__metadata__"]["config"] = json.dumps(config)
        text = json.dumps(header).encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return atheris.Mutate(data, longest)
    return (len(text).to_bytes(8, "little") + text + data[8 + size :])[:longest]


def spoil(tree, rng: random.Random) -> None:
    """Put an odd value in some place of a tree of dicts and lists, or drop or rename a key."""
    places = [(tree, key) for key in keys(tree)]
    for node, key in places:
        places += [(node[key], inner) for inner in keys(node[key])]
    if not places:
        return
    node, key = rng.choice(places)
    if isinstance(node, dict) and rng.random() < 0.2:
        node[f"{key}x" * rng.randrange(2)] = node.pop(key)
    else:
        node[key] = rng.choice(ODD)


def keys(node) -> list:
    """Return the keys of a dict, the places of a list, nothing of anything else."""
    if isinstance(node, list):
        return list(range(len(node)))
    return list(node) if isinstance(node, dict) else []


def seeds() -> list[bytes]:
    """Return a small model file of every kind."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for config in CONFIGS:
            path = Path(folder) / "model.safetensors"
            checkpoint.export(path, checkpoint.build(config, generator.KINDS), config)
            made.append(path.read_bytes())
    return made


if __name__ == "__main__":
    fuzz(try_one, seeds(), LONGEST, mutate)
