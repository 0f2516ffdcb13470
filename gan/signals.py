"""Ctrl-C and SIGTERM: taken note of, or held back while processes start."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager

STOP = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def noted():
    """Give a list that the first SIGINT or SIGTERM is put into; a second one acts as ever."""
    stopped: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {number: signal.getsignal(number) for number in STOP}

    def stop(number, frame):
        stopped.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in STOP:
        signal.signal(number, stop)
    try:
        yield stopped
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


def forget(*numbers: signal.Signals) -> None:
    """Drop the signals that were held back since this process began; let later ones through."""
    if hasattr(signal, "pthread_sigmask"):
        before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
        for number, handler in before.items():
            signal.signal(number, handler)
