"""Sound files and waves: reading, writing, resampling, pre-emphasis.

A wave is float32, channels first, ``(C, T)``; full scale is 1 and a rate is an integer in Hz. Files
go through libsndfile, in blocks, so that hours of sound need no more memory than seconds. A file
that cannot be used raises OSError or ValueError whose message names it, says what is wrong and what
would do; a file that can be used in part gives an ``AudioWarning``. What a header claims is never
believed: memory is taken for the samples that are there, a block at a time.
"""

from __future__ import annotations

import ctypes
import os
import re
import stat
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import soundfile as sf

if TYPE_CHECKING:
    from torch import Tensor

# What a file is when its name is all that is known: suffix -> (container, encoding or None).
SUFFIXES: dict[str, tuple[str, str | None]] = {
    ".wav": ("WAV", None),
    ".wave": ("WAV", None),
    ".flac": ("FLAC", None),
    ".ogg": ("OGG", None),
    ".oga": ("OGG", None),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", None),
    ".aif": ("AIFF", None),
    ".aiff": ("AIFF", None),
    ".aifc": ("AIFF", None),
    ".au": ("AU", None),
    ".snd": ("AU", None),
    ".caf": ("CAF", None),
    ".w64": ("W64", None),
    ".rf64": ("RF64", None),
    ".voc": ("VOC", None),
    ".sph": ("NIST", None),
}

RAW_SUFFIXES = (".raw", ".pcm")

# What libsndfile (1.2.2) writes with another length than it was given: containers and encodings,
# of one channel or of any.
UNFAITHFUL = {"SDS", "G721_32", "G723_24", "G723_40", "PAF PCM_24"}
UNFAITHFUL_MONO = {"AIFF PCM_S8", "AIFF PCM_U8", "AIFF ULAW", "AIFF ALAW", "VOC ULAW", "VOC ALAW"}
CHATTY = {"MP3", "SDS", "ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32"}  # it prints of these

# The names that ffmpeg and sox users know, without the byte order -> libsndfile's.
RAW_ENCODINGS = {
    "u8": "PCM_U8",
    "s8": "PCM_S8",
    "s16": "PCM_16",
    "s24": "PCM_24",
    "s32": "PCM_32",
    "f32": "FLOAT",
    "f64": "DOUBLE",
    "ulaw": "ULAW",
    "alaw": "ALAW",
}

SLOWEST, FASTEST = 1_000, 1_000_000  # Hz
WIDEST = 12_500_000  # samples a second, of all channels: 64 at 192 kHz, 260 at 48 kHz
LOUDEST = 1e12  # where full scale is 1; energies beyond it leave float32
BLOCK = 2**22  # samples of a block, of all channels
UNKNOWN = 2**63 - 1  # frames, as libsndfile has them of a FLAC that was streamed
SMALL = {"WAV", "WAVEX", "AIFF", "AU", "AVR", "SVX", "VOC"}  # containers of 4 GiB at most
GIB_4 = 2**32 - 2**16  # bytes, with room for a header


class AudioWarning(UserWarning):
    """Something about a file that the result depends on and that its owner may not know."""


class Format(NamedTuple):
    """How samples lie in a file, in libsndfile's words."""

    container: str  # WAV, FLAC, OGG, RAW, ...
    encoding: str  # PCM_16, FLOAT, VORBIS, ...
    endian: str  # FILE, LITTLE, BIG
    rate: int  # Hz
    channels: int

    def converted(self, container: str, encoding: str | None = None) -> Format:
        """Return this format in another container, with its encoding where that is linear PCM.

        Raises ValueError where that container cannot hold it.
        """
        linear = self.encoding.startswith(("PCM", "FLOAT", "DOUBLE"))
        wanted = encoding or (self.encoding if linear else sf.default_subtype(container))
        form = self._replace(container=container, encoding=wanted, endian="FILE").writable()
        if form.container != container or encoding not in (None, form.encoding):
            raise ValueError(f"{encoding or container} {_refusal(self)}; WAV does: -o FILE.wav")
        return form

    def holding(self, frames: int) -> Format:
        """Return this format, or RF64 where so many frames are too many for a WAV.

        Raises ValueError where they are too many for another container.
        """
        bits = _integer_bits(self.encoding) or {"FLOAT": 32, "DOUBLE": 64}.get(self.encoding, 8)
        size = frames * self.channels * bits // 8
        if self.container not in SMALL or size < GIB_4 or frames == UNKNOWN:
            return self
        larger = self._replace(container="RF64", endian="FILE")
        if self.container not in ("WAV", "WAVEX") or not _writes(larger):
            raise ValueError(
                f"{self.container} holds 4 GiB, and {size / 2**30:.1f} are needed; RF64, W64, CAF "
                "or FLAC does: -o FILE.w64"
            )
        return larger

    def writable(self) -> Format:
        """Return the nearest format that this libsndfile writes, itself where it can."""
        default = sf.default_subtype(self.container)
        candidates = [
            self,
            self._replace(endian="FILE"),
            self._replace(encoding=default, endian="FILE"),
            self._replace(container="WAV", endian="FILE"),
        ]
        for form in candidates:
            if _writes(form):
                return form
        return self._replace(container="WAV", encoding="PCM_16", endian="FILE")


