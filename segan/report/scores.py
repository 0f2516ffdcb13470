"""What a report is made of, read and checked: systems with their scores, the test set, quotations.

A score that is undefined is NaN in the files, and absent here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gan.outputs import Refusal
from gan.report import files
from gan.report.files import (
    Note,
    Quotation,
    as_score,
    check_system,
    explained,
    name_of,
    read_json,
    read_rows,
    read_text,
    within,
)
from gan.report.tables import Scores
from segan.evaluate import COLUMNS, read_table


class Data(NamedTuple):
    """A test set: what is known of its utterances, each a table by utterance.

    ``noisy`` and ``clean`` are paths, ``snr`` is in dB, ``seconds`` the length of all (None where
    it can't be told). ``noisy`` has every utterance, the others may lack some or all.
    """

    name: str
    noisy: dict[str, str]
    clean: dict[str, str]
    speaker: dict[str, str]
    noise: dict[str, str]
    snr: dict[str, float]
    seconds: float | None


class System(NamedTuple):
    """A system: its scores on the test set, and what its folder says of how they came about."""

    name: str
    folder: Path
    scores: Scores
    summary: dict  # of segan-evaluate, empty where it left none
    versions: dict  # of gan-train, likewise
    config: str
    audio: dict[str, Path]  # what it made of each utterance


# The test set


def read_data(folder: Path) -> Data:
    """Return the test set in the Kaldi data directory ``folder``; only ``wav.scp`` must be there.

    Raises ``Refusal`` where a file is malformed.
    """
    noisy = read_table(folder / "wav.scp")
    clean, speaker, noise, snr, duration = (
        read_table(folder / name) if (folder / name).is_file() else {}
        for name in ("spk1.scp", "utt2spk", "utt2noise", "utt2snr", "utt2dur")
    )
    lengths = {u: finite(folder / "utt2dur", u, text) for u, text in duration.items()}
    return Data(
        name=name_of(folder),
        noisy=noisy,
        clean=clean,
        speaker=speaker,
        noise=noise,
        snr={u: finite(folder / "utt2snr", u, text) for u, text in snr.items()},
        seconds=total_seconds(noisy, lengths),
    )


def finite(path: Path, utterance: str, text: str) -> float:
    """Return the number that ``text`` is, said of ``utterance`` in the file ``path``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Refusal(f"{path}: {utterance} has {text!r} where a number is wanted")
    return value


def total_seconds(noisy: dict[str, str], lengths: dict[str, float]) -> float | None:
    """Return the duration of all utterances, from ``lengths`` or else the files' headers."""
    import soundfile

    try:
        return math.fsum(
            lengths[u] if u in lengths else soundfile.info(path).duration
            for u, path in noisy.items()
        )
    except (OSError, soundfile.LibsndfileError):
        return None


# The systems


def read_systems(folders: Sequence[Path], data: Data) -> tuple[list[System], list[Note]]:
    """Return the systems in ``folders``, and what is to be said of their scores.

    Raises ``Refusal`` where a folder has no scores of this test set, or two share a name.
    """
    systems, notes = [], []
    for folder in folders:
        check_system(folder, systems, "exp/segan")
        system, said = joined(read_system(folder), data)
        systems.append(system)
        notes += said
    return systems, notes


def read_system(folder: Path) -> System:
    """Return the system in ``folder`` with all its scores, of whatever utterances."""
    return System(
        name=name_of(folder),
        folder=folder,
        scores=read_scores(folder / "scores" / "scores.tsv"),
        summary=read_json(folder / "scores" / "summary.json"),
        versions=read_json(folder / "versions.json"),
        config=read_text(folder / "config.yaml"),
        audio=audio_files(folder / "enhanced"),
    )


def audio_files(folder: Path) -> dict[str, Path]:
    """Return the sounds in ``folder`` by name: as its wav.scp says, or by their file names."""
    from segan.audio import SUFFIXES

    if (folder / "wav.scp").is_file():
        return {name: Path(path) for name, path in read_table(folder / "wav.scp").items()}
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    sounds = (path for path in files if path.suffix.lower() in SUFFIXES)
    return {path.stem: path for path in sounds if not path.name.startswith(".")}


def joined(system: System, data: Data) -> tuple[System, list[Note]]:
    """Return the system with its scores of the test set alone, and what is to be said of them."""
    own = {u: scores for u, scores in system.scores.items() if u in data.noisy}
    if not own:
        raise Refusal(
            f"{system.folder / 'scores' / 'scores.tsv'}: scores no utterance of {data.name}; "
            f"is --data its test set?"
        )
    strangers = [u for u in system.scores if u not in data.noisy]
    notes = [Note(f"{system.name}: scores not of this test set, left out", strangers)]
    return system._replace(scores=own), [
        note for note in notes + shortcomings(system, data) if note.items
    ]


def shortcomings(system: System, data: Data) -> list[Note]:
    """Return a note on utterances without scores, without one score, and with a caution."""
    reasons = within(system.summary, "not_scored", "enhanced")
    unscored = [u for u in data.noisy if u not in system.scores]
    notes = [Note(f"{system.name}: not scored", explained(unscored, reasons))]
    for metric in metrics_of([system]):
        lacking = [u for u, scores in system.scores.items() if metric not in scores]
        reasons = within(system.summary, "systems", "enhanced", metric, "undefined")
        text = f"{system.name}: no {COLUMNS[metric][0]}, left out of that mean alone"
        notes.append(Note(text, explained(lacking, reasons)))
    cautions: dict[str, list[str]] = {}
    for utterance, texts in within(system.summary, "cautions", "enhanced").items():
        for text in texts:
            cautions.setdefault(text, []).append(utterance)
    return notes + [Note(f"{system.name}: {text}", names) for text, names in cautions.items()]


def metrics_of(systems: Sequence[System]) -> list[str]:
    """Return the metrics that any of the systems has, in the order of tables."""
    present = {metric for one in systems for scores in one.scores.values() for metric in scores}
    return [metric for metric in COLUMNS if metric in present]


# Tab-separated files


def read_scores(path: Path) -> Scores:
    """Return what ``segan-evaluate`` wrote of enhanced speech: the scores that are defined.

    Raises ``Refusal`` naming the file and line of what is wrong.
    """
    if not path.is_file():
        raise Refusal(f"{path}: no such file; segan-evaluate CLEAN ENHANCED --out writes it")
    scores: Scores = {}
    for line, row in read_rows(path, ("system", "utterance"), COLUMNS):
        utterance, system = row.pop("utterance"), row.pop("system")
        if system != "enhanced":
            continue
        if utterance in scores:
            raise Refusal(f"{path}:{line}: {utterance!r} is scored twice")
        cells = {metric: as_score(path, line, metric, text) for metric, text in row.items()}
        scores[utterance] = {m: score for m, score in cells.items() if not math.isnan(score)}
    if not any(scores.values()):
        raise Refusal(f"{path}: no score of the system 'enhanced' in it")
    return {utterance: own for utterance, own in scores.items() if own}


def read_quotations(path: Path) -> list[Quotation]:
    """Return the published rows in a file headed ``system``, names of metrics, ``source``.

    Raises ``Refusal`` naming the file and line of what is wrong.
    """
    return files.read_quotations(path, COLUMNS)
