import numpy as np
import pytest
import soundfile as sf
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from segan import audio

LINEAR = [
    (container, encoding)
    for container in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU", "FLAC", "NIST")
    for encoding in sf.available_subtypes(container)
    if encoding.startswith(("PCM", "FLOAT", "DOUBLE")) or encoding == "ALAC_16"
]


def noise(channels=2, length=5000, seed=0):
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (channels, length)).astype(np.float32)


@pytest.mark.parametrize(("container", "encoding"), LINEAR)
def test_samples_survive_writing_and_what_is_read_survives_exactly(tmp_path, container, encoding):
    form = audio.Format(container, encoding, "FILE", 22050, 2)
    wave, previous = noise(), None
    for path in (tmp_path / "once", tmp_path / "twice"):
        with audio.Writer(path, form) as file:
            file.write(wave[:, :2000])
            file.write(wave[:, 2000:])
        with audio.open_audio(path) as sound:
            assert audio.format_of(sound)[:2] == form[:2]
        read, rate = audio.read(path)
        bits = int(encoding[-2:].strip("SU_")) if "PCM" in encoding or "ALAC" in encoding else 24
        assert rate == 22050 and read.shape == wave.shape and read.dtype == np.float32
        assert np.abs(read - wave).max() <= 0.5 * 2.0 ** (1 - bits) + 1e-7
        if previous is not None:
            np.testing.assert_array_equal(read, previous)
        wave = previous = read


def test_writing_clips_at_full_scale(tmp_path):
    audio.write(tmp_path / "x.wav", np.array([2.0, -2.0, 0.5]), 8000)
    integers, _ = sf.read(tmp_path / "x.wav", dtype="int16")
    assert integers.tolist() == [32767, -32768, 16384]


def test_big_endian_files_stay_so(tmp_path):
    form = audio.Format("WAV", "PCM_16", "BIG", 16000, 1)
    with audio.Writer(tmp_path / "x.wav", form) as file:
        file.write(noise(1))
    assert (tmp_path / "x.wav").read_bytes()[:4] == b"RIFX"
    with audio.open_audio(tmp_path / "x.wav") as sound:
        assert audio.format_of(sound) == form


@pytest.mark.parametrize("seconds", [1e-9, 0.01, 0.1, 100])
def test_blocks_put_together_are_the_file(tmp_path, seconds):
    audio.write(tmp_path / "x.flac", noise(3, 777), 8000, "PCM_24")
    blocks = list(audio.blocks(tmp_path / "x.flac", seconds))
    assert max(block.shape[1] for block in blocks) <= max(1, seconds * 8000)
    np.testing.assert_array_equal(
        np.concatenate(blocks, 1), audio.read(tmp_path / "x.flac")[0], strict=True
    )


def test_writable_formats_stay_and_others_become_the_nearest():
    opus = audio.Format("OGG", "OPUS", "FILE", 48000, 2)
    assert opus.writable() == opus
    layer2 = audio.Format("MP3", "MPEG_LAYER_II", "FILE", 44100, 2)
    assert layer2.writable() == layer2._replace(encoding="MPEG_LAYER_III")
    surround = audio.Format("MP3", "MPEG_LAYER_III", "FILE", 44100, 6)
    assert surround.writable() == surround._replace(container="WAV", encoding="PCM_16")


def test_another_container_keeps_linear_samples_and_says_what_it_cannot_hold():
    form = audio.Format("WAV", "PCM_24", "FILE", 44100, 2)
    assert form.converted("FLAC") == form._replace(container="FLAC")
    assert form.converted("MP3").encoding == "MPEG_LAYER_III"
    with pytest.raises(ValueError, match="OPUS does not take 2 channels at 44100 Hz; WAV does"):
        form.converted("OGG", "OPUS")


def file_of(tmp_path, content, name="x.wav"):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def wav_bytes(tmp_path, length=16000):
    audio.write(tmp_path / "whole.wav", noise(1, length), 16000)
    return (tmp_path / "whole.wav").read_bytes()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", r"x\.wav: empty \(0 bytes\)"),
        (b"not a sound at all\n" * 9, r"x\.wav: format not recognised; .*ffmpeg"),
        (b"RIFF\x24\0\0\0WAVEfmt ", r"x\.wav: Error in WAV"),
    ],
)
def test_what_is_no_sound_is_named(tmp_path, content, complaint):
    with pytest.raises(ValueError, match=complaint):
        audio.read(file_of(tmp_path, content))


def test_a_header_without_samples_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"x\.wav: holds no samples"):
        audio.read(file_of(tmp_path, wav_bytes(tmp_path)[:44]))


def test_missing_files_folders_and_bare_pcm_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.wav"):
        audio.read(tmp_path / "none.wav")
    with pytest.raises(IsADirectoryError, match="a folder"):
        audio.read(tmp_path)
    with pytest.raises(ValueError, match="--raw 16000:1:s16le"):
        audio.read(file_of(tmp_path, b"1234", "x.pcm"))
    with pytest.raises(ValueError, match="its suffix names no format"):
        audio.write(tmp_path / "x.doc", noise(), 16000)


@pytest.mark.parametrize("suffix", ["wav", "aiff"])
def test_a_file_that_was_cut_off_is_used_as_far_as_it_goes(tmp_path, suffix):
    whole = tmp_path / f"whole.{suffix}"
    audio.write(whole, noise(1, 16000), 16000)
    header = whole.stat().st_size - 32000
    cut = file_of(tmp_path, whole.read_bytes()[: header + 16001], f"cut.{suffix}")
    with pytest.warns(audio.AudioWarning, match=rf"cut\.{suffix}: ends after 0\.500 s of the 1\.0"):
        wave, _ = audio.read(cut)
    np.testing.assert_array_equal(wave, audio.read(whole)[0][:, :8000])