def _writes(form: Format) -> bool:
    """Return whether libsndfile writes a format; tried, as ``sf.check_format`` is too hopeful."""
    both = f"{form.container} {form.encoding}"
    if UNFAITHFUL & {form.container, form.encoding, both}:
        return False
    if form.channels == 1 and both in UNFAITHFUL_MONO:
        return False
    try:
        with sf.SoundFile(BytesIO(), "w", **_header(form)) as file:
            file.write(np.zeros((1, form.channels), np.int32))
    except (sf.LibsndfileError, ValueError):
        return False
    return True


def parse_raw(text: str) -> Format:
    """Return the format that ``RATE:CHANNELS:ENCODING`` describes, for files without a header.

    Raises ValueError where the text is none.

    >>> parse_raw("16000:2:s16le")
    Format(container='RAW', encoding='PCM_16', endian='LITTLE', rate=16000, channels=2)
    """
    match = re.fullmatch(r"(\d+):(\d+):([a-z]+\d*?)(le|be)?", text.lower())
    name = match[3] if match else ""
    if match is None or name not in RAW_ENCODINGS or not int(match[1]) or not int(match[2]):
        raise ValueError(
            f"{text!r} is not RATE:CHANNELS:ENCODING; say for example 16000:1:s16le "
            f"(encodings: {', '.join(RAW_ENCODINGS)}, with le or be after those of 16 bits or more)"
        )
    endian = "BIG" if match[4] == "be" else "LITTLE"
    rate, channels = int(match[1]), int(match[2])
    _check_shape(rate, channels, text)
    return Format("RAW", RAW_ENCODINGS[name], endian, rate, channels)


def _check_shape(rate: int, channels: int, name: str) -> None:
    """Raise ValueError for what is no sound, or too much to hold a few seconds of."""
    if not SLOWEST <= rate <= FASTEST:
        raise ValueError(
            f"{name}: {rate} Hz, where sound has {SLOWEST} to {FASTEST}; if its header is wrong, "
            "say what is right, as `sox -r 16000 FILE out.wav` does"
        )
    if channels * max(rate, 16000) > WIDEST:
        raise ValueError(
            f"{name}: {channels} channels at {rate} Hz are too many at once; take them in parts, "
            "as `sox FILE out.wav remix 1 2 3` does"
        )


class _Sound(sf.SoundFile):
    """A sound file that soundfile does not seek in after every read.

    It would do so to keep apart where it reads and where it writes; at the end of a streamed FLAC,
    which does not know its length, that fails.
    """

    def seekable(self) -> bool:
        return False


def open_audio(
    path: str | Path, raw: Format | None = None, name: str | None = None
) -> sf.SoundFile:
    """Return the sound file at ``path``, open for reading.

    ``raw`` is what a headerless file holds, ``name`` what messages call the file. Raises OSError
    where it cannot be opened, ValueError where it holds no sound.
    """
    name = name or str(path)
    _check_regular(Path(path), name)
    if raw is None and Path(path).suffix.lower() in RAW_SUFFIXES:
        raise ValueError(f"{name}: a headerless file; say what it holds, as --raw 16000:1:s16le")
    try:
        with _hushed(_may_chat(Path(path))):
            sound = _Sound(_name(path), **(_header(raw) if raw else {}))
    except sf.LibsndfileError as error:
        raise ValueError(f"{name}: {_reason(error)}; {_REMEDY}") from None
    try:
        if raw is None and sound.format == "RAW":  # guessed by the suffix, as with .au and .vox
            raise ValueError(f"{name}: format not recognised; {_REMEDY}")
        if sound.frames <= 0:
            raise ValueError(f"{name}: {_EMPTY}")
        _check_shape(sound.samplerate, sound.channels, name)
    except ValueError:
        sound.close()
        raise
    return sound


