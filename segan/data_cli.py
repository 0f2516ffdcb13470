"""The command ``segan-data``: makes Kaldi data directories, and says what is wrong with them."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from gan import signals

DESCRIPTION = """\
Make, check, mix and cut Kaldi data directories: folders whose wav.scp lists a corpus, a line
`utterance path` each. Where there are pairs, those are the noisy ones; spk1.scp lists the clean."""

EXAMPLES = """\
from two folders of recordings to what training, validation and scoring need:
  segan-data import recordings/speech data/speech       any format, rate and channels
  segan-data import recordings/noise data/noise
  segan-data split data/speech data/train data/rest --speakers 4
  segan-data mix --speech data/rest --noise data/noise data/test
  segan-data validate data/*

Each of them says more: segan-data mix --help. exit status: 0 all well, 2 something failed (each
thing with a line that says why), 130 interrupted. A directory is complete when its wav.scp is
there; that is written last, so what was cut short is never taken for complete."""

VALIDATE = """\
examples:
  segan-data validate data/train data/test
  segan-data validate data/test --rate 48000
  segan-data validate data/train --no-sound        the maps alone, at once

Looked at: what Kaldi's utils/validate_data_dir.sh --no-text --no-feats refuses (lists unsorted in
the C locale, ids that stand twice, maps that disagree, speakers that are not sorted as their
utterances are, odd characters and line ends, values that are none), then every recording: that it
can be read, its rate, one channel, twins of one length, durations as in utt2dur, silence, NaN, and,
as warnings, clipping and less than 0.1 s. Each finding names file, line and remedy."""

IMPORT = """\
examples:
  segan-data import recordings data/speech         speakers by subfolder: ann/001.flac -> ann-001
  segan-data import recordings data/speech --speaker prefix          p226_001.wav -> p226-001
  segan-data import LibriSpeech/dev-clean data/dev --speaker '^([^/]+)/'    the topmost folder
  segan-data import noises data/noise --speaker none        each recording by itself
  segan-data import noisy data/train --clean clean          pairs of the same names

Sound goes to DIR/wav as mono 16-bit WAV: channels are averaged, what exceeds full scale is scaled
down (twins alike). Recordings that are in no subfolder count as a speaker each. What can't be read
or is silent is named and left out, and the exit status is 2. An import that was cut short is taken
up where it was: give the same command again. Of an import that is complete, --force redoes what
changed in FOLDER."""

MIX = """\
examples:
  segan-data mix --speech data/dev_speech --noise data/noise data/dev
  segan-data mix --speech data/dev_speech --noise data/noise data/dev --snr=-5,0,5,10 --seed 7
  segan-data mix --speech data/dev_speech --noise data/noise data/dev --count 100

Ratios are over active speech. Each speaker's utterances meet ratios and kinds of noise in turn (a
kind is what utt2spk in the noise's directory says: the subfolder, after `segan-data import`). A
noise is cut at a random place and repeated where it is short. utt2snr and utt2noise say what is
where. The same seed gives the same bytes, however many --jobs."""

SUBSET = """\
examples:
  segan-data subset data/train data/small --random 500
  segan-data subset data/train data/even --per-speaker 20 --seed 1
  segan-data subset data/all data/dev --speakers p226,p287
  segan-data subset data/all data/train --speakers p226,p287 --exclude
  segan-data subset data/all data/good --utterances list.txt     an id a line; more is not read

Each option narrows what those before it left, in the order in which they stand above; --exclude
writes all the others. Every map is cut alike; the sound stays where it is."""

SPLIT = """\
example:
  segan-data split data/all data/train data/dev --speakers 2 --seed 0"""

COMBINE = """\
examples:
  segan-data combine data/both data/one data/other
  segan-data combine data/mended data/broken       sorts every map and makes spk2utt anew

Maps that some of them lack are left out, as in Kaldi. An utterance that two of them have is
refused."""

PACK = """\
examples:
  segan-data pack data/train shards/train
  segan-data pack data/train shards/train --shard-size 1GB
  aws s3 sync shards/train s3://bucket/train      then data.speech=s3://bucket/train trains from it

Sound goes into tar files as mono 16-bit FLAC, in a random order: channels are averaged, what
exceeds full scale is scaled down (twins alike). Where there are pairs, they are packed together.
Training reads such a folder wherever it reads a data directory, also from afar (s3://, gs://,
https://), by way of a cache: SEGAN_CACHE says where, SEGAN_CACHE_GB how large (64). What can't be
read is named and left out, and the exit status is 2. Shards are complete when index.json is there;
that is written last."""

SHOWN = 20  # problems of a directory


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    own = argparse.ArgumentParser(
        "segan-data",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = own.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (title, examples, add_options) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=title,
            description=f"{title[0].upper()}{title[1:]}.",
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_options(command)
    return own


def _validate_options(own: argparse.ArgumentParser) -> None:
    own.set_defaults(run=_validate)
    add = own.add_argument
    add("folders", nargs="+", type=Path, metavar="DIR", help="data directory")
    add("--rate", type=_count, default=16000, metavar="HZ", help="of every recording (16000)")
    add("--no-sound", action="store_true", help="look at the maps, not at the recordings")
    add("--all", action="store_true", help=f"show every problem, not the first {SHOWN} of each DIR")
    _add_jobs(own)


def _import_options(own: argparse.ArgumentParser) -> None:
    own.set_defaults(run=_import)
    add = own.add_argument
    add("folder", type=Path, metavar="FOLDER", help="of recordings, searched to the bottom")
    add("out", type=Path, metavar="DIR", help="data directory to write")
    add("--clean", type=Path, metavar="FOLDER2", help="clean twins of FOLDER's, of the same names")
    add("--rate", type=_count, default=16000, metavar="HZ", help="of what is written (16000)")
    add("--speaker", default="folder", metavar="RULE", help="folder, prefix, none or a REGEX")
    _add_force(own)
    _add_jobs(own)


def _mix_options(own: argparse.ArgumentParser) -> None:
    own.set_defaults(run=_mix)
    add = own.add_argument
    add("--speech", type=Path, required=True, metavar="DIR", help="data directory of clean speech")
    add("--noise", type=Path, required=True, metavar="DIR", help="data directory of noise")
    add("out", type=Path, metavar="OUT", help="data directory to write")
    add("--snr", type=_ratios, metavar="A,B,...", help="ratios in dB (2.5,7.5,12.5,17.5)")
    add("--seed", type=_natural, default=0, metavar="N", help="of all that is drawn (0)")
    add("--count", type=_count, metavar="N", help="of mixtures (default: each utterance once)")
    _add_force(own)
    _add_jobs(own)


def _subset_options(own: argparse.ArgumentParser) -> None:
    own.set_defaults(run=_subset)
    add = own.add_argument
    add("folder", type=Path, metavar="DIR", help="data directory")
    add("out", type=Path, metavar="OUT", help="data directory to write")
    add("--utterances", type=Path, metavar="FILE", help="those that FILE lists, an id a line")
    add("--speakers", type=_names, metavar="A,B,...", help="those of these speakers")
    add("--per-speaker", type=_count, metavar="N", help="N of each speaker, at random")
    add("--random", type=_count, metavar="N", help="N, at random")
    add("--first", type=_count, metavar="N", help="the first N")
    add("--seed", type=_natural, default=0, metavar="N", help="of what is drawn (0)")
    add("--exclude", action="store_true", help="all but those")
    _add_force(own)


def _split_options(own: argparse.ArgumentParser) -> None:
    own.set_defaults(run=_split)
    add = own.add_argument
    add("folder", type=Path, metavar="DIR", help="data directory")
    add("rest", type=Path, metavar="REST", help="data directory to write, of the other speakers")
    add("held", type=Path, metavar="HELD", help="data directory to write, of those held out")
    add("--speakers", type=_count, default=2, metavar="K", help="how many are held out (2)")
    add("--seed", type=_natural, default=0, metavar="N", help="of who they are (0)")
    _add_force(own)


def _combine_options(own: argparse.ArgumentParser) -> None:
    own.set_defaults(run=_combine)
    own.add_argument("out", type=Path, metavar="OUT", help="data directory to write")
    own.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="data directory")
    _add_force(own)


def _pack_options(own: argparse.ArgumentParser) -> None:
    own.set_defaults(run=_pack)
    add = own.add_argument
    add("folder", type=Path, metavar="DIR", help="data directory")
    add("out", type=Path, metavar="OUT", help="folder of shards to write")
    add("--shard-size", type=_bytes, default="256MB", metavar="SIZE", help="about (256MB)")
    add("--rate", type=_count, default=16000, metavar="HZ", help="of what is written (16000)")
    add("--seed", type=_natural, default=0, metavar="N", help="of the order (0)")
    add("-f", "--force", action="store_true", help="overwrite shards that are complete")
    _add_jobs(own)


COMMANDS = {
    "validate": ("find what is wrong with data directories", VALIDATE, _validate_options),
    "import": ("make a data directory of a folder of recordings", IMPORT, _import_options),
    "mix": ("make a data directory of mixtures of speech and noise", MIX, _mix_options),
    "subset": ("write a part of a data directory as another", SUBSET, _subset_options),
    "split": ("hold out some speakers of a data directory", SPLIT, _split_options),
    "combine": ("write several data directories as one", COMBINE, _combine_options),
    "pack": ("write a data directory as shards, for object stores", PACK, _pack_options),
}


def _add_force(own: argparse.ArgumentParser) -> None:
    text = "overwrite a data directory that is complete, and maps of unknown origin"
    own.add_argument("-f", "--force", action="store_true", help=text)


def _add_jobs(own: argparse.ArgumentParser) -> None:
    text = "processes (default: the cores)"
    own.add_argument("-j", "--jobs", type=_count, metavar="N", help=text)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 up")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 up")
    return value


def _bytes(text: str) -> int:
    import re

    match = re.fullmatch(r"([0-9.]+) *([kMGT]?)B?", text)
    try:
        size = round(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))
    except (TypeError, ValueError):
        size = 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size as 256MB or 1GB")
    return size


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _ratios(text: str) -> list[float]:
    import math

    try:
        ratios = [float(ratio) for ratio in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list as 2.5,7.5") from None
    if not all(math.isfinite(ratio) for ratio in ratios):
        raise argparse.ArgumentTypeError(f"{text!r} holds what is no finite number")
    return list(dict.fromkeys(ratios))


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status: 0, 2 where anything failed, 130 after Ctrl-C."""
    options = parser().parse_args(argv)
    signals.exit_on_terminate()
    try:
        return options.run(options)
    except (OSError, ValueError, RuntimeError) as error:
        from segan.batch import describe

        _say(describe(error) if isinstance(error, OSError) else str(error))
        return 2
    except KeyboardInterrupt:
        _say("interrupted; give the same command again")
        return 130


def _say(text: str) -> None:
    print(f"segan-data: {text}", file=sys.stderr)


# The commands


def _validate(options: argparse.Namespace) -> int:
    bad = [folder for folder in options.folders if not _is_valid(folder, options)]
    return 2 if bad else 0


def _is_valid(folder: Path, options: argparse.Namespace) -> bool:
    """Print the problems of a directory and a line of its size; return whether it has no errors."""
    from segan.kaldi_checks import check

    problems = check(folder, options.rate, not options.no_sound, _jobs(options), _progress())
    problems.sort(key=lambda one: one.level)  # errors before warnings
    shown = problems if options.all else problems[:SHOWN]
    for problem in shown:
        print(problem)
    if hidden := len(problems) - len(shown):
        print(f"{folder}: and {hidden} more; --all shows them")
    errors = sum(problem.level == "error" for problem in problems)
    found = f"{_counted(errors, 'error')}, {_counted(len(problems) - errors, 'warning')}"
    print(f"{folder}: {_size(folder)}; {found}")
    return errors == 0


def _import(options: argparse.Namespace) -> int:
    from segan.importing import import_folder

    _check_free(options.out, options.force, [])
    done = import_folder(
        options.folder,
        options.out,
        options.clean,
        options.rate,
        options.speaker,
        _jobs(options),
        _progress(),
    )
    for line in [*done.notes, *done.left_out]:
        _say(line)
    return _report(options.out, len(done.left_out))


def _mix(options: argparse.Namespace) -> int:
    from importlib.util import find_spec

    from segan import mixing

    if find_spec("scipy") is None:
        raise ValueError("scipy is not installed: pip install 'segan[metrics]'")
    _check_free(options.out, options.force, [options.speech, options.noise])
    left_out = mixing.mix_directory(
        options.speech,
        options.noise,
        options.out,
        options.snr or mixing.SNRS,
        options.seed,
        options.count,
        _jobs(options),
        _progress(),
    )
    for line in left_out:
        _say(line)
    return _report(options.out, len(left_out))


def _subset(options: argparse.Namespace) -> int:
    from segan.kaldi import subset

    criteria = {
        "utterances": options.utterances and _ids(options.utterances),
        "speakers": options.speakers,
        "per_speaker": options.per_speaker,
        "count": options.random,
        "first": options.first,
    }
    if all(value is None for value in criteria.values()):
        raise ValueError("subset: of what? --speakers A,B, --random N or another; see --help")
    _check_free(options.out, options.force, [options.folder])
    subset(options.folder, options.out, **criteria, seed=options.seed, exclude=options.exclude)
    return _report(options.out)


def _ids(path: Path) -> list[str]:
    """Return the first word of each line of a file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not valid UTF-8; save it as UTF-8") from None
    return [line.split()[0] for line in text.splitlines() if line.strip()]


def _split(options: argparse.Namespace) -> int:
    from segan.kaldi import hold_out, is_begun

    goes_on = is_begun(options.held, along_with=options.rest)
    _check_free(options.rest, options.force or goes_on, [options.folder, options.held])
    _check_free(options.held, options.force, [options.folder, options.rest])
    chosen = hold_out(options.folder, options.rest, options.held, options.speakers, options.seed)
    print(f"held out: {', '.join(chosen)}")
    return max(_report(options.rest), _report(options.held))


def _combine(options: argparse.Namespace) -> int:
    from segan.kaldi import combine

    _check_free(options.out, options.force, options.folders)
    for name in combine(options.folders, options.out):
        _say(f"{name} is left out: not all of them have it")
    return _report(options.out)


def _pack(options: argparse.Namespace) -> int:
    from segan import packing, shards

    if shards.are_at(options.out) and not options.force:
        raise ValueError(f"{options.out}: is there and complete; --force overwrites it")
    left_out = packing.pack(
        options.folder,
        options.out,
        options.shard_size,
        options.rate,
        options.seed,
        _jobs(options),
        _progress(),
    )
    for line in left_out:
        _say(line)
    found = shards.Shards(options.out, options.rate)
    count = sum(shard["recordings"] for shard in found.shards)
    sizes = f"{_counted(count, 'utterance')}, {sum(found.frames) / options.rate / 3600:.2f} hours"
    lost = f"; {len(left_out)} left out" * bool(left_out)
    print(f"{options.out}: {_counted(len(found.shards), 'shard')}, {sizes}{lost}")
    return 2 if left_out else 0


def _check_free(out: Path, force: bool, inputs: Sequence[Path]) -> None:
    """Refuse to write where a data directory is complete, or maps of others or an input are."""
    from segan.kaldi import strange_maps

    for place in inputs:
        if out.resolve() == place.resolve():
            raise ValueError(f"{out}: is an input too; name another place")
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: a file, where a folder is to be; name another place")
    if (out / "wav.scp").exists() and not force:
        raise ValueError(f"{out}: is there and complete; --force overwrites it")
    if (names := strange_maps(out)) and not force:
        what = f"no data directory, but has a file {names[0]!r}"
        raise ValueError(f"{out}: {what}; name another place, or --force removes it")


def _report(out: Path, left_out: int = 0) -> int:
    print(f"{out}: {_size(out)}" + f"; {left_out} left out" * bool(left_out))
    return 2 if left_out else 0


def _size(folder: Path) -> str:
    """Return how many utterances, speakers and hours a directory has, as far as can be told."""
    from segan.kaldi import read_directory, speakers_of

    try:
        tables = read_directory(folder)
    except (OSError, ValueError):
        return "of unknown size"
    counts = _counted(len(tables["wav.scp"]), "utterance")
    speakers = _counted(len(set(speakers_of(tables).values())), "speaker")
    return f"{counts}, {speakers}, {_hours(tables)}"


def _hours(tables: dict[str, dict[str, str]]) -> str:
    try:
        seconds = sum(float(value) for value in tables["utt2dur"].values())
    except KeyError:
        seconds = sum(_seconds(path) for path in tables["wav.scp"].values())
    except ValueError:
        return "of unknown length"
    return f"{seconds / 3600:.2f} hours" if seconds >= 360 else f"{seconds:.1f} seconds"


def _seconds(path: str) -> float:
    from segan.audio import open_audio

    try:
        with open_audio(path) as sound:
            return sound.frames / sound.samplerate
    except (OSError, ValueError):
        return 0.0


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


def _jobs(options: argparse.Namespace) -> int:
    from segan.evaluate import cores

    return options.jobs or cores()


def _progress():
    """Return what shows progress, on a terminal only."""
    from tqdm import tqdm

    return functools.partial(tqdm, unit=" files", disable=None, leave=False)


if __name__ == "__main__":
    sys.exit(main())
