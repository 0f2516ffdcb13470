"""Odd and hostile sound files through segan-enhance: an output like the input, or one line."""

import os
import subprocess
import sys
import warnings

import make_odd_audio
import numpy as np
import pytest

from segan import audio, cli, enhance, journal
from segan.enhance import Enhancer

KINDS = {kind.__name__: kind for kind in make_odd_audio.KINDS}


@pytest.fixture
def run(monkeypatch, capfd, tmp_path, halving):
    """Enhance one file into ``out`` by a network that halves; give the status and the lines."""
    enhancer = Enhancer(halving)
    monkeypatch.setattr(enhance, "load", lambda *_: enhancer)

    def run(path, *options):
        status = cli.main([str(path), "-o", f"{tmp_path / 'out'}{os.sep}", *options])
        captured = capfd.readouterr()
        lines = captured.err.replace("segan-enhance: ", "").splitlines()
        assert captured.out == "" and "Traceback" not in captured.err
        return status, [line for line in lines if not line.startswith("1 file")]

    return run


def outputs(tmp_path):
    return sorted(set((tmp_path / "out").rglob("*")) - {tmp_path / "out" / journal.NAME})


def check(run, tmp_path, path):
    """Enhance ``path``, assert what must hold of every input, and return the status."""
    status, lines = run(path)
    left = outputs(tmp_path)
    if status == 0:
        (target,) = left
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", audio.AudioWarning)
            (wave, rate), (out, same) = audio.read(path), audio.read(target)
        assert (out.shape, same) == (wave.shape, rate), path.name
        assert np.abs(out).max() <= audio.LOUDEST
        target.unlink()
    else:
        assert status == 2 and len(lines) == 1 and path.name in lines[0], (path.name, lines)
        assert left == [], path.name
    return status


@pytest.mark.parametrize("kind", KINDS)
def test_every_odd_file_is_enhanced_or_one_line(run, tmp_path, kind):
    statuses = set()
    for name, content in KINDS[kind](quick=True):
        (tmp_path / name).write_bytes(content)
        statuses.add(check(run, tmp_path, tmp_path / name))
    assert statuses == {0, 2}


def test_the_same_files_are_made_again():
    for name, content in make_odd_audio.headers(quick=True):
        assert dict(make_odd_audio.headers(quick=True))[name] == content
        break
    names = [name for name, _ in make_odd_audio.headers()]
    assert len(set(names)) == len(names) > 100


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs links and pipes with names")
def test_what_is_no_file_is_one_line_and_nothing_hangs(run, tmp_path):
    (tmp_path / "in").mkdir()
    for path in make_odd_audio.oddities(tmp_path / "in"):
        if path.name != "upwards":
            assert check(run, tmp_path, path) == 2
    status, lines = run(tmp_path / "in", "-r")
    assert status == 2 and "no sound files in it" in lines[0]


@pytest.mark.skipif(os.name == "nt", reason="needs links")
@pytest.mark.parametrize("target", ["loop.wav", "dangling.wav"])
def test_an_output_that_is_a_link_to_nowhere_stays(run, tmp_path, target, monkeypatch):
    audio.write(tmp_path / "x.wav", np.zeros((1, 100)), 16000)
    make_odd_audio.oddities(tmp_path)
    monkeypatch.setattr(cli.parser(), "prog", "x")
    status = cli.main([str(tmp_path / "x.wav"), "-o", str(tmp_path / target)])
    assert status == 2 and (tmp_path / target).is_symlink()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["two\nlines.wav", "\x1b[31mred\x07.wav", "\udcff.wav", "-x.wav"])
def test_names_are_shown_and_not_obeyed(run, tmp_path, name):
    try:
        audio.write(tmp_path / name, np.zeros((1, 100)), 16000)
    except OSError:
        pytest.skip("this file system has no such names")
    status, lines = run(tmp_path / name)
    assert (status, lines) == (0, [])
    (tmp_path / name).write_bytes(b"no sound at all")
    status, (line,) = run(tmp_path / name, "-f")
    assert status == 2 and line.isprintable()
    assert name.encode("unicode_escape", "surrogatepass").decode() in line


@pytest.mark.skipif(not os.path.exists("/proc/mounts"), reason="needs small disks")
def test_a_disk_that_is_full_is_one_line_and_leaves_nothing(run, tmp_path):
    (tmp_path / "out").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path / "out")]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("can't mount a small disk")
    try:
        audio.write(tmp_path / "x.wav", np.zeros((2, 100_000)), 16000)
        status, lines = run(tmp_path / "x.wav")
        assert status == 2 and len(lines) == 1 and "is the disk full?" in lines[0]
        assert outputs(tmp_path) == []
    finally:
        subprocess.run(["umount", str(tmp_path / "out")], check=True)


# Headers are not believed


@pytest.mark.skipif(os.name == "nt", reason="needs sparse files")
def test_files_of_5_gib_are_accepted_in_full_and_read_in_blocks(tmp_path):
    for path in make_odd_audio.large(tmp_path):
        with audio.open_audio(path) as sound:
            assert sound.frames == make_odd_audio.LARGE // 2
            first = next(audio.samples(sound, path.name))
            sound.seek(sound.frames - 5)
            with pytest.warns(audio.AudioWarning, match="ends after"):
                (last,) = audio.samples(sound, path.name)
        assert first.shape == (1, 16000) and np.abs(first[:, :1600]).max() > 0.1
        assert last.shape == (1, 5)
        assert path.stat().st_blocks * 512 < 10**6