_EMPTY = "holds no samples; record or convert it anew"
_REMEDY = (
    "WAV, FLAC, Ogg, MP3, AIFF and libsndfile's other formats are read, and others after "
    "`ffmpeg -i FILE out.wav`"
)


def _check_regular(path: Path, name: str) -> None:
    status = path.stat()  # raises FileNotFoundError, PermissionError
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"{name}: a folder, where a sound file is needed")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{name}: not a regular file; pipe it in, with - as the input")
    if status.st_size == 0:
        raise ValueError(f"{name}: empty (0 bytes); record or copy it anew")


def _name(path: str | Path) -> str | bytes:
    """Return ``path`` as soundfile opens it even where its bytes are no valid text."""
    return os.fspath(path) if os.name == "nt" else os.fsencode(path)


_REASONS = {
    "File does not exist or is not a regular file (possibly a pipe?)": "nothing in it is sound",
    "Internal error : SF_INFO struct incomplete": "its header makes no sense",
    "Unspecified internal error": "its header makes no sense",
    "Supported file format but file is malformed": "damaged",
    "Format not recognised": "format not recognised",
}
"""What libsndfile says of damaged files, and what it means."""


def _reason(error: sf.LibsndfileError) -> str:
    said = error.error_string.strip().rstrip(".")
    return _REASONS.get(said, said)


_hush = threading.Lock()


@contextmanager
def _hushed(chatty: bool) -> Iterator[None]:
    """Keep what decoders and encoders print by themselves from both standard outputs."""
    if not chatty:
        yield
        return
    with _hush:
        kept = []
        try:
            for number, file in ((1, sys.stdout), (2, sys.stderr)):
                with suppress(OSError, ValueError, AttributeError):  # where there is no such output
                    file.flush()
                    kept.append((number, os.dup(number)))
                    null = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(null, number)
                    os.close(null)
            yield
        finally:
            _flushed()  # or what C holds back would come out later
            for number, copy in kept:
                os.dup2(copy, number)
                os.close(copy)


def _flushed() -> None:
    with suppress(OSError, TypeError, AttributeError):  # Windows has no such handle
        ctypes.CDLL(None).fflush(None)


def _may_chat(path: Path) -> bool:
    """Return whether libsndfile may take a file for one of those that it prints of."""
    if path.suffix.lower() == ".mp3":  # which libsndfile believes where the header says little
        return True
    with path.open("rb") as file:
        return file.read(4) not in (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b".snd")


def _chatty(sound: sf.SoundFile) -> bool:
    return bool(CHATTY & {sound.format, sound.subtype})


def _refusal(form: Format) -> str:
    plural = "s" * (form.channels != 1)
    return f"does not take {form.channels} channel{plural} at {form.rate} Hz"


def _header(form: Format) -> dict:
    return {
        "samplerate": form.rate,
        "channels": form.channels,
        "subtype": form.encoding,
        "endian": form.endian,
        "format": form.container,
    }


def format_of(sound: sf.SoundFile) -> Format:
    """Return the format of an open sound file."""
    return Format(sound.format, sound.subtype, sound.endian, sound.samplerate, sound.channels)


