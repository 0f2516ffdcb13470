"""Write DATA/train/captions.jsonl and DATA/test/captions.jsonl of a corpus with captions.

layouts:
  jsonl     captions.jsonl and the pictures that it lists, see image_gan/captions.py; its lines may
            have a "split", of which test (or val, dev) is for the test and all others to learn from
  cub       CUB_200_2011: images/, images.txt, bounding_boxes.txt, train_test_split.txt
  flowers   Oxford-102: jpg/image_00001.jpg, and setid.mat where there is one
  coco      annotations/captions_train2014.json, captions_val2014.json, train2014/, val2014/

Captions of birds and flowers are those of Reed et al. 2016: text_c10/CLASS/NAME.txt, a line each,
in the corpus or in --captions DIR. Where trainvalclasses.txt and testclasses.txt lie beside that
folder, or in --split DIR train/filenames.pickle and test/filenames.pickle, as StackGAN has them,
these say what is for the test. Where nothing does, a share is held out.

Pictures stay where they are.
"""

import argparse
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from caption_layouts import LAYOUTS, Found, by_classes, by_names
from picture_data import Fault, say

from image_gan.attributes import told
from image_gan.captions import NAME
from image_gan.pickles import read_arrays, read_names


def parts(given: argparse.Namespace, found: list[Found]) -> dict[str, list[Found]]:
    """Return the pictures to learn from and those for the test."""
    if given.split:
        found = by_names(found, given.split)
    elif given.layout in ("cub", "flowers"):
        found = by_classes(found, given.captions or given.corpus) or found
    if any(one.part is None for one in found):
        found = held_out(found, given.test_share, given.seed)
    chosen = {part: [one for one in found if one.part == part] for part in ("train", "test")}
    for part, own in chosen.items():
        if not own:
            raise Fault(f"{given.corpus}: no pictures in the part {part}")
    twice = {one.path for one in chosen["train"]} & {one.path for one in chosen["test"]}
    if twice:
        raise Fault(f"{min(twice)}: both in train and in test")
    return chosen


def held_out(found: list[Found], share: float, seed: int) -> list[Found]:
    """Return pictures with their part: a share for the test, drawn by ``seed``.

    All lines of a picture have the same part.
    """
    paths = sorted({one.path for one in found})
    if len(paths) < 2:
        raise Fault(f"{paths[0]}: one picture, of which none can be held out")
    count = min(max(1, round(share * len(paths))), len(paths) - 1)
    drawn = np.random.default_rng(seed).permutation(len(paths))[:count]
    test = {paths[number] for number in drawn}
    print(f"no split is told, so {count} of {len(paths)} pictures held out")
    return [replace(one, part="test" if one.path in test else "train") for one in found]


def with_attributes(found: list[Found], pattern: re.Pattern) -> list[Found]:
    """Return pictures with what the pattern finds in their captions, of each the first found."""
    complete, names, lacking = [], set(pattern.groupindex), []
    for one in found:
        own: dict[str, str] = {}
        for caption in one.captions:
            own = told(caption, pattern) | own
        complete.append(replace(one, attributes=own))
        if set(own) != names:
            lacking.append(one)
    if lacking:
        raise Fault(
            f"--attributes: {len(lacking)} of {len(found)} pictures don't tell all of "
            f"{', '.join(sorted(names))}, as {lacking[0].path}: {lacking[0].captions[0]!r}"
        )
    return complete


def embedded(path: Path, found: list[Found]) -> dict[str, np.ndarray]:
    """Return the embeddings in a pickle by the picture's name, checked against the captions."""
    names, arrays = read_names(path.with_name("filenames.pickle")), read_arrays(path)
    if len(names) != len(arrays):
        raise Fault(f"{path}: {len(arrays)} arrays, but {len(names)} names in filenames.pickle")
    counts = {one.name: len(one.captions) for one in found}
    widths = {array.shape[-1] for array in arrays if array.ndim == 2}
    for name, array in zip(names, arrays, strict=True):
        if array.ndim != 2 or len(widths) != 1 or array.dtype.kind != "f":
            raise Fault(f"{path}: {name}: {array.dtype} {array.shape}, not (captions, size) as all")
        if name in counts and len(array) != counts[name]:
            raise Fault(f"{path}: {name}: {len(array)} rows, but {counts[name]} captions")
        if not np.isfinite(array).all():
            raise Fault(f"{path}: {name}: not all of its numbers are finite")
    return dict(zip(names, arrays, strict=True))


