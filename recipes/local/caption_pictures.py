"""Write the pictures of a captions.jsonl as squares of one size, with a captions.jsonl beside them.

So real pictures, small ones and enlarged ones are scored alike.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from picture_data import PLAIN, do_all, say, write

from image_gan.captions import NAME, Entry, loaded_size, pictured, read
from image_gan.data import resized


def convert(one: Entry, place: Path, size: int, crop: bool) -> None:
    """Write a picture, or what is in the square around its box; of it the middle, with ``crop``."""
    x, loaded = pictured(one, PLAIN), loaded_size(size) if crop else size
    x, border = resized(x, (loaded, loaded)), (loaded - size) // 2
    write(place, x[:, border : border + size, border : border + size])


def named(entries: Sequence[Entry]) -> list[str]:
    """Return what the pictures will be called: as they were, numbered where that is ambiguous."""
    names = [f"{one.path.stem}.png" for one in entries]
    if len(set(names)) == len(names):
        return names
    return [f"{number:06}-{name}" for number, name in enumerate(names, 1)]


def lines(entries: Sequence[Entry], names: Sequence[str]) -> str:
    """Return the captions.jsonl of the pictures under their new names."""
    said = [
        {"image": name, "captions": one.captions}
        | ({"attributes": one.attributes} if one.attributes else {})
        for one, name in zip(entries, names, strict=True)
    ]
    return "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in said)


def run(given: argparse.Namespace) -> None:
    """Do what the command line says."""
    entries = read(given.folder)
    names = named(entries)
    part = given.output.with_name(f"{given.output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        do_all(
            [
                partial(convert, one, part / name, given.size, given.crop)
                for one, name in zip(entries, names, strict=True)
            ]
        )
        (part / NAME).write_text(lines(entries, names), encoding="utf-8", newline="\n")
        shutil.rmtree(given.output, ignore_errors=True)
        part.rename(given.output)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def main() -> int:
    """Return 0, or 2 where a picture can't be used."""
    own = argparse.ArgumentParser(description=__doc__)
    own.add_argument("folder", type=Path, help="where the captions.jsonl is, or itself")
    own.add_argument("output", type=Path, help="folder to be made")
    own.add_argument("--size", type=int, default=64, help="of the squares, pixels (default 64)")
    crop = "the middle of pictures of 76/64 of the size, which is what is cut out in training"
    own.add_argument("--crop", action="store_true", help=crop)
    try:
        run(own.parse_args())
    except (OSError, ValueError) as error:
        return say("caption_pictures", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
