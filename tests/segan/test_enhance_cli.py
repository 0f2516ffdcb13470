import io
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile as sf
import torch

from gan.checkpoint import export
from segan import audio, cli, journal
from segan.generator import MaskGenerator


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Give the file of a real, tiny network that changes nothing yet."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    config = {"channels": 4, "dilations": [1], "level": 0.25}
    kind = {"_target_": "segan.generator.MaskGenerator"}
    export(path, MaskGenerator(**config), kind | config)
    return path


def command(*arguments):
    return [sys.executable, "-m", "segan.cli", *map(str, arguments)]


def noise(channels=1, length=4000):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (channels, length)).astype(np.float32)


def sound(path, wave=None, rate=16000, encoding=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, noise() if wave is None else wave, rate, encoding)
    return path


def names(folder):
    """Return the files below a folder, but for the table of what was done."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != journal.NAME)
    return sorted(p.relative_to(folder).as_posix() for p in files)


# What comes out


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_rate_channels_and_length_stay(run, tmp_path, rate, channels):
    wave = noise(channels, rate // 10 + 1)
    sound(tmp_path / "x.wav", wave, rate, "FLOAT")
    assert run("x.wav")[0] == 0
    out, out_rate = audio.read(tmp_path / "x.enhanced.wav")
    assert out_rate == rate and out.shape == wave.shape
    middle = slice(rate // 100, -rate // 100)
    np.testing.assert_allclose(out[:, middle], wave[:, middle] / 2, atol=1e-2)


@pytest.mark.parametrize(
    ("suffix", "encoding", "tolerance"),
    [
        ("wav", "PCM_U8", 2**-7),
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-23),
        ("wav", "PCM_32", 1e-7),
        ("wav", "FLOAT", 1e-7),
        ("wav", "DOUBLE", 1e-7),
        ("wav", "ULAW", 0.02),
        ("flac", "PCM_24", 2**-23),
        ("aiff", "PCM_16", 2**-15),
        ("au", "PCM_16", 2**-15),
        ("caf", "ALAC_16", 2**-15),
        ("w64", "PCM_24", 2**-23),
        ("rf64", "PCM_16", 2**-15),
        ("ogg", "VORBIS", None),
        ("opus", "OPUS", None),
        ("mp3", "MPEG_LAYER_III", None),
    ],
)
def test_container_and_encoding_stay(run, tmp_path, suffix, encoding, tolerance):
    time = np.arange(4800) / 16000
    given = sound(
        tmp_path / f"x.{suffix}", 0.5 * np.sin(2 * np.pi * 440 * time)[None], 16000, encoding
    )
    assert run(given)[0] == 0
    result = tmp_path / f"x.enhanced.{suffix}"
    with audio.open_audio(given) as before, audio.open_audio(result) as after:
        assert audio.format_of(after) == audio.format_of(before)
    (wave, _), (out, _) = audio.read(given), audio.read(result)
    assert out.shape == wave.shape
    np.testing.assert_allclose(out, wave / 2, atol=tolerance or 0.05)


@pytest.mark.parametrize("length", [1, 160])
def test_the_shortest_files_are_enhanced(run, tmp_path, length):
    sound(tmp_path / "x.wav", noise(1, length), 44100)
    assert run("x.wav")[0] == 0
    assert audio.read(tmp_path / "x.enhanced.wav")[0].shape == (1, length)


def test_silence_stays_silence(run, tmp_path):
    sound(tmp_path / "x.wav", np.zeros((1, 5000)), 48000)
    assert run("x.wav")[0] == 0
    assert not audio.read(tmp_path / "x.enhanced.wav")[0].any()


def test_a_share_is_kept(run, tmp_path):
    sound(tmp_path / "x.wav")
    assert run("x.wav", "--keep", "0.5")[0] == 0
    wave, out = (audio.read(tmp_path / name)[0] for name in ("x.wav", "x.enhanced.wav"))
    np.testing.assert_allclose(out, 0.75 * wave, atol=2**-15)


def test_another_suffix_is_another_format(run, tmp_path):
    sound(tmp_path / "x.wav", encoding="PCM_24")
    assert run("x.wav", "-o", "clean.flac")[0] == 0
    with audio.open_audio(tmp_path / "clean.flac") as result:
        assert audio.format_of(result)[:2] == ("FLAC", "PCM_24")
    status, lines = run("x.wav", "-o", "clean.opus", "--raw", "44100:1:s16le")
    assert status == 2 and "OPUS does not take 1 channel at 44100 Hz" in lines[0]
    assert names(tmp_path) == ["clean.flac", "x.wav"]


def test_a_format_that_cannot_be_written_becomes_wav_and_is_said(run, tmp_path, monkeypatch):
    sound(tmp_path / "x.mp3")
    writes = audio._writes
    monkeypatch.setattr(audio, "_writes", lambda form: form.container != "MP3" and writes(form))
    status, lines = run("x.mp3")
    assert status == 0 and "x.mp3: MP3 MPEG_LAYER_III is read but not written" in lines[0]
    with audio.open_audio(tmp_path / "x.enhanced.wav") as result:
        assert result.format == "WAV"


def test_the_last_line_sums_up(run, tmp_path):
    sound(tmp_path / "x.wav", noise(2, 24000))
    (line,) = run("x.wav")[1]
    number = r"[\d.e-]+"
    assert re.fullmatch(
        rf"1 file -> x\.enhanced\.wav, 0 failed; 1\.5 s of audio in {number} s, "
        rf"real-time factor {number}",
        line,
    )
    assert run("x.wav", "--quiet", "--force") == (0, [])


# Which files, to where


@pytest.fixture
def tree(tmp_path):
    for name in ("in/a.wav", "in/b.FLAC", "in/b.enhanced.flac", "in/.c.wav", "in/deep/ü d.wav"):
        sound(tmp_path / name)
    (tmp_path / "in/notes.txt").write_text("no sound")
    return tmp_path


def test_a_folder_means_its_own_sound_files(run, tree):
    assert run("in", "-o", "out")[0] == 0
    assert names(tree / "out") == ["a.wav", "b.FLAC"]


def test_a_tree_keeps_its_shape_and_is_not_enhanced_twice(run, tree):
    assert run("-r", "in", "-o", "in/out")[0] == 0
    assert names(tree / "in/out") == ["a.wav", "b.FLAC", "deep/ü d.wav"]
    assert run("-r", "in", "-o", "in/out", "-f")[0] == 0
    assert names(tree / "in/out") == ["a.wav", "b.FLAC", "deep/ü d.wav"]


def test_patterns_are_expanded_and_skip_outputs(run, tree):
    status, lines = run("in/**/*.wav", "in/*.enhanced.*", "-o", "out")
    assert status == 2 and "only earlier outputs" in lines[0]
    assert names(tree / "out") == ["a.wav", "ü d.wav"]


def test_what_is_not_there_is_named_and_the_rest_goes_on(run, tree):
    status, lines = run("gone.wav", "in/a.wav", "*.xyz")
    assert status == 2 and lines[0].startswith("gone.wav: no such file")
    assert lines[1].startswith("*.xyz: no such file") and lines[2].startswith("3 files, 2 failed")
    assert (tree / "in/a.enhanced.wav").exists()


def test_a_folder_without_sound_is_named(run, tree):
    (tree / "empty").mkdir()
    status, lines = run("empty")
    assert status == 2 and "empty: no sound files in it" in lines[0] and "-r" in lines[0]


def test_two_inputs_do_not_share_an_output(run, tree):
    sound(tree / "other/a.wav")
    status, lines = run("in/a.wav", "other/a.wav", "-o", "out")
    assert status == 2 and "its output out/a.wav is also that of" in lines[0].replace("\\", "/")
    assert names(tree / "out") == ["a.wav"]


def test_one_place_does_not_hold_many(run, tree):
    status, lines = run("in", "-o", "out.wav")
    assert status == 2 and lines == ["-o out.wav: one place for 2 inputs; name a folder"]


def test_nothing_is_overwritten_unasked(run, tmp_path):
    sound(tmp_path / "x.wav")
    (tmp_path / "x.enhanced.wav").write_text("precious")
    status, lines = run("x.wav")
    assert status == 2 and "x.enhanced.wav: exists; --force overwrites it" in lines[0]
    assert (tmp_path / "x.enhanced.wav").read_text() == "precious"
    assert run("x.wav", "--force")[0] == 0
    assert audio.read(tmp_path / "x.enhanced.wav")[0].shape == (1, 4000)


@pytest.mark.parametrize("where", [["-o", "x.wav"], ["-o", "."], ["-o", "link.wav"]])
def test_an_input_is_never_overwritten(run, tmp_path, where):
    before = sound(tmp_path / "x.wav").read_bytes()
    os.link(tmp_path / "x.wav", tmp_path / "link.wav")
    status, lines = run("x.wav", *where, "--force")
    assert status == 2 and lines[0].startswith("x.wav: its output") and "-o" in lines[0]
    assert (tmp_path / "x.wav").read_bytes() == before


# What cannot be used


def bad_files(folder):
    wave = noise(1, 8000)
    wave[0, 4000] = np.nan
    sound(folder / "nan.wav", wave, 16000, "FLOAT")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no sound\n" * 10)
    (folder / "header.wav").write_bytes((folder / "nan.wav").read_bytes()[:44])


def test_a_batch_survives_its_bad_files(run, tmp_path):
    bad_files(tmp_path)
    sound(tmp_path / "good.wav")
    before = names(tmp_path)
    status, lines = run(".")
    assert status == 2
    complaints = "\n".join(lines[:-1])
    assert "empty.wav: empty (0 bytes)" in complaints
    assert "text.wav: format not recognised" in complaints
    assert "nan.wav: nan at sample 4000 (0.250 s) of channel 1" in complaints
    assert "header.wav: " in complaints and len(lines) == 5
    assert lines[-1].startswith("5 files, 4 failed")
    assert names(tmp_path) == sorted([*before, "good.enhanced.wav"])  # nothing half-written


def test_a_truncated_file_is_enhanced_as_far_as_it_goes_and_said(run, tmp_path):
    whole = sound(tmp_path / "whole.wav", noise(1, 16000)).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: 44 + 16000])
    status, lines = run("cut.wav")
    assert status == 0 and "cut.wav: ends after 0.500 s of the 1.000 s" in lines[0]
    assert audio.read(tmp_path / "cut.enhanced.wav")[0].shape == (1, 8000)


def test_a_place_that_cannot_be_written_is_named(run, tmp_path):
    sound(tmp_path / "x.wav")
    (tmp_path / "file").write_text("no folder")
    status, lines = run("x.wav", "-o", "file/below/x.wav")
    assert status == 2 and "cannot write there" in lines[0] and "-o" in lines[0]
    assert names(tmp_path) == ["file", "x.wav"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="who may write anywhere")
def test_an_unwritable_folder_is_named(run, tmp_path):
    sound(tmp_path / "shut/x.wav")
    (tmp_path / "shut").chmod(0o500)
    status, lines = run("shut/x.wav")
    (tmp_path / "shut").chmod(0o700)
    assert status == 2 and "shut: cannot write there (Permission denied)" in lines[0]


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
def test_a_full_disk_is_one_line_and_leaves_nothing(run, tmp_path):
    import resource

    sound(tmp_path / "x.wav", noise(1, 64000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50000, limits[1]))
    try:
        status, lines = run("x.wav")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 2 and "is the disk full?" in lines[0] and names(tmp_path) == ["x.wav"]


def test_a_model_or_device_that_will_not_do_is_one_line(tmp_path, capsys, model):
    given = sound(tmp_path / "x.wav")
    (tmp_path / "bad.safetensors").write_text("no weights")
    for option, place in (("--model", tmp_path / "bad.safetensors"), ("--model", "gone")):
        assert cli.main([str(given), option, str(place)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and str(place) in error
    assert cli.main([str(given), "--model", str(model), "--device", "toaster"]) == 2
    assert "device toaster" in capsys.readouterr().err
    assert names(tmp_path) == ["bad.safetensors", "x.wav"]


@pytest.mark.parametrize(
    "option", [["--keep", "1.5"], ["--jobs", "0"], ["--raw", "16k"], ["--bogus"]]
)
def test_options_that_make_no_sense_are_refused(capsys, option):
    with pytest.raises(SystemExit) as stop:
        cli.main(["x.wav", *option])
    assert stop.value.code == 2 and option[0] in capsys.readouterr().err


# The command as a process


def test_help_and_version_import_nothing_heavy():
    for flag, expected in (("--help", "examples:"), ("--version", "segan-enhance ")):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "segan.cli", flag],
            capture_output=True,
            text=True,
            check=True,
        )
        assert expected in done.stdout
        imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
        assert "argparse" in imported
        assert imported.isdisjoint({"torch", "numpy", "soundfile", "soxr", "tqdm", "scipy"})


def test_a_wav_goes_through_a_pipe(model, tmp_path):
    content = sound(tmp_path / "x.wav", noise(2, 9000), 22050).read_bytes()
    done = subprocess.run(command("-", "--model", model), input=content, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    out, rate = sf.read(io.BytesIO(done.stdout), dtype="float32")
    assert rate == 22050
    np.testing.assert_allclose(out.T, audio.read(tmp_path / "x.wav")[0], atol=1e-3)


def test_raw_samples_go_through_a_pipe(model):
    samples = (noise(2, 5000).T * 32000).astype("<i2")
    done = subprocess.run(
        command("-", "--raw", "16000:2:s16le", "--model", model, "-q"),
        input=samples.tobytes(),
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    np.testing.assert_allclose(np.frombuffer(done.stdout, "<i2").reshape(-1, 2), samples, atol=40)


def test_an_empty_pipe_is_one_line(model):
    done = subprocess.run(command("-", "--model", model, "-q"), input=b"", capture_output=True)
    assert done.returncode == 2 and done.stdout == b""
    assert done.stderr.startswith(b"segan-enhance: standard input: empty")


def test_several_processes_do_what_one_does(model, tmp_path):
    (tmp_path / "in").mkdir()
    bad_files(tmp_path / "in")
    for name in "abc":
        sound(tmp_path / "in" / f"{name}.wav", noise(2, 20000), 44100)
    for jobs in (1, 2):
        done = subprocess.run(
            command(tmp_path / "in", "-o", tmp_path / str(jobs), "--jobs", jobs, "--model", model),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2 and "7 files, 4 failed" in done.stderr
        assert done.stderr.count("\n") == 5, done.stderr
    assert names(tmp_path / "1") == names(tmp_path / "2") == ["a.wav", "b.wav", "c.wav"]
    for name in names(tmp_path / "1"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_leaves_nothing_behind(model, tmp_path, jobs):
    for name in ("a.flac", "b.flac"):
        with audio.Writer(
            tmp_path / name, audio.Format("FLAC", "PCM_16", "FILE", 16000, 1)
        ) as file:
            for _ in range(20):
                file.write(np.zeros((1, 30 * 16000), np.float32))
    process = subprocess.Popen(
        command(tmp_path, "--model", model, "--jobs", jobs), stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob(".segan-*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "segan-enhance: interrupted\n")
    assert names(tmp_path) == ["a.flac", "b.flac"]


@pytest.mark.skipif(os.name == "nt", reason="needs the resource module")
@pytest.mark.slow
def test_memory_does_not_grow_with_length(model, tmp_path):
    for name, seconds in (("short.flac", 10), ("long.flac", 240)):
        with audio.Writer(
            tmp_path / name, audio.Format("FLAC", "PCM_16", "FILE", 22050, 1)
        ) as file:
            for _ in range(seconds // 10):
                file.write(noise(1, 220500))
    code = (
        "import resource, sys; from segan.cli import main\n"
        "for name in sys.argv[1:3]:\n"
        "    assert main([name, '-q', '--model', sys.argv[3]]) == 0\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    files = [tmp_path / "short.flac", tmp_path / "long.flac"]
    done = subprocess.run(
        [sys.executable, "-c", code, *files, model], capture_output=True, text=True, check=True
    )
    short, long = map(int, done.stdout.split())
    assert long <= 1.3 * short


def test_threads_are_those_asked_for(run, tmp_path):
    sound(tmp_path / "x.wav")
    before = torch.get_num_threads()
    try:
        assert run("x.wav", "--threads", "3")[0] == 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
