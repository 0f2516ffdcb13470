"""Make a folder of odd and hostile sound files, to try a reader of sound on.

    python tests/make_odd_audio.py FOLDER [--quick] [--no-large]

It holds every container and encoding that libsndfile writes, RF64 and W64 files of 5 GiB (sparse:
they take a few kB of the disk), headers that lie, every container cut off at every 100th byte,
samples that are no numbers or far out of range, and what only looks like a sound file. The same
command makes the same bytes again. ``--quick`` makes about a tenth, one or more of each kind.
"""

from __future__ import annotations

import argparse
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile as sf

RATE = 16000
LENGTH = 1600  # samples: 0.1 s
LARGE = 5 * 2**30  # bytes
MOST = 2**32 - 1

SHAPES = ((16000, 2), (16000, 1), (8000, 1))  # rates and channels, the first that a format takes
UNNAMED = {"RAW": "raw", "WAVEX": "wav", "MAT4": "mat", "MAT5": "mat"}  # suffixes
QUICK_ENCODINGS = ("PCM_16", "FLOAT", "IMA_ADPCM", "GSM610", "VORBIS", "OPUS", "MPEG_LAYER_III")

OTHER_SUFFIXES = ("wav", "au", "mp3", "flac", "ogg", "raw", "pcm", "sd2", "vox")

Named = tuple[str, bytes]  # a file's name and what is in it


def voice(channels: int = 1, rate: int = RATE, length: int = LENGTH) -> np.ndarray:
    """Return a made sound, harmonics and noise: ``(T, C)``, the same at every call."""
    time = np.arange(length)[:, None] / rate
    rng = np.random.default_rng(0)
    tones = sum(np.sin(2 * np.pi * 150 * n * time + n) / n for n in range(1, 8))
    noise = rng.standard_normal((length, channels))
    return 0.2 * tones * (1 + np.arange(channels)) / channels + 0.05 * noise


def signals() -> dict[str, np.ndarray]:
    """Return waves ``(T, C)``, float64, by name."""
    clicks = np.zeros((LENGTH, 1))
    clicks[::400] = 1
    time = np.arange(LENGTH)[:, None] / RATE
    square = np.sign(np.sin(2 * np.pi * 100 * time))
    return {
        "silence": np.zeros((LENGTH, 2)),
        "dc": np.full((LENGTH, 1), 0.5),
        "clipping": np.clip(20 * voice(), -1, 1),
        "square": square,
        "clicks": clicks,
        "one_click": np.eye(LENGTH, 1),
        "tone_1000": 0.5 * np.sin(2 * np.pi * 1000 * time),
        "tone_7999": 0.5 * np.sin(2 * np.pi * 7999 * time),
        "tone_1": 0.5 * np.sin(2 * np.pi * time),
        "tiny": 1e-7 * voice(),
        "one_sample": np.full((1, 1), 0.25),
        "two_samples": np.full((2, 2), 0.25),
        "no_samples": np.zeros((0, 1)),
        "one_side_silent": np.concatenate([voice(), np.zeros((LENGTH, 1))], axis=1),
        "opposite_sides": np.concatenate([voice(), -voice()], axis=1),
        "eight_channels": voice(8),
        "many_channels": voice(250, length=50),
    }


def numbers() -> dict[str, np.ndarray]:
    """Return waves ``(T, 1)``, float64, that only floating-point files can hold."""
    waves = {}
    for name, value in {
        "nan": np.nan,
        "infinity": np.inf,
        "minus_infinity": -np.inf,
        "largest_float": 3.4e38,
        "1e30": 1e30,
        "1e15": 1e15,
        "beyond_float": 1e300,
        "integers_as_floats": 32767.0,
    }.items():
        for place, where in {"first": 0, "last": LENGTH - 1, "all": slice(None)}.items():
            wave = voice()
            wave[where] = value
            waves[f"{name}_{place}"] = wave
    rng = np.random.default_rng(1)
    waves["denormals"] = 1e-40 * rng.standard_normal((LENGTH, 1))
    waves["denormal_double"] = np.full((LENGTH, 1), 5e-324)
    waves["minus_zero"] = np.full((LENGTH, 1), -0.0)
    return waves


# Containers and encodings


