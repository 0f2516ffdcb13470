"""Model files from strangers: one clear line and status 2, little memory, nothing run."""

import io
import json
import os
import pickle
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from gan import checkpoint
from segan import audio, cli, enhance, generator

SMALL = {"channels": 2, "dilations": [1], "narrow": 1, "hidden": 2, "bands": [[2, 4]]} | {
    "window": 16,
    "hop": 8,
    "level": 0.1,
}
BAND = {"_target_": "segan.generator.BandGenerator"} | SMALL
PAPER = {"_target_": "segan.paper.Generator", "channels": [2, 3], "kernel": 5}


def model(config=BAND, change=lambda tensors: None, **header):
    """Return a model file: the tensors of ``BAND`` changed, and ``config`` in its header."""
    base = PAPER if config.get("_target_") == PAPER["_target_"] else BAND
    tensors = {
        k: t.numpy() for k, t in checkpoint.build(base, generator.KINDS).state_dict().items()
    }
    change(tensors)
    body, entries = b"", {"__metadata__": {"config": json.dumps(config)}}
    for name, tensor in tensors.items():
        kind = {"f4": "F32", "f2": "F16", "i4": "I32", "u1": "U8"}[tensor.dtype.str[1:]]
        offsets = [len(body), len(body) + tensor.nbytes]
        entries[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": offsets}
        body += tensor.tobytes()
    return framed(json.dumps(entries | header).encode(), body)


def framed(header, body=b""):
    return struct.pack("<Q", len(header)) + header + body


def oversized(tensors):
    tensors["norm.weight"] = np.zeros((0, 2**40), np.float32)


def filled(value):
    def change(tensors):
        tensors["norm.bias"] = np.full(2, value, np.float32)

    return change


def retyped(kind):
    def change(tensors):
        tensors["norm.bias"] = np.zeros(2, kind)

    return change


def without(name):
    return lambda tensors: tensors.pop(name)


def renamed(tensors):
    tensors["norm.bias\n\x1b[31m"] = tensors.pop("norm.bias")


def bomb():
    """Return an archive of 10 MB of zeros, in a few kB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**7))
    return file.getvalue()


class Evil:
    """A pickle that would make a folder."""

    def __reduce__(self):
        return os.mkdir, ("owned",)


def hidden(protocol):
    return pickle.dumps(Evil(), protocol)


def saved():
    file = io.BytesIO()
    torch.save({"generator": Evil()}, file)
    return file.getvalue()


CLAIM = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
ENTRY = '"norm.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
TWICE = ("{" + ENTRY + "," + ENTRY + "}").encode()

HOSTILE = {
    "more than the file holds": (framed(CLAIM), "no model file"),
    "a shape that overflows": (
        framed(CLAIM.replace(b"1099511627776", b"4294967296,4294967296")),
        "",
    ),
    "another shape": (model(change=oversized), r"'norm\.weight' is \(0, 1099511627776\)"),
    "a tensor of integers": (model(change=retyped("i4")), "'norm.bias' is of type I32"),
    "a tensor of bytes": (model(change=retyped("u1")), "'norm.bias' is of type U8"),
    "a tensor less": (model(change=without("norm.bias")), "'norm.bias' is missing"),
    "a name that is none": (model(change=renamed), "'norm.bias"),
    "the same key twice": (framed(TWICE, bytes(8)), ""),
    "NaN": (model(change=filled(np.nan)), "'norm.bias' holds what is no finite number"),
    "infinity": (model(change=filled(np.inf)), "'norm.bias' holds what is no finite number"),
    "a header of 2 GiB": (struct.pack("<Q", 2**31) + b"{}", "header would be too large"),
    "a header of 2^64": (b"\xff" * 8 + b"{}", "header would be too large"),
    "a long header": (framed(b" " * 2**23 + b"{}"), "header would be too large"),
    "no JSON": (framed(b"{" * 1000), "no model file"),
    "nested headers": (framed(b'{"a":' * 50_000), "no model file"),
    "no configuration": (framed(b"{}"), "holds no configuration"),
    "metadata of numbers": (framed(b'{"__metadata__":{"config":1}}'), ""),
    "another kind": (
        model({"_target_": "os.system", "command": "true"}),
        "unknown kind .*'os.system'",
    ),
    "a kind of another type": (model(BAND | {"_target_": ["a"]}), "unknown kind"),
    "a zip bomb": (bomb(), r"a pickle or archive; nothing in it was run"),
    "a pickle, protocol 2": (hidden(2), "nothing in it was run"),
    "a pickle, protocol 4": (hidden(4), "nothing in it was run"),
    "a pickle, protocol 0": (hidden(0), "no model file"),
    "a checkpoint of torch": (saved(), "nothing in it was run"),
}

ABSURD = {
    "channels": [10**9, 2**24, -1, 0, 2.5, "8", None, [2], {}, True, 3],
    "dilations": [
        [1] * 10_000,
        [1] * 200,
        [-1],
        [0],
        ["a"],
        [True],
        1,
        [10**7],
        [2**24],
        [[1]],
        {},
    ],
    "narrow": [-1, 10**9, "2"],
    "hidden": [-5, 1e308, 10**400],
    "bands": [[[3, 4]], [[2, 4, 1]], [[2]], [4, 4], [], [[-2, -4]], [[2**30, 2**30]], "ab", None],
    "window": [0, -16, 15, 2**24, 2**31, "16", 1],
    "hop": [0, -8, 16, 7, 10**9],
    "power": [0, -1, 1e-320, float("nan"), float("inf"), "a"],
    "level": [0, -1, 10**6, float("nan"), 1e300],
    "rate": [0, -16000, 1, 2**24, "16000", 1e300],
    "unknown": [1],
}


@pytest.fixture
def refuse(tmp_path, monkeypatch, capsys, recwarn):
    """Enhance a file with a model; assert that it is refused as it should be; return the line."""
    monkeypatch.chdir(tmp_path)
    audio.write("x.wav", np.zeros((1, 100)), 16000)

    def refuse(content):
        (tmp_path / "model.safetensors").write_bytes(content)
        tracemalloc.start()
        status = cli.main(["x.wav", "--model", "model.safetensors", "--device", "cpu", "-q"])
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        (line,) = capsys.readouterr().err.splitlines()
        assert not recwarn.list
        assert status == 2 and line.startswith("segan-enhance: model.safetensors: "), line
        assert line.isprintable() and most < 10**8
        assert sorted(os.listdir()) == ["model.safetensors", "x.wav"]
        return line

    return refuse


def test_the_model_that_these_are_made_of_is_taken(tmp_path):
    for config in (BAND, PAPER):
        (tmp_path / "model.safetensors").write_bytes(model(config))
        out = enhance.load(tmp_path / "model.safetensors", "cpu")(np.ones(100, np.float32), 16000)
        assert np.isfinite(out).all()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_one_line(refuse, name):
    content, complaint = HOSTILE[name]
    assert re.search(complaint, refuse(content))


@pytest.mark.parametrize("keyword", ABSURD)
def test_absurd_configurations_are_one_line(refuse, keyword):
    taken = []
    for value in ABSURD[keyword]:
        content = model(BAND | {keyword: value})
        try:
            refuse(content)
        except AssertionError:
            raise AssertionError(f"{keyword} = {value!r:.60}") from None
        taken.append(value)
    assert len(taken) == len(ABSURD[keyword])


@pytest.mark.parametrize(
    "change",
    [
        {"stride": 1},
        {"stride": 0},
        {"stride": 2**20},
        {"coefficient": 1},
        {"coefficient": 0.99999999},
        {"coefficient": "a"},
        {"kernel": 0},
        {"kernel": 2**24},
        {"channels": []},
        {"channels": [2] * 9000},
        {"rate": 0},
    ],
)
def test_absurd_keywords_of_the_papers_networks_are_one_line(refuse, change):
    refuse(model(PAPER | change))


def test_networks_in_networks_end(refuse):
    config = BAND
    for _ in range(400):
        config = {"_target_": "segan.generator.BandGenerator", "channels": config}
    assert "nested more than 8 deep" in refuse(model(config))


def test_a_long_configuration_is_not_parsed(refuse):
    assert "more than 65536 characters" in refuse(model(BAND | {"dilations": [1] * 10**5}))


@pytest.mark.skipif(os.name == "nt", reason="needs sparse files")
def test_tensors_that_fit_their_configuration_and_no_memory_are_refused(tmp_path):
    side = 2**20
    entries = {
        "__metadata__": {"config": json.dumps({"_target_": "linear", "size": side})},
        "weight": {"dtype": "F32", "shape": [side, side], "data_offsets": [0, 4 * side**2]},
    }
    path = tmp_path / "model.safetensors"
    path.write_bytes(framed(json.dumps(entries).encode()))
    os.truncate(path, path.stat().st_size + 4 * side**2)  # 4 TiB, sparse
    assert path.stat().st_blocks * 512 < 10**6
    kinds = {"linear": lambda size: torch.nn.Linear(size, size, bias=False)}
    with pytest.raises(ValueError, match=r"model\.safetensors: no model file \(4096\.0 GiB\)"):
        checkpoint.load_network(path, kinds)


def test_more_weights_than_there_is_memory_are_refused_before_a_network_is_built():
    shapes = {"a": (2**14, 2**14), "b": (1,)}
    with pytest.raises(ValueError, match="holds more than 268435456 weights"):
        checkpoint.check({"config": "{}"}, shapes, {}, {})


def test_a_network_that_grows_by_a_number_is_stopped(tmp_path):
    built = []

    def deep(depth):
        layers = torch.nn.Sequential()
        for _ in range(depth):
            built.append(layers.append(torch.nn.Linear(1, 1)))
        return layers

    path = tmp_path / "model.safetensors"
    path.write_bytes(model({"_target_": "deep", "depth": 10**6}))
    with pytest.raises(ValueError, match=r"grows far beyond the \d+ tensors of the file"):
        checkpoint.load_network(path, {"deep": deep})
    assert len(built) < 1000


def test_a_network_whose_weights_make_no_numbers_is_refused(refuse):
    def loud(tensors):
        for name in tensors:
            tensors[name] = np.full_like(tensors[name], 3e38)

    assert "its network does not work (the network gives no finite wave" in refuse(
        model(change=loud)
    )


# Checkpoints


def archive(members, kind):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_checkpoints_that_unpack_to_more_are_refused_before_they_are_unpacked(tmp_path, kind):
    checkpoint.save(tmp_path / "last.pt", {"step": 1})
    with zipfile.ZipFile(tmp_path / "last.pt") as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    (tmp_path / "bomb.pt").write_bytes(archive(members | {"archive/data/9": bytes(10**7)}, kind))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"bomb\.pt: no checkpoint.*grows when it is unpacked"):
        checkpoint.load(tmp_path / "bomb.pt")
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()
    (tmp_path / "plain.pt").write_bytes(archive(members, zipfile.ZIP_STORED))
    assert checkpoint.load(tmp_path / "plain.pt") == {"step": 1}