def samples(sound: sf.SoundFile, name: str, seconds: float = 1.0) -> Iterator[np.ndarray]:
    """Yield the samples of an open file in blocks of ``seconds``, each ``(C, n)`` float32.

    Raises ValueError at a NaN, an infinity, what is louder than ``LOUDEST`` and at damage, naming
    the file and the time, and where there is no sample at all; warns where the file ends before its
    header says. ``name`` is what the messages call the file.
    """
    rate, start = sound.samplerate, 0
    size = max(1, min(round(seconds * rate), BLOCK // sound.channels))
    while True:
        block = _next(sound, size, f"{name}: damaged after {start / rate:.3f} s")
        if not len(block):
            break
        _check_finite(block, start, rate, name)
        start += len(block)
        yield np.ascontiguousarray(block.T)
    if not start:
        raise ValueError(f"{name}: {_EMPTY}")
    promised = _promised(sound)
    if start < promised != UNKNOWN:
        warnings.warn(
            f"{name}: ends after {start / rate:.3f} s of the {promised / rate:.3f} s that its "
            "header promises; what is there is used",
            AudioWarning,
            stacklevel=2,
        )


def _next(sound: sf.SoundFile, size: int, complaint: str) -> np.ndarray:
    try:
        with _hushed(_chatty(sound)):
            return sound.read(size, dtype="float32", always_2d=True)
    except sf.LibsndfileError:
        raise ValueError(f"{complaint}; `ffmpeg -i FILE out.wav` may save more of it") from None


def _check_finite(block: np.ndarray, start: int, rate: int, name: str) -> None:
    good = np.abs(block) <= LOUDEST  # which NaN is not
    if good.all():
        return
    frame, channel = np.argwhere(~good)[0]
    value, place = block[frame, channel], start + frame
    remedy = "full scale is 1: scale it down"
    raise ValueError(
        f"{name}: {value:g} at sample {place} ({place / rate:.3f} s) of channel {channel + 1}; "
        f"{remedy if np.isfinite(value) else 'replace what is not a finite number'}"
    )


def _promised(sound: sf.SoundFile) -> int:
    """Return the number of frames that the header announces.

    libsndfile corrects the size of a WAV or AIFF that was cut off and keeps the announced one in
    its log. A size near 4 GiB is what a program writes that doesn't know the length yet.
    """
    found = re.search(r"^ *(?:data|SSND) *: (\d+) \(should be (\d+)\)", sound.extra_info, re.M)
    if found is None or int(found[1]) >= 0x7FFFFF00:
        return sound.frames
    return round(sound.frames * int(found[1]) / max(1, int(found[2])))


def blocks(path: str | Path, seconds: float = 1.0, raw: Format | None = None) -> Iterator:
    """Yield a file's samples in blocks of ``seconds``, each ``(C, n)`` float32; see ``samples``."""
    with open_audio(path, raw) as sound:
        yield from samples(sound, str(path), seconds)


def read(path: str | Path, raw: Format | None = None) -> tuple[np.ndarray, int]:
    """Return the wave in a file, ``(C, T)`` float32, and its rate in Hz. Raises as ``blocks``."""
    with open_audio(path, raw) as sound:
        return np.concatenate(list(samples(sound, str(path))), axis=1), sound.samplerate


class Writer:
    """A sound file to be written block by block, in any format that libsndfile writes.

    Integer encodings are rounded and clipped to full scale, exactly as read: what was read from a
    file and is written back unchanged has the same samples.
    """

    def __init__(self, path: str | Path, form: Format):
        self.bits = _integer_bits(form.encoding)
        try:
            self.sound = sf.SoundFile(_name(path), "w", **_header(form))
        except sf.LibsndfileError as error:
            raise ValueError(
                f"{form.container} {form.encoding} {_refusal(form)} ({_reason(error)}); "
                "another format may do, such as .wav"
            ) from None

    def write(self, block: np.ndarray) -> None:
        """Append ``(C, n)`` samples."""
        if self.bits:
            block = to_integers(block, self.bits) << (32 - self.bits)
        with _complaint(), _hushed(_chatty(self.sound)):
            self.sound.write(np.ascontiguousarray(block.T))

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_) -> None:
        with _complaint(), _hushed(_chatty(self.sound)):
            self.sound.close()


@contextmanager
def _complaint() -> Iterator[None]:
    """Say what libsndfile leaves out when the system refuses to write."""
    try:
        yield
    except sf.LibsndfileError as error:
        raise OSError(f"cannot be written ({_reason(error)}); is the disk full?") from None


def _integer_bits(encoding: str) -> int:
    match = re.fullmatch(r"(?:PCM_[SU]?|ALAC_)(\d+)", encoding)
    return int(match[1]) if match else 0


def to_integers(wave: np.ndarray, bits: int) -> np.ndarray:
    """Return ``wave`` in steps of ``2 ** (1 - bits)``, rounded and clipped; int32, any shape."""
    top = 2.0 ** (bits - 1)
    return np.clip(np.rint(wave.astype(np.float64) * top), -top, top - 1).astype(np.int32)


def write(path: str | Path, wave: np.ndarray, rate: int, encoding: str | None = None) -> None:
    """Write ``wave``, ``(C, T)`` or ``(T,)``, in the container that the suffix of ``path`` names.

    Raises ValueError for an unknown suffix or an encoding that the container cannot hold.
    """
    container, usual = named_format(Path(path))
    wave = np.atleast_2d(wave)
    encoding = encoding or usual or sf.default_subtype(container)
    with Writer(path, Format(container, encoding, "FILE", rate, len(wave))) as file:
        file.write(wave)


def named_format(path: Path) -> tuple[str, str | None]:
    """Return the container and encoding (or None) that a file's suffix stands for."""
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise ValueError(
            f"{path}: its suffix names no format that is written; these do: {' '.join(SUFFIXES)}"
        ) from None


def attenuation_limit(decibels: float) -> float:
    """Return the share of the original to keep, so that noise falls by ``decibels`` at most.

    It is 10^(-decibels / 20), for an enhancer's ``keep``: what the network takes away whole is left
    at that gain. 0 leaves the wave as it was, infinity keeps nothing. Raises ValueError for a
    negative number.

    >>> attenuation_limit(20)
    0.1
    """
    if not decibels >= 0:
        raise ValueError(f"attenuation of {decibels} dB: a number from 0 up is needed, or infinity")
    return 10 ** (-decibels / 20)


class Resampler:
    """A wave that arrives in blocks, at another rate: sample n of the input is at n * to / rate.

    soxr makes up for the delay of its filter; outside the wave is silence. ``feed`` and ``flush``
    take and give ``(C, n)`` float32 and together give ``ceil(T * to / rate)`` samples.
    """

    def __init__(self, rate: int, to: int, channels: int):
        import soxr

        self.rate, self.to, self.channels = rate, to, channels
        self.stream = soxr.ResampleStream(rate, to, channels, dtype="float32", quality="HQ")
        self.fed = self.given = 0

    def feed(self, block: np.ndarray) -> np.ndarray:
        """Return the samples that ``block`` completes."""
        return self._push(block, last=False)

    def flush(self) -> np.ndarray:
        """Return the rest."""
        length = -(-self.fed * self.to // self.rate)
        missing = length - self.given
        enough = -(-self.rate // self.to)  # soxr rounds the length to the nearest; we round up
        return self._push(np.zeros((self.channels, enough), np.float32), last=True)[:, :missing]

    def _push(self, block: np.ndarray, last: bool) -> np.ndarray:
        self.fed += block.shape[1]
        out = self.stream.resample_chunk(np.ascontiguousarray(block.T, np.float32), last=last)
        self.given += len(out)
        return out.T


def resampled(blocks: Iterable[np.ndarray], rate: int, to: int) -> Iterator[np.ndarray]:
    """Yield blocks ``(C, n)`` of ``rate`` Hz as blocks of ``to`` Hz; see ``Resampler``."""
    if rate == to:
        yield from blocks
        return
    resampler = None
    for block in blocks:
        resampler = resampler or Resampler(rate, to, len(block))
        yield resampler.feed(block)
    if resampler:
        yield resampler.flush()


def resample(wave: np.ndarray, rate: int, to: int) -> np.ndarray:
    """Return ``wave``, ``(C, T)`` or ``(T,)``, at ``to`` Hz: ``ceil(T * to / rate)`` samples."""
    out = np.concatenate(list(resampled([np.atleast_2d(wave)], rate, to)), axis=1)
    return out.reshape(*wave.shape[:-1], -1)


def preemphasis(wave: Tensor, coefficient: float = 0.95) -> Tensor:
    """Return ``y[n] = x[n] - coefficient * x[n - 1]`` along the last axis, with x[-1] = 0.

    SEGAN (Pascual, Bonafonte, Serra 2017), section 4.2. Any shape, differentiable.
    """
    import torch

    return torch.cat([wave[..., :1], wave[..., 1:] - coefficient * wave[..., :-1]], dim=-1)


def deemphasis(wave: Tensor, coefficient: float = 0.95) -> Tensor:
    """Return ``y[n] = x[n] + coefficient * y[n - 1]``, the inverse of ``preemphasis``.

    The recursion is taken in doubling strides: 1 / (1 - c z^-1) is the product of (1 + c z^-1),
    (1 + c^2 z^-2), (1 + c^4 z^-4) and so on, ten sums for 0.95. Any shape, differentiable.
    """
    import torch

    stride = 1
    while stride < wave.shape[-1] and abs(coefficient) > 1e-12:
        delayed = coefficient * wave[..., :-stride]
        wave = torch.cat([wave[..., :stride], wave[..., stride:] + delayed], dim=-1)
        coefficient, stride = coefficient**2, 2 * stride
    return wave
