"""How pictures made from text are scored: by the captions that they were asked for with.

A ``captions.jsonl`` says what each picture should show (``image_gan.captions``); its first caption
is the one asked for. What reads pictures was trained on real ones: a classifier of attributes, or
a joint embedding of captions and pictures.
"""

from __future__ import annotations

import math
import zlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gan.outputs import Refusal
from image_gan import encoders
from image_gan.asked import asked, in_lines
from image_gan.attributes import AttributeClassifier
from image_gan.batch import describe
from image_gan.captions import Entry
from image_gan.classifier import Classifier
from image_gan.metrics import spread
from image_gan.scoring import (
    BY_CAPTION,
    Picture,
    Result,
    Scorer,
    Together,
    Total,
    Value,
    device_of,
    entering,
    network_of,
    output,
    unit,
)
from image_gan.text import batch_of

RANKED = 100  # captions, of which one is the picture's own
BATCH = 256  # captions that are embedded at once


class Chance(NamedTuple):
    """What a generator that doesn't listen scores, and how a protocol says so."""

    value: float
    words: str
    parts: dict[str, float] | None = None  # by attribute


class Judges(NamedTuple):
    """What scores pictures by captions: one by one, all together, and what chance would give."""

    scorers: list[Scorer]
    together: dict[str, Together]
    chances: dict[str, Chance]

    def beside_chance(self, overall: dict[str, Total], results: list[Result]) -> dict[str, Total]:
        """Return the metrics with what chance would give, and with the share of each attribute."""
        found = dict(overall)
        for name in self.chances.keys() & overall.keys():
            total, chance = overall[name], self.chances[name]
            found[name] = total._replace(
                protocol=f"{total.protocol}; {chance.words}",
                chance=chance.value,
                parts=attribute_shares(results, chance),
            )
        return found


def judges(
    metrics: Sequence[str],
    captions: Path | None,
    generated: dict[str, Path],
    attributes: Path | None = None,
    embedding: tuple[Path | None, Path | None] = (None, None),
    device: str = "auto",
) -> Judges:
    """Return what computes those of the metrics that go by captions.

    Args:
        metrics: by name; others are passed over.
        captions: the ``captions.jsonl``.
        generated: the pictures to score by name.
        attributes: file of an ``AttributeClassifier``.
        embedding: files of the text encoder and of the picture encoder of one joint embedding.
        device: where networks run.

    Raises:
        Refusal: where a file can't be read, or captions and pictures don't go together.
    """
    found = Judges([], {}, {})
    if not {*BY_CAPTION, "diversity"}.intersection(metrics):
        return found
    wanted, place = asked(captions, generated), device_of(device)
    if {"attribute_accuracy", "all_attributes"}.intersection(metrics):
        scorer, chances = by_attributes(attributes, wanted, place)
        found.scorers.append(scorer)
        found.chances.update(chances)
    if "caption_precision" in metrics:
        scorer, chances = by_embedding(embedding, wanted, place)
        found.scorers.append(scorer)
        found.chances.update(chances)
    if "diversity" in metrics:
        found.scorers.append(by_caption(wanted))
        found.together["diversity"] = diversity
    return found


# By attributes


def by_attributes(
    file: Path, wanted: dict[str, Entry], device: torch.device
) -> tuple[Scorer, dict[str, Chance]]:
    """Return the scorer of whether a classifier sees the attributes asked for, and chance.

    Its part is which ones it sees. Refuses pictures that weren't asked for with all attributes
    that the classifier tells apart.
    """
    network = network_of(file, AttributeClassifier, device)
    faults = [
        f"{one.path}: was asked for with {name} {one.attributes.get(name, 'not told')}, and {file} "
        f"tells apart {', '.join(values)}"
        for one in wanted.values()
        for name, values in network.attributes.items()
        if one.attributes.get(name) not in values
    ]
    if faults:
        raise Refusal(in_lines("attributes that can't be scored", faults))

    def score(name: str, picture: Picture) -> dict[str, Any]:
        with torch.no_grad():
            (seen,) = network.named(entering(network, picture, device))
        right = {key: value == wanted[name].attributes[key] for key, value in seen.items()}
        share = sum(right.values()) / len(right)
        alone = {"attribute_accuracy": share, "all_attributes": float(all(right.values()))}
        return {**alone, "attributes": right}

    return score, chance_of_attributes(network.attributes)


def chance_of_attributes(attributes: dict[str, list[str]]) -> dict[str, Chance]:
    """Return what pictures score whose attributes have nothing to do with those asked for.

    A generator that always shows the value that is asked for most may score more than one over the
    number of values.
    """
    each = {name: 1 / len(values) for name, values in attributes.items()}
    said = ", ".join(f"{name} 1/{len(values)}" for name, values in attributes.items())
    mean, all_of_them = sum(each.values()) / len(each), math.prod(each.values())
    return {
        "attribute_accuracy": Chance(mean, f"by chance {mean:.4f} ({said})", each),
        "all_attributes": Chance(all_of_them, f"by chance {all_of_them:.4f}"),
    }


