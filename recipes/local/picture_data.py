"""Write the folders train and test of a corpus of pictures, source and target in each.

pairs: pictures side by side, train/ and val/ (or test/), the left half the target, the right half
the source, a map of labels. domains: trainA/ and trainB/, the sources and the targets, and testA/
and testB/; where one of these is missing, the last tenth of its training pictures is held out.
enlarging: train/ and a folder for the test, the targets; sources are made of those for the test, as
MATLAB's imresize makes them smaller.

Training pictures stay as they are, but for large ones to enlarge, which are cut in parts: to read
them would take longer than to train. Those for the test are resized to squares; to enlarge, they
end at a multiple of the scale.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from image_gan import images, labels
from image_gan.data import View, resized
from image_gan.folders import in_folder
from image_gan.images import Picture
from image_gan.imresize import imresize
from image_gan.labels import Palette
from image_gan.values import denormalized

PLAIN = View(channels=3, resize=None, size=None, mirror=False)
GREY = View(channels=1, resize=None, size=None, mirror=False)
SHOWN = 20  # faults
PART = 480  # pixels, the side of what large pictures are cut into, or somewhat more


class Fault(ValueError):
    """What is wrong with the corpus, a line each."""


def named(folder: Path) -> dict[str, Path]:
    """Return the pictures in a folder by their names; raise Fault where two have one name."""
    try:
        paths = in_folder(folder, recursive=False)
    except (OSError, ValueError) as error:
        raise Fault(str(error)) from None
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise Fault(f"{path}: {found[path.stem].name} has the same name; keep one of them")
        found[path.stem] = path
    return found


def values_of(picture: Picture, path: Path) -> np.ndarray:
    """Return a picture as ``(3, H, W)`` in [-1, 1]."""
    return PLAIN.item(picture, path, 0)


def write(path: Path, x: np.ndarray, size: int | None = None) -> None:
    """Write ``(3, H, W)`` in [-1, 1] as 8-bit PNG, resized to a square where ``size`` says so."""
    x = resized(x, (size, size)) if size else x
    levels = denormalized(x, (0, 255), np.dtype(np.uint8))
    images.write(path, images.from_array(levels))


def write_labels(path: Path, x: np.ndarray, size: int, palette: Palette) -> None:
    """Write labels in the exact colors of the palette, of every pixel the nearest's."""
    classes = labels.to_classes(denormalized(x, (0, 255), np.dtype(np.uint8)), palette)
    colors = labels.to_colors(labels.resized(classes, (size, size)), palette)
    images.write(path, images.from_array(colors))


# Pairs side by side


def pairs(corpus: Path, data: Path, size: int, palette: Palette) -> Iterator[Callable[[], None]]:
    """Yield what is to be done, picture by picture."""
    test = next((part for part in ("val", "test") if (corpus / part).is_dir()), None)
    if test is None:
        raise Fault(f"{corpus}: has neither a folder val nor a folder test")
    for name, path in named(corpus / "train").items():
        yield partial(split, path, data / "train", name)
    for name, path in named(corpus / test).items():
        yield partial(split, path, data / "test", name, size, palette)


def split(
    path: Path, folder: Path, name: str, size: int | None = None, palette: Palette | None = None
) -> None:
    """Write the halves of a picture; of one for the test, its labels in exact colors too."""
    picture = images.read(path)
    try:
        source, target = images.halves(picture, "right")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    x = values_of(source, path)
    write(folder / "source" / f"{name}.png", x, size)
    write(folder / "target" / f"{name}.png", values_of(target, path), size)
    if palette:
        write_labels(folder / "labels" / f"{name}.png", x, size, palette)


# Two domains


def domains(corpus: Path, data: Path, size: int) -> Iterator[Callable[[], None]]:
    """Yield what is to be done, picture by picture."""
    for letter, side in (("A", "source"), ("B", "target")):
        train, test = held_out(corpus, letter)
        for path in train.values():
            yield partial(copy, path, data / "train" / side)
        for name, path in test.items():
            yield partial(convert, path, data / "test" / side / f"{name}.png", size)


