"""Checkpoints: whole or not at all, safe to read from strangers."""

import json
import os
import pickle
import random

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gan import checkpoint

KINDS = {"linear": nn.Linear, "sequence": lambda first: nn.Sequential(first)}
CONFIG = {"_target_": "linear", "in_features": 3, "out_features": 2}


@pytest.fixture
def exported(tmp_path):
    network = nn.Linear(3, 2)
    checkpoint.export(tmp_path / "model.safetensors", network, CONFIG, step="7")
    return network, tmp_path / "model.safetensors"


def test_export_is_read_back_as_it_was(exported):
    network, path = exported
    loaded = checkpoint.load_network(path, KINDS)
    assert not loaded.training
    assert torch.equal(loaded.weight, network.weight)
    assert torch.equal(loaded.bias, network.bias)


def test_half_precision_is_read_as_float32(tmp_path):
    network = nn.Linear(3, 2)
    checkpoint.export(tmp_path / "half", network.half(), CONFIG)
    loaded = checkpoint.load_network(tmp_path / "half", KINDS)
    assert loaded.weight.dtype == torch.float32
    assert torch.equal(loaded.weight, network.weight.float())


def test_nested_configurations_are_built():
    network = checkpoint.build({"_target_": "sequence", "first": CONFIG}, KINDS)
    assert network[0].weight.shape == (2, 3)


def test_unknown_kind_is_refused_with_the_known_ones(tmp_path):
    path = tmp_path / "model"
    checkpoint.export(path, nn.Linear(3, 2), {"_target_": "os.system", "command": "true"})
    with pytest.raises(ValueError, match=r"model: unknown kind.*'os.system'.*linear, sequence"):
        checkpoint.load_network(path, KINDS)


def test_shapes_that_differ_from_the_configuration_are_named(tmp_path):
    config = {**CONFIG, "out_features": 4}
    checkpoint.export(tmp_path / "model", nn.Linear(3, 2), config)
    with pytest.raises(ValueError, match=r"tensor 'bias' is \(2,\).*wants \(4,\)"):
        checkpoint.load_network(tmp_path / "model", KINDS)


def test_a_huge_promise_takes_no_memory(tmp_path):
    config = {"_target_": "linear", "in_features": 2**22, "out_features": 2**22}  # 64 TiB
    checkpoint.export(tmp_path / "model", nn.Linear(3, 2), config)
    with pytest.raises(ValueError, match="its configuration wants"):
        checkpoint.load_network(tmp_path / "model", KINDS)


@pytest.mark.parametrize(
    "header",
    [{}, {"config": "{"}, {"config": "[1]"}, {"config": json.dumps({"_target_": "linear"})}],
)
def test_bad_headers_are_one_clear_error(tmp_path, header):
    save_file({"weight": torch.zeros(2, 3)}, tmp_path / "model", header)
    with pytest.raises(ValueError, match="model: "):
        checkpoint.load_network(tmp_path / "model", KINDS)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\xff" * 100])
def test_other_files_are_no_model(tmp_path, content):
    (tmp_path / "noise.wav").write_bytes(content)
    with pytest.raises(ValueError, match=r"noise.wav: no model file"):
        checkpoint.load_network(tmp_path / "noise.wav", KINDS)


def test_truncated_export_is_refused(exported):
    _, path = exported
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="no model file"):
        checkpoint.load_network(path, KINDS)


@pytest.mark.parametrize("size", [640, 1408, 19280])  # whose bytes begin as pickles and archives do
def test_a_header_of_any_length_is_no_pickle(exported, size):
    network, path = exported
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    path.write_bytes(size.to_bytes(8, "little") + content[8:end].ljust(size) + content[end:])
    assert torch.equal(checkpoint.load_network(path, KINDS).weight, network.weight)


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    torch.save({"game": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match=r"evil.pt: no checkpoint.*asks to run \w+\.mkdir"):
        checkpoint.load(tmp_path / "evil.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match=r"plain.pt: no checkpoint"):
        checkpoint.load(tmp_path / "plain.pt")
    assert not (tmp_path / "owned").exists()


STATE = {"step": 3, "weights": torch.arange(6.0), "names": ["a", "b"], "rate": 0.5}


def test_any_byte_changed_is_refused_or_changes_nothing(tmp_path):
    checkpoint.save(tmp_path / "whole.pt", STATE)
    whole = (tmp_path / "whole.pt").read_bytes()
    refused = 0
    for place in range(0, len(whole), 11):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        (tmp_path / "damaged.pt").write_bytes(damaged)
        try:
            loaded = checkpoint.load(tmp_path / "damaged.pt")
        except ValueError as error:
            assert str(error).startswith(f"{tmp_path / 'damaged.pt'}: no checkpoint, or a damaged")
            assert "\n" not in str(error)
            refused += 1
        else:
            assert torch.equal(loaded.pop("weights"), STATE["weights"])
            assert loaded == {key: STATE[key] for key in loaded}
    assert refused > len(whole) / 33  # the rest pads records, and nobody reads it


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_what_is_cut_short_is_refused(tmp_path, share):
    checkpoint.save(tmp_path / "last.pt", STATE)
    content = (tmp_path / "last.pt").read_bytes()
    (tmp_path / "last.pt").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"last.pt: no checkpoint, or a damaged one \(.+\); put"):
        checkpoint.load(tmp_path / "last.pt")


def test_what_holds_no_state_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match=r"list.pt: no checkpoint.*it holds a list"):
        checkpoint.load(tmp_path / "list.pt")


def test_a_missing_checkpoint_is_no_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "none.pt")


@pytest.fixture
def small_files():
    """Let no file grow beyond 10 kB, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_cannot_be_written_names_the_file_and_its_size(tmp_path, small_files):
    network = nn.Linear(1000, 250, bias=False)  # 1 MB
    for name, write in {
        "last.pt": lambda path: checkpoint.save(path, {"game": [network.state_dict()]}),
        "model.safetensors": lambda path: checkpoint.export(path, network, CONFIG),
    }.items():
        (tmp_path / name).write_bytes(b"old")
        with pytest.raises(OSError, match=rf"{name}: can't be written \(.*needs 1\.0 MB") as error:
            write(tmp_path / name)
        assert "\n" not in str(error.value)
        assert (tmp_path / name).read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "model.safetensors"]


def test_failed_writes_leave_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"step": 1})
    with pytest.raises(RuntimeError, match="disk"), checkpoint.atomic(path) as part:
        part.write_bytes(b"half")
        raise RuntimeError("disk")
    assert checkpoint.load(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_random_state_comes_back(tmp_path):
    def draws():
        return random.random(), np.random.rand(), torch.rand(1).item(), random.gauss(0, 1)

    random.gauss(0, 1)
    checkpoint.save(tmp_path / "state", {"random": checkpoint.random_state()})
    expected = draws()
    checkpoint.set_random_state(checkpoint.load(tmp_path / "state")["random"])
    assert draws() == expected
