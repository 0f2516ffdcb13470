"""What fills the templates of pages in, and what makes a page need no other file."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from gan.report.text import command_line, signed


def environment(folder: Path) -> Environment:
    """Return what fills templates in ``folder`` in: text is escaped, unknown names are errors.

    Templates may include those beside this module: style.css and tables.js.
    """
    own = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent], encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own.filters |= {"signed": signed, "linked": linked, "shell": command_line}
    return own


def linked(text: str) -> Markup:
    """Return text as markup, in which web addresses are links."""
    parts = re.split(r"(https?://[^\s<>\"]*[^\s<>\".,;:)])", text)
    return Markup("").join(
        Markup('<a href="{0}">{0}</a>').format(part) if i % 2 else escape(part)
        for i, part in enumerate(parts)
    )


def data_uri(kind: str, content: bytes) -> str:
    """Return ``content`` as a URI that needs no network."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
