"""The program ``image-gan-evaluate``: scores translated pictures."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gan.outputs import Refusal, check_free, listed, require, version, write
from image_gan.metrics import COLUMNS, INCEPTION, UNDEFINED

if TYPE_CHECKING:
    from torch import Tensor

    from image_gan.values import Ends

DESCRIPTION = """\
Score translated pictures: against their targets, against a set of real pictures, by the labels or
the domain that a network sees in them, or by what comes back through the inverse."""

EPILOG = """\
examples:
  image-gan-evaluate exp/pix2pix/generated --target data/test/target -o exp/pix2pix/scores
                           l1, psnr, ssim of each picture, and their means
  image-gan-evaluate exp/pix2pix/generated --target data/test/target --metrics l1,lpips
                           lpips only on request: it fetches the weights of AlexNet
  image-gan-evaluate exp/cyclegan/generated --real data/test/target --features C.safetensors
                           fid, kid of the features of a classifier that gan-train trained
  image-gan-evaluate exp/cyclegan/generated --real data/test/target --features inception
                           of InceptionV3, as published: its weights are fetched, or are in the
                           file that --inception-weights names
  image-gan-evaluate GENERATED --segmenter S.safetensors --labels data/test/source \\
      --palette palette.tsv
                           pixel_accuracy, class_accuracy, iou: are the labels found again?
  image-gan-evaluate GENERATED --classifier C.safetensors
                           target_share: how many are taken for the target domain (class 1)?
  image-gan-evaluate GENERATED --source data/test/source --cycled exp/cyclegan/cycled
                           cycle_l1: how far is what came back from the sources?

The options of several examples go together. GENERATED, --target, --labels, --source and --cycled
hold the same names (NAME.png, deep/NAME.jpg; suffixes may differ) and pictures of the same size;
names of --real don't matter. Grey beside RGB counts as RGB; opacity isn't compared. Integers of up
to 16 bits and floats from 0 to 1 are taken as they are; what else there is needs --range.

