"""How pictures are scored, one after the other, and what that amounts to over all of them.

A picture is read into a ``Picture``. Each ``Scorer`` says something of one picture: scores of its
own, or its part of what is computed of all pictures together, as its features. ``totals`` makes one
number of each metric, with the protocol that it was computed by. ``image_gan.metrics`` and
``image_gan.labels`` have the formulas; what is asked for and what is said is ``evaluate``'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from gan.checkpoint import load_network
from gan.outputs import Refusal
from gan.trainer import pick_device
from image_gan import images, values
from image_gan.attributes import AttributeClassifier
from image_gan.batch import describe
from image_gan.classifier import Classifier
from image_gan.kinds import KINDS
from image_gan.labels import confusion, label_scores, read_palette, to_classes
from image_gan.metrics import (
    COLUMNS,
    INCEPTION,
    UNDEFINED,
    Inception,
    Measure,
    frechet_distance,
    inception_score,
    inside,
    kernel_distance,
    l1,
    lpips,
    psnr,
    psnr_y,
    splits,
    ssim,
    ssim_y,
    subsets,
)
from image_gan.segmenter import Segmenter
from image_gan.translate import channels_of
from image_gan.values import Ends

BY_TARGET = ("l1", "psnr", "ssim", "psnr_y", "ssim_y", "lpips")
BY_CAPTION = ("attribute_accuracy", "all_attributes", "caption_precision")
PER_PICTURE = (*BY_TARGET, "target_share", "cycle_l1", *BY_CAPTION)
LABELLED = ("pixel_accuracy", "class_accuracy", "iou")
MEASURES = {"l1": l1, "psnr": psnr, "ssim": ssim, "psnr_y": psnr_y, "ssim_y": ssim_y}
DISTANCES = {"fid": frechet_distance, "kid": kernel_distance}

Reader = Callable[[Path], "Picture"]
Scorer = Callable[[str, "Picture"], dict[str, Any]]
Value = tuple[float, int, dict[str, str]]  # of how many pictures, and who lacks it why
Together = Callable[[list["Result"]], Value]
COMBINED = 10_000  # values of several attributes together, at most


class Picture(NamedTuple):
    """A picture as it is scored: values ``(C, H, W)`` in [-1, 1], and its file."""

    path: Path
    values: Tensor

    @property
    def size(self) -> str:
        """Height and width in words."""
        return " x ".join(map(str, self.values.shape[1:]))


class Scorers(NamedTuple):
    """What scores a picture: those of generated ones alone, and those of real ones as well."""

    own: list[Scorer]
    features: list[Scorer]


class Result(NamedTuple):
    """What became of a picture: its scores, and the parts of scores of all; or why it failed."""

    name: str
    scores: dict[str, Any]
    failure: str = ""


class Total(NamedTuple):
    """A metric over all pictures: its value, of how many, how computed, and who lacks it why.

    ``chance`` is what a generator that doesn't listen would score, where that is known; ``parts``
    are the value and its chance by attribute.
    """

    value: float
    n: int
    protocol: str
    undefined: dict[str, str]
    chance: float | None = None
    parts: dict[str, dict[str, float]] | None = None


# What pictures are to be scored as


def reader_of(between: Ends | None) -> Reader:
    """Return what reads a picture; ``between`` are the values of black and white, if given."""

    def read(path: Path) -> Picture:
        picture = images.read(path)
        ends = between or values.ends(picture.values)
        if ends is None:
            low, high = values.own_ends(picture.values)
            raise ValueError(
                f"{path}: of its values, {low:g} to {high:g}, which are black and white? "
                "Say --range LOW HIGH"
            )
        x = values.normalized(picture.values, ends)
        if picture.form.mode == "CMYK":
            x = values.from_cmyk(x)
        return Picture(path, torch.from_numpy(x))

    return read


def with_channels(picture: Picture, count: int) -> Picture:
    """Return a picture in another number of channels; raises ValueError, which names it."""
    try:
        x = values.with_channels(picture.values.numpy(), count)
    except ValueError as error:
        raise ValueError(f"{picture.path}: {error}") from None
    return picture._replace(values=torch.from_numpy(x))


def alike(one: Picture, other: Picture) -> tuple[Tensor, Tensor]:
    """Return two pictures' values from 0 to 1, float64, in as many channels.

    Raises ValueError where their sizes differ.
    """
    check_sizes(one.path, one.values.shape[1:], other.path, other.values.shape[1:])
    count = max(len(one.values), len(other.values))
    first, second = (unit(with_channels(picture, count)) for picture in (one, other))
    return first, second


def check_sizes(one: Path, size: Sequence[int], other: Path, wanted: Sequence[int]) -> None:
    """Raise ValueError where two pictures differ in height or width."""
    if tuple(size) != tuple(wanted):
        sizes = [" x ".join(map(str, each)) for each in (size, wanted)]
        raise ValueError(
            f"{one} has {sizes[0]} pixels (height x width), {other} {sizes[1]}: make them of one "
            "size"
        )


def unit(picture: Picture) -> Tensor:
    """Return a picture's values from 0 to 1, float64."""
    return (picture.values.double() + 1) / 2


