"""Numbers, lists and commands as text."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath


def decimal(value: float, decimals: int, sign: str = "") -> str:
    """Return the value with so many decimals, a dash for none; ``sign="+"`` shows a plus.

    >>> decimal(2.0934, 3), decimal(0.5, 1, "+"), decimal(float("nan"), 2)
    ('2.093', '+0.5', '–')
    """
    return "–" if math.isnan(value) else f"{value:{sign}.{decimals}f}"


def margin(half: float, decimals: int) -> str:
    """Return half an interval's width as ``± 0.040``, nothing where it is undefined."""
    return "" if math.isnan(half) else f"± {decimal(half, decimals)}"


def p_value(p: float) -> str:
    """Return a p-value as text, ``p < 0.001`` where it is below.

    >>> p_value(0.0123), p_value(3e-9), p_value(1.0)
    ('p = 0.012', 'p < 0.001', 'p = 1.00')
    """
    if math.isnan(p):
        return ""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"


def count(number: int, noun: str) -> str:
    """Return ``1 speaker`` or ``12 speakers``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def signed(text: str) -> str:
    """Return a number as text with a minus sign in place of a hyphen."""
    return re.sub(r"-(?=[\d.i])", "−", text)


# Commands


def command_line(words: Sequence[str], root: Path | None = None) -> str:
    """Return a command as one types it; below ``root``, as seen from there and without its place.

    Absolute paths elsewhere keep their last two components then.
    """
    return shlex.join(words if root is None else [without_place(word, root) for word in words])


def without_place(word: str, root: Path) -> str:
    """Return an argument, ``path`` or ``name=path``, with absolute paths shortened.

    >>> without_place("data.folder=/home/me/facades/data/train", Path("/home/me/facades"))
    'data.folder=data/train'
    >>> without_place("/home/me/corpora/facades", Path("/elsewhere"))
    'corpora/facades'
    """
    name, equals, value = word.rpartition("=")
    path = next(
        (p for p in (PurePosixPath(value), PureWindowsPath(value)) if p.is_absolute()), None
    )
    if path is None:
        return word
    top = type(path)(os.path.abspath(root))
    if len(top.parts) > 2 and path.is_relative_to(top):
        return name + equals + path.relative_to(top).as_posix()
    return name + equals + "/".join(path.parts[2:][-2:] or path.parts[1:])


def without_places(text: str, root: Path) -> str:
    """Return text with the absolute paths in it shortened."""
    return " ".join(without_place(word, root) for word in text.split())
