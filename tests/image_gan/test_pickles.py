"""Pickles: arrays and names are read as written, and nothing that a pickle says is run."""

import builtins
import os
import pickle
import struct
import subprocess
import tracemalloc

import numpy as np
import pytest

from image_gan import pickles

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
ARRAYS = [np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32) for _ in range(2)]


@pytest.fixture
def written(tmp_path):
    """Return a function that writes bytes, or the pickle of an object, and returns the place."""

    def write(content, protocol=2):
        path = tmp_path / "some.pickle"
        is_bytes = isinstance(content, bytes)
        path.write_bytes(content if is_bytes else pickle.dumps(content, protocol))
        return path

    return write


# What is read


@pytest.mark.parametrize("kind", ["<f4", ">f8", "f2", "i8", "u1", "?"])
def test_arrays_are_read_as_they_were_written(written, kind):
    arrays = [(10 * array).astype(kind) for array in ARRAYS]
    arrays += [np.asfortranarray(arrays[0]), arrays[0][:, ::2], np.zeros((0, 4), kind)]
    for protocol in PROTOCOLS:
        found = pickles.read_arrays(written(arrays, protocol))
        assert len(found) == len(arrays)
        for own, array in zip(found, arrays, strict=True):
            assert own.dtype == array.dtype and own.shape == array.shape
            assert np.array_equal(own, array)


def test_one_array_is_a_list_along_its_first_axis(written):
    for protocol in PROTOCOLS:
        found = pickles.read_arrays(written(np.stack(ARRAYS), protocol))
        assert np.array_equal(found, ARRAYS)


def test_names_are_read_as_they_were_written(written):
    names = ["001.Albatross/Albatross_0001", "花/1", ""]
    for protocol in PROTOCOLS:
        assert pickles.read_names(written(names, protocol)) == names


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_the_names_of_both_numpys_are_known(written, core):
    content = pickle.dumps(ARRAYS, 2)
    for own in (b"numpy.core", b"numpy._core"):
        content = content.replace(b"c" + own + b".", b"c" + core.encode() + b".")
    assert np.array_equal(pickles.read_arrays(written(content)), ARRAYS)


def python_2(array: np.ndarray, protocol: int) -> bytes:
    """Return the opcodes by which Python 2 wrote a list of one array."""
    data, code = array.tobytes(), array.dtype.str[1:].encode()
    if protocol == 0:
        text = "".join(f"\\x{byte:02x}" for byte in data).encode()
        rows, columns = (str(length).encode() for length in array.shape)
        return (
            b"(lp1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\n"
            b"S'b'\np5\ntp6\nRp7\n(I1\n(I" + rows + b"\nI" + columns + b"\ntp8\ncnumpy\ndtype\n"
            b"p9\n(S'" + code + b"'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\n"
            b"tp14\nbI00\nS'" + text + b"'\np15\ntp16\nba."
        )
    return (
        b"\x80\x02]q\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85"
        b"q\x04U\x01bq\x05\x87q\x06Rq\x07(K\x01K" + bytes([array.shape[0]]) + b"K"
        b"" + bytes([array.shape[1]]) + b"\x86q\x08cnumpy\ndtype\nq\x09U\x02" + code + b"K\x00K\x01"
        b"\x87q\x0aRq\x0b(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0cb\x89T"
        b"" + struct.pack("<i", len(data)) + data + b"tq\x0dba."
    )


@pytest.mark.parametrize("protocol", [0, 2])
def test_arrays_of_python_2_are_read(written, protocol):
    content = python_2(ARRAYS[0], protocol)
    assert np.array_equal(pickle.loads(content, encoding="latin1"), ARRAYS[:1])  # as NumPy has it
    assert np.array_equal(pickles.read_arrays(written(content)), ARRAYS[:1])


@pytest.mark.parametrize(
    "content",
    [
        b"(lp1\nS'002.Laysan/Laysan_0002'\np2\naS'caf\\xe9'\np3\na.",
        b"\x80\x02]q\x01(U\x16002.Laysan/Laysan_0002U\x04caf\xe9e.",
    ],
    ids=["0", "2"],
)
def test_names_of_python_2_are_read(written, content):
    found = pickles.read_names(written(content))
    assert found[0] == "002.Laysan/Laysan_0002" and found[1] == "café"


# What is refused


