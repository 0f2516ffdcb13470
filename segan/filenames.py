"""Names of files that every system takes, and where two names are one file."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from functools import lru_cache
from pathlib import Path, PurePath

DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?", re.I)
BAD = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # in a name on Windows
LONGEST = 259  # characters of a path, where Windows has not been told to take longer ones


def portable(text: str) -> str:
    """Return ``text`` as the name of a file on any system; other texts give other names.

    What some system refuses is written as in an address, by its code.

    >>> portable("ann/1"), portable("con"), portable("100%"), portable(".hidden")
    ('ann%2F1', '%63on', '100%25', '%2Ehidden')
    """
    name = re.sub(rf"%|{BAD.pattern}|^\.|[. ]$", lambda match: _code(match[0]), text)
    return _code(name[0]) + name[1:] if DEVICES.fullmatch(name) else name


def _code(character: str) -> str:
    return f"%{ord(character):02X}"


def shown(text: str) -> str:
    r"""Return ``text`` on one line: what a terminal would obey or not show as its escape.

    >>> shown("a\tb")
    'a\\tb'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def fault(path: PurePath, windows: bool = os.name == "nt") -> str | None:
    """Return why Windows cannot have a file there, None where it can and on other systems.

    >>> from pathlib import PureWindowsPath
    >>> fault(PureWindowsPath("D:/out/aux.wav"), windows=True)
    "'aux.wav' is the name of a device"
    """
    for name in path.parts[bool(path.anchor) :] if windows else ():
        if DEVICES.fullmatch(name):
            return f"{name!r} is the name of a device"
        if BAD.search(name):
            return f'{name!r} holds one of < > : " / \\ | ? *'
        if name.endswith((".", " ")) and name not in (".", ".."):
            return f"{name!r} ends in a dot or a space"
    return None


def too_long(path: PurePath, windows: bool = os.name == "nt") -> bool:
    """Return whether Windows may refuse a path for its length."""
    return windows and len(os.path.abspath(path)) > LONGEST


def folded(place: str) -> str:
    """Return what is equal for two paths that some file systems take for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", place).casefold())


@lru_cache(maxsize=1024)
def ignores_case(folder: str) -> bool:
    """Return whether ``A`` and ``a`` are one file in a folder, which need not be there yet.

    Nothing is written: the nearest folder that is there is looked for by its name in the other
    case. Where no name on the way has letters, the system's habit counts.
    """
    for place in (Path(folder), *Path(folder).parents):
        other = place.with_name(place.name.swapcase()) if place.name else place
        if other != place and place.exists():
            return other.exists() and other.samefile(place)
    return sys.platform in ("win32", "darwin")
