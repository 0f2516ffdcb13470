"""What the command lines of reports share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from gan.outputs import Refusal

OUTPUTS = ("report.html", "RESULTS.md")


def report_parser(program: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Return the parser of a report's command line, with what all reports take."""
    own = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = own.add_argument
    add("systems", type=Path, nargs="+", metavar="SYSTEM", help="folder of a scored system")
    add("--data", type=Path, required=True, metavar="DIR", help="folder of the test set")
    add("-o", "--out", type=Path, metavar="OUT", help="default: the folder that holds the systems")
    add("--title", help="of the page (default: after DIR)")
    add("--quoted", type=Path, metavar="FILE.tsv", help="published rows to show beside")
    add("-f", "--force", action="store_true", help=f"overwrite {' and '.join(OUTPUTS)}")
    return own


def number(text: str) -> int:
    """Return the number that ``text`` gives, from 0 up."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 up")
    return value


def common_parent(folders: Sequence[Path]) -> Path:
    """Return the folder that holds all the systems' folders."""
    parents = [os.path.dirname(os.path.abspath(folder)) for folder in folders]
    try:
        common = Path(os.path.commonpath(parents))
    except ValueError:  # on different drives
        raise Refusal("the systems share no folder: say with -o where the report goes") from None
    given = folders[0].parent
    return given if Path(os.path.abspath(given)) == common else common


def today() -> str:
    """Return the date, as YYYY-MM-DD."""
    from datetime import date

    return date.today().isoformat()
