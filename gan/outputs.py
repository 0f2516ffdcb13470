"""What the programs that score and report have in common: refusals, and files written whole."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from gan import signals


class Refusal(ValueError):
    """What was asked for cannot be done; the message says why, in lines for the user."""


def run(
    parser: argparse.ArgumentParser,
    action: Callable[[argparse.Namespace, list[str]], int],
    argv: Sequence[str] | None,
) -> int:
    """Return a program's exit code: its action's, 2 after a refusal, 130 after Ctrl-C.

    SIGTERM ends it as Ctrl-C does, by ``SystemExit`` with status 143.

    Args:
        parser: of its command line, whose ``prog`` is its name.
        action: of the options and of the command as it was given.
        argv: its arguments; those of this process where None.
    """
    options = parser.parse_args(argv)
    signals.exit_on_terminate()
    try:
        return action(options, [parser.prog, *(sys.argv[1:] if argv is None else argv)])
    except (Refusal, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted, nothing written", file=sys.stderr)
        return 130


def names_among(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return what reads an argument ``A,B,...`` of known names: in order, once each."""

    def names(text: str) -> list[str]:
        own = list(dict.fromkeys(name.strip() for name in text.split(",")))
        if unknown := [name for name in own if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return own

    return names


def listed(lines: Sequence[str], limit: int = 10) -> list[str]:
    """Return the first ``limit`` lines, indented, and how many more there are."""
    more = [f"  ... and {len(lines) - limit} more"] if len(lines) > limit else []
    return [f"  {line}" for line in lines[:limit]] + more


def check_free(folder: Path, names: Sequence[str], force: bool) -> None:
    """Refuse a folder that cannot be written to, or that holds one of the files already."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise Refusal(f"{folder}: cannot write in {existing}; choose another folder with -o")
    there = [name for name in names if (folder / name).exists()]
    if there and not force:
        raise Refusal(f"{folder / there[0]} exists: give --force to overwrite it")


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write texts by file name into ``folder``, each whole or none at all.

    What stands in them for the bytes of a name that is not UTF-8 is written as an escape.
    """
    parts = {name: folder / f"{name}.part" for name in texts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            parts[name].write_bytes(text.encode("utf-8", "backslashreplace"))
        for name, part in parts.items():
            part.replace(folder / name)
    except OSError as error:
        raise Refusal(f"{folder}: {error}; choose another folder with -o") from None
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


def require(libraries: Sequence[str], extra: str) -> None:
    """Refuse to begin where a library is not installed; ``extra`` of the package brings it."""
    from importlib.util import find_spec

    for library in libraries:
        if find_spec(library) is None:
            raise Refusal(f"{library} is not installed: pip install 'segan[{extra}]'")


def version(distribution: str) -> str | None:
    """Return the installed version of ``distribution``, None where it isn't installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