# What is computed of a picture


def check_torchmetrics() -> None:
    """Refuse to begin where torchmetrics is there, but doesn't fit what else is there."""
    try:
        import torchmetrics.functional.image  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:  # torchvision for another torch
        raise Refusal(
            f"torchmetrics can't be imported ({first_line(error)}): torch, torchvision and "
            "torch-fidelity must fit together; pip install --upgrade 'segan[images,fid]'"
        ) from None


def measures_of(metrics: Sequence[str]) -> dict[str, Measure]:
    """Return those of the metrics that are functions of a picture and its target."""
    measures = {name: MEASURES[name] for name in metrics if name in MEASURES}
    if "lpips" in metrics:
        try:
            measures["lpips"] = lpips()
        except (ImportError, OSError, RuntimeError) as error:
            raise Refusal(
                f"lpips: AlexNet's weights can't be had ({first_line(error)}); fetch them where "
                "there is a network, or leave lpips out"
            ) from None
    return measures


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def by_target(
    targets: dict[str, Path], read: Reader, measures: dict[str, Measure], border: int = 0
) -> Scorer:
    """Return the scorer of a picture against its target, both without their outer pixels."""

    def score(name: str, picture: Picture) -> dict[str, Any]:
        pair = [inside(x, border) for x in alike(picture, read(targets[name]))]
        return {metric: measure(*pair) for metric, measure in measures.items()}

    return score


def by_cycle(sources: dict[str, Path], cycled: dict[str, Path], read: Reader) -> Scorer:
    """Return the scorer of what came back of a picture's source."""

    def score(name: str, picture: Picture) -> dict[str, Any]:
        return {"cycle_l1": l1(*alike(read(cycled[name]), read(sources[name])))}

    return score


def by_domain(file: Path, device: torch.device) -> Scorer:
    """Return the scorer of whether a classifier takes a picture for the target domain."""
    network = network_of(file, Classifier, device)

    def score(name: str, picture: Picture) -> dict[str, Any]:
        return {"target_share": float(output(network, network, picture, device).argmax() == 1)}

    return score


def by_labels(labels: dict[str, Path], file: Path, colors: Path, device: torch.device) -> Scorer:
    """Return the scorer of the labels that a segmenter finds; the part is a matrix of confusion."""
    network = network_of(file, Segmenter, device)
    palette = attempt(read_palette, colors)
    classes = network.classify.out_channels
    if classes != len(palette.names):
        raise Refusal(
            f"{colors} has {len(palette.names)} classes, {file} tells {classes} apart: give the "
            "palette that it was trained with"
        )

    def score(name: str, picture: Picture) -> dict[str, Any]:
        painted = images.read(labels[name]).values
        check_sizes(picture.path, picture.values.shape[1:], labels[name], painted.shape[:2])
        found = output(network, network, picture, device).argmax(dim=0)
        try:
            truth = to_classes(painted, palette)
        except ValueError as error:
            raise ValueError(f"{labels[name]}: {error}") from None
        return {"confusion": confusion(truth, found.numpy(), classes)}

    return score


