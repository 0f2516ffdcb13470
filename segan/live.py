"""``segan-enhance --live``: from the microphone to the loudspeaker, through ``sounddevice``.

The sound card's callback must not wait. It only copies: the block that came in goes into a queue,
the samples that are due come out of another. The network works in a thread between the two and has
a block's time for a block; what it does not get done is heard as silence, counted, and left out
when it comes, so that the latency stays. A network that falls far behind starts anew.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

import numpy as np

from segan.stream import Streamer

BLOCK = 0.01  # seconds between callbacks
BEHIND = 0.5  # seconds of sound waiting for the network, beyond which they are given up
FLOOR = -60  # dB at which the meters begin
SWITCH = 0.0005  # seconds that Python's threads make one another wait, at most


class Duplex:
    """Blocks from a microphone on their way to a loudspeaker.

    ``callback`` is the sound card's, ``work`` runs in a thread of its own.

    Args:
        streamer: cleans one channel.
        block: samples of a block.

    Attributes:
        raw: set to hear the original, as late as the clean sound.
        dropped: blocks that were lost or late, on the way in or out.
        peaks: of the input and the output, since they were last set to 0.
        error: what ended the work, or None.
    """

    def __init__(self, streamer: Streamer, block: int):
        self.streamer, self.raw, self.dropped, self.peaks = streamer, False, 0, [0.0, 0.0]
        self.error: Exception | None = None
        self.delay = block + streamer.delay - 1  # until a block's samples are surely clean
        self.most = int(BEHIND * streamer.rate)
        self.incoming: SimpleQueue = SimpleQueue()  # blocks (n,); None at the end
        self.ready = deque([np.zeros((2, self.delay), np.float32)])  # clean above raw, (2, n)
        self.original = np.zeros(0, np.float32)  # fed, but not out yet
        self.missed = 0  # samples that came too late, or not yet
        self.share = 0.0  # of the original in the output

    def callback(self, indata, outdata, frames: int, when, status) -> None:
        """Take a block and give one; what PortAudio calls. ``(n, 1)`` in, ``(n, C)`` out."""
        del when
        self.dropped += bool(status.input_overflow) + bool(status.output_underflow)
        self.incoming.put(indata[:, 0].copy())
        clean, raw = self._due(frames)
        share = np.linspace(self.share, float(self.raw), frames, dtype=np.float32)  # no click
        self.share = float(self.raw)
        outdata[:] = (clean + share * (raw - clean))[:, None]
        for i, wave in enumerate((indata, outdata)):
            self.peaks[i] = max(self.peaks[i], float(np.abs(wave).max()))

    def _due(self, frames: int) -> np.ndarray:
        """Return the samples to be heard now, ``(2, n)``: silence where they aren't ready."""
        parts, missing = [np.zeros((2, 0), np.float32)], frames
        while self.ready and missing:
            part = self.ready.popleft()
            late, self.missed = part[:, self.missed :], max(0, self.missed - part.shape[1])
            if late.shape[1] > missing:
                self.ready.appendleft(late[:, missing:])
            parts.append(late[:, :missing])
            missing -= parts[-1].shape[1]
        if missing:
            self.missed += missing
            self.dropped += 1
            parts.append(np.zeros((2, missing), np.float32))
        return np.concatenate(parts, axis=1)

    def work(self) -> None:
        """Clean the blocks as they come, until None does."""
        try:
            while (block := self.incoming.get()) is not None:
                self._clean(np.concatenate([block, *self._waiting()]))
        except Exception as error:
            self.error = error

    def _waiting(self) -> Iterator[np.ndarray]:
        """Yield the blocks that have come meanwhile; one that is late is worked on with them."""
        while True:
            try:
                block = self.incoming.get_nowait()
            except Empty:
                return
            if block is None:
                self.incoming.put(None)
                return
            yield block

    def _clean(self, wave: np.ndarray) -> None:
        if len(wave) > self.most:
            self.ready.append(np.zeros((2, len(wave)), np.float32))  # in their place, mostly missed
            return
        wave = np.nan_to_num(wave)
        self.original = np.concatenate([self.original, wave])
        clean = self.streamer.feed(wave)
        raw, self.original = self.original[: len(clean)], self.original[len(clean) :]
        self.ready.append(np.stack([clean, raw]))

    @contextmanager
    def working(self) -> Iterator[None]:
        """Keep the thread running, and Python's threads from holding one another up."""
        interval = sys.getswitchinterval()
        thread = threading.Thread(target=self.work, name="segan-live", daemon=True)
        sys.setswitchinterval(SWITCH)
        thread.start()
        try:
            yield
        finally:
            self.incoming.put(None)
            thread.join()
            sys.setswitchinterval(interval)


