"""The command ``segan-enhance``: noisy sound files in, clean ones out."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence

from gan import signals

DESCRIPTION = """\
Clean the speech in sound files: noise goes, the voice stays. Everything runs on this computer.
Each output keeps its input's format, sample rate, channels, length and level."""

EXAMPLES = """\
examples:
  segan-enhance noisy.wav                    writes noisy.enhanced.wav beside it
  segan-enhance noisy.mp3 -o clean.wav       names the output; its suffix may name another format
  segan-enhance -r recordings -o cleaned     every sound file below recordings, in the same tree
  segan-enhance '*.flac' --jobs 4            patterns too; four files at a time
  segan-enhance noisy.wav --keep 0.1         leaves a tenth of the original in
  segan-enhance noisy.wav --max-attenuation 12    noise falls by 12 dB and no more
  segan-enhance --list files.txt -o cleaned --jobs 8    a path a line, or source<TAB>target
  segan-enhance --wav-scp data/wav.scp -o data_clean    Kaldi's; writes data_clean/wav.scp
  segan-enhance -r recordings -o cleaned --jobs 64 --ray auto    on a cluster
  ffmpeg -i talk.mp4 -f wav - | segan-enhance - > talk.wav
  segan-enhance --raw 16000:1:s16le - < in.pcm > out.pcm
  sox -d -t wav - | segan-enhance --stream - - | sox -t wav - -d      cleans while it comes
  segan-enhance --live                       microphone to loudspeaker, and keys

Read and written: WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF, CAF, W64, RF64, AU and whatever else
libsndfile knows. Of a folder, files named *.enhanced.* are skipped. Standard input is read to its
end before the work begins, but for --stream.

What goes into a folder of -o is noted there, in segan-enhance.tsv (--log: elsewhere). A batch that
was stopped or killed goes on when the same command is given again, and tries again what failed.
What changed since, or would be done with other settings, is named, and done with --force.

exit status: 0 all done, 2 some failed (each with a line that says
why), 130 interrupted; what was being written is then removed, but for --stream."""