def by_inception(weights: Path | None, device: torch.device) -> Scorer:
    """Return the scorer whose parts are InceptionV3's features and logits.

    Refuses where it can't be had.
    """
    try:
        extract = Inception(weights, device)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise Refusal(
            f"InceptionV3: {first_line(error)}; --inception-weights FILE takes {INCEPTION}, "
            "--features FILE a classifier instead"
        ) from None
    names = "features", "logits"
    return lambda _, picture: dict(
        zip(names, extract.both(unit(with_channels(picture, 3))), strict=True)
    )


def by_classifier(file: Path, device: torch.device, logits: bool = False) -> Scorer:
    """Return the scorer whose parts are a classifier's features, and its logits where asked for."""
    network = network_of(file, (Classifier, AttributeClassifier), device)
    if logits and isinstance(network, AttributeClassifier):
        count = math.prod(map(len, network.attributes.values()))
        if count > COMBINED:
            raise Refusal(f"{file}: {count} combinations of values are too many for an IS")

    def score(name: str, picture: Picture) -> dict[str, Any]:
        found = {"features": output(network, network.features, picture, device)}
        if logits:
            found["logits"] = combined(network, output(network, network, picture, device))
        return found

    return score


def combined(network: nn.Module, logits: Tensor) -> Tensor:
    """Return logits of all combinations of values where a network tells several attributes.

    The attributes of a picture are taken for independent.
    """
    if not isinstance(network, AttributeClassifier):
        return logits
    together = torch.zeros(1)
    for part in logits.split([*map(len, network.attributes.values())]):
        together = (together[:, None] + part.log_softmax(dim=0)).flatten()
    return together


def network_of(
    path: Path, kinds: type[nn.Module] | tuple[type, ...], device: torch.device, due: str = ""
) -> nn.Module:
    """Return the network in a file; refuse one of other kinds than ``kinds``, called ``due``."""
    network = attempt(lambda place: load_network(place, KINDS), path)
    if not isinstance(network, kinds):
        names = [kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,))]
        due = due or " or ".join(names)
        raise Refusal(f"{path}: holds a {type(network).__name__}, where a {due} is due")
    return network.to(device)


def attempt(function: Callable[[Path], Any], path: Path) -> Any:
    """Return ``function(path)``; refuse what can't be read."""
    if not path.is_file():
        raise Refusal(f"{path}: no such file")
    try:
        return function(path)
    except (OSError, ValueError) as error:
        raise Refusal(describe(error, str(path))) from None


def device_of(name: str) -> torch.device:
    """Return the device called ``name``; refuse one that isn't here."""
    try:
        return pick_device(name)
    except (ValueError, RuntimeError) as error:
        raise Refusal(f"--device {name}: {first_line(error)}") from None


def output(
    network: nn.Module, function: Callable[[Tensor], Tensor], picture: Picture, device: torch.device
) -> Tensor:
    """Return what a function of a network makes of a picture, on the CPU."""
    with torch.no_grad():
        return function(entering(network, picture, device))[0].cpu()


def entering(network: nn.Module, picture: Picture, device: torch.device) -> Tensor:
    """Return a picture as a batch of one, in as many channels as a network takes."""
    return with_channels(picture, channels_of(network)[0]).values[None].to(device)


# All pictures


def score_all(
    generated: dict[str, Path], real: dict[str, Path], scorers: Scorers, read: Reader
) -> tuple[list[Result], list[Result]]:
    """Return the results of the generated pictures, and those of the real ones: their features."""
    with tqdm(total=len(generated) + len(real), unit="picture", disable=None) as bar:
        return tuple(
            [score_picture(name, path, own, read, bar) for name, path in pictures.items()]
            for pictures, own in (
                (generated, scorers.own + scorers.features),
                (real, scorers.features),
            )
        )