def line(one: Found, folder: Path, row: int | None) -> str:
    """Return the line of a picture, for the captions.jsonl in ``folder``."""
    said = {"image": place_from(folder, one.path), "captions": one.captions}
    said |= {"box": one.box} if one.box else {}
    said |= {"attributes": one.attributes} if one.attributes else {}
    said |= {} if row is None else {"embedding": row}
    return json.dumps(said, ensure_ascii=False) + "\n"


def place_from(folder: Path, path: Path) -> str:
    """Return where a picture is, seen from ``folder``; absolute where it is on another drive."""
    path = path.parent.resolve() / path.name
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:
        return path.as_posix()


def write(part: Path, folder: Path, found: Sequence[Found], rows: dict[str, np.ndarray]) -> None:
    """Write the lines of ``found``, and embeddings, into ``part``, which will be ``folder``."""
    part.mkdir(parents=True)
    own = [one for one in found if one.name in rows]
    if own and len(own) < len(found):
        lacking = next(one.name for one in found if one.name not in rows)
        raise Fault(f"--embeddings: none of {lacking}, which is for {folder.name}; see --split")
    ends = np.cumsum([0, *(len(one.captions) for one in found)]).tolist()
    with (part / NAME).open("w", encoding="utf-8", newline="\n") as file:
        for one, row in zip(found, ends, strict=False):
            file.write(line(one, folder, row if own else None))
    if own:
        np.save(part / "embeddings.npy", np.concatenate([rows[one.name] for one in own]))


def told_of(found: Sequence[Found]) -> str:
    """Return, in words, what a part has."""
    different = {caption for one in found for caption in one.captions}
    text = f"{len({one.path for one in found})} pictures, {len(different)} different captions"
    values: dict[str, set[str]] = {}
    for one in found:
        for name, value in one.attributes.items():
            values.setdefault(name, set()).add(value)
    return ", ".join([text, *(f"{len(own)} of {name}" for name, own in values.items())])


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    own = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    own.add_argument("layout", choices=list(LAYOUTS))
    own.add_argument("corpus", type=Path)
    own.add_argument("data", type=Path)
    own.add_argument("--captions", type=Path, metavar="DIR", help="captions outside of the corpus")
    own.add_argument("--split", type=Path, metavar="DIR", help="where two filenames.pickle are")
    own.add_argument(
        "--attributes",
        type=pattern,
        metavar="PATTERN",
        help="what captions tell, as '(?P<hair>.+) hair (?P<eyes>.+) eyes'",
    )
    own.add_argument(
        "--embeddings",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="StackGAN's char-CNN-RNN-embeddings.pickle, filenames.pickle beside each",
    )
    own.add_argument("--test-share", type=share, default=0.1, help="held out (default 0.1)")
    own.add_argument("--seed", type=int, default=0, help="by which it is drawn (default 0)")
    return own


def pattern(text: str) -> re.Pattern:
    """Return a pattern with named groups."""
    try:
        own = re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r}: no regular expression: {error}") from None
    if not own.groupindex:
        raise argparse.ArgumentTypeError(f"{text!r}: names no attribute, as (?P<hair>.+) does")
    return own


def share(text: str) -> float:
    """Return a number between 0 and 1."""
    try:
        own = float(text)
    except ValueError:
        own = 0.0
    if not 0 < own < 1:
        raise argparse.ArgumentTypeError(f"{text}: a number between 0 and 1")
    return own


def run(given: argparse.Namespace) -> None:
    """Do what the command line says."""
    if not given.corpus.is_dir():
        raise Fault(f"{given.corpus}: no such folder")
    found = LAYOUTS[given.layout](given.corpus, given.captions)
    if given.attributes:
        found = with_attributes(found, given.attributes)
    rows = {name: own for path in given.embeddings for name, own in embedded(path, found).items()}
    aside = given.data / "part"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        chosen = parts(given, found)
        for name, own in chosen.items():
            write(aside / name, given.data / name, own, rows)
        for name, own in chosen.items():
            shutil.rmtree(given.data / name, ignore_errors=True)
            (aside / name).rename(given.data / name)
            print(f"{given.data / name}: {told_of(own)}")
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def main() -> int:
    """Return 0, or 2 where the corpus is not as it should be."""
    try:
        run(parser().parse_args())
    except (OSError, ValueError) as error:
        return say("caption_data", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