def test_a_header_that_promises_billions_takes_no_memory(tmp_path):
    files = dict(make_odd_audio.headers())
    name = "header_flac_total_68719476735.flac"
    (tmp_path / name).write_bytes(files[name])
    with audio.open_audio(tmp_path / name) as sound:
        assert sound.frames == 68719476735
        with pytest.warns(audio.AudioWarning, match="ends after 0.100 s of the 4294967.296 s"):
            (block,) = audio.samples(sound, name, seconds=1e9)
    assert block.shape == (1, 1600) and block.base.size <= audio.BLOCK


def test_a_streamed_flac_does_not_know_its_length(tmp_path, recwarn):
    files = dict(make_odd_audio.headers())
    for name, content in files.items():
        if "flac_total" in name:
            (tmp_path / name).write_bytes(content)
    wave, rate = audio.read(tmp_path / "header_flac_total_0.flac")
    assert wave.shape == (1, 1600) and rate == 16000 and not recwarn.list


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (make_odd_audio.wav(np.zeros((9, 1)), rate=1), r": 1 Hz, where sound has 1000 to 1000000"),
        (make_odd_audio.wav(np.zeros((9, 1)), rate=2**31 - 1), ": 2147483647 Hz, where"),
        (make_odd_audio.wav(np.zeros((9, 1024))), ": 1024 channels at 16000 Hz are too many"),
        (make_odd_audio.wav(np.zeros((9, 8)), rate=1_000_000), None),
        (make_odd_audio.wav(np.zeros((9, 1)), rate=0), "its header makes no sense"),
        (make_odd_audio.wav(np.full((9, 1), 1e13), "FLOAT"), r"1e\+13 at sample 0 .*scale it down"),
    ],
)
def test_what_is_no_sound_is_told_and_the_rest_is_read(tmp_path, content, complaint):
    (tmp_path / "x.wav").write_bytes(content)
    if complaint is None:
        assert audio.read(tmp_path / "x.wav")[0].shape == (8, 9)
    else:
        with pytest.raises(ValueError, match=rf"x\.wav: .*{complaint.lstrip(': ')}"):
            audio.read(tmp_path / "x.wav")


def test_a_header_before_nothing_is_refused(run, tmp_path):
    content = dict(make_odd_audio.formats())["format_flac_pcm_16.flac"]
    (tmp_path / "x.flac").write_bytes(content[:86])  # all but the sound
    status, lines = run(tmp_path / "x.flac")
    assert status == 2 and "x.flac: holds no samples" in lines[0] and outputs(tmp_path) == []


@pytest.mark.parametrize("text", ["1:1:s16le", "99999999999999:1:s16le", "16000:99999:s16le"])
def test_raw_samples_are_not_believed_either(text):
    with pytest.raises(ValueError, match=text):
        audio.parse_raw(text)


def test_decoders_print_nothing_of_their_own(tmp_path):
    files = dict(make_odd_audio.formats())
    (tmp_path / "x.mp3").write_bytes(files["format_mp3_mpeg_layer_iii.mp3"][:300])
    (tmp_path / "y.mp3").write_bytes(b"RIFF")
    damaged = files["format_sds_pcm_16.sds"]
    (tmp_path / "x.sds").write_bytes(damaged[:200] + b"x" + damaged[201:])
    code = (
        "import os\nfrom segan import audio\nprint('own', flush=True)\n"
        "for name in ('x.mp3', 'y.mp3', 'x.sds'):\n"
        "    try: audio.read(name)\n"
        "    except ValueError: pass\n"
        "os.write(2, b'words')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=tmp_path
    )
    assert (done.stdout.split(), done.stderr) == ([b"own"], b"words")


@pytest.mark.parametrize("name", ["x.au", "x.vox", "x.snd"])
def test_a_suffix_alone_makes_no_sound(tmp_path, name):
    (tmp_path / name).write_bytes(b"this is text\n" * 50)
    with pytest.raises(ValueError, match=f"{name}: format not recognised"):
        audio.read(tmp_path / name)


@pytest.mark.parametrize(
    ("own", "becomes"),
    [
        (("SDS", "PCM_16"), ("WAV", "PCM_16")),
        (("PAF", "PCM_24"), ("PAF", "PCM_16")),
        (("AU", "G721_32"), ("AU", "PCM_16")),
        (("AIFF", "PCM_S8"), ("AIFF", "PCM_16")),
        (("VOC", "ALAW"), ("VOC", "PCM_16")),
        (("WAV", "NMS_ADPCM_16"), ("WAV", "NMS_ADPCM_16")),
    ],
)
def test_what_would_change_its_length_is_written_as_something_else(own, becomes):
    assert audio.Format(*own, "FILE", 8000, 1).writable()[:2] == becomes


def test_what_no_wav_holds_becomes_rf64():
    form = audio.Format("WAV", "PCM_16", "FILE", 48000, 2)
    assert form.holding(2**29) == form
    assert form.holding(2**31) == form._replace(container="RF64")
    assert form._replace(container="W64").holding(2**31).container == "W64"
    with pytest.raises(ValueError, match=r"AIFF holds 4 GiB, and 8\.0 are needed; .*-o FILE\.w64"):
        form._replace(container="AIFF").holding(2**31)


def test_many_channels_and_high_rates_are_taken_in_shorter_chunks(halving):
    enhancer = Enhancer(halving)
    assert enhancer._size(2, 48000) == enhancer.size
    for channels, rate in ((64, 192_000), (256, 48_000), (12, 1_000_000), (700, 8000)):
        size = enhancer._size(channels, rate) / 16000 * max(rate, 16000) * channels
        assert size <= 1.3 * enhance.HELD or enhancer._size(channels, rate) == enhance.FRAME
