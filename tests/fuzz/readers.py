"""Fuzz the readers of sound: any bytes under any suffix are samples, or one line.

    python tests/fuzz/readers.py --corpus DIR [--minutes 10]

libsndfile is no Python and brings no coverage of its own. What it logs of a file (the chunks and
fields that it met, without their numbers) stands for it.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import atheris
import numpy as np
from campaign import Landmarks, fuzz, one_line
from make_odd_audio import files

with atheris.instrument_imports(include=["segan.audio"]):
    from segan import audio

import soundfile as sf

NAMES = sorted({*audio.SUFFIXES, *audio.RAW_SUFFIXES, ".sd2", ".xi", ".mat", ".txt", ""})
RAW = audio.Format("RAW", "PCM_16", "LITTLE", 16000, 2)
MOST_BLOCKS = 300

landmarks = Landmarks()


def try_one(data: bytes, folder: Path) -> None:
    """Read ``data`` but for its first byte, which chooses the suffix and whether it is raw."""
    if not data:
        return
    suffix = NAMES[data[0] % len(NAMES)]
    path = folder / f"input{suffix}"
    path.write_bytes(data[1:])
    raw = RAW if suffix in audio.RAW_SUFFIXES and data[0] & 128 else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", audio.AudioWarning)
            read(path, raw)
    except (OSError, ValueError) as error:
        one_line(error, path.name)
        landmarks.pass_by(re.sub(r"[-\d.]+", "#", str(error)), *logged())
    finally:
        path.unlink()


def read(path: Path, raw: audio.Format | None) -> None:
    """Read a file as ``segan-enhance`` does; fail where samples are not as they should be."""
    with audio.open_audio(path, raw) as sound:
        form = audio.format_of(sound)
        landmarks.pass_by(
            f"{form.container} {form.encoding} {form.endian}", *lines(sound.extra_info)
        )
        form.writable()
        for number, block in enumerate(audio.samples(sound, str(path))):
            assert block.dtype == np.float32 and len(block) == form.channels
            assert block.size <= audio.BLOCK and np.isfinite(block).all()
            if number == MOST_BLOCKS:
                break


def logged() -> list[str]:
    """Return what libsndfile logged of the file that it last failed to open."""
    text = sf._ffi.new("char[]", 2**14)
    sf._snd.sf_command(sf._ffi.NULL, sf._snd.SFC_GET_LOG_INFO, text, sf._ffi.sizeof(text))
    return lines(sf._ffi.string(text).decode("utf-8", "replace"))


def lines(log: str) -> list[str]:
    """Return the beginnings of a log's lines, without numbers and what the file itself says."""
    return [re.sub(r"'.*'|[^a-zA-Z :]+", "#", line)[:24] for line in log.splitlines()[1:60]]


def seeds() -> list[bytes]:
    """Return the odd files, each under its own suffix."""
    return [
        bytes([NAMES.index(suffix)]) + content
        for name, content in files()
        if (suffix := Path(name).suffix) in NAMES
    ]


if __name__ == "__main__":
    fuzz(try_one, seeds(), longest=8192)