def encoded(
    wave: np.ndarray, rate: int, container: str, encoding: str, endian: str = "FILE"
) -> bytes:
    """Return ``wave``, ``(T, C)``, as a file. Raises ``soundfile.LibsndfileError``."""
    with tempfile.TemporaryDirectory() as folder:  # a real file: not every format takes another
        path = Path(folder) / "x"
        with sf.SoundFile(path, "w", rate, wave.shape[1], encoding, endian, container) as file:
            file.write(wave)
        return path.read_bytes()


def formats(quick: bool = False) -> Iterator[Named]:
    """Yield a sound in every container and encoding that this libsndfile writes."""
    for container in sf.available_formats():
        for encoding in sf.available_subtypes(container):
            if quick and encoding not in QUICK_ENCODINGS:
                continue
            for rate, channels in SHAPES:
                try:
                    content = encoded(voice(channels, rate), rate, container, encoding)
                except (sf.LibsndfileError, ValueError):
                    continue
                yield f"format_{container}_{encoding}.{suffix_of(container)}".lower(), content
                break


def suffix_of(container: str) -> str:
    """Return the suffix that a container's files go by."""
    return UNNAMED.get(container, container.lower())


def waves(quick: bool = False) -> Iterator[Named]:
    """Yield the odd signals, as integers and as floats."""
    for name, wave in signals().items():
        for container, encoding in (("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_24")):
            fits = container != "FLAC" or wave.shape[1] <= 8
            if fits and (encoding == "PCM_16" or not quick):
                content = encoded(wave, RATE, container, encoding)
                yield f"signal_{name}_{encoding.lower()}.{container.lower()}", content
    for name, wave in numbers().items():
        for encoding in ("FLOAT", "DOUBLE"):
            if not quick or (encoding == "FLOAT" and name.endswith(("first", "ls"))):
                with np.errstate(over="ignore"):
                    yield f"number_{name}_{encoding}.wav".lower(), wav(wave, encoding=encoding)


def rates(quick: bool = False) -> Iterator[Named]:
    """Yield sounds whose header names rates from 0 to the largest."""
    usual = (0, 1, 999, 4000, 8000, 11025, 44100, 48000, 192000, 768000, 10**7, 2**31 - 1, MOST)
    for rate in usual[:: 3 if quick else 1]:
        yield f"rate_{rate}.wav", wav(voice(), rate=rate)
        yield f"rate_{rate}.au", au(voice(), rate)


# Headers that lie


def wav(
    wave: np.ndarray, encoding: str = "PCM_16", rate: int = RATE, data: int | None = None, **fields
) -> bytes:
    """Return a WAV file of ``wave``, ``(T, C)``, whose header says what is asked of it.

    ``fields`` replace tag, channels, byte_rate, align, bits, riff and fmt (the sizes of these
    chunks); ``data`` is the size that the header promises of the samples.
    """
    kind, width, tag = {"PCM_16": ("<i2", 2, 1), "FLOAT": ("<f4", 4, 3), "DOUBLE": ("<f8", 8, 3)}[
        encoding
    ]
    scaled = wave * 32767 if encoding == "PCM_16" else wave
    body = scaled.astype(kind).tobytes()
    channels = wave.shape[1]
    align = width * channels
    header = {
        "tag": tag,
        "channels": channels,
        "byte_rate": min(MOST, rate * align),
        "align": align,
        "bits": 8 * width,
        "riff": 36 + len(body),
        "fmt": 16,
    } | fields
    chunk = struct.pack(
        "<HHIIHH", *(header[k] for k in ("tag", "channels")), rate, *_ending(header)
    )
    promised = len(body) if data is None else data
    return (
        b"RIFF"
        + struct.pack("<I", header["riff"])
        + b"WAVEfmt "
        + struct.pack("<I", header["fmt"])
        + chunk
        + b"data"
        + struct.pack("<I", promised)
        + body
    )


def _ending(header: dict) -> tuple:
    return tuple(header[k] for k in ("byte_rate", "align", "bits"))


def au(wave: np.ndarray, rate: int = RATE, **fields) -> bytes:
    """Return an AU file of ``wave``; ``fields`` replace offset, size, encoding and channels."""
    body = (wave * 32767).astype(">i2").tobytes()
    header = {"offset": 24, "size": len(body), "encoding": 3, "channels": wave.shape[1]} | fields
    first = struct.pack(">III", *(header[k] for k in ("offset", "size", "encoding")))
    return b".snd" + first + struct.pack(">II", rate, header["channels"]) + body


