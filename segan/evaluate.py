"""The program ``segan-evaluate``: scores enhanced speech against clean, beside the noisy input."""

from __future__ import annotations

import argparse
import csv
import functools
import io
import json
import math
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from gan.outputs import Refusal, check_free, listed, names_among, require, run, version, write

COLUMNS = {  # metric: heading, decimals
    "pesq": ("PESQ", 3),
    "stoi": ("STOI", 3),
    "estoi": ("ESTOI", 3),
    "csig": ("CSIG", 3),
    "cbak": ("CBAK", 3),
    "covl": ("COVL", 3),
    "ssnr": ("SSNR", 2),
    "si_sdr": ("SI-SDR", 2),
    "snr": ("SNR", 2),
    "llr": ("LLR", 3),
    "wss": ("WSS", 2),
}
DEFAULT = "pesq,stoi,estoi,csig,cbak,covl,ssnr,si_sdr,snr"
EPILOG = """\
Files in folders are matched by their paths without extension. A folder with a wav.scp is a Kaldi
data directory, matched by utterance; as CLEAN, its spk1.scp is read where it has one. Exit code:
0; 2 where something could not be read, matched or scored; 130 after Ctrl-C."""
OUTPUTS = ("scores.tsv", "summary.json")
LIBRARIES = {"pesq": {"pesq", "csig", "cbak", "covl"}, "pystoi": {"stoi", "estoi"}}


class Pair(NamedTuple):
    """One estimate and its reference; ``system`` is the row it counts for: noisy or enhanced."""

    system: str
    name: str
    clean: Path
    estimate: Path


class Result(NamedTuple):
    """What became of a pair: its scores, why some are NaN, what to bear in mind, why it failed."""

    pair: Pair
    scores: dict[str, float]
    undefined: dict[str, str]
    cautions: list[str]
    failure: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code of ``segan-evaluate`` run with the arguments ``argv``."""
    return run(parser(), evaluate, argv)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    own = argparse.ArgumentParser(
        prog="segan-evaluate",
        description="Score enhanced speech against its clean reference.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own.add_argument("clean", type=Path, metavar="CLEAN", help="file, folder or data directory")
    own.add_argument("enhanced", type=Path, metavar="ENHANCED", help="likewise, the same names")
    own.add_argument("--noisy", type=Path, help="likewise: the unprocessed input, as a baseline")
    own.add_argument(
        "-m",
        "--metrics",
        type=names_among(COLUMNS),
        default=DEFAULT,
        metavar="A,B,...",
        help=f"default: {DEFAULT}; also llr, wss",
    )
    own.add_argument(
        "--rate", type=positive, metavar="HZ", help="resample all to HZ before scoring"
    )
    own.add_argument(
        "-j", "--jobs", type=positive, metavar="N", help="processes (default: the cores)"
    )
    own.add_argument("-o", "--out", type=Path, metavar="DIR", help=f"write {' and '.join(OUTPUTS)}")
    own.add_argument("-f", "--force", action="store_true", help="overwrite these where they exist")
    return own


def positive(text: str) -> int:
    """Return the number that ``text`` gives, from 1 up."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 up")
    return value


def evaluate(options: argparse.Namespace, command: list[str]) -> int:
    """Score what the options name, print and write the outcome, and return the exit code."""
    metrics = options.metrics
    require_libraries(metrics)
    if options.out:
        check_free(options.out, OUTPUTS, options.force)
    pairs = match(options.clean, {"noisy": options.noisy, "enhanced": options.enhanced})
    results = score(pairs, metrics, options.rate, options.jobs or cores())
    for line in notes(results):
        print(line, file=sys.stderr)
    for line in table(results, metrics):
        print(line)
    if options.out:
        texts = [tsv(results, metrics), summary(results, metrics, command)]
        write(options.out, dict(zip(OUTPUTS, texts, strict=True)))
        print(f"written to {options.out}: {', '.join(OUTPUTS)}")
    return 2 if any(result.failure for result in results) else 0


def require_libraries(metrics: list[str]) -> None:
    """Refuse metrics whose library is not installed."""
    needed = [library for library, users in LIBRARIES.items() if users.intersection(metrics)]
    require(needed, "metrics")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# Which files go together


def match(clean: Path, estimates: dict[str, Path | None]) -> list[Pair]:
    """Return every pair to score, by system and name; refuse names without a counterpart."""
    references = collect(clean, "spk1.scp")
    pairs = []
    for system, place in estimates.items():
        if place is None:
            continue
        files = collect(place)
        if clean.is_file() and place.is_file():
            files = dict(zip(references, files.values(), strict=True))
        differences = [
            f"{name}: in {clean}, not in {place}" for name in references if name not in files
        ]
        differences += [
            f"{name}: in {place}, not in {clean}" for name in files if name not in references
        ]
        if differences:
            raise Refusal("\n".join(["names differ, nothing scored", *listed(differences)]))
        pairs += [Pair(system, name, references[name], files[name]) for name in sorted(references)]
    return pairs