def test_a_stream_that_never_knew_its_length_is_no_damage(tmp_path, recwarn):
    content = wav_bytes(tmp_path)
    endless = content[:40] + b"\xff\xff\xff\xff" + content[44:]
    wave, _ = audio.read(file_of(tmp_path, endless))
    assert wave.shape == (1, 16000) and not recwarn.list


def test_damage_is_placed(tmp_path):
    audio.write(tmp_path / "whole.flac", noise(1, 48000), 16000)
    content = (tmp_path / "whole.flac").read_bytes()
    with pytest.raises(ValueError, match=r"x\.flac: damaged after [12]\.\d+ s"):
        audio.read(file_of(tmp_path, content[: len(content) * 3 // 4], "x.flac"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_placed(tmp_path, value):
    wave = noise(2, 16000)
    wave[1, 12000] = value
    audio.write(tmp_path / "x.wav", wave, 8000, "FLOAT")
    place = rf"x\.wav: {value} at sample 12000 \(1\.500 s\) of channel 2"
    with pytest.raises(ValueError, match=place):
        audio.read(tmp_path / "x.wav")


@pytest.mark.parametrize("name", ["ü ñ 音 x.wav", "a" * 200 + ".wav", "take[1]*.wav"])
def test_any_name_will_do(tmp_path, name):
    audio.write(tmp_path / name, noise(), 16000)
    assert audio.read(tmp_path / name)[0].shape == (2, 5000)


@pytest.mark.parametrize(
    ("text", "dtype"), [("8000:2:s16be", ">i2"), ("8000:2:f32le", "<f4"), ("8000:2:u8", "u1")]
)
def test_raw_files_are_read_as_described(tmp_path, text, dtype):
    values = np.arange(20, dtype=dtype) / (100 if "f4" in dtype else 1)
    path = file_of(tmp_path, values.astype(dtype).tobytes(), "x.raw")
    wave, rate = audio.read(path, audio.parse_raw(text))
    scale, middle = {"i2": (2**15, 0), "f4": (1, 0), "u1": (128, 128)}[dtype[-2:]]
    assert rate == 8000
    np.testing.assert_allclose(wave.T.ravel(), (values.astype(float) - middle) / scale, atol=1e-7)


@pytest.mark.parametrize("text", ["16000", "16000:1:s17", "0:1:s16le", "16000:0:s16le", "a:b:c"])
def test_a_raw_description_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="is not RATE:CHANNELS:ENCODING"):
        audio.parse_raw(text)


PAIRS = [(8000, 16000), (11025, 16000), (44100, 16000), (16000, 44100), (96000, 16000)]


@pytest.mark.parametrize(("rate", "to"), PAIRS)
def test_a_resampled_tone_is_the_same_tone_without_delay(rate, to):
    def tone(at):
        return np.sin(2 * np.pi * 440 * np.arange(at) / at + 0.3).astype(np.float32)

    middle = slice(to // 10, -to // 10)
    np.testing.assert_allclose(
        audio.resample(tone(rate), rate, to)[middle], tone(to)[middle], atol=1e-4
    )


def test_what_the_new_rate_cannot_hold_is_gone():
    tone = np.sin(2 * np.pi * 9000 * np.arange(48000) / 48000).astype(np.float32)
    assert np.abs(audio.resample(tone, 48000, 16000)[800:-800]).max() < 1e-4


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(PAIRS), st.lists(st.integers(0, 900), min_size=1, max_size=8))
def test_resampling_in_blocks_is_resampling_at_once(pair, sizes):
    wave = noise(2, sum(sizes))
    parts = np.split(wave, np.cumsum(sizes)[:-1], axis=1)
    out = np.concatenate(list(audio.resampled(parts, *pair)), axis=1)
    assert out.shape == (2, -(-wave.shape[1] * pair[1] // pair[0]))
    if wave.size:
        whole = soxr.resample(wave.T, *pair).T
        shared = min(out.shape[1], whole.shape[1])
        np.testing.assert_allclose(out[:, :shared], whole[:, :shared], atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 3, 1000])
@pytest.mark.parametrize("coefficient", [0.95, 0.5, 0.0, -0.7])
def test_emphasis_is_the_filter_it_is_said_to_be(length, coefficient):
    wave = noise(2, length)
    tensor = torch.from_numpy(wave)
    emphasized = audio.preemphasis(tensor, coefficient).numpy()
    np.testing.assert_allclose(emphasized, lfilter([1, -coefficient], [1], wave), atol=1e-6)
    restored = audio.deemphasis(tensor, coefficient).numpy()
    np.testing.assert_allclose(restored, lfilter([1], [1, -coefficient], wave), atol=1e-5)


@pytest.mark.parametrize("shape", [(16384,), (3, 1, 50000)])
def test_deemphasis_undoes_preemphasis(shape):
    wave = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert (audio.deemphasis(audio.preemphasis(wave)) - wave).abs().max() < 1e-5


def test_emphasis_has_the_right_gradient():
    wave = torch.rand(2, 1, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(audio.preemphasis, wave)
    assert torch.autograd.gradcheck(audio.deemphasis, wave)
