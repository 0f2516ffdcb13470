"""The program ``image-gan-evaluate``: scores pictures, translated or made from text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan.outputs import Refusal, check_free, listed, names_among, require, run, write
from image_gan.metrics import COLUMNS
from image_gan.outcome import (
    DISTANCES,
    FEATURED,
    HINT,
    cautions,
    notes,
    of_inception,
    summary,
    table,
    tsv,
)

if TYPE_CHECKING:
    from image_gan.scoring import Reader, Result, Scorers, Total

DESCRIPTION = """\
Score pictures. Translated ones: against their targets, against a set of real pictures, by the
labels or the domain that a network sees in them, or by what comes back through the inverse. Those
made from text: by whether what was asked for is seen in them, and by how they differ."""

EPILOG = """\
examples:
  image-gan-evaluate exp/pix2pix/generated --target data/test/target -o exp/pix2pix/scores
                           l1, psnr, ssim of each picture, and their means
  image-gan-evaluate exp/srgan/generated --target data/test/target --border 4
                           psnr_y, ssim_y too, of luma: as papers of super-resolution have them;
                           all without the outer 4 pixels
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

made from text (image-gan-generate --captions, whose captions.jsonl is in the folder):
  image-gan-evaluate GENERATED --attributes A.safetensors
                           attribute_accuracy, all_attributes: is seen what was asked for? and
                           diversity: do the pictures of one caption differ?
  image-gan-evaluate GENERATED --encoder exp/text_encoder/encoder.safetensors \\
      --pictures exp/text_encoder/pictures.safetensors
                           caption_precision: is a picture's own caption the nearest of 100?
  image-gan-evaluate GENERATED --real REAL --features A.safetensors
                           inception_score, fid, kid, by a classifier or by inception
  image-gan-evaluate data/test/captions.jsonl --attributes A.safetensors
                           the same of real pictures: how good can scores get?

The options of several examples go together. GENERATED, --target, --labels, --source and --cycled
hold the same names (NAME.png, deep/NAME.jpg; suffixes may differ) and pictures of the same size;
names of --real don't matter. Captions and pictures go together by the places that captions.jsonl
says, seen from its folder. Grey beside RGB counts as RGB; opacity isn't compared. Integers of up
to 16 bits and floats from 0 to 1 are taken as they are; what else there is needs --range.

