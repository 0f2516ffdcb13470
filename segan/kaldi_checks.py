"""What is wrong with a Kaldi data directory, line by line, and how to mend it.

The rules of the maps are those of Kaldi's data preparation (https://kaldi-asr.org/doc/data_prep.html)
and of its ``utils/validate_data_dir.sh --no-text --no-feats``; the rules of the sound are what
training and scoring need: one channel, one rate, twins of one length, something to hear.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from segan.kaldi import BAD_IN_KEY, NAMES, SOUND, keyed_by_speaker, order, spk2utt
from segan.parallel import Progress, each, silent

REQUIRED = ("spk2utt", "utt2spk", "wav.scp")
ANEW = "`segan-data combine NEW DIR` writes it anew, in order"
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
SPACE = re.compile(r"[^\S \t]")  # white space that doesn't separate, as the non-breaking space
NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
CLIPPED = 0.999  # of full scale
SHORT = 0.1  # seconds
TOLERANCE = 0.01  # seconds, of utt2dur


class Problem(NamedTuple):
    """One thing that is wrong: where, what, what would mend it; a warning or an error."""

    file: Path
    line: int | None
    what: str
    remedy: str
    level: str = "error"

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.level}: {self.what}; {self.remedy}"


class Line(NamedTuple):
    """A line of a map: its number from 1, its text, and what it maps to what."""

    number: int
    text: str
    key: str
    value: str


Maps = Mapping[str, Sequence[Line]]


def check(
    folder: str | Path,
    rate: int | None = 16000,
    sound: bool = True,
    jobs: int = 1,
    progress: Progress = silent,
) -> list[Problem]:
    """Return what is wrong with a data directory, by file and line; nothing where all is well.

    Args:
        folder: the data directory.
        rate: in Hz, that every recording should have; None takes any.
        sound: whether to read the recordings, not the maps alone.
        jobs: processes that read.
        progress: wraps what is iterated over, as tqdm does; takes its ``total``.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return [Problem(folder, None, "no such folder", "name a data directory")]
    present = {path.name for path in folder.iterdir() if NAMES.fullmatch(path.name)}
    maps: dict[str, list[Line]] = {}
    problems = _segments(folder)
    for name in sorted(present.union(REQUIRED)):
        maps[name], found = read_lines(folder / name)
        problems += [*found, *_lines(folder / name, maps[name])]
    problems += _agreement(folder, maps)
    if sound:
        problems += _sounds(folder, maps, rate, jobs, progress)
    return sorted(problems, key=lambda one: (str(one.file), one.line or 0))


def _segments(folder: Path) -> list[Problem]:
    remedy = "cut the recordings into a file for each utterance, and remove it"
    path = folder / "segments"
    return [Problem(path, None, "segments are not supported", remedy)] if path.exists() else []


# The bytes of a map


def read_lines(path: Path) -> tuple[list[Line], list[Problem]]:
    """Return the sound lines of a map, and what is wrong with its bytes."""
    if not path.is_file():
        return [], [Problem(path, None, "no such file", ANEW)]
    data = path.read_bytes()
    if not data:
        return [], [Problem(path, None, "empty", "fill it, or remove it where it isn't needed")]
    problems = list(_bytes(path, data))
    lines = []
    for number, raw in enumerate(data.removesuffix(b"\n").split(b"\n"), 1):
        try:
            text = raw.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            problems.append(Problem(path, number, "not valid UTF-8", "save the file as UTF-8"))
            continue
        key, *value = re.split(r"[ \t]+", text.strip(" \t"), maxsplit=1)
        if value:
            lines.append(Line(number, text, key, value[0]))
        else:
            what = f"expected 'key value', found {text!r}"
            problems.append(Problem(path, number, what, "complete the line or delete it"))
    return lines, problems


def _bytes(path: Path, data: bytes) -> Iterator[Problem]:
    if data.startswith(b"\xef\xbb\xbf"):
        yield Problem(path, 1, "begins with a byte order mark", "save it as UTF-8 without BOM")
    if (at := data.find(b"\r\n")) >= 0:
        number = data.count(b"\n", 0, at) + 1
        yield Problem(path, number, "ends in CR LF, as on Windows", "save it with LF line ends")
    if not data.endswith(b"\n"):
        yield Problem(path, data.count(b"\n") + 1, "the last line has no end", "add a line end")


