import io
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile as sf
import torch
from test_stream import NETWORK, Stepping, noise, streamed

from gan.checkpoint import export
from segan import cli, pipe
from segan.generator import BandGenerator
from segan.stream import Streamer

HALF = Stepping(lambda wave: wave / 2)


def wav(wave, rate=16000, subtype="FLOAT"):
    file = io.BytesIO()
    sf.write(file, wave.T, rate, subtype, format="WAV")
    return file.getvalue()


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """Run ``segan-enhance --stream`` on bytes; give its status, output and lines of complaint."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, data=b"", network=HALF):
        monkeypatch.setattr(cli, "_stepper", lambda _: network)
        (tmp_path / "stdin").write_bytes(data)
        with open("stdin", "rb") as source, open("stdout", "wb") as target:
            monkeypatch.setattr(sys, "stdin", source)
            monkeypatch.setattr(sys, "stdout", target)
            status = cli.main(["--stream", *map(str, arguments)])
        lines = capfd.readouterr().err.replace("segan-enhance: ", "").splitlines()
        return status, (tmp_path / "stdout").read_bytes(), lines

    return run


@pytest.mark.parametrize("arguments", ["-", "- -", "- -o -"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_wav_comes_out_as_one(run, arguments, rate):
    wave = noise(2, rate // 5)
    status, out, lines = run(*arguments.split(), data=wav(wave, rate), network=NETWORK)
    got, got_rate = sf.read(io.BytesIO(out), dtype="float32")
    assert (status, lines, got_rate) == (0, [], rate)
    np.testing.assert_allclose(got.T, streamed(Streamer(NETWORK, rate, 2), wave), atol=1e-5)


@pytest.mark.parametrize(
    "option",
    [
        "--recursive",
        "--list x",
        "--wav-scp x",
        "--log x",
        "--jobs 2",
        "--ray auto",
        "--input-device x",
    ],
)
def test_an_option_for_files_does_not_go_with_a_stream(run, option):
    status, out, lines = run("x.wav", "y.wav", *option.split())
    line = f"{option.split()[0]} doesn't go with --stream; leave it out"
    assert (status, out, lines) == (2, b"", [line])


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8", "ULAW"])
def test_the_encoding_stays(run, subtype):
    data = wav(noise(1, 3001), 8000, subtype)
    _, out, _ = run("-", data=data, network=Stepping())
    (before, _), (after, _) = (sf.read(io.BytesIO(sound)) for sound in (data, out))
    np.testing.assert_array_equal(after, before)
    assert sf.info(io.BytesIO(out)).subtype == subtype


def test_a_wav_without_end_is_read_to_its_end(run):
    data = wav(noise(1, 5000))
    endless = data.replace(data[4:8], b"\xff" * 4).replace((20000).to_bytes(4, "little"), b"\0" * 4)
    assert endless != data
    status, out, lines = run("-", data=endless)
    assert (status, lines) == (0, [])
    assert out.index(b"data\xff\xff\xff\xff") > 0
    np.testing.assert_allclose(np.frombuffer(out[-20000:], "<f4"), noise(1, 5000)[0] / 2, atol=1e-6)


def test_headerless_samples_come_out_headerless(run):
    data = (1000 * noise(2, 4000).T).astype(">i2").tobytes()
    status, out, _ = run("--raw", "48000:2:s16be", "-", "-", data=data, network=Stepping())
    assert (status, out) == (0, data)


def test_a_share_of_the_original_is_kept(run):
    _, out, _ = run("--raw", "16000:1:f32", "--keep", "0.5", "-", data=noise(900).tobytes())
    np.testing.assert_allclose(np.frombuffer(out, "<f4"), 0.75 * noise(900), atol=1e-6)


def test_files_have_true_headers_and_stay_where_they_exist(run, tmp_path):
    (tmp_path / "in.wav").write_bytes(wav(noise(1, 3001), 16000, "PCM_U8"))
    assert run("in.wav", "out.wav", network=Stepping())[:2] == (0, b"")
    assert (tmp_path / "out.wav").read_bytes() == (tmp_path / "in.wav").read_bytes()
    assert run("in.wav", "out.wav")[2] == ["out.wav: exists; --force overwrites it"]
    assert run("in.wav", "out.wav", "--force")[0] == 0
    assert run("in.wav", "in.wav", "--force")[2] == [
        "in.wav: its output would replace it; choose another name"
    ]


def test_a_wav_that_ends_too_soon_is_used_and_named(run):
    status, out, lines = run("-", data=wav(noise(1, 5000))[:-4000])
    assert status == 0
    assert np.frombuffer(out[-16000:], "<f4").shape == (4000,)
    assert lines == ["standard input: ends 0.062 s before its header says; what is there is used"]
    assert run("-", "-q", data=wav(noise(1, 5000))[:-4000])[2] == []


@pytest.mark.parametrize(
    ("arguments", "data", "complaint"),
    [
        ("-", b"", "standard input: ends before any sound"),
        ("-", b"OggS" * 20, "standard input: no WAV"),
        ("- x y", b"", "--stream: 3 files; one INPUT and one OUTPUT"),
        ("none.wav", b"", "none.wav: no such file"),
        ("--raw 16000:1:f32le -", b"\xff" * 40, "standard input: not finite at sample 0"),
        ("--raw 16000:1:f64le -", b"\x7e" * 40, "standard input: not finite at sample 0"),
        ("- no/such/folder.wav", wav(noise(1, 9)), "no/such/folder.wav: no such file"),
    ],
)
def test_what_cannot_be_streamed_is_named_in_one_line(run, arguments, data, complaint):
    status, out, lines = run(*arguments.split(), data=data)
    assert (status, out, len(lines)) == (2, b"", 1)
    assert lines[0].startswith(complaint)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_is_named(run):
    lines = run("-", "/dev/full", data=wav(noise(1, 900)))[2]
    assert lines == ["/dev/full: no space left on device"]


@pytest.mark.parametrize(("stop", "expected"), [(KeyboardInterrupt, 130), (SystemExit(143), 143)])
def test_what_was_out_before_an_interruption_stays(run, tmp_path, stop, expected):
    def change(wave):
        if wave.any():
            raise stop
        return wave

    wave = np.zeros((1, 48000), np.float32)
    wave[:, 40000:] = 1
    (tmp_path / "in.wav").write_bytes(wav(wave))
    try:
        status = run("in.wav", "out.wav", network=Stepping(change))[0]
    except SystemExit as error:
        status = error.code
    got, _ = sf.read(tmp_path / "out.wav")
    assert status == expected
    assert 16000 < len(got) <= 40000  # 64 KiB are read at a time, half a second worked on


@pytest.fixture
def piped(monkeypatch):
    """Enhance what is written to a pipe in a thread; give both ends and the thread."""
    ends = []

    def piped(network=HALF):
        (source, written), (read, target) = os.pipe(), os.pipe()
        monkeypatch.setattr(sys, "stdin", os.fdopen(source, "rb"))
        monkeypatch.setattr(sys, "stdout", os.fdopen(target, "wb"))
        raw = cli.parser().parse_args(["--raw", "16000:1:f32", "-"]).raw
        thread = threading.Thread(target=lambda: errors.extend(caught(network, raw)))
        errors = []
        ends.extend([written, read])
        thread.start()
        return os.fdopen(written, "wb", buffering=0), os.fdopen(read, "rb"), thread, errors

    def caught(network, raw):
        try:
            pipe.enhance("-", "-", network, raw=raw)
        except BaseException as error:
            yield error
        finally:
            sys.stdout.close()

    return piped


def test_samples_are_out_as_soon_as_they_are_clean(piped):
    into, out, thread, errors = piped()
    wave = noise(16 * 160)
    for n in range(16):
        into.write(wave[160 * n : 160 * (n + 1)].tobytes())
        due = max(0, (n + 1) * 160 // 256 - 1) - max(0, n * 160 // 256 - 1)
        got = np.frombuffer(out.read(4 * 256 * due), "<f4")  # would wait for ever
        start = max(0, n * 160 // 256 - 1) * 256
        np.testing.assert_allclose(got, wave[start : start + len(got)] / 2)
    into.close()
    assert len(out.read()) == 4 * (16 * 160 - start - len(got))
    thread.join(10)
    out.close()
    assert not thread.is_alive() and not errors


def test_a_reader_that_goes_away_ends_it_without_a_word(piped):
    into, out, thread, errors = piped()
    into.write(noise(1000).tobytes())
    assert len(out.read(4 * 256)) == 4 * 256
    out.close()
    while thread.is_alive():
        try:
            into.write(noise(1000).tobytes())
        except BrokenPipeError:
            break
        thread.join(0.02)
    into.close()
    thread.join(10)
    assert not thread.is_alive() and not errors


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_a_signal_to_the_program_leaves_what_was_out(tmp_path):
    torch.manual_seed(0)
    config = {"channels": 4, "dilations": [1], "narrow": 2, "hidden": 4, "causal": True}
    kind = {"_target_": "segan.generator.BandGenerator"}
    export(tmp_path / "tiny.safetensors", BandGenerator(**config), kind | config)
    command = [sys.executable, "-m", "segan.cli", "--stream", "--model", "tiny.safetensors"]
    with subprocess.Popen(
        [*command, "--raw", "16000:1:f32", "-", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    ) as process:
        process.stdin.write(noise(1000).tobytes())
        process.stdin.flush()
        got = np.frombuffer(process.stdout.read(4 * 512), "<f4")
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate()
    np.testing.assert_allclose(got, noise(1000)[:512], atol=1e-5)
    assert (process.returncode, complaint) == (130, b"segan-enhance: interrupted\n")
