"""Pickles of arrays and of texts, read without running what is in them.

StackGAN's embeddings and lists of names are pickles of Python 2. A pickle is a program; here it may
build lists, tuples, numbers, texts and arrays of numbers, nothing else, and none of NumPy's own
functions is called for it. What it builds is bounded by what the file holds.
"""

from __future__ import annotations

import math
import mmap
import pickle
import pickletools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

OPCODES = frozenset(
    [
        *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "NONE", "NEWTRUE", "NEWFALSE"),
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
        *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        *("EMPTY_LIST", "LIST", "APPEND", "APPENDS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
        *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
    ]
)
"""What a pickle may do. No dictionaries and sets: to hash nested tuples can take for ever."""

LONGEST = 1000  # digits of a number, bytes of one

CORES = ("numpy.core", "numpy._core")  # as NumPy 1 and NumPy 2 call it

BROKEN = (
    *(pickle.UnpicklingError, ValueError, EOFError, LookupError, AttributeError),
    *(TypeError, OverflowError, RecursionError),
)


class RefusedError(Exception):
    """What a pickle asked for that it may not have."""


class Allowed:
    """Something that a pickle may call, and may not change."""

    __slots__ = ("make",)

    def __init__(self, make: Callable):
        self.make = make

    def __call__(self, *given):
        """Return what is made of what is given."""
        return self.make(*given)

    def __setstate__(self, state):
        raise RefusedError("to change how pickles are read")


class Kind:
    """A type of numbers: its name, such as f4, then its byte order."""

    __slots__ = ("dtype",)

    def __init__(self, name, *_):
        name = as_text(name)
        if not re.fullmatch(r"[<>|=]?(b1|[iu][1248]|f[248])", name):
            raise RefusedError(f"for an array of {name[:20]!r}, which are no numbers")
        self.dtype = np.dtype(name)

    def __setstate__(self, state):
        self.dtype = self.dtype.newbyteorder(as_text(state[1]))


class Array:
    """An array that is made empty, then filled."""

    __slots__ = ("fill", "value")

    def __init__(self, fill: Callable[..., np.ndarray]):
        self.fill, self.value = fill, None

    def __setstate__(self, state):
        _, shape, kind, by_columns, data = state
        self.value = self.fill(data, kind, shape, "F" if by_columns else "C")


class Reader(pickle.Unpickler):
    """The unpickler.

    Args:
        file: to read from.
        size: of the file, bytes.
    """

    def __init__(self, file, size: int):
        super().__init__(file, encoding="latin1")
        self.left = 2 * size  # bytes that may be made of them: text, then numbers
        names = {"numpy.ndarray": Array, "numpy.dtype": Kind, "_codecs.encode": self.encoded}
        names |= dict.fromkeys(("__builtin__.bytes", "builtins.bytes"), lambda: b"")
        for core in CORES:
            names[f"{core}.multiarray._reconstruct"] = lambda *_: Array(self.filled)
            names[f"{core}.multiarray.scalar"] = self.scalar
            names[f"{core}.numeric._frombuffer"] = self.from_buffer
        self.allowed = {name: Allowed(make) for name, make in names.items()}

    def find_class(self, module: str, name: str) -> Allowed:
        """Return what stands for something that a pickle names; refuse all that is not known."""
        asked = f"{module}.{name}"
        if asked not in self.allowed:
            raise RefusedError(f"to run {asked[:80]!r}")
        return self.allowed[asked]

    def encoded(self, text: str, encoding: str = "utf-8") -> bytes:
        """Return the bytes that a text of Python 2 was."""
        if as_text(encoding) not in ("latin1", "latin-1", "iso-8859-1"):
            raise RefusedError(f"for the encoding {as_text(encoding)[:20]!r}")
        self.take(len(text))
        return text.encode("latin1")

    def filled(self, data, kind: Kind, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
        """Return the numbers in ``data`` as an array."""
        if not isinstance(data, str | bytes | bytearray):
            raise RefusedError("for an array of objects")
        shape = tuple(map(int, shape))
        if min(shape, default=0) < 0 or math.prod(shape) * kind.dtype.itemsize != len(data):
            raise ValueError(f"an array of shape {shape} has {len(data)} bytes")
        self.take(len(data))
        data = data.encode("latin1") if isinstance(data, str) else data
        return np.frombuffer(data, kind.dtype).reshape(shape, order=order)

    def from_buffer(self, data, kind: Kind, shape: tuple[int, ...], order: str) -> Array:
        """Return an array, as protocol 5 has it."""
        array = Array(self.filled)
        array.__setstate__((1, shape, kind, order == "F", data))
        return array

    def scalar(self, kind: Kind, data) -> float:
        """Return a number of NumPy's."""
        return self.filled(data, kind, ()).item()

    def take(self, count: int) -> None:
        """Raise ValueError where more is made of the file than it holds."""
        self.left -= count
        if self.left < 0:
            raise ValueError("it claims more than it holds")


def read_arrays(path: str | Path) -> list[np.ndarray]:
    """Return the arrays in a pickle of a list of them, or of one array, along its first axis.

    Raises:
        OSError: where the file can't be read.
        ValueError: where it is something else, is cut short, or asks for anything to be run.
    """
    found = read(path)
    if isinstance(found, Array) and np.ndim(found.value):
        return list(found.value)
    if not isinstance(found, list) or not all(isinstance(one, Array) for one in found):
        raise ValueError(f"{path}: no list of arrays")
    if any(one.value is None for one in found):
        raise ValueError(f"{path}: an array in it was never filled")
    return [one.value for one in found]


def read_names(path: str | Path) -> list[str]:
    """Return the texts in a pickle of a list of them. Raises what ``read_arrays`` does."""
    found = read(path)
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"{path}: no list of names")
    return list(found)


def read(path: str | Path):
    """Return what is in a pickle, arrays as ``Array``. Raises what ``read_arrays`` does."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        if not size:
            raise ValueError(f"{path}: empty (0 bytes)")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                check(content)
                content.seek(0)
                return Reader(content, size).load()
            except RefusedError as error:
                raise ValueError(
                    f"{path}: asks {error}; only numbers, texts and arrays of numbers are read, "
                    "and nothing was run"
                ) from None
            except BROKEN as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise ValueError(f"{path}: no pickle that can be read ({reason[:120]})") from None


def check(content) -> None:
    """Raise where a pickle does what it may not do, or claims more than is there."""
    for count, (name, argument) in enumerate(steps(content)):
        if name not in OPCODES:
            raise RefusedError(f"for {name}")
        if name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > count:
            raise ValueError("it numbers more than it holds")
        if isinstance(argument, int) and argument.bit_length() > 8 * LONGEST:
            raise ValueError("a number too long")


def steps(content) -> Iterator[tuple[str, object]]:
    """Yield the opcodes of a pickle and their arguments, as far as they matter."""
    name = ""
    while name != "STOP":
        code = pickletools.code2op.get(content.read(1).decode("latin1"))
        if code is None:
            raise ValueError("no opcode, or none that is known")
        name = code.name
        if name == "STRING":  # bytes of Python 2, which pickletools would have be ASCII
            yield name, content.readline()
        else:
            yield name, code.arg and code.arg.reader(content)


def as_text(value) -> str:
    """Return a text that Python 2 or 3 may have written; nothing else is turned into one."""
    if not isinstance(value, str | bytes):
        raise ValueError("a text was expected")
    return value.decode("latin1") if isinstance(value, bytes) else value