LIES = {
    "riff": (0, 4, MOST),
    "data": (0, 1, 3, 2**31 - 1, 2**31, MOST - 1, MOST),
    "fmt": (0, 1, 14, 15, 17, 40, 2**31, MOST),
    "tag": (0, 2, 6, 7, 0x11, 0x31, 0x50, 0x55, 0xFFFE, 0xFFFF),
    "channels": (0, 2, 3, 7, 256, 1000, 1024, 1025, 65535),
    "align": (0, 1, 3, 4, 65535),
    "bits": (0, 1, 7, 8, 12, 24, 32, 33, 64, 65535),
    "byte_rate": (0, 1, MOST),
}
AU_LIES = {
    "offset": (0, 8, 23, 25, 2**31, MOST),
    "size": (0, 1, 2**31 - 1, MOST),
    "encoding": (0, 1, 2, 4, 5, 6, 7, 23, 27, MOST),
    "channels": (0, 2, 1000, 1024, 2**31, MOST),
}


def headers(quick: bool = False) -> Iterator[Named]:
    """Yield files whose header does not say what is in them."""
    for made, lies, suffix in ((wav, LIES, "wav"), (au, AU_LIES, "au")):
        for field, values in lies.items():
            for value in values[:: 3 if quick else 1]:
                yield f"header_{field}_{value}.{suffix}", made(voice(), **{field: value})
    for name, content in patched():
        yield f"header_{name}", content


def patched() -> Iterator[Named]:
    """Yield files that promise more samples than any disk holds."""
    caf = bytearray(encoded(voice(), RATE, "CAF", "PCM_16"))
    place = caf.index(b"data") + 4
    for size in (0, -1, -2, 2**62, 2**63 - 1):
        yield f"caf_data_{size}.caf", bytes(_patch(caf, place, ">q", size))
    for rate in (0.0, -1.0, 1e300, float("nan"), float("inf")):
        yield f"caf_rate_{rate}.caf", bytes(_patch(caf, caf.index(b"desc") + 12, ">d", rate))
    flac = bytearray(encoded(voice(), RATE, "FLAC", "PCM_16"))
    whole = struct.unpack(">Q", flac[18:26])[0]
    for total in (0, 1, 2**36 - 1):  # samples, in the last 36 bits
        yield f"flac_total_{total}.flac", bytes(_patch(flac, 18, ">Q", whole >> 36 << 36 | total))
    for rate in (0, 2**20 - 1):  # the first 20 bits
        changed = whole & ~(0xFFFFF << 44) | rate << 44
        yield f"flac_rate_{rate}.flac", bytes(_patch(flac, 18, ">Q", changed))
    ogg = bytearray(encoded(voice(), RATE, "OGG", "VORBIS"))
    last = ogg.rindex(b"OggS") + 6  # its checksum is then wrong too
    yield "ogg_position.ogg", bytes(_patch(ogg, last, "<q", 2**62))
    for container in ("W64", "RF64"):
        for size in (0, 1, 2**40, 2**63 - 1, 2**64 - 1):
            yield f"{container}_{size}.{container}".lower(), large_header(container, size)


def _patch(content: bytearray, place: int, form: str, value) -> bytearray:
    changed = bytearray(content)
    struct.pack_into(form, changed, place, value)
    return changed


