"""The command line of ``segan-report``: reads, computes, draws, and writes at the end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gan.outputs import check_free, listed, require, run, write
from gan.report.options import OUTPUTS, common_parent, number, report_parser, today

if TYPE_CHECKING:
    from segan.report.content import Content
    from segan.report.examples import Example

LIBRARIES = ("scipy", "matplotlib", "jinja2")
DESCRIPTION = """\
Compare scored systems: a page to look at and to listen to (report.html, complete in itself), and
the table to keep beside a recipe (RESULTS.md)."""
EPILOG = """\
A SYSTEM is a folder, whose name is the system's:
  scores/          what segan-evaluate --out wrote: scores.tsv, summary.json
  enhanced/        optional: what the system made, a sound file named after each utterance, or
                   what its wav.scp lists
  log.jsonl, config.yaml, versions.json   optional: what gan-train left
DIR is the Kaldi data directory of the test set: wav.scp; optional spk1.scp (clean), utt2spk,
utt2snr (dB), utt2noise, utt2dur.
FILE.tsv has the headings system, any of pesq stoi csig cbak covl ssnr si_sdr, and source; a row is
a published system; cells may be empty. Quoted rows take no part in statistics.

examples:
  segan-evaluate data/test data/test -o exp/noisy/scores            the noisy input, as a system
  segan-evaluate data/test exp/segan/enhanced -o exp/segan/scores
  segan-report exp/noisy exp/wiener exp/segan --data data/test      writes into exp
  segan-report exp/noisy exp/segan --data data/test --quoted published.tsv -o report --force

exit code: 0; 2 where something could not be read or written; 130 after Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code of ``segan-report`` run with the arguments ``argv``."""
    return run(parser(), report, argv)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    own = report_parser("segan-report", DESCRIPTION, EPILOG)
    add = own.add_argument
    add("--baseline", metavar="NAME", help="system to compare with (default: the first)")
    shown = "best and worst each (default 3)"
    add("--examples", type=number, default=3, metavar="N", help=shown)
    return own


def report(options: argparse.Namespace, command: list[str]) -> int:
    """Write the report that the options ask for, and return the exit code."""
    out = options.out or common_parent(options.systems)
    check_free(out, OUTPUTS, options.force)
    require(LIBRARIES, "report")
    content = gather(options, command)
    for note in content.notes:
        print(f"{note.text}:", *listed(note.items, 3), sep="\n", file=sys.stderr)
    from segan.report import markdown, page

    examples = draw(content, options.examples)
    texts = [page.render(content, examples), markdown.render(content, out.parent)]
    write(out, dict(zip(OUTPUTS, texts, strict=True)))
    print(f"written to {out}: {', '.join(OUTPUTS)}")
    return 0


def gather(options: argparse.Namespace, command: list[str]) -> Content:
    """Return what the report says, read and computed."""
    from gan.report.files import named
    from segan.report import content, scores

    data = scores.read_data(options.data)
    systems, notes = scores.read_systems(options.systems, data)
    return content.compute(
        systems,
        data,
        baseline=named(systems, options.baseline) if options.baseline else systems[0],
        quotations=scores.read_quotations(options.quoted) if options.quoted else [],
        title=options.title or f"Speech enhancement: {data.name}",
        notes=notes,
        command=command,
        date=today(),
    )


def draw(content: Content, count: int) -> dict[str, list[Example]]:
    """Return the ``count`` best and worst examples, drawn under a progress bar."""
    from tqdm import tqdm

    from segan.report.examples import choose, example

    chosen = choose(content.systems, content.baseline, content.lead, count)
    total = sum(map(len, chosen.values()))
    with tqdm(total=total, unit="example", disable=None, leave=False) as bar:
        drawn: dict[str, list[Example]] = {title: [] for title in chosen}
        for title, utterances in chosen.items():
            for one in utterances:
                drawn[title].append(example(one, content.systems, content.data))
                bar.update()
    return drawn


if __name__ == "__main__":
    sys.exit(main())
