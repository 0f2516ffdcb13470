"""The command ``segan-enhance``: noisy sound files in, clean ones out."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence

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
  ffmpeg -i talk.mp4 -f wav - | segan-enhance - > talk.wav
  segan-enhance --raw 16000:1:s16le - < in.pcm > out.pcm
  sox -d -t wav - | segan-enhance --stream - - | sox -t wav - -d      cleans while it comes
  segan-enhance --live                       microphone to loudspeaker, and keys

Read and written: WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF, CAF, W64, RF64, AU and whatever else
libsndfile knows. Of a folder, files named *.enhanced.* are skipped. Standard input is read to its
end before the work begins. exit status: 0 all done, 2 some failed (each with a line that says
why), 130 interrupted; what was being written is then removed."""


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
    add("--keep", type=_share, default=0.0, metavar="SHARE", help="share of original kept, 0 to 1")
    add("--model", metavar="FILE", help="default, streaming, wiener, a .safetensors or .onnx file")
    add("--backend", choices=["torch", "onnx"], help="onnx starts faster and needs no torch")
    add("--device", default="auto", help="cpu, cuda, cuda:1, mps; auto (default): cuda if present")
    add("-j", "--jobs", type=_count, default=1, metavar="N", help="files at a time (default 1)")
    add("--threads", type=_count, metavar="N", help="CPU threads of each job (default: 1 if N > 1)")
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
    arguments = _parsed(argv)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        _say("interrupted")
        return 130


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    own = parser()
    arguments = own.parse_args(argv)
    live = arguments.live or arguments.list_devices
    if not live and not arguments.input:
        own.error("the following arguments are required: INPUT")
    if live and arguments.input:
        own.error(f"--live hears the microphone, not {arguments.input[0]}; --stream takes files")
    arguments.model = arguments.model or ("streaming" if live or arguments.stream else "default")
    return arguments


def _terminate(*_) -> None:
    sys.exit(143)  # unlike the default, removes what is half-written


def _say(line: str) -> None:
    print(f"segan-enhance: {line}", file=sys.stderr)


def _run(arguments: argparse.Namespace) -> int:
    from segan import batch

    try:
        if arguments.list_devices or arguments.live:
            return _live(arguments)
        if arguments.stream:
            return _stream(arguments)
        jobs, problems = batch.plan(
            arguments.input, arguments.output, arguments.recursive, arguments.raw is not None
        )
        for line in problems:
            _say(line)
        return _enhance(jobs, arguments, len(problems))
    except (OSError, ValueError, ImportError) as error:  # of the output, the model or the device
        _say(batch.describe(error))
        return 2


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


def _enhance(jobs: list, arguments: argparse.Namespace, failed: int) -> int:
    """Enhance the files, report each failure and the sum; return the exit status."""
    from segan import batch

    count = min(arguments.jobs, len(jobs))
    options = batch.Options(
        keep=arguments.keep,
        force=arguments.force,
        raw=arguments.raw,
        model=arguments.model,
        device=arguments.device,
        threads=arguments.threads,
        backend=arguments.backend,
    )
    enhancer = batch.load(options) if jobs else None  # processes load their own: then as a check
    start = time.perf_counter()
    with _progress(jobs, options.raw, arguments.quiet) as bar:
        if count > 1:
            outcomes = batch.in_processes(count, jobs, options, bar.update)
        else:
            outcomes = batch.in_turn(enhancer, jobs, options, bar.update)
        done = [_report(outcome, bar, arguments.quiet) for outcome in outcomes]
    taken = time.perf_counter() - start
    if not arguments.quiet:
        _say(_summary(done, failed, taken))
    return 2 if failed or any(outcome.error for outcome in done) else 0


def _report(outcome, bar, quiet: bool):
    """Print the lines of an outcome above the progress bar, and return it."""
    lines = [*([] if quiet else outcome.notes), *([outcome.error] if outcome.error else [])]
    for line in lines:
        bar.write(f"segan-enhance: {line}", file=sys.stderr)
    return outcome


def _summary(done: list, failed: int, taken: float) -> str:
    good = [outcome for outcome in done if not outcome.error]
    total, failed = len(done) + failed, failed + len(done) - len(good)
    where = f" -> {good[0].target}" if total == len(good) == 1 and good[0].target else ""
    seconds = sum(outcome.seconds for outcome in good)
    speed = f", real-time factor {taken / seconds:.3g}" if seconds else ""
    files = f"{total} file{'s' * (total != 1)}"
    return f"{files}{where}, {failed} failed; {seconds:.1f} s of audio in {taken:.1f} s{speed}"


def _progress(jobs: list, raw, quiet: bool):
    """Return a bar of seconds of audio, shown on a terminal only."""
    from tqdm import tqdm

    bar = tqdm(unit=" s", unit_scale=True, file=sys.stderr, disable=True if quiet else None)
    if not bar.disable:
        bar.reset(total=sum(_seconds(job, raw) for job in jobs))
    return bar


def _seconds(job, raw) -> float:
    """Return how long an input is, 0 where that cannot be told yet."""
    from segan.audio import open_audio

    if job.source is None:
        return 0.0
    try:
        with open_audio(job.source, raw) as sound:
            return sound.frames / sound.samplerate
    except (OSError, ValueError):
        return 0.0


if __name__ == "__main__":
    sys.exit(main())
