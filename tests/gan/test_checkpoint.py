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


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    torch.save({"game": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pt", "plain.pt"):
        with pytest.raises(ValueError, match=f"{name}: no checkpoint"):
            checkpoint.load(tmp_path / name)
    assert not (tmp_path / "owned").exists()


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