class Calls:
    """What a pickle turns into a call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


ATTACKS = {
    "system": lambda mark: Calls(os.system, (f"echo > '{mark}'",)),
    "eval": lambda mark: Calls(builtins.eval, (f"open({str(mark)!r}, 'w')",)),
    "exec": lambda mark: Calls(builtins.exec, (f"open({str(mark)!r}, 'w')",)),
    "open": lambda mark: Calls(builtins.open, (str(mark), "w")),
    "popen": lambda mark: Calls(subprocess.Popen, (["touch", str(mark)],)),
    "getattr": lambda mark: Calls(builtins.getattr, (ARRAYS[0], "tofile")),
    "load": lambda mark: Calls(np.load, (str(mark), None, True)),
    "nested": lambda mark: [ARRAYS, [Calls(os.system, (f"echo > '{mark}'",))]],
    "in an array": lambda mark: np.array([Calls(os.system, (f"echo > '{mark}'",)), 1], object),
    "bytearray": lambda mark: Calls(bytearray, (10**12,)),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_pickle_asks_to_run_is_named_and_not_run(written, tmp_path, attack):
    mark = tmp_path / "mark"
    for protocol in PROTOCOLS:
        path = written(ATTACKS[attack](mark), protocol)
        with pytest.raises(ValueError, match=r"some\.pickle: asks (to run|for) .*nothing was run"):
            pickles.read_arrays(path)
        assert not mark.exists()


def test_the_message_names_what_was_asked_for(written):
    with pytest.raises(ValueError, match=r"asks to run '(posix|nt)\.system'; only numbers"):
        pickles.read_names(written(Calls(os.system, ("true",))))


FRAME = b"\x95" + struct.pack("<Q", 2**50)
TRICKS = {
    "a method of what is allowed": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
    "an instance": b"(S'true'\nios\nsystem\n.",
    "an object": b"(cos\nsystem\nS'true'\no.",
    "an extension": b"\x80\x02\x82\x01.",
    "something elsewhere": b"Psome\n.",
    "a dictionary": b"}.",
    "a set": b"\x80\x04\x8f.",
    "a new object": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "change by state": b"\x80\x02cnumpy\ndtype\nN}b.",
    "change by attributes": b"cnumpy\ndtype\n(S'make'\ntb.",
    "another encoding": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00utf-7\x86R.",
    "objects": b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R.",
}


@pytest.mark.parametrize("trick", TRICKS)
def test_what_else_a_pickle_may_not_do_is_refused(written, trick):
    with pytest.raises(ValueError, match="nothing was run"):
        pickles.read(written(TRICKS[trick]))


DAMAGED = {
    "no pickle": b"PK\x03\x04 not a pickle at all",
    "text": b"002.Laysan/Laysan_0002\n",
    "nothing on the stack": b".",
    "a frame too long": b"\x80\x04" + FRAME + b"N.",
    "bytes too long": b"\x80\x04\x8e" + struct.pack("<Q", 2**50) + b"ab.",
    "a large number in the memo": b"Nr\xff\xff\xff\xff.",
    "shape and data differ": python_2(ARRAYS[0], 2).replace(b"K\x03K\x04\x86", b"K\x03K\x05\x86"),
    "negative shape": python_2(ARRAYS[0], 0).replace(b"I3\nI4\n", b"I-3\nI-4\n"),
    "a long number": b"\x8b" + struct.pack("<i", 10**6) + b"\x7f" * 10**6 + b".",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_is_damaged_is_said_to_be_and_asks_for_no_memory(written, damage):
    path = written(DAMAGED[damage])
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"some\.pickle: (no pickle that can be read|asks for)"):
        pickles.read(path)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_cut_short_anywhere_is_said_to_be(written, protocol):
    whole = pickle.dumps(ARRAYS, protocol)
    for length in range(1, len(whole), 7):
        with pytest.raises(ValueError, match=r"some\.pickle: no "):
            pickles.read_arrays(written(whole[:length]))
    with pytest.raises(ValueError, match=r"empty \(0 bytes\)"):
        pickles.read_arrays(written(b""))


def test_one_text_does_not_become_many_arrays(written):
    kind = b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x85Rq\x01"
    data = b"T" + struct.pack("<i", 1000) + b"a" * 1000 + b"q\x02"
    scalar = b"cnumpy.core.numeric\n_frombuffer\n(h\x02h\x01M\xe8\x03\x85U\x01CtR"
    few, many = (
        b"\x80\x02" + kind + b"0" + data + b"0](" + count * scalar + b"e." for count in (2, 200)
    )
    assert len(pickles.read_arrays(written(few))) == 2
    with pytest.raises(ValueError, match="claims more than it holds"):
        pickles.read_arrays(written(many))


@pytest.mark.parametrize("content", [["a", 1], "a", [ARRAYS[0], "a"], 1.5, [[ARRAYS[0]]]])
def test_what_is_no_list_of_these_is_said_not_to_be(written, content):
    with pytest.raises(ValueError, match="no list of arrays"):
        pickles.read_arrays(written(content))
    if content != "a":
        with pytest.raises(ValueError, match="no list of names"):
            pickles.read_names(written(content))


def test_an_array_that_was_never_filled_is_none(written):
    begun = b"\x80\x02]cnumpy.core.multiarray\n_reconstruct\n)Ra."
    with pytest.raises(ValueError, match="never filled"):
        pickles.read_arrays(written(begun))
