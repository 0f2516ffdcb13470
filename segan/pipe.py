"""``segan-enhance --stream``: samples in, cleaned samples out, while they come."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from segan import audio, pcm
from segan.stream import Streamer


def enhance(
    source: str,
    target: str,
    network,
    keep: float = 0.0,
    raw: audio.Format | None = None,
    force: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Clean ``source`` into ``target`` as it comes; each a path, or - for standard input or output.

    Every portion is written as soon as it is clean, so what is out stays, whatever comes. Where the
    reader of the output goes away, so do we, without a word.

    Args:
        source: a WAV, or headerless samples.
        target: gets the same format. In a file, the header is mended at the end.
        network: what ``Streamer`` takes.
        keep: share of the original that is blended in.
        raw: what a headerless source holds, which gives a headerless target.
        force: overwrite a file that exists.
        note: is told, in a line, what is odd about the source.

    Raises OSError and ValueError with a message that names the file.
    """
    with ExitStack() as stack:
        name, stream = stack.enter_context(_opened(source))
        head = pcm.Header(raw, b"", None) if raw else pcm.read_header(stream, name)
        streamer = _streamer(network, head.form, keep, name)
        out = stack.enter_context(_created(source, target, force))
        try:
            _copy(_cleaned(stream, streamer, head, name, note), out, head, target != "-")
        except OSError as error:
            if not _left(error):
                raise


def _copy(waves: Iterable[np.ndarray], out: Output, head: pcm.Header, mend: bool) -> None:
    headed = head.form.container == "WAV"
    if headed:
        out.begin(head)
    try:
        for wave in waves:
            out.write(pcm.encode(wave, head.form))
    finally:
        if headed:
            out.end(head, mend)


def _streamer(network, form: audio.Format, keep: float, name: str) -> Streamer:
    try:
        return Streamer(network, form.rate, form.channels, keep)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _cleaned(stream: BinaryIO, streamer: Streamer, head: pcm.Header, name: str, note) -> Iterator:
    """Yield the clean samples, ``(C, n)``, as they are complete."""
    form = head.form
    frame = form.channels * pcm.sample_bytes(form.encoding)

    def short(missing: int) -> None:
        seconds = missing / frame / form.rate
        note(f"{name}: ends {seconds:.3f} s before its header says; what is there is used")

    for data in pcm.portions(stream, frame, head.size, short):
        try:
            yield streamer.feed(pcm.decode(data, form))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    yield streamer.flush()


@contextmanager
def _opened(source: str) -> Iterator[tuple[str, BinaryIO]]:
    """Give what messages call the source, and its bytes, unbuffered: what is there is read."""
    if source == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise ValueError("standard input: nothing is piped in; name a file, or use < FILE")
        with _standard(sys.stdin.fileno(), "rb") as stream:
            yield "standard input", stream
    else:
        with open(source, "rb", buffering=0) as stream:
            yield source, stream


@contextmanager
def _created(source: str, target: str, force: bool) -> Iterator[Output]:
    """Give the target, open for writing."""
    if target == "-":
        if sys.stdout is None or sys.stdout.isatty():
            place = "send it to a file or a pipe, or name a file"
            raise ValueError(f"standard output: a terminal; {place}")
        with _standard(sys.stdout.fileno(), "wb") as file:
            yield Output(file, "standard output")
    else:
        _check_free(source, Path(target), force)
        with open(target, "wb", buffering=0) as file:
            yield Output(file, target)


def _standard(number: int, mode: str) -> BinaryIO:
    if os.name != "nt":
        os.set_blocking(number, True)  # some parents' pipes are not
    return open(number, mode, buffering=0, closefd=False)


def _check_free(source: str, target: Path, force: bool) -> None:
    if not target.exists():
        return
    if source != "-" and target.samefile(source):
        raise ValueError(f"{source}: its output would replace it; choose another name")
    if target.is_file() and not force:
        raise FileExistsError(f"{target}: exists; --force overwrites it")


class Output:
    """Bytes to be written at once, with a WAV header before them where one is needed."""

    def __init__(self, file: BinaryIO, name: str):
        self.file, self.name = file, name
        self.count = 0  # bytes of samples

    def write(self, data: bytes) -> None:
        """Write all of ``data``; a pipe may take it in parts."""
        self._write(data)
        self.count += len(data)

    def begin(self, head: pcm.Header) -> None:
        """Write the header."""
        self._write(head.written())

    def end(self, head: pcm.Header, mend: bool) -> None:
        """Write what comes after the samples and, if ``mend``, their true number before them."""
        self._write(b"\0" * (self.count % 2))
        if mend and self.file.seekable():
            self.file.seek(0)
            self._write(head._replace(size=self.count).written())

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self.file.write(view) :]
        except OSError as error:
            error.filename = self.name  # for the message
            raise


def _left(error: OSError) -> bool:
    """Return whether the reader of a pipe has gone; Windows calls that an invalid argument."""
    return isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == errno.EINVAL)
