"""What ``image-gan-evaluate`` says and writes of scores: cautions, the table, a TSV, a summary."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from gan.outputs import listed, version
from image_gan.metrics import COLUMNS, INCEPTION

if TYPE_CHECKING:
    from image_gan.scoring import Result, Total

DISTANCES = {"fid", "kid"}  # of features
FEATURED = DISTANCES | {"inception_score"}
FEW = 1000  # pictures that an IS is of
HINT = (
    "--features FILE takes a classifier's; --features inception fetches InceptionV3's weights, "
    f"{INCEPTION}, which --inception-weights FILE takes once they are here"
)


def of_inception(options: argparse.Namespace) -> bool:
    """Return whether FID, KID and IS are of InceptionV3's features and logits."""
    return options.features in (None, "inception")


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
    lines = []
    if "inception_score" in overall and len(sets[0]) < FEW:
        lines.append(
            f"take care: IS of few pictures ({len(sets[0])}) is below that of many: compare it "
            "with that of as many only"
        )
    if not all(sets):
        return lines
    sizes = [{scores["size"] for scores in each} for each in sets]
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
    parts = [f"  {part}" for total in overall.values() for part in total.parts or {}]
    width = max(map(len, [*headings.values(), *parts]))
    lines = [f"{'':<{width}}{'value':>11}{'pictures':>10}  better"]
    for name, total in overall.items():
        better = "higher" if COLUMNS[name].up else "lower"
        value = "-" if math.isnan(total.value) else f"{total.value:.{COLUMNS[name].decimals}f}"
        lines.append(f"{headings[name]:<{width}}{value:>11}{total.n:>10}  {better}")
        lines += [
            f"{f'  {part}':<{width}}{own['value']:>11.4f}{'':>12}by chance {own['chance']:.4f}"
            for part, own in (total.parts or {}).items()
        ]
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
    """Return what a metric is called in the table: FID, KID and IS with what they are of."""
    heading = COLUMNS[name].heading
    if name not in FEATURED:
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
    from image_gan.scoring import PER_PICTURE

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
    """Return a metric as JSON has it; without chance and parts where it has none."""
    value = total.value if math.isfinite(total.value) else None
    found = {key: own for key, own in total._asdict().items() if own is not None}
    return {**found, "value": value}
