"""Shards: a corpus in tar files of some hundred megabytes, for object stores and slow disks.

``segan-data pack`` writes them by ``segan.packing``. A folder of shards holds

- ``index.json``: the rate, whether there are clean twins, and of each shard its name, its numbers
  of recordings and samples, and these weighted; written last, so what has one is complete;
- ``NAME.tar``: ``UTTERANCE.flac`` (and ``UTTERANCE.clean.flac``, of pairs), 16 bits, mono, laid
  out as WebDataset wants it, so that other programs read them too;
- ``NAME.tsv``: a line for each recording, by ``FIELDS``: where in the tar file it lies;
- ``frames-*.npy``: how many samples each recording has, shard after shard.

Recordings are read by number, and only the lists of the shards in use are in memory. A folder may
be an address that fsspec knows (``s3://``, ``gs://``, ``https://``): whole shards are then kept in
a local cache, out of which the longest unused go when it is full. Its folder is ``SEGAN_CACHE``
(``~/.cache/segan``), its limit ``SEGAN_CACHE_GB`` (64).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from segan.corpus import Corpus, Strings, number

INDEX = "index.json"
FORMAT = "segan shards 1"
FIELDS = ("utterance", "speaker", "weight", "frames", "offset", "size", "twin offset", "twin size")


def are_at(place: str | Path) -> bool:
    """Return whether shards are at a place; what is far away can be nothing else."""
    return is_remote(place) or (Path(place) / INDEX).is_file()


def is_remote(place: str | Path) -> bool:
    """Return whether a place is an address, not a folder."""
    return "://" in str(place)


class Shards:
    """The recordings of a folder of shards, a part each; see ``segan.corpus.Parts``.

    Raises:
        ValueError: where it can't serve, as when twins are asked for and there are none.
    """

    def __init__(self, place: str | Path, rate: int, paired: bool = False):
        self.store, self.rate, self.paired = Store(place), rate, paired
        index = read_index(self.store.path(INDEX, anew=True))
        if paired and not index["twins"]:
            raise ValueError(f"{place}: holds no clean twins; pack a directory with spk1.scp")
        if rate > index["rate"]:
            raise ValueError(f"{place}: {index['rate']} Hz; pack it anew with --rate {rate}")
        self.shards, self.packed_rate = index["shards"], index["rate"]
        self.frames = [self.at_rate(shard["frames"]) for shard in self.shards]
        self.masses = [shard["mass"] for shard in self.shards]
        self.ends = np.cumsum([shard["recordings"] for shard in self.shards])
        self.lists = index["lengths"]

    def at_rate(self, frames):
        """Return a number of packed samples at the rate that is read."""
        return frames * self.rate // self.packed_rate

    def __getitem__(self, number: int) -> Corpus:
        return part(self, number)

    def lengths(self, number: int) -> np.ndarray:
        """Return how many samples each recording of a part has."""
        end, count = self.ends[number], self.shards[number]["recordings"]
        frames = np.load(self.store.path(self.lists), mmap_mode="r")
        return self.at_rate(np.array(frames[end - count : end], np.int64))


def read_index(path: Path) -> dict:
    """Return what ``index.json`` says.

    Raises:
        ValueError: where ``segan-data pack`` of this version didn't write it.
    """
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        known = index["format"] == FORMAT
    except (ValueError, LookupError, TypeError):
        known = False
    if not known:
        raise ValueError(f"{path}: is no index of {FORMAT}; write it by `segan-data pack`")
    return index


@lru_cache(maxsize=64)
def part(shards: Shards, number: int) -> Corpus:
    """Return a shard's recordings."""
    name = shards.shards[number]["name"]
    lines = shards.store.path(f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    columns = dict(
        zip(FIELDS, zip(*(line.split("\t") for line in lines), strict=True), strict=False)
    )
    utterances = Strings(columns["utterance"])

    def members(offsets: str, sizes: str) -> Members:
        places = (np.array(columns[column], np.int64) for column in (offsets, sizes))
        return Members(shards.store, f"{name}.tar", utterances, *places)

    return Corpus(
        members("offset", "size"),
        shards.at_rate(np.array(columns["frames"], np.int64)),
        columns["speaker"],
        np.array(columns["weight"], float),
        shards.rate,
        members("twin offset", "twin size") if shards.paired else None,
    )


class Members(Sequence[BinaryIO]):
    """The recordings in a tar file, as files in memory."""

    def __init__(self, store: Store, tar: str, utterances: Strings, offsets, sizes):
        self.store, self.tar, self.utterances = store, tar, utterances
        self.offsets, self.sizes = offsets, sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> BinaryIO:
        with self.store.opened(self.tar) as file:
            file.seek(self.offsets[index])
            sound = io.BytesIO(file.read(self.sizes[index]))
        sound.name = f"{self.tar}/{self.utterances[index]}"
        return sound


class Store:
    """The files of a folder, or copies of those that are far away."""

    def __init__(self, place: str | Path):
        self.place = str(place).rstrip("/")
        self.folder = Path(place)
        if is_remote(place):
            self.folder = cache() / hashlib.sha256(self.place.encode()).hexdigest()[:16]

    def path(self, name: str, anew: bool = False) -> Path:
        """Return where a file is; what isn't here yet, or is wanted ``anew``, is fetched."""
        path = self.folder / name
        if is_remote(self.place):
            if anew or not path.exists():
                self.fetch(path, anew)
            with suppress(OSError):
                os.utime(path)  # used now
        return path

    def opened(self, name: str) -> BinaryIO:
        """Return a file, open for reading, though another process may be making room."""
        try:
            return self.path(name).open("rb")
        except FileNotFoundError:
            return self.path(name).open("rb")

    def fetch(self, path: Path, anew: bool) -> None:
        """Copy a file here, unless another process just did; remove others to stay in the limit."""
        from filelock import FileLock

        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if path.exists() and not anew:
                return
            part = path.with_name(f".{path.name}.{os.getpid()}.part")
            try:
                download(f"{self.place}/{path.name}", part)
                check_whole(path.name, part)
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
        make_room(cache(), limit(), path)


def download(address: str, path: Path) -> None:
    """Copy what is at ``address`` to ``path``.

    Raises:
        OSError: in one line, whatever the store's own library raises.
    """
    import fsspec

    try:
        system, place = fsspec.core.url_to_fs(address)
        system.get_file(place, str(path))
    except ImportError as error:
        raise OSError(f"{address}: {error}; pip install 'segan[shards]'") from None
    except Exception as error:  # each store has a family of its own
        raise OSError(f"{address}: can't be fetched ({type(error).__name__}: {error})") from None


def check_whole(name: str, path: Path) -> None:
    """Raise an OSError where a file isn't what its name says: ``NAME-CHECKSUM.SUFFIX``."""
    stem, _, suffix = name.rpartition(".")
    if suffix in ("tar", "npy") and checksum(path) != stem.rpartition("-")[2]:
        raise OSError(f"{name}: arrived damaged; try again, or pack it anew")


def checksum(path: Path) -> str:
    """Return the CRC-32 of a file, eight hexadecimal digits."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return f"{value:08x}"


def cache() -> Path:
    """Return the folder of the copies."""
    return Path(os.environ.get("SEGAN_CACHE") or Path.home() / ".cache" / "segan") / "shards"


def limit() -> float:
    """Return how many bytes the copies may take."""
    text = os.environ.get("SEGAN_CACHE_GB") or "64"
    return number(Path("SEGAN_CACHE_GB"), "the environment", text) * 1e9


def make_room(folder: Path, limit: float, newest: Path) -> None:
    """Remove the longest unused copies in ``folder``, until they take ``limit`` bytes at most."""
    used = []
    for path in (*folder.rglob("*.tar"), *folder.rglob("*.tsv")):
        with suppress(FileNotFoundError):  # gone meanwhile
            used.append((path.stat().st_mtime, path.stat().st_size, path))
    total = sum(size for _, size, _ in used)
    for _, size, path in sorted(used):
        if total <= limit:
            break
        if path != newest:
            with suppress(OSError):  # on Windows, where it is being read
                path.unlink()
                total -= size
