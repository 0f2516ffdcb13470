"""The command line of ``segan-report``: reads, computes, draws, and writes at the end."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segan.evaluate import Refusal, listed

if TYPE_CHECKING:
    from segan.report.content import Content
    from segan.report.examples import Example
    from segan.report.scores import System

OUTPUTS = ("report.html", "RESULTS.md")
LIBRARIES = ("scipy", "matplotlib", "jinja2")
DESCRIPTION = """\
Compare scored systems: a page to look at and to listen to (report.html, complete in itself), and
the table to keep beside a recipe (RESULTS.md)."""
EPILOG = """\
A SYSTEM is a folder, whose name is the system's:
  scores/          what segan-evaluate --out wrote: scores.tsv, summary.json
  enhanced/        optional: what the system made, a sound file named after each utterance
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
    options = parser().parse_args(argv)
    try:
        return report(options, ["segan-report", *(sys.argv[1:] if argv is None else argv)])
    except (Refusal, OSError) as error:
        print(f"segan-report: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("segan-report: interrupted, nothing written", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    own = argparse.ArgumentParser(
        prog="segan-report",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = own.add_argument
    add("systems", type=Path, nargs="+", metavar="SYSTEM", help="folder of a scored system")
    add("--data", type=Path, required=True, metavar="DIR", help="data directory of the test set")
    add("-o", "--out", type=Path, metavar="OUT", help="default: the folder that holds the systems")
    add("--title", help="of the page (default: after DIR)")
    add("--quoted", type=Path, metavar="FILE.tsv", help="published rows to show beside")
    add("--baseline", metavar="NAME", help="system to compare with (default: the first)")
    add("--examples", type=number, default=3, metavar="N", help="best and worst each (default 3)")
    add("-f", "--force", action="store_true", help=f"overwrite {' and '.join(OUTPUTS)}")
    return own


def number(text: str) -> int:
    """Return the number that ``text`` gives, from 0 up."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 up")
    return value


def report(options: argparse.Namespace, command: list[str]) -> int:
    """Write the report that the options ask for, and return the exit code."""
    out = options.out or common_parent(options.systems)
    check_free(out, options.force)
    require_libraries()
    content = gather(options, command)
    for note in content.notes:
        print(f"{note.text}:", *listed(note.utterances, 3), sep="\n", file=sys.stderr)
    from segan.report import markdown, page

    examples = draw(content, options.examples)
    results = markdown.render(content, out.parent)
    write(out, [page.render(content, examples), results])
    print(f"written to {out}: {', '.join(OUTPUTS)}")
    return 0


def gather(options: argparse.Namespace, command: list[str]) -> Content:
    """Return what the report says, read and computed."""
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


def named(systems: Sequence[System], name: str) -> System:
    """Return the system called ``name``."""
    for system in systems:
        if system.name == name:
            return system
    known = ", ".join(system.name for system in systems)
    raise Refusal(f"--baseline {name}: no such system; there are {known}")


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


def today() -> str:
    """Return the date, as YYYY-MM-DD."""
    from datetime import date

    return date.today().isoformat()


# Where it goes


def common_parent(folders: Sequence[Path]) -> Path:
    """Return the folder that holds all the systems' folders."""
    parents = [os.path.dirname(os.path.abspath(folder)) for folder in folders]
    try:
        common = Path(os.path.commonpath(parents))
    except ValueError:  # on different drives
        raise Refusal("the systems share no folder: say with -o where the report goes") from None
    given = folders[0].parent
    return given if Path(os.path.abspath(given)) == common else common


def check_free(folder: Path, force: bool) -> None:
    """Refuse a folder that cannot be written to, or that holds a report already."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise Refusal(f"{folder}: cannot write in {existing}; choose another folder with -o")
    there = [name for name in OUTPUTS if (folder / name).exists()]
    if there and not force:
        raise Refusal(f"{folder / there[0]} exists: give --force to overwrite it")


def require_libraries() -> None:
    """Refuse to begin where a library is not installed."""
    from importlib.util import find_spec

    for library in LIBRARIES:
        if find_spec(library) is None:
            raise Refusal(f"{library} is not installed: pip install 'segan[report]'")


def write(folder: Path, texts: Sequence[str]) -> None:
    """Write the outputs into ``folder``, each whole or not at all."""
    parts = [folder / f"{name}.part" for name in OUTPUTS]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part, text in zip(parts, texts, strict=True):
            part.write_text(text, encoding="utf-8", newline="\n")
        for part, name in zip(parts, OUTPUTS, strict=True):
            part.replace(folder / name)
    except OSError as error:
        raise Refusal(f"{folder}: {error}; choose another folder with -o") from None
    finally:
        for part in parts:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