# The lines of a map


class Rule(NamedTuple):
    """What the values of a map are: in words, and a test."""

    words: str
    holds: Callable[[str], bool]


def _number(text: str) -> float:
    """Return the number that ``text`` is, NaN where it is none."""
    return float(text) if NUMBER.fullmatch(text) else math.nan


def _positive(text: str) -> bool:
    return 0 < _number(text) < math.inf


SECONDS = Rule("a positive number of seconds", _positive)
WARP = Rule("a number between 0.5 and 1.5", lambda text: 0.5 < _number(text) < 1.5)
ONE = Rule("one id", lambda text: not re.search(r"\s", text))
RULES = {
    "utt2spk": ONE,
    "utt2uniq": ONE,
    "utt2dur": SECONDS,
    "reco2dur": SECONDS,
    "utt2num_frames": Rule(
        "a positive whole number", lambda text: _positive(text) and _number(text) % 1 == 0
    ),
    "utt2warp": WARP,
    "spk2warp": WARP,
    "spk2gender": Rule("m or f", lambda text: text in ("m", "f")),
    "utt2snr": Rule("a number of dB", lambda text: math.isfinite(_number(text))),
    "utt2weight": Rule("a number from 0 up", lambda text: 0 <= _number(text) < math.inf),
    "reco2file_and_channel": Rule(
        "a file and a channel, A or B", lambda text: bool(re.fullmatch(r"\S+[ \t]+[AB1]", text))
    ),
    "text": Rule(
        "free of <s>, </s> and #0", lambda text: not {"<s>", "</s>", "#0"} & set(text.split())
    ),
    "wav.scp": Rule(
        "the path of a file (~ is not expanded, a command, which ends in |, is not run)",
        lambda text: not text.startswith("~") and not text.endswith("|"),
    ),
}
RULES["spk1.scp"] = RULES["wav.scp"]


def _lines(path: Path, lines: Sequence[Line]) -> Iterator[Problem]:
    """Yield what is wrong with the lines of one map, each by itself and in their order."""
    rule = RULES.get(path.name)
    for line in lines:
        yield from _characters(path, line)
        if rule and not rule.holds(line.value):
            what = f"{line.key}: {line.value!r} is not {rule.words}"
            command = line.value.endswith("|")
            remedy = "run it and name the file it makes" if command else "correct it"
            yield Problem(path, line.number, what, remedy)
        if path.name == "utt2spk" and line.text != f"{line.key} {line.value}":
            what = f"{line.key}: not separated by one single space, by which Kaldi sorts"
            yield Problem(path, line.number, what, ANEW)
    yield from _order(path, lines)


def _characters(path: Path, line: Line) -> Iterator[Problem]:
    if CONTROL.search(line.text):
        yield Problem(path, line.number, f"control character in {line.text!r}", "delete it")
    elif SPACE.search(line.text) or BAD_IN_KEY.search(line.key):
        what = f"a space that is no plain space in {line.text!r}"
        level = "warning" if path.name in SOUND and not BAD_IN_KEY.search(line.key) else "error"
        yield Problem(path, line.number, what, "put a plain space or '_' in its place", level)


def _order(path: Path, lines: Sequence[Line]) -> Iterator[Problem]:
    """Yield each key that stands twice, and the first that stands after a greater one."""
    first: dict[str, int] = {}
    for line in lines:
        if line.key in first:
            what = f"{line.key!r} stands twice, first in line {first[line.key]}"
            yield Problem(path, line.number, what, "delete one of the lines")
        first.setdefault(line.key, line.number)
    for before, line in pairwise(lines):
        if order(line.key) < order(before.key):
            what = f"not sorted: {line.key!r} comes after {before.key!r} (order of LC_ALL=C sort)"
            yield Problem(path, line.number, what, ANEW)
            return


# What maps say of each other