def held_out(corpus: Path, letter: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the pictures of a domain for training and for the test."""
    train = named(corpus / f"train{letter}")
    if (corpus / f"test{letter}").is_dir():
        return train, named(corpus / f"test{letter}")
    if len(train) < 2:
        raise Fault(f"{corpus / f'train{letter}'}: one picture, of which none can be held out")
    count = max(1, len(train) // 10)
    names = sorted(train)
    print(f"{corpus}: no test{letter}, so {count} of train{letter} held out")
    return tuple({name: train[name] for name in part} for part in (names[:-count], names[-count:]))


def convert(path: Path, place: Path, size: int) -> None:
    """Write a picture as a square PNG."""
    write(place, values_of(images.read(path), path), size)


def copy(path: Path, folder: Path) -> None:
    """Copy a picture that can be read."""
    values_of(images.read(path), path)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / path.name)


# Large pictures, and small ones made of them


def enlarging(corpus: Path, data: Path, test: str, scale: int) -> Iterator[Callable[[], None]]:
    """Yield what is to be done, picture by picture."""
    for name, path in named(corpus / "train").items():
        yield partial(in_parts, path, data / "train" / "target", name)
    for name, path in named(corpus / test).items():
        yield partial(downscale, path, data / "test", name, scale)


def in_parts(path: Path, folder: Path, name: str) -> None:
    """Copy a picture; write the parts of one that is larger than two of them."""
    height, width = images.size(path)
    if max(height, width) < 2 * PART:
        copy(path, folder)
        return
    picture = images.read(path)
    for row, rows in enumerate(np.array_split(np.arange(height), max(height // PART, 1))):
        for column, columns in enumerate(np.array_split(np.arange(width), max(width // PART, 1))):
            part = picture.values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            images.write(folder / f"{name}_{row}_{column}.png", images.from_array(part))


def downscale(path: Path, folder: Path, name: str, scale: int) -> None:
    """Write a picture up to a multiple of the scale, and itself made smaller; grey stays grey."""
    x = own_values(path)
    height, width = (length // scale * scale for length in x.shape[1:])
    if not height * width:
        raise ValueError(f"{path}: {x.shape[1]} x {x.shape[2]} pixels, too few for scale {scale}")
    write(folder / "target" / f"{name}.png", x[:, :height, :width])
    small = imresize(x[:, :height, :width], 1 / scale).clip(-1, 1)
    write(folder / "source" / f"{name}.png", small)


def own_values(path: Path) -> np.ndarray:
    """Return a picture as ``(1, H, W)`` where it is grey, else ``(3, H, W)``, in [-1, 1]."""
    picture = images.read(path)
    view = GREY if picture.values.shape[-1] == 1 else PLAIN
    return view.item(picture, path, 0)


def bicubic(folder: Path, output: Path, scale: int) -> None:
    """Write the pictures in ``folder``, enlarged as MATLAB's imresize does it."""
    for name, path in named(folder).items():
        write(output / f"{name}.png", imresize(own_values(path), scale).clip(-1, 1))


# All


def do_all(jobs: list[Callable[[], None]]) -> None:
    """Do all that is to be done. Raises Fault with a line for each picture that can't be used."""
    faults = []
    for job in tqdm(jobs, desc="pictures", unit="picture", disable=None):
        try:
            job()
        except (OSError, ValueError) as error:
            faults.append(str(error))
    if faults:
        raise Fault("\n".join(faults))


def replace(part: Path, data: Path) -> None:
    """Put the folders in ``part`` in the place of those in ``data``."""
    for new in sorted(part.iterdir()):
        folder = data / new.name
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
        sides = [folder / side for side in ("source", "target") if (folder / side).is_dir()]
        counts = [f"{len(list(side.iterdir()))} {side.name}s" for side in sides]
        print(f"{folder}: {', '.join(counts)}")


def mean(folder: Path, names: Path, output: Path, size: int) -> None:
    """Write the mean of the pictures in ``folder`` under each name that is in ``names``."""
    paths = in_folder(folder)
    total = sum(resized(values_of(images.read(path), path), (size, size)) for path in paths)
    for name in named(names):
        write(output / f"{name}.png", total / len(paths))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    own = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = own.add_subparsers(dest="command", required=True)
    for name in ("pairs", "domains", "enlarging"):
        command = commands.add_parser(name)
        command.add_argument("corpus", type=Path)
        command.add_argument("data", type=Path)
    commands.choices["pairs"].add_argument("--palette", type=Path, required=True)
    command = commands.add_parser("mean", help="the mean picture of a folder, as a baseline")
    command.add_argument("folder", type=Path)
    command.add_argument("names", type=Path, help="folder with the names it is written under")
    command.add_argument("output", type=Path)
    command = commands.add_parser("bicubic", help="pictures enlarged, as a baseline")
    command.add_argument("folder", type=Path)
    command.add_argument("output", type=Path)
    commands.choices["enlarging"].add_argument(
        "--test", default="test", help="folder in the corpus"
    )
    for name in ("enlarging", "bicubic"):
        commands.choices[name].add_argument("--scale", type=int, default=4)
    for name in ("pairs", "domains", "mean"):
        commands.choices[name].add_argument("--size", type=int, default=256)
    return own


def run(given: argparse.Namespace) -> None:
    """Do what the command line says."""
    if given.command == "mean":
        mean(given.folder, given.names, given.output, given.size)
        return
    if given.command == "bicubic":
        bicubic(given.folder, given.output, given.scale)
        return
    part = given.data / "part"
    shutil.rmtree(part, ignore_errors=True)
    if given.command == "pairs":
        jobs = list(pairs(given.corpus, part, given.size, labels.read_palette(given.palette)))
    elif given.command == "domains":
        jobs = list(domains(given.corpus, part, given.size))
    else:
        jobs = list(enlarging(given.corpus, part, given.test, given.scale))
    try:
        do_all(jobs)
        replace(part, given.data)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def say(program: str, error: Exception) -> int:
    """Print what is wrong, the first faults where these are many; return 2."""
    lines = str(error).splitlines()
    more = [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    for line in [*lines[:SHOWN], *more]:
        print(f"{program}: {line}", file=sys.stderr)
    return 2


def main() -> int:
    """Return 0, or 2 where the corpus is not as it should be."""
    try:
        run(parser().parse_args())
    except (OSError, ValueError) as error:
        return say("picture_data", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
