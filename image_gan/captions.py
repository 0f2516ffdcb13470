"""Pictures with captions: a ``captions.jsonl``, a line for each picture.

``{"image": "images/1.jpg", "captions": ["a small blue bird", "..."]}``; places start from the
file's folder. A line may also have

    box         [left, top, width, height] of what matters in the picture
    attributes  such as {"hair": "blue", "eyes": "red"}
    embedding   the row of embeddings.npy, beside the file, where those of its captions begin
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from image_gan import images
from image_gan.data import View
from image_gan.text import codes, vocabulary

NAME = "captions.jsonl"
HALF = 0.75  # of the square around a box, in longer sides of the box


@dataclass(frozen=True)
class Entry:
    """A picture and what is said of it."""

    path: Path
    captions: list[str]
    box: tuple[float, float, float, float] | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    embedding: int | None = None


def read(path: str | Path) -> list[Entry]:
    """Return the entries of a ``captions.jsonl``, or of the one in a folder.

    Raises:
        OSError: where there is no such file.
        ValueError: where a line is no entry, or its picture isn't there; it names the line.
    """
    path = Path(path)
    path = path / NAME if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a line for each picture is needed there")
    entries = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    entries.append(entry(line, path.parent))
                except ValueError as error:
                    raise ValueError(f"{path}: line {number}: {error}") from None
    if not entries:
        raise ValueError(f"{path}: lists no pictures")
    return entries


def entry(line: str, folder: Path) -> Entry:
    """Return what a line says; raises ValueError, which says what is wrong with it."""
    try:
        said = json.loads(line)
    except ValueError:
        raise ValueError("is no JSON") from None
    if not isinstance(said, dict) or not isinstance(said.get("image"), str):
        raise ValueError('has no "image", the place of a picture')
    captions = said.get("captions")
    if not (isinstance(captions, list) and captions and all(map(is_text, captions))):
        raise ValueError('has no "captions", a list of texts, none of them empty')
    path = folder / said["image"]
    if not path.is_file():
        raise ValueError(f"{path} is not there; take the line out, or put the picture there")
    attributes = said.get("attributes", {})
    if not (isinstance(attributes, dict) and all(map(is_text, attributes.values()))):
        raise ValueError('"attributes" is no mapping of names to words')
    box, embedding = said.get("box"), said.get("embedding")
    if box is not None and not is_box(box):
        raise ValueError('"box" is not [left, top, width, height], in pixels')
    if embedding is not None and not (isinstance(embedding, int) and embedding >= 0):
        raise ValueError('"embedding" is not the number of a row')
    return Entry(path, captions, box and tuple(box), attributes, embedding)


def is_text(value) -> bool:
    """Return whether a value of JSON is text that says something."""
    return isinstance(value, str) and bool(value.strip())


def is_box(value) -> bool:
    """Return whether a value of JSON is four finite numbers."""
    numbers = isinstance(value, list) and all(isinstance(x, int | float) for x in value)
    return numbers and len(value) == 4 and all(abs(x) < 2**31 for x in value)


def loaded_size(size: int) -> int:
    """Return what pictures are resized to before ``size`` is cut out, as in StackGAN's code.

    >>> loaded_size(64), loaded_size(256)
    (76, 304)
    """
    return size * 76 // 64


def vocabulary_of(path: str | Path) -> list[str]:
    """Return the words that occur in a ``captions.jsonl``, the most frequent first."""
    return vocabulary(caption for entry in read(path) for caption in entry.captions)


class Captioned(Dataset):
    """Pictures with a caption each, drawn anew in every epoch, and one of another picture.

    ``{"target": (C, H, W) float32 in [-1, 1], "text": (L,), "wrong": (L,)}``, texts as
    ``image_gan.text.codes`` has them; where ``embeddings`` are used, ``embedding`` and
    ``wrong_embedding`` in the place of the texts. What is wrong for a picture is none of its own.

    Args:
        path: of the ``captions.jsonl``, or its folder.
        embeddings: whether to take those beside it, made elsewhere.
        view: keywords of ``image_gan.data.View``.

    Raises:
        OSError: where there is no such file.
        ValueError: where it is wrong, a picture is broken, or all have one caption.
    """

    def __init__(self, path: str | Path, embeddings: bool = False, **view):
        self.entries, self.view = read(path), View(**view)
        for one in self.entries:
            self.view.check(one.path, square(one.box, images.size(one.path))[1])
        every = {caption for one in self.entries for caption in one.captions}
        if any(len(set(one.captions)) == len(every) for one in self.entries):
            raise ValueError(
                f"{path}: a picture has every caption that there is; none is wrong for it"
            )
        self.embeddings = embeddings_beside(path, self.entries) if embeddings else None

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        one, rng = self.entries[index], self.view.draws(index)
        (target,) = self.view.augmented([pictured(one, self.view)], rng)
        said = int(rng.integers(len(one.captions)))
        other, wrong = self.mismatched(one, rng)
        if self.embeddings is not None:
            rows = one.embedding + said, other.embedding + wrong
            own, foreign = (self.embeddings[row].astype(np.float32) for row in rows)
            return {"target": target, "embedding": own, "wrong_embedding": foreign}
        texts = codes(one.captions[said]), codes(other.captions[wrong])
        return {"target": target, "text": texts[0], "wrong": texts[1]}

    def mismatched(self, one: Entry, rng: np.random.Generator) -> tuple[Entry, int]:
        """Return another picture, and which of its captions is none of this one's."""
        while True:
            other = self.entries[int(rng.integers(len(self.entries)))]
            number = int(rng.integers(len(other.captions)))
            if other.captions[number] not in one.captions:
                return other, number


def pictured(one: Entry, view: View) -> np.ndarray:
    """Return an entry's picture, or what of it lies in the square around its box."""
    picture = images.read(one.path)
    (top, left), (height, width) = square(one.box, picture.size)
    part = slice(top, top + height), slice(left, left + width)
    return view.item(picture, one.path, 0, part)


def square(
    box: tuple[float, float, float, float] | None, size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where a square around a box begins, and its size, both (rows, columns).

    Its side is 3/2 of the longer one of the box, less what lies outside of the picture, as in
    StackGAN's code for birds. Without a box it is all of the picture.
    """
    if box is None:
        return (0, 0), size
    left, top, width, height = box
    half = HALF * max(width, height)
    centers = top + height / 2, left + width / 2
    begin = [max(0, int(center - half)) for center in centers]
    end = [min(full, int(center + half)) for center, full in zip(centers, size, strict=True)]
    shape = tuple(max(1, last - first) for first, last in zip(begin, end, strict=True))
    return (begin[0], begin[1]), (shape[0], shape[1])


def embeddings_beside(path: str | Path, entries: Iterable[Entry]) -> np.ndarray:
    """Return the ``embeddings.npy`` beside a ``captions.jsonl``, checked against its lines."""
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    place = folder / "embeddings.npy"
    if not place.is_file():
        raise FileNotFoundError(f"{place}: no such file; say data.embeddings=false, or make it")
    try:
        rows = np.load(place, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{place}: no embeddings ({error})") from None
    for one in entries:
        if one.embedding is None or one.embedding + len(one.captions) > len(rows):
            raise ValueError(f"{one.path}: its captions have no rows in {place}")
    return rows
