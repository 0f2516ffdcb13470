"""Attributes that captions tell, such as the colors of hair and eyes; who reads them off pictures.

Trained on real pictures, the classifier says how many generated ones show what was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from image_gan import images
from image_gan.captions import pictured, read, square
from image_gan.classifier import Classifier
from image_gan.data import View


class AttributeClassifier(nn.Module):
    """Which value has each attribute? ``(B, inputs, H, W)`` in [-1, 1] -> logits ``(B, V)``.

    V counts the values of all attributes, one attribute after the other.

    Args:
        attributes: their values by name.
        inputs: channels of the pictures.
        channels: see ``image_gan.classifier.Classifier``.
    """

    def __init__(
        self, attributes: Mapping[str, Sequence[str]], inputs: int = 3, channels: int = 32
    ):
        super().__init__()
        self.attributes = {name: list(values) for name, values in attributes.items()}
        several = [len(set(values)) > 1 for values in self.attributes.values()]
        if not (several and all(several)):
            raise ValueError("attributes: of each, two values at least are needed")
        count = sum(map(len, self.attributes.values()))
        self.network = Classifier(inputs, count, channels)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits."""
        return self.network(pictures)

    def features(self, pictures: Tensor) -> Tensor:
        """Return what the pictures are told apart by."""
        return self.network.features(pictures)

    def named(self, pictures: Tensor) -> list[dict[str, str]]:
        """Return the most likely value of each attribute, by picture."""
        parts = self(pictures).split([len(values) for values in self.attributes.values()], dim=1)
        found = [part.argmax(dim=1).tolist() for part in parts]
        return [
            {
                name: values[number]
                for (name, values), number in zip(self.attributes.items(), row, strict=True)
            }
            for row in zip(*found, strict=True)
        ]


class AttributeCrossEntropy(nn.Module):
    """The mean cross entropy of the attributes: logits ``(B, V)``, values ``(B, A)`` -> a scalar.

    Args:
        attributes: their values by name, as the classifier has them.
    """

    def __init__(self, attributes: Mapping[str, Sequence[str]]):
        super().__init__()
        self.counts = [len(values) for values in attributes.values()]

    def forward(self, logits: Tensor, values: Tensor) -> Tensor:
        """Return the loss."""
        parts = zip(logits.split(self.counts, dim=1), values.unbind(dim=1), strict=True)
        return sum(cross_entropy(*pair) for pair in parts) / len(self.counts)


class Attributes(Dataset):
    """Pictures and their attributes: ``{"source": (C, H, W) float32, "target": (A,) int64}``.

    Args:
        path: of a ``captions.jsonl`` whose lines have attributes, or its folder.
        attributes: their values by name; pictures that lack one are an error.
        view: keywords of ``image_gan.data.View``.

    Raises:
        OSError: where there is no such file.
        ValueError: where it is wrong, or a picture's attribute is missing or unknown.
    """

    def __init__(self, path: str | Path, attributes: Mapping[str, Sequence[str]], **view):
        self.entries, self.view = read(path), View(**view)
        self.values = []
        for one in self.entries:
            self.view.check(one.path, square(one.box, images.size(one.path))[1])
            self.values.append([])
            for name, values in attributes.items():
                if one.attributes.get(name) not in list(values):
                    said = one.attributes.get(name, "not told")
                    raise ValueError(f"{one.path}: {name} is {said}, none of {', '.join(values)}")
                self.values[-1].append(list(values).index(one.attributes[name]))

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        one, rng = self.entries[index], self.view.draws(index)
        (source,) = self.view.augmented([pictured(one, self.view)], rng)
        return {"source": source, "target": np.array(self.values[index], np.int64)}


def attributes_of(path: str | Path) -> dict[str, list[str]]:
    """Return the attributes that a ``captions.jsonl`` tells, each with its values, sorted.

    Raises ValueError where it tells none.
    """
    found: dict[str, set[str]] = {}
    for one in read(path):
        for name, value in one.attributes.items():
            found.setdefault(name, set()).add(value)
    if not found:
        raise ValueError(f"{path}: tells no attributes of its pictures")
    return {name: sorted(values) for name, values in found.items()}


def told(caption: str, pattern: re.Pattern) -> dict[str, str]:
    """Return the attributes that the named groups of a pattern find in a caption.

    >>> told("aqua hair red eyes", re.compile(r"(?P<hair>.+) hair (?P<eyes>.+) eyes"))
    {'hair': 'aqua', 'eyes': 'red'}
    """
    match = pattern.search(caption)
    return {name: value for name, value in match.groupdict().items() if value} if match else {}
