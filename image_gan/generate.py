"""The command ``image-gan-generate``: pictures in, their translations out; or text in."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from gan import signals

DESCRIPTION = """\
Translate pictures with a trained network. Each output keeps its input's size, format, bit depth,
and channels; of a network for super-resolution it is larger. Large pictures are translated in tiles
that overlap, without seams. Of a network that paints what a text says, no pictures go in."""

EXAMPLES = """\
examples:
  image-gan-generate --model exp/pix2pix/generator.safetensors photo.png
                                         writes photo.generated.png beside it
  image-gan-generate --model G.safetensors photos -o painted
                                         every picture in a folder; -r in its subfolders too
  image-gan-generate --model G.safetensors '*.tif' --grid sheet.png
                                         patterns too; and all in small on one contact sheet
  image-gan-generate --model G.safetensors labels -o out --grid sheet.png --target photos
                                         the sheet shows photos/NAME.* beside labels/NAME.*
  image-gan-generate --model G.safetensors facades/val -o out --side-by-side right --grid sheet.png
                                         inputs whose right half is the source, the left the target
  image-gan-generate --model exp/srgan/generator.safetensors photo.jpg -o large.png
                                         four times as high and wide, or as the model has learned
  image-gan-generate --model birds.safetensors --text "a small blue bird with a short beak" \\
      -n 8 -o out                        eight pictures of any sentence; --text may be repeated
  image-gan-generate --model faces.safetensors --captions wishes.txt -n 8 -o out --grid sheet.png
                                         of each line of a text, each caption of a captions.jsonl

The model is what gan-train writes: exp/NAME/generator.safetensors and, of systems that go both ways
(cyclegan, discogan), inverse.safetensors for the way back. It says which network it holds, with how
many channels, whether that draws noise at test (--seed), and data.range: no option repeats what
training was told. Nothing in the file is run.

Read and written: PNG and TIFF of 8 and 16 bits, TIFF and .npy of any number type and number of
channels, JPEG, WebP, BMP, GIF, PPM, TGA, JPEG 2000, AVIF. Opacity is passed on, enlarged
bicubically where pictures are. Integers of up to 16 bits and floats from 0 to 1 are taken as they
are; other values from the least to the greatest in the picture, or as the model or --range says.
What is grey stays grey unless the network, or --color, makes it a color. Of a folder, files named
*.generated.* are skipped.

From text, pictures are PNG of the size that the model was trained at; out/captions.jsonl says what
each was to show. Words, or characters, that the model has never seen are passed over and named. The
first of eight pictures is that of one, and the same for the same --seed.

An output of more than TILE x TILE pixels is made of tiles. A network that normalizes pictures by
their own statistics (as pix2pix and CycleGAN do), or draws noise, does so for every tile, and their
tone may differ a little; --tile 0 cuts none, and takes memory as the picture is large.