def _agreement(folder: Path, maps: Maps) -> Iterator[Problem]:
    utt2spk = {line.key: line.value for line in maps["utt2spk"]}
    speakers = set(utt2spk.values())
    utterances = {line.key for line in maps["wav.scp"]} or set(utt2spk)
    for name, lines in maps.items():
        source, known = ("utt2spk", speakers) if keyed_by_speaker(name) else ("wav.scp", utterances)
        if lines and known:
            yield from _keys(folder / name, lines, known, source)
    yield from _inverse(folder / "spk2utt", maps["spk2utt"], utt2spk)
    yield from _speaker_order(folder / "utt2spk", maps["utt2spk"])
    yield from _speaker_names(folder / "utt2spk", maps["utt2spk"])


def _keys(path: Path, lines: Sequence[Line], known: set[str], source: str) -> Iterator[Problem]:
    surplus = [line for line in lines if line.key not in known]
    if surplus:
        what = f"{surplus[0].key!r}{_more(surplus)} not in {source}"
        yield Problem(path, surplus[0].number, what, f"add to {source}, or delete here")
    missing = sorted(known.difference(line.key for line in lines), key=order)
    if missing:
        what = f"lacks {missing[0]!r}{_more(missing)} of {source}"
        yield Problem(path, None, what, f"add a line, or leave it out of {source}")


def _more(found: Sequence) -> str:
    return f" and {len(found) - 1} more" if found[1:] else ""


def _inverse(path: Path, lines: Sequence[Line], utt2spk: Mapping[str, str]) -> Iterator[Problem]:
    expected = spk2utt(utt2spk)
    for line in lines:
        own, wanted = line.value.split(), expected.get(line.key, "").split()
        if not wanted or own == wanted:
            continue
        strange = [name for name in own if utt2spk.get(name) != line.key]
        absent = [name for name in wanted if name not in own]
        what = f"speaker {line.key!r}: its utterances are not in the order of utt2spk, each once"
        if strange:
            what = f"speaker {line.key!r}: {strange[0]!r}{_more(strange)} not theirs in utt2spk"
        elif absent:
            what = f"speaker {line.key!r}: lacks {absent[0]!r}{_more(absent)} of utt2spk"
        yield Problem(path, line.number, what, "it is the inverse of utt2spk; " + ANEW)


def _speaker_order(path: Path, lines: Sequence[Line]) -> Iterator[Problem]:
    """Yield the first speaker out of order, unless utterances are out of order themselves."""
    pairs = list(pairwise(lines))
    if any(order(line.key) < order(before.key) for before, line in pairs):
        return
    for before, line in pairs:
        if order(line.value) < order(before.value):
            what = (
                f"sorted by utterance, speaker {line.value!r} of {line.key!r} comes after "
                f"{before.value!r}; Kaldi wants the speakers sorted too"
            )
            remedy = f"begin each id with its speaker's and '-', as {line.value}-{line.key}"
            yield Problem(path, line.number, what, remedy)
            return


def _speaker_names(path: Path, lines: Sequence[Line]) -> Iterator[Problem]:
    other = [line for line in lines if not line.key.startswith(line.value)]
    if other:
        what = f"{other[0].key!r}{_more(other)}: the id doesn't begin with its speaker's"
        remedy = f"Kaldi advises so, as {other[0].value}-{other[0].key}"
        yield Problem(path, other[0].number, what, remedy, "warning")
    if len(lines) > 1 and len({line.value for line in lines}) == 1:
        what = f"one speaker, {lines[0].value!r}, for all utterances"
        remedy = "where speakers are unknown, let each utterance be its own"
        yield Problem(path, None, what, remedy, "warning")


# The sound


class Sound(NamedTuple):
    """What was heard of a file; ``error`` says why nothing was."""

    rate: int = 0
    channels: int = 0
    frames: int = 0
    peak: float = 0.0
    clipped: int = 0  # samples at full scale with two such neighbors before them
    cautions: tuple[str, ...] = ()
    error: str = ""