def run(network, keep: float = 0.0, source: str | None = None, target: str | None = None) -> None:
    """Clean what the microphone hears until q is pressed.

    Args:
        network: what ``Streamer`` takes.
        keep: share of the original that is blended in.
        source, target: device by name, part of it, or number; None is the system's.

    Raises ValueError where the library or a device is missing or stops.
    """
    library = _library()
    with _complaints(library):
        devices = _device(source), _device(target)
        microphone = library.query_devices(devices[0], "input")
        speaker = library.query_devices(devices[1], "output")
    rate = round(microphone["default_samplerate"])
    block = round(BLOCK * rate)
    duplex = Duplex(Streamer(network, rate, keep=keep), block)
    with duplex.working(), keys() as key, _complaints(library):
        stream = library.Stream(
            samplerate=rate,
            blocksize=block,
            device=devices,
            channels=(1, min(2, speaker["max_output_channels"])),
            dtype="float32",
            latency="low",
            callback=duplex.callback,
        )
        with stream:
            _say(f"{microphone['name']} -> {speaker['name']}, {rate} Hz\n{KEYS}\n")
            try:
                _watch(duplex, stream, key)
            finally:
                _say("\n")


KEYS = "space: raw or clean   q: quit"


def _watch(duplex: Duplex, stream, key: Callable[[], str]) -> None:
    """Show how it goes and do what the keys say, until one says to end it."""
    while True:
        pressed = key()
        if pressed in ("q", "\x1b"):
            return
        if pressed == " ":
            duplex.raw = not duplex.raw
        if duplex.error:
            raise ValueError(f"--live: {duplex.error}")
        if not stream.active:
            raise ValueError("--live: the sound device has stopped; was it unplugged?")
        _say("\r" + status(duplex, sum(stream.latency)))
        duplex.peaks = [0.0, 0.0]
        time.sleep(0.1)


def status(duplex: Duplex, device: float) -> str:
    """Return a line: levels, what is heard, latency with the device's (in seconds), and drops."""
    own = duplex.delay / duplex.streamer.rate
    levels = "  ".join(
        f"{name} {meter(peak)}" for name, peak in zip(("in", "out"), duplex.peaks, strict=True)
    )
    heard = "raw  " if duplex.raw else "clean"
    times = f"{1e3 * own:.0f} + {1e3 * device:.0f} (device) = {1e3 * (own + device):.0f} ms"
    return f"{levels}  {heard}  latency {times}  dropped {duplex.dropped}"


def meter(peak: float, width: int = 12) -> str:
    """Return a level as a bar and in dB of full scale.

    >>> meter(0.1)
    '[########....]  -20 dB'
    """
    level = 20 * np.log10(max(peak, 1e-9))
    filled = round(width * min(1, max(0, 1 - level / FLOOR)))
    return f"[{'#' * filled}{'.' * (width - filled)}] {max(level, FLOOR):4.0f} dB"


def devices() -> str:
    """Return a table of the sound devices. Raises ValueError where the library is missing."""
    library = _library()
    with _complaints(library):
        return str(library.query_devices()) or "no sound devices"


def _device(text: str | None) -> int | str | None:
    return int(text) if text and text.isdigit() else text


def _library():
    try:
        import sounddevice
    except ImportError:
        raise ValueError('--live needs sounddevice: pip install "segan[live]"') from None
    except OSError:
        raise ValueError(
            "--live needs the PortAudio library, which sounddevice (segan[live]) did not find; "
            "apt install libportaudio2, or brew install portaudio"
        ) from None
    return sounddevice


@contextmanager
def _complaints(library) -> Iterator[None]:
    """Say in one line what PortAudio, or the choice of a device, complains of."""
    try:
        yield
    except library.PortAudioError as error:
        reason = str(error)
    except ValueError as error:
        if str(error).startswith("--live"):
            raise
        reason = str(error)
    else:
        return
    line = " ".join(reason.split()).replace("Error querying device -1", "no sound device is there")
    raise ValueError(f"--live: {line}; --list-devices names what there is")


@contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """Give a function that returns the key pressed meanwhile, or "", and never waits.

    The terminal is as it was afterwards.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        yield lambda: ""
    elif os.name == "nt":
        import msvcrt

        yield lambda: msvcrt.getwch() if msvcrt.kbhit() else ""
    else:
        with _unbuffered(sys.stdin.fileno()) as key:
            yield key


@contextmanager
def _unbuffered(number: int) -> Iterator[Callable[[], str]]:
    """Give ``keys`` of a POSIX terminal."""
    import select
    import termios
    import tty

    def key() -> str:
        ready, _, _ = select.select([number], [], [], 0)
        return os.read(number, 1).decode(errors="replace") if ready else ""

    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        yield key
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _say(text: str) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        print(text, end="", file=sys.stderr, flush=True)
