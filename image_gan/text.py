"""Text as a tensor: Unicode code points, so that batches hold it and encoders read it as they like.

>>> codes("Hi", 4).tolist()
[72, 105, 0, 0]
>>> texts(torch.from_numpy(codes("Hi", 4))[None])
['Hi']
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

LENGTH = 256  # characters of a caption that are looked at
MOST = 5000  # words of a vocabulary, which must fit into the header of a model file


def codes(text: str, length: int = LENGTH) -> np.ndarray:
    """Return a text's first characters as code points ``(length,)`` int64; 0 follows the last.

    Characters that can be written in two ways are written in one (Unicode's NFC), and spaces and
    line ends become one space each.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split())[:length]
    return np.array([*map(ord, text), *[0] * (length - len(text))], np.int64)


def texts(batch: Tensor) -> list[str]:
    """Return the texts that stand in a batch of codes ``(B, L)``."""
    return ["".join(map(chr, row[: row.index(0)] if 0 in row else row)) for row in batch.tolist()]


def words(text: str) -> list[str]:
    """Return the words of a text, in small letters, without punctuation.

    >>> words("A tri-colored dog's ball.")
    ['a', 'tri', 'colored', "dog's", 'ball']
    """
    return re.findall(r"\w+(?:'\w+)*", text.lower())


def vocabulary(captions: Iterable[str], most: int = MOST) -> list[str]:
    """Return the most frequent words of captions, the most frequent first, then by the alphabet."""
    counts = Counter(word for caption in captions for word in words(caption))
    return sorted(counts, key=lambda word: (-counts[word], word))[:most]


def batch_of(captions: Iterable[str], device: torch.device | str = "cpu") -> Tensor:
    """Return captions as a batch of codes ``(B, LENGTH)``."""
    return torch.from_numpy(np.stack([codes(caption) for caption in captions])).to(device)
