"""Ctrl-C and SIGTERM: taken note of, held back while processes start, or made to tidy up."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from time import monotonic

ECHO = 1.0  # seconds
STOP = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal came in a stretch that it may end; ``number`` is the signal's.

    No ``Exception``, as ``KeyboardInterrupt`` is none: who mends one bad file must not catch it.
    """

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


class Note:
    """The first signal since ``noted`` began: its ``number``, 0 where none has come."""

    def __init__(self):
        self.number, self.time = 0, 0.0
        self.ends_the_stretch = False

    @contextmanager
    def raising(self):
        """Let the signal end this block at once, by ``Stopped``, also one that came before it.

        It is for work that can be dropped, such as a validation, which would use up the time that
        is granted between the signal and the kill.
        """
        self.ends_the_stretch = True
        try:
            if self.number:
                raise Stopped(self.number)
            yield
        finally:
            self.ends_the_stretch = False

    def take(self, number: int) -> None:
        """Note a signal; end the stretch where one is open."""
        self.number = int(number)
        if self.ends_the_stretch:
            raise Stopped(self.number)


@contextmanager
def noted():
    """Give the ``Note`` of the first SIGINT or SIGTERM; a second one acts as ever.

    One that follows within a second is the same one, told by somebody else: by a queue, say, and by
    torchrun.

    Only the main thread is sent signals: in another one the note stays empty.
    """
    note = Note()
    if threading.current_thread() is not threading.main_thread():
        yield note
        return
    before = {number: signal.getsignal(number) for number in STOP}

    def stop(number, frame):
        if note.number and monotonic() > note.time + ECHO:
            for each, handler in before.items():
                signal.signal(each, handler)
            signal.raise_signal(number)
        elif not note.number:
            note.time = monotonic()
            note.take(number)

    for number in STOP:
        signal.signal(number, stop)
    try:
        yield note
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_back(*numbers: signal.Signals):
    """Deliver signals only after the block; processes started in it have them blocked."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def exit_on_terminate() -> None:
    """Let SIGTERM end this program by ``SystemExit`` with status 143.

    Unlike the default, that removes what is half-written and ends the processes that work for it.
    Only the main thread is sent signals: in another one nothing changes.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _) -> None:
    sys.exit(128 + number)


def forget(*numbers: signal.Signals) -> None:
    """Drop the signals that were held back since this process began; let later ones through."""
    if hasattr(signal, "pthread_sigmask"):
        before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
        for number, handler in before.items():
            signal.signal(number, handler)