def attribute_shares(results: list[Result], chance: Chance) -> dict[str, dict[str, float]] | None:
    """Return the share of pictures that show what was asked for, by attribute, beside chance.

    None where nothing was seen, and where chance isn't told by attribute.
    """
    seen = [one.scores["attributes"] for one in results if "attributes" in one.scores]
    if not (seen and chance.parts):
        return None
    return {
        name: {"value": sum(one[name] for one in seen) / len(seen), "chance": by_chance}
        for name, by_chance in chance.parts.items()
    }


# By a joint embedding


def by_embedding(
    files: tuple[Path, Path], wanted: dict[str, Entry], device: torch.device
) -> tuple[Scorer, dict[str, Chance]]:
    """Return the scorer of whether a picture's own caption is the nearest of 100, and chance.

    The 99 others are drawn by a fixed seed for each caption; fewer where there are fewer. Where
    several are equally near, the picture has its part of being right.

    Args:
        files: text encoder and picture encoder of one joint embedding.
        wanted: what was asked for, by name.
        device: where they run.
    """
    encoder = network_of(files[0], encoders.ENCODERS, device, "text encoder")
    network = network_of(files[1], Classifier, device)
    if network.classify.out_features != encoder.size:
        raise Refusal(
            f"{files[0]} embeds in {encoder.size} numbers, {files[1]} in "
            f"{network.classify.out_features}: give both of one training"
        )
    pool = sorted({one.captions[0] for one in wanted.values()})
    if len(pool) < 2:
        raise Refusal("caption_precision: all pictures have one caption, which has no rival")
    rows = embedded(pool, encoder, files[0], device)
    compared = {name: against(one.captions, pool) for name, one in wanted.items()}

    def score(name: str, picture: Picture) -> dict[str, Any]:
        scores = rows[compared[name]] @ output(network, network, picture, device)
        return {"caption_precision": first(scores)}

    counts = [len(numbers) for numbers in compared.values()]
    mean = sum(1 / count for count in counts) / len(counts)
    among = " to ".join(map(str, sorted({min(counts), max(counts)})))
    return score, {"caption_precision": Chance(mean, f"among {among}; by chance {mean:.4f}")}


def embedded(
    captions: Sequence[str], encoder: nn.Module, file: Path, device: torch.device
) -> Tensor:
    """Return the embeddings of captions, on the CPU; refuse one of which nothing is known."""
    try:
        for caption in captions:
            encoders.check(caption, encoder)
        with torch.no_grad():
            parts = [
                encoder(batch_of(captions[start : start + BATCH], device)).cpu()
                for start in range(0, len(captions), BATCH)
            ]
    except (OSError, ValueError) as error:
        raise Refusal(describe(error, str(file))) from None
    return torch.cat(parts)


def against(own: Sequence[str], pool: Sequence[str]) -> Tensor:
    """Return which captions of a sorted pool a picture is ranked by: the one asked for, rivals.

    They are up to 99 that aren't the picture's own, the same whenever this caption is asked for.
    """
    places = [bisect_left(pool, caption) for caption in own]
    there = [i for i, text in zip(places, own, strict=True) if pool[i : i + 1] == [text]]
    others = np.delete(np.arange(len(pool)), there)
    rng = np.random.default_rng(zlib.crc32(own[0].encode()))
    drawn = rng.choice(others, min(RANKED - 1, len(others)), replace=False)
    return torch.from_numpy(np.concatenate([places[:1], drawn]))


def first(scores: Tensor) -> float:
    """Return whether the first score is the highest: 1 or 0, or its part where several are."""
    best = scores == scores.max()
    return float(best[0]) / int(best.sum()) if best.any() else 0.0


# By one another


def by_caption(wanted: dict[str, Entry]) -> Scorer:
    """Return the scorer whose part is a picture, in 8 bits, where its caption has several."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, one in wanted.items():
        names[one.captions[0]].append(name)

    def score(name: str, picture: Picture) -> dict[str, Any]:
        caption = wanted[name].captions[0]
        if len(names[caption]) < 2:
            return {}
        levels = (255 * unit(picture)).round().to(torch.uint8)
        return {"same": (caption, levels.expand(3, -1, -1) if len(levels) == 1 else levels)}

    return score


def diversity(results: list[Result]) -> Value:
    """Return the mean distance of two pictures of one caption, over captions that have several."""
    groups: dict[str, list[Tensor]] = defaultdict(list)
    for one in results:
        if "same" in one.scores:
            caption, picture = one.scores["same"]
            groups[caption].append(picture)
    several = {caption: own for caption, own in groups.items() if len(own) > 1}
    alike = {c: own for c, own in several.items() if len({x.shape for x in own}) == 1}
    undefined = {c: "its pictures differ in size" for c in several if c not in alike}
    if not several:
        undefined = {"all": "no caption has two pictures"}
    distances = [spread(torch.stack(own)) / 255 for own in alike.values()]
    value = sum(distances) / len(distances) if distances else math.nan
    return value, sum(map(len, alike.values())), undefined
