"""What the programs that score and report have in common: refusals, and files written whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path


class Refusal(ValueError):
    """What was asked for cannot be done; the message says why, in lines for the user."""


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
    """Write texts by file name into ``folder``, each whole or none at all."""
    parts = {name: folder / f"{name}.part" for name in texts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            parts[name].write_text(text, encoding="utf-8", newline="\n")
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
