import os
import sys
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from test_stream import Stepping, noise

from segan import cli, live
from segan.stream import Streamer

FINE = SimpleNamespace(input_overflow=False, output_underflow=False)


def duplex(change=lambda wave: wave, rate=16000):
    return live.Duplex(Streamer(Stepping(change), rate), rate // 100)


def call(own, block, status=FINE, channels=2):
    """Return what the card is given, ``(n,)``, for a block that it gives."""
    out = np.full((len(block), channels), np.nan, np.float32)
    own.callback(block[:, None], out, len(block), None, status)
    assert (out == out[:, :1]).all()
    return out[:, 0]


def work(own):
    """Do what the thread would do by now."""
    own.incoming.put(None)
    own.work()
    assert own.error is None


def heard(own, wave, rests=()):
    """Return what is heard of ``wave``; before the callbacks in ``rests`` no work is done."""
    out = []
    for n, block in enumerate(np.split(wave, len(wave) // (own.streamer.rate // 100))):
        out.append(call(own, block))
        if n not in rests:
            work(own)
    return np.concatenate(out)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_the_microphone_is_heard_clean_and_as_late_as_stated(rate):
    own, wave = duplex(lambda wave: wave / 2, rate), np.sin(np.arange(rate) / 40).astype("f")
    out = heard(own, wave)
    assert not out[: own.delay].any() and own.dropped == 0
    late = slice(own.delay + 100, None)  # the wave begins abruptly, above the network's band too
    np.testing.assert_allclose(out[late], wave[100 : -own.delay] / 2, atol=1e-3)


def test_raw_is_the_original_as_late_and_without_a_click():
    own, wave = duplex(lambda wave: 0 * wave), noise(8000)
    first = heard(own, wave[:4000])
    own.raw = True
    second = heard(own, wave[4000:])
    late = np.concatenate([np.zeros(own.delay), wave])
    assert not first.any()
    np.testing.assert_allclose(second[:160], np.linspace(0, 1, 160) * late[4000:4160], atol=1e-6)
    np.testing.assert_allclose(second[160:], late[4160:8000], atol=1e-6)


def test_what_is_late_is_silence_and_counted_and_the_latency_stays():
    own, wave = duplex(), noise(16000)
    out = heard(own, wave, rests=range(20, 25))
    late = np.concatenate([np.zeros(own.delay), wave])[:16000]
    silent = out != late
    assert own.dropped in (5, 6) and (out[silent] == 0).all()
    assert 4 * 160 < silent.sum() <= 6 * 160
    np.testing.assert_array_equal(out[27 * 160 :], late[27 * 160 :])


def test_far_behind_it_gives_up_what_waits_and_keeps_its_place():
    own, wave = duplex(lambda wave: wave / 2), noise(32000)
    out = heard(own, wave, rests=range(20, 80))  # 0.6 s
    late = np.concatenate([np.zeros(own.delay), wave])[:32000]
    assert own.dropped in range(59, 64)
    np.testing.assert_allclose(out[88 * 160 :], late[88 * 160 :] / 2, atol=1e-6)


def test_what_the_card_lost_is_counted():
    own = duplex()
    call(own, noise(160), SimpleNamespace(input_overflow=True, output_underflow=False))
    call(own, noise(160), SimpleNamespace(input_overflow=True, output_underflow=True))
    assert own.dropped == 3


def test_the_callback_does_not_wait_for_the_network():
    held, begun = threading.Event(), threading.Event()

    def change(wave):
        begun.set()
        held.wait(10)
        return wave

    own = duplex(change)
    with own.working():
        for _ in range(2):
            call(own, noise(160))
        assert begun.wait(10)
        start = time.perf_counter()
        for _ in range(20):
            call(own, noise(160))
        assert time.perf_counter() - start < 5 and not held.is_set()
        held.set()
    assert own.dropped > 10 and own.error is None


def test_what_goes_wrong_in_the_thread_is_kept():
    def change(wave):
        raise RuntimeError("out of order")

    own = duplex(change)
    with own.working():
        for _ in range(4):
            call(own, noise(160))
    assert str(own.error) == "out of order"


def test_a_broken_microphone_poisons_nothing():
    own, wave = duplex(), noise(3200)
    wave[100] = np.nan
    assert np.isfinite(heard(own, wave)).all()


def test_status_tells_levels_latency_and_drops():
    own = duplex()
    own.dropped, own.raw = 7, True
    call(own, np.full(160, 0.1, np.float32))
    line = live.status(own, 0.02)
    assert "in [########....]  -20 dB  out [............]  -60 dB  raw " in line
    assert "latency 42 + 20 (device) = 62 ms  dropped 7" in line


class Library:
    """A stand-in for ``sounddevice``, whose card calls back for every block of ``wave``."""

    class PortAudioError(Exception):
        pass

    def __init__(self, wave=(), pause=0.0, fault=None):
        self.wave, self.pause, self.fault, self.out, self.options = wave, pause, fault, [], {}
        self.played = threading.Event()

    def query_devices(self, device=None, kind=None):
        if self.fault:
            raise self.fault
        if kind is None:
            return "0 Microphone\n1 Loudspeaker"
        return {"name": kind, "default_samplerate": 16000.0, "max_output_channels": 6}

    def Stream(self, callback, **options):
        self.callback, self.options = callback, options
        self.active, self.latency = True, (0.01, 0.02)
        self.thread = threading.Thread(target=self.play)
        return self

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join()

    def play(self):
        for block in np.split(self.wave, max(1, len(self.wave) // 160)):
            out = np.empty((len(block), 2), np.float32)
            self.callback(block[:, None], out, len(block), None, FINE)
            self.out.append(out[:, 0])
            time.sleep(self.pause)
        self.played.set()


@pytest.fixture
def run(monkeypatch, capsys):
    """Run ``segan-enhance --live`` with a library, a network and keys; return status and line."""

    def run(library, *arguments, network=None, pressed=None):
        monkeypatch.setitem(sys.modules, "sounddevice", library)
        monkeypatch.setattr(cli, "_stepper", lambda _: network or Stepping())
        if pressed:
            monkeypatch.setattr(live, "keys", pressed)
        status = cli.main([*(arguments or ["--live"])])
        captured = capsys.readouterr()
        return status, captured.out, captured.err.splitlines()

    return run


def until_played(library, *first):
    """Return ``live.keys`` that gives ``first`` and, when all is played, q."""

    @contextmanager
    def keys():
        given = iter(first)
        yield lambda: next(given, "q" if library.played.wait(10) else "")

    return keys


def test_live_plays_until_q_on_the_devices_that_are_named(run):
    library = Library(noise(4800), pause=0.004)
    status, out, lines = run(
        library,
        *["--live", "--input-device", "2", "--output-device", "Loud"],
        pressed=until_played(library, " "),
    )
    assert (status, out, lines) == (0, "", [])
    assert library.options["device"] == (2, "Loud") and library.options["channels"] == (1, 2)
    assert np.concatenate(library.out).shape == (4800,) and np.concatenate(library.out).any()


def test_live_counts_what_a_slow_network_does_not_get_done(run, monkeypatch):
    library, seen = Library(noise(160 * 30), pause=0.001), []

    def slow(wave):
        time.sleep(0.2)
        return wave

    original = live.Duplex
    monkeypatch.setattr(live, "Duplex", lambda *a: seen.append(original(*a)) or seen[-1])
    assert run(library, network=Stepping(slow), pressed=until_played(library))[0] == 0
    assert seen[0].dropped > 3


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (Library.PortAudioError("Error querying device -1"), "--live: no sound device is there;"),
        (ValueError("No input device matching 'x'"), "--live: No input device matching 'x';"),
    ],
)
def test_devices_that_are_not_there_are_named(run, fault, complaint):
    status, out, lines = run(Library(fault=fault))
    assert (status, out, len(lines)) == (2, "", 1)
    assert lines[0].startswith(f"segan-enhance: {complaint}") and "--list-devices" in lines[0]


def test_a_device_that_stops_ends_it(run):
    library = Library(noise(1600))

    @contextmanager
    def keys():
        def key():
            library.active = False
            return ""

        yield key

    assert run(library, pressed=keys)[2] == [
        "segan-enhance: --live: the sound device has stopped; was it unplugged?"
    ]


def test_a_network_that_fails_ends_it(run):
    def change(wave):
        raise RuntimeError("out of order")

    library = Library(noise(3200), pause=0.001)

    @contextmanager
    def keys():
        yield lambda: library.played.wait(10) and ""

    status, _, lines = run(library, network=Stepping(change), pressed=keys)
    assert (status, lines) == (2, ["segan-enhance: --live: out of order"])


def test_devices_are_listed_and_nothing_is_loaded(run):
    assert run(Library(), "--list-devices") == (0, "0 Microphone\n1 Loudspeaker\n", [])


def test_live_takes_no_files(run, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(Library(), "--live", "x.wav")
    assert "--live hears the microphone, not x.wav" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    ["--output x", "--force", "--raw 16000:1:s16le", "--stream", "--jobs 2", "--list x", "--log x"],
)
@pytest.mark.parametrize("way", ["--live", "--list-devices"])
def test_an_option_for_files_does_not_go_with_it(run, way, option):
    name = option.split()[0]
    line = f"segan-enhance: {name} doesn't go with --live; leave it out"
    assert run(Library(), way, *option.split()) == (2, "", [line])


def test_devices_go_with_it_alone(run):
    line = "segan-enhance: --input-device goes with --live alone; leave it out"
    assert run(Library(), "x.wav", "--input-device", "2") == (2, "", [line])


def test_without_the_library_its_extra_is_named(run):
    status, _, lines = run(None)
    assert status == 2
    assert lines == ['segan-enhance: --live needs sounddevice: pip install "segan[live]"']


def test_without_portaudio_its_package_is_named(run, monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(ValueError, match=r"PortAudio .*\(segan\[live\]\) .*apt install libporta"):
        live.devices()


@pytest.mark.skipif(os.name == "nt", reason="terminals are POSIX's")
def test_keys_come_at_once_and_the_terminal_is_put_back(monkeypatch):
    import termios

    keyboard, terminal = os.openpty()
    before = termios.tcgetattr(terminal)
    with open(terminal) as stdin, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        with live.keys() as key:
            assert key() == ""
            os.write(keyboard, b" q")
            assert [key(), key(), key()] == [" ", "q", ""]
        assert termios.tcgetattr(terminal) == before
    os.close(keyboard)


def test_windows_keys_come_at_once(monkeypatch):
    typed = list("q ")
    windows = SimpleNamespace(kbhit=lambda: bool(typed), getwch=lambda: typed.pop())
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    monkeypatch.setattr(live, "os", SimpleNamespace(name="nt"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with live.keys() as key:
        assert [key(), key(), key()] == [" ", "q", ""]


def test_without_a_terminal_no_key_is_pressed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with live.keys() as key:
        assert key() == ""