exit status: 0 all done, 2 some failed (each with a line that says why), 130 interrupted; what was
being written is then removed."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    own = argparse.ArgumentParser(
        "image-gan-generate",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = own.add_argument
    add("input", nargs="*", metavar="INPUT", help="file, folder or pattern")
    add("--model", required=True, metavar="FILE", help="network (.safetensors)")
    add("-o", "--output", metavar="PLACE", help="folder; or file, for a single input")
    add("--text", action="append", metavar="TEXT", help="what the pictures are to show")
    add("--captions", metavar="FILE", help="texts: a line for each, or a captions.jsonl")
    add("-n", "--count", type=_positive, metavar="N", help="pictures of each text (default 1)")
    add("-r", "--recursive", action="store_true", help="look into the subfolders of folders")
    add("-f", "--force", action="store_true", help="overwrite outputs that exist, never inputs")
    add("--grid", metavar="FILE", help="write a contact sheet: source, estimate and target")
    add("--target", metavar="FOLDER", help="targets for the sheet, of the inputs' names")
    add("--side-by-side", choices=["left", "right"], help="half of the inputs that is the source")
    add("--color", action="store_true", help="as many channels as the network gives, for grey too")
    add("--range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="values that are -1 and 1")
    add("--seed", type=int, default=0, metavar="N", help="of the network's noise (default 0)")
    add(
        "--tile",
        type=_count,
        default=1024,
        metavar="N",
        help="side of tiles, pixels of the output (default 1024); 0: no tiles",
    )
    add("--overlap", type=_count, metavar="N", help="of tiles, pixels (default: TILE / 4)")
    add("--device", default="auto", help="cpu, cuda, cuda:1, mps; auto (default): cuda if present")
    add("--threads", type=_count, metavar="N", help="CPU threads")
    add("-q", "--quiet", action="store_true", help="print errors only")
    add("--version", action=_Version)
    return own


class _Version(argparse.Action):
    """Print the version; looked up only when it is asked for."""

    def __init__(self, *args, **keywords):
        super().__init__(*args, nargs=0, help="print the version", **keywords)

    def __call__(self, parser, *_) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"image-gan-generate {version('segan')}")
        except PackageNotFoundError:  # a checkout on the path, not installed
            print("image-gan-generate unknown")
        parser.exit()


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 up")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 up")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status: 0, 2 where anything failed, 130 after Ctrl-C."""
    own = parser()
    arguments = own.parse_args(argv)
    _check_kind(own, arguments)
    if arguments.target and not arguments.grid:
        own.error("--target: the targets are shown on a contact sheet; add --grid FILE.png")
    if arguments.target and arguments.side_by_side:
        own.error("--target, --side-by-side: the target is in a folder or beside, not both")
    signals.exit_on_terminate()
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        _say("interrupted")
        return 130


def _check_kind(own: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End with a line where pictures and text, or the options for them, are mixed up."""
    texts = bool(arguments.text or arguments.captions)
    if texts == bool(arguments.input):
        own.error("give pictures (INPUT), or --text or --captions for a model that paints text")
    if texts and not arguments.output:
        own.error("-o FOLDER: say where the pictures go")
    if arguments.count and not texts:
        own.error("-n: counts the pictures of a --text; a picture has one translation")
    only = ("recursive", "target", "side_by_side", "color", "range")
    if texts and (given := [name for name in only if getattr(arguments, name)]):
        own.error(f"--{given[0].replace('_', '-')}: is for pictures that go in, not for text")


def _say(line: str) -> None:
    print(f"image-gan-generate: {line}", file=sys.stderr)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from image_gan import batch
    except ImportError as error:
        _say(f"{error.name} is missing: pip install 'segan[images]'")
        return 2
    try:
        if not arguments.input:
            return _paint(arguments)
        jobs, problems = batch.plan(
            arguments.input, arguments.output, arguments.recursive, arguments.target
        )
        _check_grid(arguments, {os.path.realpath(place) for job in jobs for place in job if place})
        for line in problems:
            _say(line)
        return _translate(jobs, arguments, len(problems))
    except (OSError, ValueError) as error:  # of the output, the sheet, the model or the device
        _say(batch.describe(error))
        return 2


def _check_grid(arguments: argparse.Namespace, places: set[str]) -> None:
    """Raise where the contact sheet can't be written, before anything else is.

    ``places`` are the real paths of inputs and outputs.
    """
    if not arguments.grid:
        return
    from pathlib import Path

    from image_gan import images

    grid = Path(arguments.grid)
    images.container_of(grid)
    if os.path.realpath(grid) in places:
        raise ValueError(f"--grid {grid}: is an input or an output; choose another")
    if grid.exists() and not arguments.force:
        raise FileExistsError(f"{grid}: exists; --force overwrites it")


def _translate(jobs: list, arguments: argparse.Namespace, failed: int) -> int:
    """Translate the files, report each failure and the sum; return the exit status."""
    from image_gan import batch

    options = batch.Options(
        force=arguments.force,
        half=arguments.side_by_side or "",
        seed=arguments.seed,
        between=tuple(arguments.range) if arguments.range else None,
        color=arguments.color,
    )
    shown = batch.chosen(jobs) if arguments.grid else ()
    model = _load(arguments) if jobs else None
    start, done, said = time.perf_counter(), [], set()
    with _progress(jobs, 2 if options.half else 1, arguments.quiet) as bar:
        for job in jobs:
            outcome = batch.attempt(model, job, options, job in shown, bar.update)
            _report(outcome, bar, arguments.quiet, said)
            done.append(outcome)
    if arguments.grid and done:
        _write_grid(arguments.grid, done)
    if not arguments.quiet:
        _say(_summary(done, failed, time.perf_counter() - start))
    return 2 if failed or any(outcome.error for outcome in done) else 0


