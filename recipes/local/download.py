"""Download the archives of a corpus: interrupted ones are gone on with, each is checked.

The list is tab-separated and has the columns archive, bytes, md5 or sha256, and url. Where no check
sum is known, its place is empty: then only the size is checked, and that the archive unpacks.
"""

import argparse
import csv
import gzip
import hashlib
import os
import sys
import tarfile
import urllib.request
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError

from tqdm import tqdm

BLOCK = 1 << 20
PARTIAL, BEYOND = 206, 416  # HTTP: the rest, as asked for; there is none
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)


class Archive(NamedTuple):
    """A line of the list: what the file is called, how long it is, its check sum, where it is."""

    name: str
    bytes: str
    url: str
    md5: str = ""
    sha256: str = ""


def read_list(path: Path, base: str = "") -> list[Archive]:
    """Return the archives of a tab-separated list; ``base`` takes the place of their folders."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        archives = [Archive(row.pop("archive"), **row) for row in rows]
    return [one._replace(url=f"{base}/{one.name}") for one in archives] if base else archives


def download(archive: Archive, folder: Path) -> None:
    """Fetch an archive into ``folder``, whole and checked, or raise what went wrong."""
    path = folder / archive.name
    if path.exists():
        print(f"{archive.name}: is there")
        return
    part = path.with_name(f"{path.name}.part")
    if not (archive.bytes and part.exists() and part.stat().st_size == int(archive.bytes)):
        fetch_rest(archive, part)
    check(archive, part)
    os.replace(part, path)


def fetch_rest(archive: Archive, part: Path) -> None:
    """Fetch what ``part`` lacks; all anew where nothing is left and no check sum will judge it."""
    try:
        fetch(archive.url, part)
    except HTTPError as error:
        if error.code != BEYOND or not part.exists():
            raise
        if not (archive.md5 or archive.sha256):
            part.unlink()
            fetch(archive.url, part)


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
    elif archive.md5 and (found := digest(part, "md5")) != archive.md5:
        wrong = f"MD5 {found}, should be {archive.md5}"
    elif archive.sha256 and (found := digest(part, "sha256")) != archive.sha256:
        wrong = f"SHA-256 {found}, should be {archive.sha256}"
    if wrong:
        part.unlink()
        raise ValueError(f"{archive.name}: {wrong}; it was removed: run again")
    if not (archive.md5 or archive.sha256):
        what = "only its size" if archive.bytes else "nothing"
        print(f"{archive.name}: no check sum is known, so {what} was checked")


def digest(path: Path, kind: str) -> str:
    """Return the check sum of a file, in hexadecimal."""
    own = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            own.update(block)
    return own.hexdigest()


def unpack(path: Path, folder: Path) -> None:
    """Unpack a zip or tar archive; remove it and raise a ValueError where it is damaged."""
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
        else:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
    except DAMAGED as error:
        path.unlink()
        raise ValueError(f"{path.name}: damaged ({error}); it was removed: run again") from None


def main() -> int:
    """Return 0 where all archives are there, 2 where one is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("list", type=Path, help="the archives")
    parser.add_argument("folder", type=Path, help="where they go")
    parser.add_argument("--url", default="", help="a mirror: the folder that holds the archives")
    parser.add_argument("--page", default="", help="where to fetch by hand what can't be had")
    parser.add_argument("--unpack", action="store_true", help="unpack the archives too")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for archive in read_list(given.list, given.url.rstrip("/")):
        try:
            download(archive, given.folder)
            if given.unpack:
                unpack(given.folder / archive.name, given.folder)
        except HTTPError as error:
            failed += say(f"{archive.url}: the server says {error.code} {error.reason}")
        except (URLError, OSError, ValueError) as error:
            text = str(getattr(error, "reason", error)).removeprefix(f"{archive.name}: ")
            failed += say(f"{archive.name}: {text}")
    if failed:
        say(f"fetch what is missing from {given.page or 'elsewhere'} and give --corpus DIR")
    return 2 if failed else 0


def say(line: str) -> int:
    """Print a line to standard error; return 1."""
    print(f"download: {line}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