exit status: 0; 2 where something could not be read, matched or scored (each is named, the rest is
scored); 130 after Ctrl-C, and nothing is written."""

OUTPUTS = ("scores.tsv", "summary.json")
NEEDS = {  # what a metric is computed from
    "l1": ("target",),
    "psnr": ("target",),
    "ssim": ("target",),
    "psnr_y": ("target", "border"),
    "ssim_y": ("target", "border"),
    "lpips": ("target",),
    "fid": ("real",),
    "kid": ("real",),
    "pixel_accuracy": ("segmenter", "labels", "palette"),
    "class_accuracy": ("segmenter", "labels", "palette"),
    "iou": ("segmenter", "labels", "palette"),
    "target_share": ("classifier",),
    "cycle_l1": ("source", "cycled"),
    "attribute_accuracy": ("attributes", "captions"),
    "all_attributes": ("attributes", "captions"),
    "caption_precision": ("encoder", "pictures", "captions"),
    "inception_score": ("features",),
    "diversity": ("captions",),
}
BY_TORCHMETRICS = {"psnr", "ssim", "ssim_y", "lpips", *FEATURED}
NETWORKS = ("segmenter", "classifier", "attributes", "encoder", "pictures")


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code of ``image-gan-evaluate`` run with the arguments ``argv``."""
    return run(parser(), evaluate, argv)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    own = argparse.ArgumentParser(
        "image-gan-evaluate",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = own.add_argument
    add("generated", type=Path, metavar="GENERATED", help="folder of pictures, or captions.jsonl")
    add("--target", type=Path, metavar="FOLDER", help="their targets: l1, psnr, ssim, lpips")
    add("--border", type=_pixels, metavar="N", help="outer pixels left out: psnr_y, ssim_y as well")
    add("--real", type=Path, metavar="FOLDER", help="real pictures: fid, kid (default: --target)")
    add("--features", metavar="inception|FILE", help="what fid, kid, IS are of")
    add("--inception-weights", type=Path, metavar="FILE", help="torch-fidelity's, if not fetched")
    add("--segmenter", type=Path, metavar="FILE", help="network: pixel_accuracy, ..., iou")
    add("--labels", type=Path, metavar="FOLDER", help="the true labels, for --segmenter")
    add("--palette", type=Path, metavar="FILE", help="table: class, red, green, blue")
    add("--classifier", type=Path, metavar="FILE", help="network: target_share")
    add("--captions", type=Path, metavar="FILE", help="default: captions.jsonl in GENERATED")
    add("--attributes", type=Path, metavar="FILE", help="network: attribute_accuracy, ...")
    add("--encoder", type=Path, metavar="FILE", help="network of texts, and ...")
    add("--pictures", type=Path, metavar="FILE", help="... of pictures: caption_precision")
    add("--source", type=Path, metavar="FOLDER", help="what they were translated from, and ...")
    add("--cycled", type=Path, metavar="FOLDER", help="... what came back of them: cycle_l1")
    add(
        "-m",
        "--metrics",
        type=names_among(COLUMNS),
        metavar="A,B,...",
        help="default: all that the other options allow and that needs no download",
    )
    add("--range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="values of black and white")
    add("--device", default="auto", help="of networks: cpu, cuda, ...; auto (default)")
    add("-o", "--out", type=Path, metavar="DIR", help=f"write {' and '.join(OUTPUTS)}")
    add("-f", "--force", action="store_true", help="overwrite these where they exist")
    return own


def _pixels(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pixels")
    return int(text)


def evaluate(options: argparse.Namespace, command: list[str]) -> int:
    """Score what the options name, print and write the outcome, and return the exit code."""
    require(["PIL", "tifffile"], "images")
    if options.range and not options.range[0] < options.range[1]:
        raise Refusal("--range: the value of black comes first, and is the lower one")
    options.captions = captions_of(options)
    metrics = chosen(options)
    check_libraries(metrics, options)
    if options.out:
        check_free(options.out, OUTPUTS, options.force)
    generated, others = matched(options, metrics)
    distances = DISTANCES.intersection(metrics)
    real = in_folder(options.real or options.target, named=False) if distances else {}
    results, references, overall = scored(metrics, generated, real, others, options)
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


def captions_of(options: argparse.Namespace) -> Path | None:
    """Return the ``captions.jsonl`` that says what was asked for, None where there is none."""
    beside = options.generated / "captions.jsonl"
    if options.captions or options.generated.suffix == ".jsonl":
        return options.captions or options.generated
    return beside if beside.is_file() else None


def chosen(options: argparse.Namespace) -> list[str]:
    """Return the metrics to compute: those asked for, or all that the options allow."""
    if options.inception_weights and options.features not in (None, "inception"):
        raise Refusal("--inception-weights, --features FILE: fid and kid are of one or the other")
    known = dict.fromkeys(name for needs in NEEDS.values() for name in needs)
    have = {name for name in known if getattr(options, name) is not None}
    have |= {"real"} if options.target else set()
    have |= {"features"} if options.inception_weights else set()
    if options.metrics:
        for name in options.metrics:
            check_needs(name, have)
        return options.metrics
    asked_for = {"lpips"} if options.captions else {"lpips", "inception_score"}  # by name alone
    metrics = [m for m in COLUMNS if have.issuperset(NEEDS[m]) and m not in asked_for]
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
    if "--captions" in missing:
        missing[-1] += " (GENERATED has no captions.jsonl)"
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
    inception = of_inception(options) and FEATURED.intersection(metrics)
    libraries = ["torch_fidelity"] if inception else []
    if "lpips" in metrics or (needs_own and find_spec("torch_fidelity")):  # which imports it
        libraries.append("torchvision")
    require(libraries, "fid")


# Which files go together


def matched(
    options: argparse.Namespace, metrics: list[str]
) -> tuple[dict[str, Path], dict[str, dict[str, Path]]]:
    """Return the pictures to score by name, and likewise those that belong to them, by option.

    Refuses folders whose names differ.
    """
    needed = {need for name in metrics for need in NEEDS[name]}
    generated, others, differences = to_score(options.generated), {}, []
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


def to_score(generated: Path) -> dict[str, Path]:
    """Return the pictures to score by name: those in a folder, or that a captions.jsonl lists."""
    if generated.suffix != ".jsonl":
        return in_folder(generated)
    from image_gan.asked import listed_in

    return listed_in(generated)


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


# What scores them


def scored(
    metrics: list[str],
    generated: dict[str, Path],
    real: dict[str, Path],
    others: dict[str, dict[str, Path]],
    options: argparse.Namespace,
) -> tuple[list[Result], list[Result], dict[str, Total]]:
    """Return the results of generated and of real pictures, and the metrics over all of them."""
    from image_gan import by_caption, scoring

    read = scoring.reader_of(options.range)
    scorers = scorers_of(metrics, others, read, options)
    embedding = options.encoder, options.pictures
    told = by_caption.judges(
        metrics, options.captions, generated, options.attributes, embedding, options.device
    )
    scorers.own.extend(told.scorers)
    results, references = scoring.score_all(generated, real, scorers, read)
    networks = {name: network_in_words(name, options) for name in metrics}
    overall = scoring.totals(networks, results, references, options.border or 0, told.together)
    return results, references, told.beside_chance(overall, results)


def scorers_of(
    metrics: list[str],
    others: dict[str, dict[str, Path]],
    read: Reader,
    options: argparse.Namespace,
) -> Scorers:
    """Return the functions that score one picture; what they need is loaded here."""
    from image_gan import scoring

    if BY_TORCHMETRICS.intersection(metrics):
        scoring.check_torchmetrics()
    device, own, features = scoring.device_of(options.device), [], []
    if measures := scoring.measures_of(metrics):
        own.append(scoring.by_target(others["target"], read, measures, options.border or 0))
    if "cycle_l1" in metrics:
        own.append(scoring.by_cycle(others["source"], others["cycled"], read))
    if "target_share" in metrics:
        own.append(scoring.by_domain(options.classifier, device))
    if "labels" in others:
        files = options.segmenter, options.palette
        own.append(scoring.by_labels(others["labels"], *files, device))
    if FEATURED.intersection(metrics) and of_inception(options):
        features.append(scoring.by_inception(options.inception_weights, device))
    elif FEATURED.intersection(metrics):
        logits = "inception_score" in metrics
        features.append(scoring.by_classifier(Path(options.features), device, logits))
    return scoring.Scorers(own, features)


def network_in_words(name: str, options: argparse.Namespace) -> str:
    """Return what a metric's protocol calls the network that it takes; none for most."""
    if name in FEATURED and of_inception(options):
        part = "2048 features" if name in DISTANCES else "1008 classes, without biases,"
        return f"{part} of InceptionV3 (torch-fidelity's)"
    if name in FEATURED:
        part, file = "features" if name in DISTANCES else "classes", file_of(options.features)
        return f"the {part} of {file} (never compare it with that of another file)"
    files = [getattr(options, need) for need in NEEDS[name] if need in NETWORKS]
    return " and ".join(map(file_of, files))


def file_of(path: str | Path | None) -> str:
    """Return a path's last two parts: the network of which run, wherever that lies."""
    return "/".join(Path(path or "").parts[-2:])


if __name__ == "__main__":
    sys.exit(main())
