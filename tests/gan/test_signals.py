"""Signals: the first is noted, or ends what can be dropped; the second acts as ever."""

import signal
import threading

import pytest

from gan import signals

BOTH = pytest.mark.parametrize("number", signals.STOP)


@pytest.fixture
def received():
    """Answer the signals with a list that they are put into."""
    numbers = []
    before = {
        number: signal.signal(number, lambda number, frame: numbers.append(number))
        for number in signals.STOP
    }
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def later(monkeypatch):
    """Let a second signal come later than an echo of the first."""
    monkeypatch.setattr(signals, "ECHO", -1)


@BOTH
def test_the_first_is_noted_and_the_second_acts_as_ever(received, later, number):
    with signals.noted() as note:
        assert note.number == 0
        signal.raise_signal(number)
        assert (note.number, received) == (number, [])
        signal.raise_signal(number)
    assert (note.number, received) == (number, [number])


@BOTH
def test_one_that_comes_right_after_is_the_same_one(received, number):
    with signals.noted() as note:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(number)
    assert (note.number, received) == (signal.SIGTERM, [])


def test_afterwards_all_signals_act_as_ever(received):
    with signals.noted():
        pass
    for number in signals.STOP:
        signal.raise_signal(number)
    assert received == list(signals.STOP)


@BOTH
def test_a_signal_ends_a_stretch_at_once_past_whoever_catches_exceptions(received, number):
    done = []
    with signals.noted() as note:
        with pytest.raises(signals.Stopped, match=number.name) as stopped, note.raising():
            try:
                signal.raise_signal(number)
                done.append("the rest")
            except Exception:
                done.append("mended")
        assert stopped.value.number == note.number == number
    assert not done
    assert not received


def test_a_stretch_is_not_begun_after_a_signal(received):
    done = []
    with signals.noted() as note:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(signals.Stopped), note.raising():
            done.append("begun")
    assert not done


def test_after_a_stretch_signals_are_noted_again(received):
    with signals.noted() as note:
        with note.raising():
            pass
        signal.raise_signal(signal.SIGTERM)
        assert note.number == signal.SIGTERM


def test_a_second_signal_acts_as_ever_whatever_the_first_was(received, later):
    with signals.noted() as note:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert (note.number, received) == (signal.SIGTERM, [signal.SIGTERM])


def test_in_another_thread_nothing_is_taken_over(received):
    seen = []

    def work():
        with signals.noted() as note, note.raising():
            seen.append((note.number, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(0, before)]


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals can't be blocked here")
def test_a_signal_held_back_comes_after_the_block(received):
    with signals.held_back(signal.SIGTERM):
        signal.raise_signal(signal.SIGTERM)
        assert not received
    assert received == [signal.SIGTERM]
