"""The command line of ``image-gan-report``: reads, computes, draws, and writes at the end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gan.outputs import check_free, listed, require, run, write
from gan.report.options import OUTPUTS, common_parent, number, report_parser, today

if TYPE_CHECKING:
    from image_gan.report.content import Content

LIBRARIES = {"report": ("scipy", "matplotlib", "jinja2"), "images": ("PIL", "tifffile")}
DESCRIPTION = """\
Compare systems that translate pictures, or make them from text: a page to look at (report.html,
complete in itself), and the table to keep beside a recipe (RESULTS.md)."""
EPILOG = """\
A SYSTEM is a folder, whose name is the system's:
  scores/          what image-gan-evaluate -o wrote: scores.tsv, summary.json
  generated/       optional: what it made of each source, a picture of the same name; from text,
                   what image-gan-generate wrote: pictures and captions.jsonl
  cycled/          optional, of unpaired systems: these, translated back
  log.jsonl, config.yaml, versions.json, samples/   optional: what gan-train left
Systems called copy and real (or copy_... and real_...) are what costs nothing: the sources as they
are, and the targets themselves, which say how good scores can get and are never marked as best.
DIR is the test set: DIR/source/NAME.*, DIR/target/NAME.*; without pairs the names are unrelated. Of
systems that make pictures from text it is DIR/captions.jsonl and the real pictures that it lists.
FILE.tsv has the headings system, any of l1 psnr ssim psnr_y ssim_y lpips fid kid pixel_accuracy
class_accuracy iou target_share cycle_l1 attribute_accuracy all_attributes caption_precision
inception_score diversity, and source; a row is a published system; cells may be empty. Quoted rows
take no part in statistics.

The page says who is winning each adversarial game, from the losses in log.jsonl, and whether a
generator has collapsed, from how much its pictures differ; and by which thresholds.

examples:
  image-gan-evaluate exp/l1/generated --target data/test/target -o exp/l1/scores
  image-gan-evaluate exp/pix2pix/generated --target data/test/target -o exp/pix2pix/scores
  image-gan-report exp/l1 exp/pix2pix --data data/test                   writes into exp
  image-gan-report exp/l1 exp/pix2pix --data data/test --quoted published.tsv -o report --force
  image-gan-evaluate data/test/captions.jsonl --attributes A.safetensors -o exp/real/scores
  image-gan-evaluate exp/stackgan/generated --attributes A.safetensors -o exp/stackgan/scores
  image-gan-report exp/stackgan exp/real --data data/test       made from text, real ones beside

exit code: 0; 2 where something could not be read or written; 130 after Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code of ``image-gan-report`` run with the arguments ``argv``."""
    return run(parser(), report, argv)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    own = report_parser("image-gan-report", DESCRIPTION, EPILOG)
    shown = "pictures to look at, and the best and worst; 0: none (default 8)"
    own.add_argument("--examples", type=number, default=8, metavar="N", help=shown)
    return own


def report(options: argparse.Namespace, command: list[str]) -> int:
    """Write the report that the options ask for, and return the exit code."""
    out = options.out or common_parent(options.systems)
    check_free(out, OUTPUTS, options.force)
    for extra, libraries in LIBRARIES.items():
        require(libraries, extra)
    content = gather(options, command)
    for note in content.notes:
        print(f"{note.text}:", *listed(note.items, 3), sep="\n", file=sys.stderr)
    from image_gan.report import captioned, examples, markdown, page

    chosen = examples if content.data.captions is None else captioned
    shown = chosen.examples(content, options.examples)
    texts = [page.render(content, shown), markdown.render(content, out.parent)]
    write(out, dict(zip(OUTPUTS, texts, strict=True)))
    print(f"written to {out}: {', '.join(OUTPUTS)}")
    return 0


def gather(options: argparse.Namespace, command: list[str]) -> Content:
    """Return what the report says, read and computed."""
    from gan.report.files import read_quotations
    from image_gan.metrics import COLUMNS
    from image_gan.report import content, systems

    own = systems.read_systems(options.systems)
    data = systems.read_data(options.data, own)
    kind = "Picture translation" if data.captions is None else "Pictures from text"
    return content.compute(
        own,
        data,
        quotations=read_quotations(options.quoted, COLUMNS) if options.quoted else [],
        title=options.title or f"{kind}: {data.name}",
        command=command,
        date=today(),
    )


if __name__ == "__main__":
    sys.exit(main())