def large_header(container: str, size: int) -> bytes:
    """Return a W64 or RF64 file of 16 bits that promises ``size`` bytes of samples; it has few."""
    if container == "W64":
        content = bytearray(encoded(voice(), RATE, "W64", "PCM_16"))
        data = content.index(b"data\xf3\xac\xd3\x11")
        struct.pack_into("<Q", content, data + 16, min(2**64 - 1, size + 24))
        struct.pack_into("<Q", content, 16, min(2**64 - 1, size + data + 24))
        return bytes(content)
    ds64 = struct.pack("<QQQI", min(2**64 - 1, size + 80), size, size // 2, 0)
    plain = wav(voice())
    start = plain.index(b"fmt ")  # a chunk of 24 bytes; the samples follow 8 bytes after it
    rest = [
        b"ds64",
        struct.pack("<I", 28),
        ds64,
        plain[start : start + 24],
        b"data\xff\xff\xff\xff",
    ]
    return b"RF64\xff\xff\xff\xffWAVE" + b"".join(rest) + plain[start + 32 :]


def large(folder: Path, size: int = LARGE) -> list[Path]:
    """Return an RF64 and a W64 file of ``size`` bytes of samples, made in ``folder``; sparse."""
    paths = []
    for container in ("RF64", "W64"):
        content = large_header(container, size)
        path = folder / f"large.{container.lower()}"
        with path.open("wb") as file:
            file.write(content)
            file.truncate(len(content) - 2 * LENGTH + size)
        paths.append(path)
    return paths


# Cut off, and named wrongly


def truncations(quick: bool = False) -> Iterator[Named]:
    """Yield one file of each container, cut off at every 100th byte."""
    seen = set()
    for name, content in formats():
        container = name.split("_")[1]
        if container in seen or container in ("raw", "sd2"):  # of these the header is elsewhere
            continue
        seen.add(container)
        for place in range(100, len(content), 900 if quick else 100):
            yield f"cut_{place}_{name}", content[:place]


def wrong_names(quick: bool = False) -> Iterator[Named]:
    """Yield files that aren't what their suffix says."""
    sounds = {
        container: encoded(voice(), RATE, container, encoding)
        for container, encoding in (
            ("MP3", "MPEG_LAYER_III"),
            ("OGG", "OPUS"),
            ("FLAC", "PCM_16"),
            ("WAV", "PCM_16"),
            ("AIFF", "PCM_16"),
        )
    }
    for container, content in sounds.items():
        for suffix in ("wav", "mp3") if quick else ("wav", "mp3", "flac", "opus", "au", "sd2", ""):
            yield f"named_{container}_as{'.' * bool(suffix)}{suffix}".lower(), content
    others = {
        "text": b"this is no sound\n" * 20,
        "html": b"<!DOCTYPE html><html><body>404</body></html>",
        "png": b"\x89PNG\r\n\x1a\n" + bytes(200),
        "zip": b"PK\x03\x04" + bytes(200),
        "empty": b"",
        "one_byte": b"R",
        "zeros": bytes(4096),
        "ones": b"\xff" * 4096,
        "riff_only": b"RIFF",
        "riff_of_riffs": b"RIFF\x04\0\0\0WAVE" * 300,
        "chunks_without_end": b"RIFF\xff\xff\xff\x7fWAVE" + b"junk\0\0\0\0" * 500,
        "id3_only": b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(100),
        "mp3_frames_of_nothing": b"\xff\xfb\x90\x64" * 300,
    }
    for name, content in others.items():
        for suffix in (
            ("wav", "au")
            if quick
            else ("wav", "mp3", "flac", "ogg", "raw", "pcm", "sd2", "au", "vox")
        ):
            yield f"other_{name}.{suffix}", content


def oddities(folder: Path) -> list[Path]:
    """Return what is no regular file, made in ``folder`` as far as this system has such."""
    made = [folder / "folder.wav"]
    made[0].mkdir(exist_ok=True)
    if hasattr(os, "mkfifo"):
        made.append(folder / "fifo.wav")
        os.mkfifo(made[-1])
    try:
        for name, to in (
            ("loop.wav", "loop.wav"),
            ("loop_a.wav", "loop_b.wav"),
            ("loop_b.wav", "loop_a.wav"),
            ("dangling.wav", "nothing.wav"),
            ("upwards", "."),
        ):
            (folder / name).symlink_to(to)
            made.append(folder / name)
    except OSError:  # Windows, without the right to make links
        pass
    return made


KINDS = (formats, waves, rates, headers, truncations, wrong_names)


def files(quick: bool = False) -> Iterator[Named]:
    """Yield the name and the content of every odd file that is small."""
    for kind in KINDS:
        yield from kind(quick)


def make(folder: Path, quick: bool = False, with_large: bool = True) -> list[Path]:
    """Return the paths of all that was made in ``folder``, which must be new or empty."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, content in files(quick):
        paths.append(folder / name)
        paths[-1].write_bytes(content)
    return paths + oddities(folder) + (large(folder) if with_large else [])


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="about a tenth, some of each kind")
    parser.add_argument("--no-large", action="store_true", help="leave out the files of 5 GiB")
    options = parser.parse_args()
    if options.folder.exists() and any(options.folder.iterdir()):
        parser.error(f"{options.folder}: not empty; name a new folder")
    print(f"{len(make(options.folder, options.quick, not options.no_large))} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