exit status: 0; 2 where something could not be read, matched or scored (each is named, the rest is
scored); 130 after Ctrl-C, and nothing is written."""

OUTPUTS = ("scores.tsv", "summary.json")
NEEDS = {  # what a metric is computed from
    "l1": ("target",),
    "psnr": ("target",),
    "ssim": ("target",),
    "lpips": ("target",),
    "fid": ("real",),
    "kid": ("real",),
    "pixel_accuracy": ("segmenter", "labels", "palette"),
    "class_accuracy": ("segmenter", "labels", "palette"),
    "iou": ("segmenter", "labels", "palette"),
    "target_share": ("classifier",),
    "cycle_l1": ("source", "cycled"),
}
PER_PICTURE = ("l1", "psnr", "ssim", "lpips", "target_share", "cycle_l1")
DISTANCES = {"fid", "kid"}  # of features
LABELLED = {"pixel_accuracy", "class_accuracy", "iou"}
BY_TORCHMETRICS = {"psnr", "ssim", "lpips", "fid", "kid"}
HINT = (
    "--features FILE takes a classifier's; --features inception fetches InceptionV3's weights, "
    f"{INCEPTION}, which --inception-weights FILE takes once they are here"
)

Reader = Callable[[Path], "Picture"]
Scorer = Callable[[str, "Picture"], dict[str, Any]]


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
    """A metric over all pictures: its value, of how many, how computed, and who lacks it why."""

    value: float
    n: int
    protocol: str
    undefined: dict[str, str]


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code of ``image-gan-evaluate`` run with the arguments ``argv``."""
    options = parser().parse_args(argv)
    try:
        return evaluate(options, ["image-gan-evaluate", *(sys.argv[1:] if argv is None else argv)])
    except Refusal as error:
        print(f"image-gan-evaluate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("image-gan-evaluate: interrupted, nothing written", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    own = argparse.ArgumentParser(
        "image-gan-evaluate",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = own.add_argument
    add("generated", type=Path, metavar="GENERATED", help="folder of the pictures to score")
    add("--target", type=Path, metavar="FOLDER", help="their targets: l1, psnr, ssim, lpips")
    add("--real", type=Path, metavar="FOLDER", help="real pictures: fid, kid (default: --target)")
    add("--features", metavar="inception|FILE", help="what fid and kid are of")
    add("--inception-weights", type=Path, metavar="FILE", help="torch-fidelity's, if not fetched")
    add("--segmenter", type=Path, metavar="FILE", help="network: pixel_accuracy, ..., iou")
    add("--labels", type=Path, metavar="FOLDER", help="the true labels, for --segmenter")
    add("--palette", type=Path, metavar="FILE", help="table: class, red, green, blue")
    add("--classifier", type=Path, metavar="FILE", help="network: target_share")
    add("--source", type=Path, metavar="FOLDER", help="what they were translated from, and ...")
    add("--cycled", type=Path, metavar="FOLDER", help="... what came back of them: cycle_l1")
    add(
        "-m",
        "--metrics",
        type=metric_names,
        metavar="A,B,...",
        help="default: all that the other options allow and that needs no download",
    )
    add("--range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="values of black and white")
    add("--device", default="auto", help="of networks: cpu, cuda, ...; auto (default)")
    add("-o", "--out", type=Path, metavar="DIR", help=f"write {' and '.join(OUTPUTS)}")
    add("-f", "--force", action="store_true", help="overwrite these where they exist")
    return own


def metric_names(text: str) -> list[str]:
    """Return the metrics that ``text`` names, in order, once each."""
    metrics = list(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in metrics if name not in COLUMNS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(COLUMNS)}")
    return metrics


def evaluate(options: argparse.Namespace, command: list[str]) -> int:
    """Score what the options name, print and write the outcome, and return the exit code."""
    require(["PIL", "tifffile"], "images")
    if options.range and not options.range[0] < options.range[1]:
        raise Refusal("--range: the value of black comes first, and is the lower one")
    metrics = chosen(options)
    check_libraries(metrics, options)
    if options.out:
        check_free(options.out, OUTPUTS, options.force)
    generated, others = matched(options, metrics)
    distances = DISTANCES.intersection(metrics)
    real = in_folder(options.real or options.target, named=False) if distances else {}
    scorers = scorers_of(metrics, others, options)
    results, references = score(generated, real, scorers, reader_of(options.range))
    overall = totals(metrics, results, references, options)
    said = cautions(overall, results, references, options)
    for line in said + notes(overall, results + references):
        print(line, file=sys.stderr)
    for line in table(overall, results, references, options):
        print(line)
    if options.out:
        content = summary(overall, results + references, command)
        write(options.out, dict(zip(OUTPUTS, [tsv(results, metrics), content], strict=True)))
        print(f"written to {options.out}: {', '.join(OUTPUTS)}")
    return 2 if any(result.failure for result in results + references) else 0


# Which metrics


def chosen(options: argparse.Namespace) -> list[str]:
    """Return the metrics to compute: those asked for, or all that the options allow."""
    if options.inception_weights and options.features not in (None, "inception"):
        raise Refusal("--inception-weights, --features FILE: fid and kid are of one or the other")
    known = dict.fromkeys(name for needs in NEEDS.values() for name in needs)
    have = {name for name in known if getattr(options, name)}
    have |= {"real"} if options.target else set()
    if options.metrics:
        for name in options.metrics:
            check_needs(name, have)
        return options.metrics
    metrics = [name for name in COLUMNS if have.issuperset(NEEDS[name]) and name != "lpips"]
    used = {need for name in metrics for need in NEEDS[name]}
    for name in NEEDS:
        if have.difference(used).intersection(NEEDS[name]):
            check_needs(name, have)
    if DISTANCES.intersection(metrics) and not features_at_hand(options):
        metrics = [name for name in metrics if name not in DISTANCES]
    if not metrics and options.real:
        raise Refusal(f"fid and kid need features: {HINT}")
    if not metrics:
        raise Refusal("nothing to score by: give --target or another; --help has examples")
    return metrics


def check_needs(metric: str, have: set[str]) -> None:
    """Refuse a metric where an option that it needs isn't given."""
    missing = [f"--{name}" for name in NEEDS[metric] if name not in have]
    if missing:
        raise Refusal(f"{metric} needs {' and '.join(missing)}; --help has examples")


def features_at_hand(options: argparse.Namespace) -> bool:
    """Return whether FID and KID can be computed, or were asked for, without fetching anything."""
    from importlib.util import find_spec

    if options.features or options.inception_weights:
        return True
    if find_spec("torch_fidelity") is None or find_spec("torchvision") is None:
        return False
    from image_gan.metrics import cached

    return cached().is_file()


def check_libraries(metrics: list[str], options: argparse.Namespace) -> None:
    """Refuse metrics whose libraries aren't installed."""
    from importlib.util import find_spec

    needs_own = bool(BY_TORCHMETRICS.intersection(metrics))
    require(["torchmetrics"] if needs_own else [], "images")
    inception = of_inception(options) and DISTANCES.intersection(metrics)
    libraries = ["torch_fidelity"] if inception else []
    if "lpips" in metrics or (needs_own and find_spec("torch_fidelity")):  # which imports it
        libraries.append("torchvision")
    require(libraries, "fid")


def check_imports(metrics: list[str]) -> None:
    """Refuse metrics whose libraries are there, but don't fit together."""
    if not BY_TORCHMETRICS.intersection(metrics):
        return
    try:
        import torchmetrics.functional.image  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:  # torchvision for another torch
        raise Refusal(
            f"torchmetrics can't be imported ({first_line(error)}): torch, torchvision and "
            "torch-fidelity must fit together; pip install --upgrade 'segan[images,fid]'"
        ) from None


def of_inception(options: argparse.Namespace) -> bool:
    """Return whether FID and KID are of InceptionV3's features."""
    return options.features in (None, "inception")


# Which files go together


def matched(
    options: argparse.Namespace, metrics: list[str]
) -> tuple[dict[str, Path], dict[str, dict[str, Path]]]:
    """Return the pictures to score by name, and likewise those that belong to them, by option.

    Refuses folders whose names differ.
    """
    needed = {need for name in metrics for need in NEEDS[name]}
    generated, others, differences = in_folder(options.generated), {}, []
    for option in ("target", "labels", "source", "cycled"):
        if option not in needed:
            continue
        folder, files = getattr(options, option), in_folder(getattr(options, option))
        places = f"in {options.generated}, not in {folder}", f"in {folder}, not in"
        differences += [f"{name}: {places[0]}" for name in generated if name not in files]
        differences += [
            f"{name}: {places[1]} {options.generated}" for name in files if name not in generated
        ]
        others[option] = files
    if differences:
        raise Refusal("\n".join(["names differ, nothing scored", *listed(differences)]))
    return generated, others


def in_folder(folder: Path, named: bool = True) -> dict[str, Path]:
    """Return the pictures in a folder and its subfolders; refuse one without any.

    They are by name, which must tell them apart, or by path.
    """
    from image_gan import folders
    from image_gan.batch import describe

    try:
        if named:
            return folders.by_name(folder)
        return {str(path): path for path in folders.in_folder(folder)}
    except (OSError, ValueError) as error:
        raise Refusal(describe(error, str(folder))) from None


# What pictures are to be scored as


def reader_of(between: Ends | None) -> Reader:
    """Return what reads a picture; ``between`` are the values of black and white, if given."""
    import torch

    from image_gan import images, values

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
    import torch

    from image_gan import values

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


def scorers_of(
    metrics: list[str], others: dict[str, dict[str, Path]], options: argparse.Namespace
) -> Scorers:
    """Return the functions that score one picture; what they need is loaded here."""
    from image_gan.classifier import Classifier

    check_imports(metrics)
    read, device = reader_of(options.range), device_of(options.device)
    wanted, scorers = set(metrics), []
    if measures := measures_of(metrics):
        scorers.append(by_target(others["target"], read, measures))
    if "cycle_l1" in wanted:
        scorers.append(by_cycle(others["source"], others["cycled"], read))
    if "target_share" in wanted:
        scorers.append(by_domain(network_of(options.classifier, Classifier, device), device))
    if wanted & LABELLED:
        scorers.append(by_labels(others["labels"], options, device))
    return Scorers(scorers, [by_features(options, device)] if wanted & DISTANCES else [])


def measures_of(metrics: list[str]) -> dict[str, Callable]:
    """Return the functions of a picture and its target that were asked for."""
    from image_gan import metrics as own

    measures = {"l1": own.l1, "psnr": own.psnr, "ssim": own.ssim}
    measures = {name: measures[name] for name in metrics if name in measures}
    if "lpips" in metrics:
        try:
            measures["lpips"] = own.lpips()
        except (ImportError, OSError, RuntimeError) as error:
            raise Refusal(
                f"lpips: AlexNet's weights can't be had ({first_line(error)}); fetch them where "
                "there is a network, or leave lpips out"
            ) from None
    return measures


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def by_target(targets: dict[str, Path], read: Reader, measures: dict[str, Callable]) -> Scorer:
    """Return the scorer of a picture against its target."""

    def score(name: str, picture: Picture) -> dict[str, Any]:
        pair = alike(picture, read(targets[name]))
        return {metric: measure(*pair) for metric, measure in measures.items()}

    return score


def by_cycle(sources: dict[str, Path], cycled: dict[str, Path], read: Reader) -> Scorer:
    """Return the scorer of what came back of a picture's source."""
    from image_gan.metrics import l1

    def score(name: str, picture: Picture) -> dict[str, Any]:
        return {"cycle_l1": l1(*alike(read(cycled[name]), read(sources[name])))}

    return score


def by_domain(network, device) -> Scorer:
    """Return the scorer of whether a picture is taken for the target domain."""

    def score(name: str, picture: Picture) -> dict[str, Any]:
        return {"target_share": float(output(network, network, picture, device).argmax() == 1)}

    return score


def by_labels(labels: dict[str, Path], options: argparse.Namespace, device) -> Scorer:
    """Return the scorer of the labels that a segmenter finds; the part is a matrix of confusion."""
    from image_gan import images
    from image_gan.labels import confusion, read_palette, to_classes
    from image_gan.segmenter import Segmenter

    network = network_of(options.segmenter, Segmenter, device)
    palette = attempt(read_palette, options.palette)
    classes = network.classify.out_channels
    if classes != len(palette.names):
        raise Refusal(
            f"{options.palette} has {len(palette.names)} classes, {options.segmenter} tells "
            f"{classes} apart: give the palette that it was trained with"
        )

    def score(name: str, picture: Picture) -> dict[str, Any]:
        colors = images.read(labels[name]).values
        check_sizes(picture.path, picture.values.shape[1:], labels[name], colors.shape[:2])
        found = output(network, network, picture, device).argmax(dim=0)
        try:
            truth = to_classes(colors, palette)
        except ValueError as error:
            raise ValueError(f"{labels[name]}: {error}") from None
        return {"confusion": confusion(truth, found.numpy(), classes)}

    return score


def by_features(options: argparse.Namespace, device) -> Scorer:
    """Return the scorer whose part are a picture's features, as FID and KID are of."""
    from image_gan.classifier import Classifier

    if of_inception(options):
        extract = inception_of(options.inception_weights, device)
        return lambda _, picture: {"features": extract(unit(with_channels(picture, 3)))}
    network = network_of(Path(options.features), Classifier, device)
    return lambda _, picture: {"features": output(network, network.features, picture, device)}


def inception_of(weights: Path | None, device):
    """Return InceptionV3's features as a function of a picture; refuse where it can't be had."""
    from image_gan.metrics import Inception

    try:
        return Inception(weights, device)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise Refusal(
            f"InceptionV3: {first_line(error)}; --inception-weights FILE takes {INCEPTION}, "
            "--features FILE a classifier instead"
        ) from None


def network_of(path: Path, kind: type, device):
    """Return the network in a file; refuse one of another kind than ``kind``."""
    from gan.checkpoint import load_network
    from image_gan.kinds import KINDS

    network = attempt(lambda place: load_network(place, KINDS), path)
    if not isinstance(network, kind):
        raise Refusal(f"{path}: holds a {type(network).__name__}, where a {kind.__name__} is due")
    return network.to(device)


def attempt(function: Callable[[Path], Any], path: Path) -> Any:
    """Return ``function(path)``; refuse what can't be read."""
    from image_gan.batch import describe

    if not path.is_file():
        raise Refusal(f"{path}: no such file")
    try:
        return function(path)
    except (OSError, ValueError) as error:
        raise Refusal(describe(error, str(path))) from None


def device_of(name: str):
    """Return the device called ``name``; refuse one that isn't here."""
    from gan.trainer import pick_device

    try:
        return pick_device(name)
    except (ValueError, RuntimeError) as error:
        raise Refusal(f"--device {name}: {first_line(error)}") from None


def output(network, function: Callable[[Tensor], Tensor], picture: Picture, device) -> Tensor:
    """Return what a function of a network makes of a picture, on the CPU."""
    import torch

    from image_gan.translate import channels_of

    x = with_channels(picture, channels_of(network)[0]).values
    with torch.no_grad():
        return function(x[None].to(device))[0].cpu()


# All pictures


def score(
    generated: dict[str, Path], real: dict[str, Path], scorers: Scorers, read: Reader
) -> tuple[list[Result], list[Result]]:
    """Return the results of the generated pictures, and those of the real ones: their features."""
    from tqdm import tqdm

    with tqdm(total=len(generated) + len(real), unit="picture", disable=None) as bar:
        return tuple(
            [score_picture(name, path, own, read, bar) for name, path in pictures.items()]
            for pictures, own in (
                (generated, scorers.own + scorers.features),
                (real, scorers.features),
            )
        )


def score_picture(name: str, path: Path, scorers: list[Scorer], read: Reader, bar) -> Result:
    """Return the scores of one picture, or why it has none."""
    from image_gan.batch import describe

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
    metrics: list[str],
    results: list[Result],
    references: list[Result],
    options: argparse.Namespace,
) -> dict[str, Total]:
    """Return every metric over all pictures that could be scored."""
    good = [result for result in results if not result.failure]
    values = {name: mean_of(name, good) for name in metrics if name in PER_PICTURE}
    if LABELLED.intersection(metrics):
        values |= of_labels(good)
    real = [result.scores["features"] for result in references if not result.failure]
    if DISTANCES.intersection(metrics):
        values |= of_features(metrics, real, [result.scores["features"] for result in good])
    protocols = {name: protocol_of(name, options, len(real), len(good)) for name in metrics}
    return {name: Total(*values[name][:2], protocols[name], values[name][2]) for name in metrics}


def mean_of(name: str, results: list[Result]) -> tuple[float, int, dict[str, str]]:
    """Return the mean of a metric where it is finite, over how many, and why not of others."""
    scores = {result.name: result.scores[name] for result in results}
    finite = [score for score in scores.values() if math.isfinite(score)]
    undefined = {who: reason_of(name) for who, score in scores.items() if not math.isfinite(score)}
    return (sum(finite) / len(finite) if finite else math.nan), len(finite), undefined


def reason_of(name: str) -> str:
    """Return why a metric of a picture isn't finite."""
    return UNDEFINED.get(name, "not a finite number")


def of_labels(results: list[Result]) -> dict[str, tuple[float, int, dict[str, str]]]:
    """Return the scores of the labels found in all pictures together."""
    from image_gan.labels import label_scores

    if not results:
        return dict.fromkeys(LABELLED, (math.nan, 0, {}))
    scores = label_scores(sum(result.scores["confusion"] for result in results))
    return {name: (scores[name], len(results), {}) for name in LABELLED}


def of_features(
    metrics: list[str], real: list[Tensor], generated: list[Tensor]
) -> dict[str, tuple[float, int, dict[str, str]]]:
    """Return the distances of the features of real and of generated pictures."""
    import torch

    from image_gan.metrics import frechet_distance, kernel_distance

    if min(len(real), len(generated)) < 2:
        reason = {"all": "it takes two real and two generated pictures at least"}
        return dict.fromkeys(DISTANCES, (math.nan, 0, reason))
    sets = torch.stack(real), torch.stack(generated)
    distances = {"fid": frechet_distance, "kid": kernel_distance}
    return {
        name: (distance(*sets), len(generated), {})
        for name, distance in distances.items()
        if name in metrics
    }


def protocol_of(name: str, options: argparse.Namespace, real: int, generated: int) -> str:
    """Return how a metric was computed, of so many pictures."""
    from image_gan.metrics import subsets

    file = file_of(options.features)
    count, size = subsets(real, generated)
    return COLUMNS[name].protocol.format(
        features="2048 features of InceptionV3 (torch-fidelity's)"
        if of_inception(options)
        else f"the features of {file} (never compare it with that of another file)",
        network=file_of(options.segmenter if name in LABELLED else options.classifier),
        real=real,
        subsets="of all at once" if count == 1 else f"mean of {count} subsets of {size}",
    )


def file_of(path: str | Path | None) -> str:
    """Return a path's last two parts: the network of which run, wherever that lies."""
    return "/".join(Path(path or "").parts[-2:])


# What is said of them


def cautions(
    overall: dict[str, Total],
    results: list[Result],
    references: list[Result],
    options: argparse.Namespace,
) -> list[str]:
    """Return why there are no distances of features, or what they suffer from."""
    if (options.target or options.real) and not (options.metrics or references):
        return [f"fid, kid left out, for want of features: {HINT}"]
    sets = [[one.scores for one in each if not one.failure] for each in (results, references)]
    if not all(sets):
        return []
    lines, sizes = [], [{scores["size"] for scores in each} for each in sets]
    if sizes[0] != sizes[1] and len(sizes[0]) == len(sizes[1]) == 1:
        lines.append(
            f"take care: generated pictures are {sizes[0].pop()} pixels (height x width), real "
            f"ones {sizes[1].pop()}: that alone makes features differ"
        )
    fewest, features = min(map(len, sets)), len(sets[0][0]["features"])
    if "fid" in overall and fewest <= features:
        lines.append(
            f"take care: FID of {features} features and no more pictures ({fewest}) is far above "
            "that of many: compare it with that of as many only, or see KID"
        )
    return lines


def notes(overall: dict[str, Total], results: list[Result]) -> list[str]:
    """Return what the user should know of single pictures: scores that lack, failures."""
    undefined = [
        f"{who}: no {COLUMNS[name].heading} ({reason})"
        for name, total in overall.items()
        for who, reason in total.undefined.items()
    ]
    failures = [one.failure for one in results if one.failure]
    lines = ["undefined, and left out of that mean alone:", *listed(undefined)] if undefined else []
    return lines + (["not scored:", *listed(failures)] if failures else [])


def table(
    overall: dict[str, Total],
    results: list[Result],
    references: list[Result],
    options: argparse.Namespace,
) -> list[str]:
    """Return the lines of the table, and below it how every number was computed."""
    headings = {name: heading_of(name, options) for name in overall}
    width = max(map(len, headings.values()))
    lines = [f"{'':<{width}}{'value':>11}{'pictures':>10}  better"]
    for name, total in overall.items():
        better = "higher" if COLUMNS[name].up else "lower"
        value = "-" if math.isnan(total.value) else f"{total.value:.{COLUMNS[name].decimals}f}"
        lines.append(f"{headings[name]:<{width}}{value:>11}{total.n:>10}  {better}")
    lines.append(counted(results, references))
    for name, total in overall.items():
        lines += textwrap.wrap(
            f"{headings[name]}: {total.protocol}",
            100,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def heading_of(name: str, options: argparse.Namespace) -> str:
    """Return what a metric is called in the table: FID and KID with what they are of."""
    heading = COLUMNS[name].heading
    if name not in DISTANCES:
        return heading
    return f"{heading} of {'Inception' if of_inception(options) else Path(options.features).name}"


def counted(results: list[Result], references: list[Result]) -> str:
    """Return how many pictures there are, and how many of them weren't scored."""
    counts = f"{len(results)} pictures"
    counts += f" and {len(references)} real ones" if references else ""
    failed = sum(bool(result.failure) for result in results + references)
    return counts + (f", {failed} not scored" if failed else "")


# What is written


def tsv(results: list[Result], metrics: list[str]) -> str:
    """Return one line a picture, tab-separated, under a heading; no score is ``nan``."""
    text = io.StringIO()
    rows = csv.writer(text, delimiter="\t", lineterminator="\n")
    columns = [name for name in metrics if name in PER_PICTURE]
    rows.writerow(["picture", *columns])
    for result in results:
        scores = [f"{result.scores.get(name, math.nan):.6g}" for name in columns]
        rows.writerow([result.name, *scores])
    return text.getvalue()


def summary(overall: dict[str, Total], results: list[Result], command: list[str]) -> str:
    """Return the metrics with their protocols, and what isn't scored, as JSON; NaN is null."""
    libraries = ("segan", "torch", "torchmetrics", "torch-fidelity", "torchvision")
    content = {
        "command": command,
        "versions": {name: version(name) for name in libraries},
        "metrics": {name: entry(total) for name, total in overall.items()},
        "not_scored": {one.name: one.failure for one in results if one.failure},
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def entry(total: Total) -> dict:
    """Return a metric as JSON has it."""
    value = total.value if math.isfinite(total.value) else None
    return {**total._asdict(), "value": value}


if __name__ == "__main__":
    sys.exit(main())