def collect(place: Path, scp: str = "wav.scp") -> dict[str, Path]:
    """Return the audio files at ``place`` by name.

    A file is named by its stem, a file in a folder by its path there without extension, and one in
    a Kaldi data directory (a folder with ``wav.scp``) by its utterance; there ``scp`` is read, or
    ``wav.scp`` where that is missing.
    """
    from segan.audio import SUFFIXES

    if place.is_file():
        return {place.stem: place}
    if not place.is_dir():
        raise Refusal(f"{place}: no such file or folder")
    if (place / "wav.scp").is_file():
        return scp_entries(place / scp if (place / scp).is_file() else place / "wav.scp")
    files: dict[str, Path] = {}
    for path in sorted(place.rglob("*")):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            name = path.relative_to(place).with_suffix("").as_posix()
            if name in files:
                raise Refusal(f"{files[name]} and {path} share a name: keep one of them")
            files[name] = path
    if not files:
        raise Refusal(f"{place}: no audio files in this folder")
    return files


def scp_entries(scp: Path) -> dict[str, Path]:
    """Return the files that a Kaldi script file names, by utterance; commands are refused."""
    table = read_table(scp)
    for name, value in table.items():
        if value.endswith("|"):
            raise Refusal(f"{scp}: {name}: a command (it ends in '|'): give a file instead")
    return {name: Path(value) for name, value in table.items()}


def read_table(path: Path) -> dict[str, str]:
    """Return the ``utterance value`` lines of a Kaldi file, which must have some."""
    from segan.kaldi import read_map

    try:
        table = read_map(path)
    except (OSError, ValueError) as error:
        raise Refusal(str(error)) from None
    if not table:
        raise Refusal(f"{path}: empty; remove the file, or write 'utterance value' lines")
    return table


# Scores


def score(pairs: list[Pair], metrics: list[str], rate: int | None, jobs: int) -> list[Result]:
    """Return the result of each pair, in order, computed by ``jobs`` processes."""
    from tqdm import tqdm

    from segan.parallel import each

    one = functools.partial(score_pair, metrics=metrics, rate=rate)
    progress = functools.partial(tqdm, unit="file", disable=None)
    return each(one, pairs, jobs, progress, lost)


def lost(pair: Pair) -> Result:
    """Return the result of a pair whose process died."""
    return failed(pair, "its process died twice, perhaps for lack of memory")


def score_pair(pair: Pair, metrics: Sequence[str], rate: int | None = None) -> Result:
    """Return the scores of one pair, at ``rate`` Hz if given, or why it has none."""
    from segan import metrics as measures
    from segan.audio import AudioWarning
    from segan.batch import describe

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            clean, estimate, rate = read_pair(pair, rate)
            scores = measures.evaluate(clean, estimate, rate, metrics)
    except Exception as error:  # whatever is wrong with one pair, the others are scored
        return failed(pair, describe(error))
    said = [warning.message for warning in caught]
    undefined = {
        one.metric: one.reason for one in said if isinstance(one, measures.MetricUndefined)
    }
    notable = (measures.Caution, AudioWarning)
    cautions = list(dict.fromkeys(str(one) for one in said if isinstance(one, notable)))
    if rate not in (8000, 16000):
        cautions.append(f"scored at {rate} Hz, published tables are at 16000 Hz (--rate 16000)")
    return Result(pair, scores, undefined, cautions)


def failed(pair: Pair, failure: str) -> Result:
    """Return the result of a pair that has no scores."""
    return Result(pair, {}, {}, [], failure)


def read_pair(pair: Pair, target: int | None):
    """Return clean and estimate, ``(T,)`` each, and their rate, which is ``target`` if given.

    Raises ``ValueError`` where a file has several channels, or the two differ in rate or length.
    """
    from segan.audio import resample

    clean, rate = read(pair.clean)
    estimate, own_rate = read(pair.estimate)
    if own_rate != rate:
        raise ValueError(f"{pair.estimate} is at {own_rate} Hz, {pair.clean} at {rate} Hz")
    if len(estimate) != len(clean):
        lengths = f"{pair.estimate} has {len(estimate)} samples, {pair.clean} {len(clean)}"
        raise ValueError(f"{lengths}: align and cut them to one length")
    if target and target != rate:
        clean, estimate = resample(clean, rate, target), resample(estimate, rate, target)
    return clean, estimate, target or rate


