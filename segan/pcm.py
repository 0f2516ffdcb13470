"""Samples in bytes, as they come through a pipe: encodings, and WAV headers read as they arrive.

libsndfile wants to know the end of a file at its beginning; a stream has none. So a WAV is read
here whose header says nothing, or nothing true, of its length: 0, 0xFFFFFFFF (ffmpeg) and
0x7FFFF000 and more (sox, arecord) all mean "until it ends".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import BinaryIO, NamedTuple

import numpy as np

from segan.audio import Format, to_integers

WIDTHS = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4}
FLOATS = {"FLOAT": "f4", "DOUBLE": "f8"}
LAWS = ("ULAW", "ALAW")
TAGS = {3: {4: "FLOAT", 8: "DOUBLE"}, 6: {1: "ALAW"}, 7: {1: "ULAW"}}  # tag -> bytes -> encoding
TAGS[1] = {1: "PCM_U8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}
EXTENSIBLE = 0xFFFE
ENDLESS = 0x7FFFF000  # bytes, and more: programs that don't know the length write it
LONGEST = 1 << 24  # bytes of a chunk that stands before the sound


def sample_bytes(encoding: str) -> int:
    """Return how many bytes a sample takes."""
    if encoding in LAWS:
        return 1
    return WIDTHS.get(encoding) or np.dtype(FLOATS[encoding]).itemsize


def decode(data: bytes, form: Format) -> np.ndarray:
    """Return the samples in whole frames of ``data``, ``(C, n)`` float32, full scale 1."""
    raw = np.frombuffer(data, np.uint8)
    if form.encoding in LAWS:
        wave = _law(form.encoding)[raw]
    elif form.encoding in FLOATS:
        wave = raw.view(_order(form) + FLOATS[form.encoding])
    else:
        width = WIDTHS[form.encoding]
        whole = np.zeros((len(raw) // width, 4), np.uint8)  # little end first, 32 bits
        whole[:, 4 - width :] = raw.reshape(-1, width)[:, :: _step(form)]
        whole[:, 3] ^= _middle(form)
        wave = whole.view("<i4")[:, 0] / 2**31
    with np.errstate(over="ignore", invalid="ignore"):  # infinite then, and found to be so
        return np.ascontiguousarray(wave.reshape(-1, form.channels).T, np.float32)


def encode(wave: np.ndarray, form: Format) -> bytes:
    """Return samples, ``(C, n)``, as ``decode`` reads them: rounded, clipped to full scale."""
    flat = wave.T.reshape(-1)
    if form.encoding in LAWS:
        return _nearest(flat, _law(form.encoding)).tobytes()
    if form.encoding in FLOATS:
        return flat.astype(_order(form) + FLOATS[form.encoding]).tobytes()
    width = WIDTHS[form.encoding]
    whole = (to_integers(flat, 8 * width) << (32 - 8 * width)).astype("<i4")
    raw = whole.view(np.uint8).reshape(-1, 4)
    raw[:, 3] ^= _middle(form)
    return raw[:, 4 - width :][:, :: _step(form)].tobytes()


def _order(form: Format) -> str:
    return ">" if form.endian == "BIG" else "<"


def _step(form: Format) -> int:
    return -1 if form.endian == "BIG" else 1


def _middle(form: Format) -> int:
    """Return what turns the highest byte into a signed one: unsigned samples rest at 128."""
    return 0x80 if form.encoding == "PCM_U8" else 0


@lru_cache
def _law(name: str) -> np.ndarray:
    """Return what each byte stands for in mu-law or A-law (ITU-T G.711), float32."""
    code = np.arange(256) ^ (0xFF if name == "ULAW" else 0x55)
    power, steps = code >> 4 & 7, code & 15
    if name == "ULAW":
        size = (((2 * steps + 33) << power) - 33) * 4
        sign = np.where(code & 0x80, -1, 1)
    else:
        size = np.where(power == 0, 2 * steps + 1, (2 * steps + 33) << np.maximum(power - 1, 0)) * 8
        sign = np.where(code & 0x80, 1, -1)
    return (sign * size / 2**15).astype(np.float32)


def _nearest(wave: np.ndarray, law: np.ndarray) -> np.ndarray:
    """Return the bytes whose values are nearest to the samples."""
    order = np.argsort(law, kind="stable")
    known = law[order]
    return order[np.searchsorted((known[1:] + known[:-1]) / 2, wave)].astype(np.uint8)


class Header(NamedTuple):
    """What stands before the samples of a WAV."""

    form: Format
    description: bytes  # the contents of its fmt chunk
    size: int | None  # bytes of samples, whole frames; None: until it ends

    def written(self) -> bytes:
        """Return the header of a WAV with as many samples of the same format."""
        size = 0xFFFFFFFF if self.size is None else self.size
        rest = 20 + len(self.description)  # bytes between the first size and the samples
        total = 0xFFFFFFFF if self.size is None else rest + size + size % 2
        if total > 0xFFFFFFFF:
            return self._replace(size=None).written()
        return b"".join(
            [
                struct.pack("<4sI4s", b"RIFF", total, b"WAVE"),
                struct.pack("<4sI", b"fmt ", len(self.description)) + self.description,
                struct.pack("<4sI", b"data", size),
            ]
        )


def read_header(stream: BinaryIO, name: str) -> Header:
    """Return the header of the WAV that begins at ``stream``; what follows are its samples.

    ``name`` is what messages call it. Raises ValueError where it is no WAV or none that is known.
    """
    kind = _exactly(stream, 12, name)
    if kind[:4] not in (b"RIFF", b"RF64", b"BW64") or kind[8:] != b"WAVE":
        raise ValueError(
            f"{name}: no WAV; a stream is a WAV (ffmpeg -f wav -, sox -t wav -) or headerless, as "
            "--raw 16000:1:s16le says; every other format is read without --stream"
        )
    form, description, long = None, b"", 0
    while True:
        tag, size = struct.unpack("<4sI", _exactly(stream, 8, name))
        if tag == b"data":
            break
        if size > LONGEST:
            raise ValueError(f"{name}: {size} bytes of {tag!r} before any sound; a broken header")
        chunk = _exactly(stream, size + size % 2, name)[:size]
        if tag == b"fmt ":
            form, description = _form(chunk, name), chunk
        elif tag == b"ds64" and size >= 16:
            long = struct.unpack_from("<Q", chunk, 8)[0]
    if form is None:
        raise ValueError(f"{name}: its header does not say how samples are coded; a broken header")
    known = long if size == 0xFFFFFFFF and 0 < long < 1 << 62 else size
    endless = known == 0 or (known == size and size >= ENDLESS)
    frame = form.channels * sample_bytes(form.encoding)
    return Header(form, description, None if endless else known // frame * frame)


def _form(chunk: bytes, name: str) -> Format:
    if len(chunk) < 16:
        raise ValueError(f"{name}: a fmt chunk of {len(chunk)} bytes; a broken header")
    tag, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE and len(chunk) >= 26:
        tag = struct.unpack_from("<H", chunk, 24)[0]
    width = frame // channels if channels else 0
    encoding = TAGS.get(tag, {}).get(width)
    if not rate or encoding is None or frame != width * channels:
        raise ValueError(
            f"{name}: a WAV of {channels} channels at {rate} Hz with {bits} bits, coded {tag:#x}, "
            "which is not streamed; PCM, floats, A-law and mu-law are"
        )
    return Format("WAV", encoding, "LITTLE", rate, channels)


def _exactly(stream: BinaryIO, count: int, name: str) -> bytes:
    """Return the next ``count`` bytes."""
    data = b""
    while len(data) < count:
        more = stream.read(count - len(data))
        if not more:
            what = "ends within its header" if data else "ends before any sound"
            raise ValueError(f"{name}: {what}; is there a sound at all?")
        data += more
    return data


def portions(
    stream: BinaryIO, frame: int, size: int | None, short: Callable[[int], None]
) -> Iterator[bytes]:
    """Yield whole frames of ``frame`` bytes as they come, ``size`` bytes in all at most.

    ``short`` is told how many of these bytes are missing where the stream ends before.
    """
    rest, left = b"", size
    while left is None or left:
        data = stream.read(1 << 16 if left is None else min(left, 1 << 16))
        if not data:
            if left:
                short(left)
            return
        left = None if left is None else left - len(data)
        rest += data
        whole = len(rest) // frame * frame
        yield rest[:whole]
        rest = rest[whole:]