def score_picture(name: str, path: Path, scorers: list[Scorer], read: Reader, bar: tqdm) -> Result:
    """Return the scores of one picture, or why it has none."""
    scores: dict[str, Any] = {}
    try:
        picture = read(path)
        scores["size"] = picture.size
        for scorer in scorers:
            scores |= scorer(name, picture)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:  # the others are scored
        return Result(name, {}, describe(error, str(path)))
    finally:
        bar.update()
    return Result(name, scores)


def totals(
    networks: dict[str, str],
    results: list[Result],
    references: list[Result],
    border: int = 0,
    together: Mapping[str, Together] | None = None,
) -> dict[str, Total]:
    """Return metrics over all pictures that could be scored.

    Args:
        networks: the metrics, each with what its protocol calls the network that it takes, if any.
        results: of the generated pictures.
        references: of the real ones.
        border: pixels on each side that scores against targets leave out.
        together: functions of the results, for other metrics of all generated pictures.
    """
    good = [result for result in results if not result.failure]
    real = [result.scores["features"] for result in references if not result.failure]
    found = {name: mean_of(name, good) for name in networks if name in PER_PICTURE}
    if any(name in LABELLED for name in networks):
        found |= of_labels(good)
    own = {"inception_score": of_logits, **(together or {})}
    found |= {name: function(good) for name, function in own.items() if name in networks}
    if distances := [name for name in networks if name in DISTANCES]:
        found |= of_features(distances, real, [result.scores["features"] for result in good])
    protocols = {
        name: protocol_of(name, network, len(real), len(good)) + left_out(name, border)
        for name, network in networks.items()
    }
    return {name: Total(*found[name][:2], protocols[name], found[name][2]) for name in networks}


def mean_of(name: str, results: list[Result]) -> Value:
    """Return the mean of a metric where it is finite, over how many, and why not of others."""
    scores = {result.name: result.scores[name] for result in results}
    finite = [score for score in scores.values() if math.isfinite(score)]
    undefined = {who: reason_of(name) for who, score in scores.items() if not math.isfinite(score)}
    return (sum(finite) / len(finite) if finite else math.nan), len(finite), undefined


def reason_of(name: str) -> str:
    """Return why a metric of a picture isn't finite."""
    return UNDEFINED.get(name, "not a finite number")


def of_labels(results: list[Result]) -> dict[str, Value]:
    """Return the scores of the labels found in all pictures together."""
    if not results:
        return dict.fromkeys(LABELLED, (math.nan, 0, {}))
    scores = label_scores(sum(result.scores["confusion"] for result in results))
    return {name: (scores[name], len(results), {}) for name in LABELLED}


def of_features(
    distances: list[str], real: list[Tensor], generated: list[Tensor]
) -> dict[str, Value]:
    """Return the distances of the features of real and of generated pictures."""
    if min(len(real), len(generated)) < 2:
        reason = {"all": "it takes two real and two generated pictures at least"}
        return dict.fromkeys(distances, (math.nan, 0, reason))
    sets = torch.stack(real), torch.stack(generated)
    return {name: (DISTANCES[name](*sets), len(generated), {}) for name in distances}


def of_logits(results: list[Result]) -> Value:
    """Return the Inception score of the logits of all pictures."""
    logits = [result.scores["logits"] for result in results]
    score = inception_score(torch.stack(logits)) if logits else math.nan
    return score, len(logits), {}


def protocol_of(name: str, network: str, real: int, generated: int) -> str:
    """Return how a metric was computed, by which network if any, of so many pictures."""
    count, size = subsets(real, generated)
    parts = splits(generated)
    return COLUMNS[name].protocol.format(
        network=network,
        features=network,
        real=real,
        subsets="of all at once" if count == 1 else f"mean of {count} subsets of {size}",
        splits=f"{generated} pictures, " + ("at once" if parts == 1 else f"mean of {parts} parts"),
    )


def left_out(name: str, border: int) -> str:
    """Return what a protocol says of the border that a metric leaves out, if it does."""
    return f"; without a border of {border} pixels" if border and name in BY_TARGET else ""
