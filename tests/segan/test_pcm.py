import io
import struct

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from segan import pcm
from segan.audio import RAW_ENCODINGS, Format, parse_raw

NAMES = [*RAW_ENCODINGS, "s16be", "s24be", "s32be", "f32be", "f64be"]
SUBTYPES = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]


class Trickle(io.BytesIO):
    """A stream that gives a byte at a time, as a slow pipe may."""

    def read(self, count=-1):
        return super().read(min(1, count))


def noise(channels=2, length=300):
    return np.random.default_rng(0).uniform(-1.1, 1.1, (channels, length)).astype(np.float32)


def wav(subtype="PCM_16", container="WAV", channels=2, length=300):
    """Return the bytes of a WAV and its samples, ``(n, C)``, as libsndfile reads them."""
    file = io.BytesIO()
    wave = noise(channels, length).clip(-1, 1).T
    sf.write(file, wave, 22050, subtype, format=container)
    return file.getvalue(), sf.read(io.BytesIO(file.getvalue()), dtype="float32", always_2d=True)[0]


@pytest.mark.parametrize("name", NAMES)
def test_bytes_stand_for_what_libsndfile_says(name):
    form = parse_raw(f"16000:3:{name}")
    width = pcm.sample_bytes(form.encoding)
    data = np.random.default_rng(1).integers(0, 256, 3 * width * 500, np.uint8).tobytes()
    if "f" in name:
        data = pcm.encode(noise(3), form)
    options = {"subtype": form.encoding, "endian": form.endian, "format": "RAW"}
    expected, _ = sf.read(
        io.BytesIO(data), samplerate=16000, channels=3, dtype="float32", **options
    )
    np.testing.assert_array_equal(pcm.decode(data, form), expected.T)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_decoded_is_encoded_to_the_same_bytes(name):
    form = parse_raw(f"16000:2:{name}")
    data = pcm.encode(noise(), form)
    wave = pcm.decode(data, form)
    assert wave.shape == (2, 300) and wave.dtype == np.float32
    assert pcm.encode(wave, form) == data
    bits = 8 * pcm.sample_bytes(form.encoding)
    if name[0] in "su":  # ulaw begins with u, too
        step = 2 ** (1 - bits) if "law" not in name else 2**-5
        np.testing.assert_allclose(wave, noise().clip(-1, 1 - step), atol=step)


@pytest.mark.parametrize("name", ["ulaw", "alaw"])
def test_companded_samples_are_the_nearest_there_are(name):
    form = parse_raw(f"8000:1:{name}")
    known = pcm.decode(bytes(range(256)), form)[0]
    wave = noise(1, 999)
    got = pcm.decode(pcm.encode(wave, form), form)[0]
    nearest = np.abs(known[:, None] - wave).min(0)
    np.testing.assert_array_equal(np.abs(got - wave[0]), nearest)


@pytest.mark.parametrize("subtype", SUBTYPES)
@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64"])
def test_headers_are_understood_and_written_as_libsndfile_does(subtype, container):
    data, wave = wav(subtype, container)
    stream = Trickle(data)
    head = pcm.read_header(stream, "x")
    assert head.form == Format("WAV", subtype, "LITTLE", 22050, 2)
    samples = stream.getvalue()[stream.tell() :][: head.size]
    np.testing.assert_array_equal(pcm.decode(samples, head.form), wave.T)
    again, rate = sf.read(io.BytesIO(head.written() + samples), dtype="float32")
    np.testing.assert_array_equal(again, wave)
    assert rate == 22050


def with_size(size):
    """Return a WAV whose header says ``size`` bytes of samples."""
    data, _ = wav()
    at = data.index(b"data") + 4
    return data[:at] + struct.pack("<I", size) + data[at + 4 :]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF, 0x80000000])
def test_sizes_that_mean_nothing_mean_until_it_ends(size):
    head = pcm.read_header(io.BytesIO(with_size(size)), "x")
    assert head.size is None
    assert head.written().endswith(b"\xff\xff\xff\xff")


def test_a_size_is_cut_to_whole_frames():
    assert pcm.read_header(io.BytesIO(with_size(403)), "x").size == 400


def test_chunks_before_the_sound_are_passed_over():
    data, _ = wav()
    more = data[:12] + b"LIST\x05\0\0\0abcde\0" + data[12:]
    assert pcm.read_header(io.BytesIO(more), "x") == pcm.read_header(io.BytesIO(data), "x")


def test_a_size_over_4_gib_is_read_and_not_written():
    size = 5 << 30
    data, _ = wav(container="RF64")
    long = data.replace(data[20:36], struct.pack("<QQ", size + 80, size))
    head = pcm.read_header(io.BytesIO(long), "x")
    assert head.size == size
    assert pcm.read_header(io.BytesIO(head.written()), "x").size is None


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "ends before any sound"),
        (b"RIFF", "ends within its header"),
        (b"fLaC" + bytes(40), "no WAV; a stream is a WAV"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "how samples are coded"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\x7f", "2147483647 bytes of b'junk' before any sound"),
        (b"RIFF\0\0\0\0WAVEfmt \2\0\0\0\1\0", "a fmt chunk of 2 bytes"),
        (wav()[0].replace(b"\1\0\2\0", b"\1\0\0\0", 1), "a WAV of 0 channels"),
        (wav()[0].replace(b"\1\0\2\0", b"\x55\0\2\0", 1), "coded 0x55"),
    ],
)
def test_what_is_no_wav_is_named(data, complaint):
    with pytest.raises(ValueError, match=f"^x: .*{complaint}"):
        pcm.read_header(io.BytesIO(data), "x")


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["WAV", "WAVEX", "RF64"]),
    st.dictionaries(st.integers(0, 90), st.integers(0, 255), max_size=6),
    st.integers(0, 700),
)
def test_damaged_headers_are_understood_or_refused(container, changes, length):
    data = bytearray(wav(container=container)[0])
    for place, value in changes.items():
        data[place] = value
    try:
        head = pcm.read_header(io.BytesIO(bytes(data[:length])), "x")
    except ValueError as error:
        assert str(error).startswith("x: ") and "\n" not in str(error)
    else:
        frame = head.form.channels * pcm.sample_bytes(head.form.encoding)
        assert frame > 0 and head.form.rate > 0 and not (head.size or 0) % frame
        assert pcm.read_header(io.BytesIO(head.written()), "x").form == head.form


@pytest.mark.parametrize("size", [None, 60, 66, 600])
def test_portions_are_whole_frames_up_to_the_size(size):
    data, short = bytes(range(100)), []
    got = list(pcm.portions(Trickle(data), 6, size, short.append))
    assert all(len(portion) % 6 == 0 for portion in got)
    assert b"".join(got) == data[: min(size or 96, 96)]
    assert short == ([500] if size == 600 else [])
