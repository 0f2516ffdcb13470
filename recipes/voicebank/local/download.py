"""Download the archives of a corpus: interrupted ones are gone on with, each is checked."""

import argparse
import csv
import hashlib
import os
import sys
import urllib.request
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError

from tqdm import tqdm

BLOCK = 1 << 20
PARTIAL = 206  # HTTP: the rest, as asked for


class Archive(NamedTuple):
    """A line of the list: what the file is called, how long it is, its MD5, where it is."""

    name: str
    bytes: str
    md5: str
    url: str


def read_list(path: Path, base: str = "") -> list[Archive]:
    """Return the archives of a tab-separated list; ``base`` takes the place of their folders."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        archives = [Archive(row["archive"], row["bytes"], row["md5"], row["url"]) for row in rows]
    return [one._replace(url=f"{base}/{one.name}") for one in archives] if base else archives


def download(archive: Archive, folder: Path) -> None:
    """Fetch an archive into ``folder``, whole and checked, or raise what went wrong."""
    path = folder / archive.name
    if path.exists():
        print(f"{archive.name}: is there")
        return
    part = path.with_name(f"{path.name}.part")
    if not (archive.bytes and part.exists() and part.stat().st_size == int(archive.bytes)):
        fetch(archive.url, part)
    check(archive, part)
    os.replace(part, path)


def fetch(url: str, part: Path) -> None:
    """Append to ``part`` what it lacks of the file at ``url``."""
    start = part.stat().st_size if part.exists() else 0
    asked = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        start = start if answer.status == PARTIAL else 0
        length = int(answer.headers.get("Content-Length") or 0)
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(
                total=start + length,
                initial=start,
                unit="B",
                unit_scale=True,
                desc=part.stem,
                disable=None,
            ) as bar,
        ):
            while block := answer.read(BLOCK):
                file.write(block)
                bar.update(len(block))
    if length and part.stat().st_size < start + length:
        raise OSError(f"{part.stem}: the connection ended early; run again to go on")


def check(archive: Archive, part: Path) -> None:
    """Remove ``part`` and raise a ValueError where it is not the archive that it should be."""
    size = part.stat().st_size
    wrong = ""
    if archive.bytes and size != int(archive.bytes):
        wrong = f"{size} bytes, should be {archive.bytes}"
    elif (found := md5(part)) != archive.md5:
        wrong = f"MD5 {found}, should be {archive.md5}"
    if wrong:
        part.unlink()
        raise ValueError(f"{archive.name}: {wrong}; it was removed: run again")


def md5(path: Path) -> str:
    """Return the MD5 of a file, in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def main() -> int:
    """Return 0 where all archives are there, 2 where one is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("list", type=Path, help="archive, bytes, md5 and url, tab-separated")
    parser.add_argument("folder", type=Path, help="where they go")
    parser.add_argument("--url", default="", help="a mirror: the folder that holds the archives")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for archive in read_list(given.list, given.url.rstrip("/")):
        try:
            download(archive, given.folder)
        except HTTPError as error:
            failed += say(f"{archive.url}: the server says {error.code} {error.reason}")
        except (URLError, OSError, ValueError) as error:
            failed += say(f"{archive.name}: {getattr(error, 'reason', error)}")
    if failed:
        say("fetch what is missing from https://doi.org/10.7488/ds/2117 and give --corpus DIR")
    return 2 if failed else 0


def say(line: str) -> int:
    """Print a line to standard error; return 1."""
    print(f"download: {line}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