def measure(path: str) -> Sound:
    """Return what is to be known of the sound file at ``path``, read block by block."""
    from segan import audio
    from segan.batch import describe

    frames, peak, clipped = 0, 0.0, 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", audio.AudioWarning)
        try:
            with audio.open_audio(path) as file:
                for block in audio.samples(file, path, 10.0):
                    loud = abs(block)
                    frames, peak = frames + block.shape[1], max(peak, float(loud.max()))
                    full = loud >= CLIPPED
                    clipped += int((full[:, 2:] & full[:, 1:-1] & full[:, :-2]).sum())
                rate, channels = file.samplerate, file.channels
        except (OSError, ValueError, RuntimeError) as error:
            return Sound(error=describe(error, path))
    cautions = tuple(str(one.message) for one in caught if one.category is audio.AudioWarning)
    return Sound(rate, channels, frames, peak, clipped, cautions)


def _sounds(
    folder: Path, maps: Maps, rate: int | None, jobs: int, progress: Progress
) -> Iterator[Problem]:
    files = [
        (name, line)
        for name in SOUND
        for line in maps.get(name, ())
        if RULES[name].holds(line.value)
    ]
    heard = each(measure, [line.value for _, line in files], jobs, progress)
    sounds: dict[str, dict[str, Sound]] = {name: {} for name in SOUND}
    for (name, line), sound in zip(files, heard, strict=True):
        yield from _sound(folder / name, line, sound, rate)
        if not sound.error:
            sounds[name][line.key] = sound
    yield from _twins(folder / "spk1.scp", maps.get("spk1.scp", ()), sounds)
    yield from _durations(folder, maps, sounds["wav.scp"])


def _sound(path: Path, line: Line, sound: Sound, rate: int | None) -> Iterator[Problem]:
    """Yield what is wrong with one file by itself."""

    def problem(what: str, remedy: str, level: str = "error") -> Problem:
        return Problem(path, line.number, f"{line.key}: {what}", remedy, level)

    if sound.error:
        yield problem(sound.error, "mend it, or leave it out (`segan-data subset --exclude`)")
        return
    if not Path(line.value).is_absolute():
        what = f"{line.value}: found from this folder only"
        yield problem(what, "write an absolute path", "warning")
    if rate and sound.rate != rate:
        yield problem(f"{sound.rate} Hz, not {rate} Hz", "`segan-data import` resamples")
    if sound.channels != 1:
        yield problem(f"{sound.channels} channels", "`segan-data import` makes one of them")
    if sound.peak == 0:
        yield problem("silent, every sample is zero", "record it anew, or leave it out")
    if sound.frames < SHORT * sound.rate:
        seconds = sound.frames / sound.rate
        yield problem(f"only {seconds:.3f} s long", "leave it out unless it is meant", "warning")
    if sound.clipped:
        what = f"clipped, full scale for 3 samples on end ({sound.clipped} times)"
        yield problem(what, "record it at a lower level, or bear it in mind", "warning")
    for caution in sound.cautions:
        yield problem(caution, "copy it anew", "warning")


def _twins(
    path: Path, lines: Sequence[Line], sounds: Mapping[str, Mapping[str, Sound]]
) -> Iterator[Problem]:
    for line in lines:
        noisy, clean = (sounds[name].get(line.key) for name in SOUND)
        if noisy and clean and noisy.rate != clean.rate:
            what = f"{line.key}: {clean.rate} Hz, its noisy twin {noisy.rate} Hz"
            yield Problem(path, line.number, what, "resample both (`segan-data import --clean`)")
        elif noisy and clean and noisy.frames != clean.frames:
            what = f"{line.key}: {clean.frames} samples, its noisy twin {noisy.frames}"
            yield Problem(path, line.number, what, "align them and cut both to one length")


def _durations(folder: Path, maps: Maps, sounds: Mapping[str, Sound]) -> Iterator[Problem]:
    for name in ("utt2dur", "reco2dur"):
        for line in maps.get(name, ()):
            sound = sounds.get(line.key)
            real = sound.frames / sound.rate if sound else math.nan
            if abs(_number(line.value) - real) > TOLERANCE:  # not so where either is unknown
                what = f"{line.key}: {line.value} s, the recording lasts {real:.4f} s"
                yield Problem(folder / name, line.number, what, "correct it")