RAY = "jobs in a cluster: auto, HOST:PORT; one is started here without an ADDRESS"
FILES = ("recursive", "list", "wav_scp", "log", "jobs", "ray")  # options for many of them
DEVICES = ("input_device", "output_device")
UNFIT = {"live": ("output", "force", *FILES, "raw", "stream"), "stream": (*FILES, *DEVICES)}
MANY = 1000  # jobs from which progress is counted in files: to sum their seconds takes too long


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    own = argparse.ArgumentParser(
        "segan-enhance",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = own.add_argument
    add("input", nargs="*", metavar="INPUT", help="file, folder or pattern; - is standard input")
    add("-o", "--output", metavar="PLACE", help="folder; or file, or -, for a single input")
    add("-r", "--recursive", action="store_true", help="look into the subfolders of folders")
    add("-f", "--force", action="store_true", help="overwrite outputs that exist, never inputs")
    add("--list", metavar="FILE", help="list of inputs: a PATH, or SOURCE<TAB>TARGET, a line")
    add("--wav-scp", metavar="FILE", help="inputs by Kaldi's list; -o DIR gets one too")
    add("--log", metavar="FILE", help="note what was done there (default: in the folder of -o)")
    strength = own.add_mutually_exclusive_group().add_argument
    strength("--keep", type=_share, default=0.0, metavar="SHARE", help="of original kept, 0 to 1")
    strength(
        "--max-attenuation",
        dest="keep",
        type=_limit,
        default=0.0,
        metavar="DB",
        help="noise falls by DB at most (default inf)",
    )
    add("--model", metavar="FILE", help="default, quality, streaming, wiener, or a file")
    add("--backend", choices=["torch", "onnx"], help="onnx starts faster and needs no torch")
    add("--device", default="auto", help="cpu, cuda, cuda:1, mps; auto (default): cuda if present")
    add("-j", "--jobs", type=_count, default=1, metavar="N", help="files at a time (default 1)")
    add("--threads", type=_count, metavar="N", help="CPU threads of each job (default: 1 if N > 1)")
    add("--ray", nargs="?", type=_cluster, const="local", metavar="ADDRESS", help=RAY)
    add("--raw", type=_raw, metavar="RATE:CHANNELS:ENCODING", help="inputs are headerless, so")
    add("-q", "--quiet", action="store_true", help="print errors only")
    add("--version", action=_Version)
    _add_streams(own)
    return own


def _add_streams(own: argparse.ArgumentParser) -> None:
    add = own.add_argument_group(
        "as it comes", "by the model `streaming` unless --model names another; docs/streaming.md"
    ).add_argument
    add("--stream", action="store_true", help="INPUT [OUTPUT]: WAV or --raw; each a file or -")
    add("--live", action="store_true", help="microphone to loudspeaker (segan[live])")
    add("--list-devices", action="store_true", help="name what --live can use")
    add("--input-device", metavar="NAME", help="name, part of it, or number; default: the system's")
    add("--output-device", metavar="NAME", help="likewise")


class _Version(argparse.Action):
    """Print the version; looked up only when it is asked for."""

    def __init__(self, *args, **keywords):
        super().__init__(*args, nargs=0, help="print the version", **keywords)

    def __call__(self, parser, *_) -> None:
        import segan

        print(f"segan-enhance {segan.__version__}")
        parser.exit()


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _limit(text: str) -> float:
    from segan.audio import attenuation_limit

    value = float(text)
    try:
        return attenuation_limit(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _cluster(text: str) -> str:
    from segan.cluster import address

    try:
        return address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 up")
    return value


def _raw(text: str):
    from segan.audio import parse_raw

    try:
        return parse_raw(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status: 0, 2 where anything failed, 130 after Ctrl-C."""
    try:
        arguments = _parsed(argv)
        signals.exit_on_terminate()
        return _run(arguments)
    except KeyboardInterrupt:
        _say("interrupted")
        return 130


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    own = parser()
    arguments = own.parse_args(argv)
    live = arguments.live or arguments.list_devices
    if arguments.stream and not (live or arguments.input):
        own.error("the following arguments are required: INPUT")
    if live and arguments.input:
        own.error(f"--live hears the microphone, not {arguments.input[0]}; --stream takes files")
    arguments.model = arguments.model or ("streaming" if live or arguments.stream else "default")
    return arguments


def _check_fit(arguments: argparse.Namespace) -> None:
    """Raise ValueError for the first option that says nothing to the way of working chosen."""
    live = arguments.live or arguments.list_devices
    way = "live" if live else "stream" if arguments.stream else "files"
    usual = parser()
    for name in UNFIT.get(way, DEVICES):
        if getattr(arguments, name) != usual.get_default(name):
            option = f"--{name.replace('_', '-')}"
            other = f"doesn't go with --{way}" if way in UNFIT else "goes with --live alone"
            raise ValueError(f"{option} {other}; leave it out")


def _say(line: str) -> None:
    if sys.stderr is not None:  # print would take standard output then, where sound may go
        print(f"segan-enhance: {line}", file=sys.stderr)


def _run(arguments: argparse.Namespace) -> int:
    from segan import batch

    try:
        _check_fit(arguments)
        if arguments.list_devices or arguments.live:
            return _live(arguments)
        if arguments.stream:
            return _stream(arguments)
        jobs, problems = _plan(arguments)
        for line in problems:
            _say(line)
        return _enhance(jobs, arguments, _Tally(len(problems)))
    except (OSError, ValueError, ImportError) as error:  # of the output, the model or the device
        _say(batch.describe(error))
        return 2


def _plan(arguments: argparse.Namespace) -> tuple[list, list[str]]:
    """Return the jobs of the one kind of input that is given, and a line for each problem."""
    from segan import batch, lists

    given = [bool(arguments.input), arguments.list is not None, arguments.wav_scp is not None]
    if sum(given) != 1:
        raise ValueError("one kind of input is needed: INPUT, --list FILE or --wav-scp FILE")
    if arguments.wav_scp is not None:
        return lists.plan_kaldi(arguments.wav_scp, arguments.output, arguments.force)
    if arguments.list is not None:
        return lists.plan(arguments.list, arguments.output)
    raw = arguments.raw is not None
    return batch.plan(arguments.input, arguments.output, arguments.recursive, raw)


def _stream(arguments: argparse.Namespace) -> int:
    from segan import pipe

    source, *targets = [*arguments.input, *([arguments.output] if arguments.output else [])]
    if len(targets) > 1:
        raise ValueError(f"--stream: {len(targets) + 1} files; one INPUT and one OUTPUT are taken")
    pipe.enhance(
        source,
        targets[0] if targets else "-",
        _stepper(arguments),
        arguments.keep,
        arguments.raw,
        arguments.force,
        (lambda _: None) if arguments.quiet else _say,
    )
    return 0


def _live(arguments: argparse.Namespace) -> int:
    from segan import live

    if arguments.list_devices:
        print(live.devices())
        return 0
    live.run(_stepper(arguments), arguments.keep, arguments.input_device, arguments.output_device)
    return 0


def _stepper(arguments: argparse.Namespace):
    """Return the network, loaded before the first sample is waited for."""
    from segan.enhance import backend_of
    from segan.stepping import stepper

    backend = backend_of(arguments.model, arguments.backend)
    threads = arguments.threads or 1  # a hop is too little work to be shared, or sent elsewhere
    if backend == "torch":
        import torch

        torch.set_num_threads(threads)
    device = arguments.device.replace("auto", "cpu")
    return stepper(arguments.model, device, backend, threads)


def _enhance(jobs: list, arguments: argparse.Namespace, tally: _Tally) -> int:
    """Enhance the files, report each failure and the sum; return the exit status."""
    from segan import batch

    options = batch.Options(
        keep=arguments.keep,
        force=arguments.force,
        raw=arguments.raw,
        model=arguments.model,
        device=arguments.device,
        threads=arguments.threads,
        backend=arguments.backend,
    )
    if arguments.ray:
        _require_ray(jobs)
    enhancer = batch.load(options) if jobs else None  # processes load their own: then as a check
    start = time.perf_counter()
    with _journal(jobs, arguments, options) as journal:
        todo = _left(journal, jobs, arguments, tally)
        _work(enhancer, todo, journal, arguments, options, tally)
    if arguments.wav_scp is not None:
        _write_kaldi(arguments.output, tally)
    if not arguments.quiet:
        _say(tally.summary(time.perf_counter() - start))
    return 2 if tally.failed else 0


def _work(enhancer, todo: list, journal, arguments: argparse.Namespace, options, tally) -> None:
    """Do the jobs; note, report and count each."""
    size = len(todo)
    handed = journal.handed_out(todo, options.force) if journal else todo
    with _progress(todo, options.raw, arguments.quiet) as bar:
        heard = bar.update if size <= MANY else _ignore
        found = _outcomes(enhancer, handed, size, arguments, options, heard)
        with contextlib.closing(found):  # whatever happens, what is at work is ended first
            for outcome in found:
                if journal:
                    journal.end(outcome)
                tally.add(_report(outcome, bar, arguments.quiet))
                if size > MANY:
                    bar.update(1)


def _ignore(_: float) -> None:
    """Hear nothing: the bar counts files."""


def _outcomes(enhancer, jobs, size: int, arguments: argparse.Namespace, options, heard):
    """Return what comes of the jobs, as it comes: here, in processes or in a cluster."""
    from segan import batch

    count = min(arguments.jobs, size)
    if arguments.ray and size:
        from segan import cluster

        return cluster.in_cluster(arguments.ray, count, jobs, options, heard)
    if count > 1:
        return batch.in_processes(count, jobs, options, heard)
    return batch.in_turn(enhancer, jobs, options, heard)


def _require_ray(jobs: list) -> None:
    from gan.outputs import require

    require(["ray"], "ray")
    if any(job.source is None or job.target is None for job in jobs):
        raise ValueError("--ray: files are needed, not standard input or output")


def _journal(jobs: list, arguments: argparse.Namespace, options):
    """Return the table of what is done: where ``--log`` says, in the folder of ``-o``, or none."""
    from pathlib import Path

    from segan import audio, batch, journal

    files = bool(jobs) and all(job.source and job.target for job in jobs)
    if arguments.log and jobs and not files:
        raise ValueError("--log: files are needed, not standard input or output")
    if arguments.log and files:
        return journal.Journal(Path(arguments.log), journal.settings(options))
    suffixes = tuple(audio.SUFFIXES) if options.raw is None else audio.RAW_SUFFIXES
    if files and arguments.output and not batch.names_file(arguments.output, suffixes):
        place = Path(arguments.output) / journal.NAME
        return journal.Journal(place, journal.settings(options))
    return contextlib.nullcontext()


def _left(journal, jobs: list, arguments: argparse.Namespace, tally: _Tally) -> list:
    """Return the jobs that are still to be done; count the others, and say what changed."""
    if journal is None:
        return jobs
    found = journal.sort(jobs, arguments.force)
    for line in found.problems:
        _say(line)
    tally.failed += len(found.problems)
    for job, target in found.done:
        tally.before += 1
        tally.keep(job.key, target)
    return found.todo


def _write_kaldi(folder: str, tally: _Tally) -> None:
    """Write the list of the utterances that were enhanced, now or before."""
    from segan import lists

    if tally.made:
        place = lists.write_kaldi(folder, tally.made)
        if tally.failed:
            _say(f"{place}: lists {len(tally.made)} utterances, not those that failed")


def _report(outcome, bar, quiet: bool):
    """Print the lines of an outcome above the progress bar, and return it."""
    lines = [*([] if quiet else outcome.notes), *([outcome.error] if outcome.error else [])]
    for line in lines if sys.stderr is not None else ():
        bar.write(f"segan-enhance: {line}", file=sys.stderr)
    return outcome


class _Tally:
    """What came of all files, as numbers: memory doesn't grow with their count."""

    def __init__(self, failed: int):
        self.failed, self.done, self.before = failed, 0, 0
        self.seconds, self.target = 0.0, None
        self.made: dict[str, object] = {}  # targets of the utterances of a Kaldi list

    def add(self, outcome) -> None:
        """Count a file."""
        if outcome.error:
            self.failed += 1
            return
        self.done += 1
        self.seconds += outcome.seconds
        self.target = outcome.target
        self.keep(outcome.job.key, outcome.target)

    def keep(self, key: str, target) -> None:
        """Remember where an utterance went."""
        if key:
            self.made[key] = target

    def summary(self, taken: float) -> str:
        """Return the sum as one line."""
        from segan import filenames

        total = self.done + self.before + self.failed
        alone = total == self.done == 1 and self.target
        where = f" -> {filenames.shown(str(self.target))}" if alone else ""
        before = f", {self.before} done before" if self.before else ""
        speed = f", real-time factor {taken / self.seconds:.3g}" if self.seconds else ""
        files = f"{total} file{'s' * (total != 1)}{where}{before}, {self.failed} failed"
        return f"{files}; {self.seconds:.1f} s of audio in {taken:.1f} s{speed}"


def _progress(jobs: list, raw, quiet: bool):
    """Return a bar of seconds of audio, of files where there are many; on a terminal only."""
    from tqdm import tqdm

    disable = True if quiet or sys.stderr is None else None
    if len(jobs) > MANY:
        return tqdm(unit=" files", total=len(jobs), file=sys.stderr, disable=disable)
    bar = tqdm(unit=" s", unit_scale=True, file=sys.stderr, disable=disable)
    if not bar.disable:
        bar.reset(total=sum(_seconds(job, raw) for job in jobs))
    return bar


def _seconds(job, raw) -> float:
    """Return how long an input is, 0 where that cannot be told yet."""
    from segan.audio import UNKNOWN, open_audio

    if job.source is None:
        return 0.0
    try:
        with open_audio(job.source, raw) as sound:
            return sound.frames / sound.samplerate if sound.frames != UNKNOWN else 0.0
    except (OSError, ValueError):
        return 0.0


if __name__ == "__main__":
    sys.exit(main())
