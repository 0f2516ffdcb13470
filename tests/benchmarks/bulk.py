"""A folder of sound of which some is broken, killed and started again on the way.

    python tests/benchmarks/bulk.py [--files 500] [--broken 25] [--kills 3] [--jobs 2] [--ray]

The command is killed (SIGKILL: nothing can be tidied up) whenever another share of the files is
done, and given again. What must hold is asserted and printed: every good file enhanced, once and
whole, every broken one named, exit status 2, the bytes of a run that nobody stopped, no temporary
file left. The network is a tiny one, unless --model names another.
"""

import argparse
import collections
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from segan import audio, journal

RATE = 16000


def whole(path: Path, wave: np.ndarray) -> bytes:
    """Return the bytes of a sound file, written at ``path``."""
    audio.write(path, wave, RATE, "FLOAT" if path.suffix == ".wav" else None)
    return path.read_bytes()


def with_value(path: Path, wave: np.ndarray, value: float) -> bytes:
    """Return a WAV with ``value`` in its middle."""
    return whole(path, np.where(np.arange(wave.shape[1]) == wave.shape[1] // 2, value, wave))


def patched(content: bytes, start: int, patch: bytes) -> bytes:
    """Return ``content`` with other bytes from ``start`` on."""
    return content[:start] + patch + content[start + len(patch) :]


BREAK = {  # way: (suffix, bytes of the file)
    "empty": (".wav", lambda path, wave: b""),
    "text": (".wav", lambda path, wave: b"no sound\n" * 50),
    "nan": (".wav", lambda path, wave: with_value(path, wave, np.nan)),
    "infinity": (".wav", lambda path, wave: with_value(path, wave, np.inf)),
    "header alone": (".wav", lambda path, wave: whole(path, wave)[:56]),
    "half a header": (".wav", lambda path, wave: whole(path, wave)[:20]),
    "no channels": (".wav", lambda path, wave: patched(whole(path, wave), 22, b"\0\0")),
    "unknown encoding": (".wav", lambda path, wave: patched(whole(path, wave), 20, b"\x77\x77")),
    "wrong magic": (".flac", lambda path, wave: patched(whole(path, wave), 0, b"fLaX")),
    "zeros": (".mp3", lambda path, wave: bytes(2000)),
    "cut page": (".ogg", lambda path, wave: whole(path, wave)[:40]),
}


def make(folder: Path, files: int, broken: int) -> set[Path]:
    """Write ``files`` sounds into ``folder``, evenly spread ``broken`` ones; return these."""
    generator, bad = np.random.default_rng(0), set()
    places = set(np.linspace(0, files - 1, broken).round().astype(int))
    for number in range(files):
        length = int(generator.integers(RATE // 4, RATE))
        wave = generator.uniform(-0.3, 0.3, (1, length)).astype(np.float32)
        path = folder / f"speaker{number % 7}" / f"{number:04d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number in places:
            suffix, content = list(BREAK.values())[len(bad) % len(BREAK)]
            path = path.with_suffix(suffix)
            path.write_bytes(content(path, wave))
            bad.add(path)
        else:
            audio.write(path, wave, RATE, "PCM_16")
    return bad


def tiny(path: Path) -> None:
    """Write the weights of a network that is quick and changes what it hears."""
    import torch

    from gan.checkpoint import export
    from segan.generator import MaskGenerator

    config = {"channels": 4, "dilations": [1], "level": 0.25}
    network = MaskGenerator(**config)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    export(path, network, {"_target_": "segan.generator.MaskGenerator"} | config)


def statuses(table: Path) -> list[tuple[str, str]]:
    """Return source and status of each line of the table of what was done."""
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["source"], row["status"]) for row in rows]


def ends(table: Path) -> int:
    """Return how many files the table says have come to their end."""
    return len({source for source, status in statuses(table) if status in ("done", "failed")})


def killed(command: list, table: Path, enough: int) -> int:
    """Run the command and kill it once ``enough`` files have ended; return how many had."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and ends(table) < enough:
        time.sleep(0.02)
    process.kill()
    process.wait()
    return ends(table)


def wholes(folder: Path) -> dict[str, bytes]:
    """Return the sound files below a folder by their places."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != journal.NAME)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--broken", type=int, default=25)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--model", help="weights; a tiny network if not given")
    parser.add_argument("--ray", action="store_true", help="the jobs on a Ray of this computer")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run(Path(name), given)


def run(place: Path, given: argparse.Namespace) -> None:
    """Enhance, kill, start again, and judge."""
    bad = make(place / "in", given.files, given.broken)
    model = given.model or place / "tiny.safetensors"
    if not given.model:
        tiny(model)
    base = [sys.executable, "-m", "segan.cli", "-r", place / "in", "--model", model]
    command = [*base, "-o", place / "out", "-j", str(given.jobs), *(["--ray"] if given.ray else [])]
    table = place / "out" / journal.NAME
    start = time.perf_counter()
    for number in range(1, given.kills + 1):
        share = given.files * number // (given.kills + 1)
        print(f"killed, start {number}: {killed(command, table, share)} files had ended")
    last = subprocess.run(command, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    print(f"start {given.kills + 1}, not killed: exit status {last.returncode}")
    print(last.stderr.splitlines()[-1])
    print(f"{time.perf_counter() - start:.0f} s in all")
    judge(place, base, table, bad, last, given)


def judge(
    place: Path,
    base: list,
    table: Path,
    bad: set[Path],
    last: subprocess.CompletedProcess,
    given: argparse.Namespace,
) -> None:
    """Assert what must hold, and print it."""
    count = collections.Counter(statuses(table))
    done = {source: times for (source, status), times in count.items() if status == "done"}
    begun = collections.Counter(source for source, status in count.elements() if status == "begun")
    named = {path for path in bad if sum(str(path) in line for line in last.stderr.splitlines())}
    again = sum(begun[source] - 1 for source in done)
    made, good = wholes(place / "out"), given.files - given.broken
    print(f"enhanced {len(made)} of {good}, named {len(named)} of {given.broken}")
    print(f"done twice {sum(times > 1 for times in done.values())}, lost {good - len(done)}")
    print(f"begun again, for a kill came on the way: {again}, at most {2 * given.jobs} a kill")
    assert last.returncode == 2
    assert named == bad and len(made) == len(done) == good
    assert set(done.values()) == {1} and not any(str(path) in done for path in bad)
    assert again <= 2 * given.jobs * given.kills
    assert not [path for path in made if ".part" in path]
    whole = [*base, "-o", place / "whole", "-q", "--threads", "1"]
    subprocess.run(whole, stderr=subprocess.DEVNULL)
    assert made == wholes(place / "whole")
    print("the bytes are those of a run that nobody stopped; no temporary file is left")


if __name__ == "__main__":
    main()