def read(path: Path):
    """Return the one channel of the audio file at ``path``, ``(T,)``, and its rate in Hz."""
    from segan import audio

    wave, rate = audio.read(path)
    if len(wave) != 1:
        raise ValueError(f"{path} has {len(wave)} channels: score them one at a time")
    return wave[0], rate


# What is said of them


def notes(results: list[Result]) -> list[str]:
    """Return what the user should know of single pairs: cautions, missing scores, failures."""
    cautions = [(result, text) for result in results for text in result.cautions]
    undefined = [(result, reasons(result)) for result in results if result.undefined]
    failures = [(result, result.failure) for result in results if result.failure]
    return [
        *grouped("take care:", cautions),
        *grouped("undefined, and left out of that mean alone:", undefined),
        *grouped("not scored:", failures),
    ]


def reasons(result: Result) -> str:
    """Return which scores the pair lacks, each with the reason."""
    lacks = [f"{COLUMNS[name][0]} ({reason})" for name, reason in result.undefined.items()]
    return "no " + ", ".join(lacks)


def grouped(title: str, said: list[tuple[Result, str]]) -> list[str]:
    """Return ``title`` and a line for each text, with the pairs it is said of; none for none."""
    who: dict[tuple[str, str], list[str]] = {}
    for result, text in said:
        who.setdefault((result.pair.system, text), []).append(result.pair.name)
    lines = [
        f"{system} {names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {text}"
        for (system, text), names in who.items()
    ]
    return [title, *listed(lines)] if lines else []


def mean_of(results: Iterable[Result], name: str) -> tuple[float, int]:
    """Return the mean of the metric ``name`` where it is defined, and over how many."""
    scores = [result.scores[name] for result in results if not result.failure]
    defined = [score for score in scores if not math.isnan(score)]
    return (sum(defined) / len(defined) if defined else math.nan), len(defined)


def by_system(results: list[Result]) -> dict[str, list[Result]]:
    """Return the results of each system, noisy first."""
    systems = dict.fromkeys(result.pair.system for result in results)
    return {name: [one for one in results if one.pair.system == name] for name in systems}


def table(results: list[Result], metrics: list[str]) -> list[str]:
    """Return the lines of the table of means; below a row, over how many each if not over all."""
    lines = [" " * 9 + "".join(f"{COLUMNS[name][0]:>7}" for name in metrics)]
    for system, own in by_system(results).items():
        row = {name: mean_of(own, name) for name in metrics}
        cells = [f"{mean:7.{COLUMNS[name][1]}f}" for name, (mean, _) in row.items()]
        lines.append(f"{system:<9}" + "".join(cells))
        if any(count < len(own) for _, count in row.values()):
            lines.append(f"{'  over':<9}" + "".join(f"{count:>7}" for _, count in row.values()))
    failed = sum(bool(result.failure) for result in results)
    utterances = len({result.pair.name for result in results})
    return [*lines, f"{utterances} utterances" + (f", {failed} not scored" if failed else "")]


# What is written


def tsv(results: list[Result], metrics: list[str]) -> str:
    """Return one line a pair, tab-separated, under a heading; no score is ``nan``."""
    text = io.StringIO()
    rows = csv.writer(text, delimiter="\t", lineterminator="\n")
    rows.writerow(["system", "utterance", *metrics])
    for result in results:
        scores = [f"{result.scores.get(name, math.nan):.6g}" for name in metrics]
        rows.writerow([result.pair.system, result.pair.name, *scores])
    return text.getvalue()


def summary(results: list[Result], metrics: list[str], command: list[str]) -> str:
    """Return the means and what is missing from them, as JSON; a mean not finite is null."""
    systems = by_system(results).items()
    content = {
        "command": command,
        "versions": {name: version(name) for name in ("segan", "pesq", "pystoi")},
        "systems": {
            system: {name: entry(own, name) for name in metrics} for system, own in systems
        },
        "not_scored": {
            system: {one.pair.name: one.failure for one in own if one.failure}
            for system, own in systems
        },
        "cautions": {
            system: {one.pair.name: one.cautions for one in own if one.cautions}
            for system, own in systems
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def entry(results: list[Result], name: str) -> dict:
    """Return the mean of a metric, over how many, and where it is undefined and why."""
    mean, count = mean_of(results, name)
    undefined = {one.pair.name: one.undefined[name] for one in results if name in one.undefined}
    return {"mean": mean if math.isfinite(mean) else None, "n": count, "undefined": undefined}


if __name__ == "__main__":
    sys.exit(main())
