"""Which pictures are in a folder, and which belong together."""

from __future__ import annotations

from pathlib import Path

from image_gan.images import SUFFIXES

MARK = ".generated"  # photo.png -> photo.generated.png


def in_folder(folder: str | Path, recursive: bool = True) -> list[Path]:
    """Return the pictures in a folder, in order, without hidden ones and without estimates.

    Raises:
        OSError: where there is no such folder.
        ValueError: where no pictures are in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        kind = "a file, where a folder is needed" if folder.exists() else "no such folder"
        raise NotADirectoryError(f"{folder}: {kind}")
    found = [
        path
        for path in sorted(folder.rglob("*") if recursive else folder.iterdir())
        if is_picture(path) and path.is_file()
    ]
    if not found:
        raise ValueError(f"{folder}: no pictures in it (*{' *'.join(SUFFIXES)})")
    return found


def is_picture(path: Path) -> bool:
    """Return whether a file is called like a picture, and like none that was made here."""
    known = path.suffix.lower() in SUFFIXES
    return known and not path.name.startswith(".") and Path(path.stem).suffix != MARK


def by_name(folder: str | Path) -> dict[str, Path]:
    """Return the pictures below a folder by their place in it, without suffix: ``deep/photo``.

    Raises as ``in_folder``, and ValueError where two differ in their suffix alone.
    """
    found: dict[str, Path] = {}
    for path in in_folder(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise ValueError(f"{path}: {found[name].name} has the same name; keep one of them")
        found[name] = path
    return found