def _paint(arguments: argparse.Namespace) -> int:
    """Paint the texts, report each failure and the sum; return the exit status."""
    from pathlib import Path

    from tqdm import tqdm

    from image_gan import from_text, paint

    folder, count = Path(arguments.output), arguments.count or 1
    wishes = from_text.wishes(arguments.text or [], arguments.captions)
    from_text.check_free(wishes, folder, count, arguments.force)
    places = {os.path.realpath(place) for wish in wishes for place in wish.places(folder, count)}
    _check_grid(arguments, places)
    _set_threads(arguments)
    painter, start, done = paint.load(arguments.model, arguments.device), time.perf_counter(), []
    quiet = True if arguments.quiet else None  # None: on a terminal only
    for wish in (bar := tqdm(wishes, unit=" text", file=sys.stderr, disable=quiet)):
        one = from_text.attempt(painter, wish, folder, count, arguments.seed)
        if one.error or (one.note and not arguments.quiet):
            line = one.error or f"{wish.text!r}: {one.note}"
            bar.write(f"image-gan-generate: {line}", file=sys.stderr)
        done.append(one)
    good = [one for one in done if not one.error]
    if good:
        from_text.note_captions(good, folder)
    if arguments.grid and good:
        _write_page(arguments.grid, from_text.sheet_of(good))
    if not arguments.quiet:
        _say(
            f"{len(good) * count} pictures of {len(good)} texts -> {folder}, "
            f"{len(done) - len(good)} texts failed; {time.perf_counter() - start:.1f} s"
        )
    return 2 if len(good) < len(done) else 0


def _set_threads(arguments: argparse.Namespace) -> None:
    import torch

    if arguments.threads:
        torch.set_num_threads(arguments.threads)


def _load(arguments: argparse.Namespace):
    from image_gan import translate

    _set_threads(arguments)
    return translate.load(arguments.model, arguments.device, arguments.tile, arguments.overlap)


def _report(outcome, bar, quiet: bool, said: set[str]) -> None:
    """Print the lines of an outcome above the progress bar, each note once."""
    for note in outcome.notes:
        if not quiet and note not in said:
            bar.write(f"image-gan-generate: {outcome.job.source}: {note}", file=sys.stderr)
        said.add(note)
    if outcome.error:
        bar.write(f"image-gan-generate: {outcome.error}", file=sys.stderr)


def _write_grid(path: str, done: list) -> None:
    """Write the contact sheet of what went well."""
    from image_gan import sheet

    rows = [(outcome.job.source.name, outcome.shown) for outcome in done if outcome.shown]
    headings = ["source", "estimate"]
    if any(shown[2] for _, shown in rows):
        headings.append("target")
    page = sheet.sheet(headings, [(name, shown[: len(headings)]) for name, shown in rows])
    _write_page(path, page)


def _write_page(path: str, page) -> None:
    import numpy as np

    from image_gan import images

    images.write(path, images.from_array(np.array(page)))


def _summary(done: list, failed: int, taken: float) -> str:
    good = [outcome for outcome in done if not outcome.error]
    total, failed = len(done) + failed, failed + len(done) - len(good)
    where = f" -> {good[0].job.output}" if total == len(good) == 1 else ""
    return f"{total} picture{'s' * (total != 1)}{where}, {failed} failed; {taken:.1f} s"


def _progress(jobs: list, parts: int, quiet: bool):
    """Return a bar of pixels, shown on a terminal only; one of ``parts`` of a picture counts."""
    from tqdm import tqdm

    bar = tqdm(unit=" pixels", unit_scale=True, file=sys.stderr, disable=True if quiet else None)
    if not bar.disable:
        bar.reset(total=sum(_pixels(job) for job in jobs) // parts)
    return bar


def _pixels(job) -> int:
    """Return how many pixels an input has, 0 where that can't be told."""
    from image_gan.images import size

    try:
        height, width = size(job.source)
    except (OSError, ValueError):
        return 0
    return height * width


if __name__ == "__main__":
    sys.exit(main())
