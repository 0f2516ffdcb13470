"""Exported networks do what the network does, and run where there is no torch."""

import json
import subprocess
import sys
from argparse import Namespace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import segan
from gan import checkpoint
from segan import audio, cli, enhance, export, export_check, forms, paper
from segan.generator import BandGenerator

onnx = pytest.importorskip("onnx", reason="pip install 'segan[export]'")
ort = pytest.importorskip("onnxruntime", reason="pip install 'segan[export]'")
pytest.importorskip("onnxscript", reason="pip install 'segan[export]'")

SMALL = {"channels": 4, "dilations": [2], "narrow": 2, "hidden": 8, "level": 0.1}
SPEECH = Path(__file__).parents[2] / "egs" / "speech"


def trained(seed=0, **options):
    """A small causal network whose mask is not the identity; half precision holds its weights."""
    torch.manual_seed(seed)
    network = BandGenerator(**{**SMALL, "causal": True, **options})
    for weight in network.leave.weights:
        torch.nn.init.normal_(weight, std=0.2)
    for parameter in network.requires_grad_(False).parameters():
        parameter.copy_(parameter.half())
    return network.eval()


def saved(path, network, **options):
    config = {"_target_": "segan.generator.BandGenerator", **SMALL, "causal": True, **options}
    checkpoint.export(path, network, config)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A network, its weights file, and all that ``segan-export`` makes of it."""
    folder, network = tmp_path_factory.mktemp("made"), trained()
    model = saved(folder / "tiny.safetensors", network)
    whole, hops, program = (folder / name for name in ("whole.onnx", "hops.onnx", "whole.pt2"))
    command = ["--model", str(model)]
    assert export.main([*command, "--onnx", str(whole), "--torch", str(program)]) == 0
    assert export.main([*command, "--onnx", str(hops), "--streaming"]) == 0
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["hops.onnx", "tiny.safetensors", "whole.onnx", "whole.pt2"]  # in one piece
    return Namespace(network=network, model=model, whole=whole, hops=hops, program=program)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def expected(network, wave):
    return network(torch.from_numpy(wave)[:, None])[:, 0].numpy()


# What is exported


@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_whole_waves_of_any_length_are_those_of_the_network(made, kind):
    path = made.whole if kind == "onnx" else made.program
    run = getattr(export, f"{kind}_runner")(path.read_bytes())
    for length in (1, 2, 255, 256, 257, 512, 513, 9000):
        wave = noise(1 + length % 3, length)
        (clean,) = run([wave])
        np.testing.assert_allclose(clean, expected(made.network, wave), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("shifts", [2])
def test_shifted_grids_leave_the_package_too(shifts):
    network, wave = trained(causal=False, shifts=shifts), noise(2, 700)
    form = forms.Whole(network)
    content = export.onnx_file(forms.traced(form), form, export.notes_of(form, "shifted"))
    run = export.onnx_runner(content)
    np.testing.assert_allclose(run([wave])[0], expected(network, wave), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("kind", ["silence", "tone", "constant", "click"])
def test_rounding_is_not_heard_where_the_spectrum_is_as_good_as_empty(made, kind):
    time = np.arange(8000, dtype=np.float32)
    wave = {"silence": 0 * time, "tone": np.sin(0.3 * time), "constant": 0 * time + 1}.get(
        kind, (time == 4000).astype(np.float32)
    )[None]
    (clean,) = export.onnx_runner(made.whole.read_bytes())([wave])
    np.testing.assert_allclose(clean, expected(made.network, wave), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("portions", [[1] * 24, [24], [3, 1, 5, 15]])
def test_steps_are_the_network_late_by_the_delay(made, portions):
    network, step = made.network, export.onnx_runner(made.hops.read_bytes())
    wave = noise(2, 24 * network.hop)
    state, parts = [tensor.numpy() for tensor in network.start(2).values()], []
    for part in np.split(wave, np.cumsum(portions)[:-1] * network.hop, axis=1):
        clean, *state = step([part, *state])
        parts.append(clean)
    delay = network.window - network.hop
    reference = expected(network, wave)[:, :-delay]
    np.testing.assert_allclose(np.concatenate(parts, 1)[:, delay:], reference, atol=2e-6)


def test_the_state_has_names_and_shapes_that_begin_with_the_channels(made):
    model = onnx.load(made.hops)
    own = {i.name: i.type.tensor_type.shape.dim for i in model.graph.input}
    state = made.network.start()
    assert list(own) == ["noisy", *state]
    assert [o.name for o in model.graph.output] == ["clean", *(f"{name}_next" for name in state)]
    assert {shape[0].dim_param for shape in own.values()} == {"channels"}
    for name, tensor in state.items():
        assert [d.dim_value for d in own[name]][1:] == list(tensor.shape[1:])


def test_a_file_says_what_it_is(made):
    notes = {p.key: p.value for p in onnx.load(made.hops).metadata_props}
    assert notes | {"segan": ""} == {
        "rate": "16000",
        "hop": "256",
        "window": "512",
        "context": str(made.network.context),
        "latency": "512",
        "delay": "256",
        "causal": "true",
        "form": "hops",
        "name": "tiny",
        "kind": "segan.generator.BandGenerator",
        "segan": "",
    }
    assert export.notes_of(forms.Whole(made.network), "default")["licence"] == "MIT"


def test_weights_that_half_precision_holds_are_stored_so_and_the_transform_as_a_formula(made):
    for path in (made.whole, made.hops):
        stored = onnx.load(path).graph.initializer
        weights = [w for w in stored if not w.name.startswith("fourier.")]
        single = [w for w in weights if w.data_type == onnx.TensorProto.FLOAT]
        assert max(np.prod(w.dims) for w in single) < 64
        half = sum(np.prod(w.dims) for w in weights if w.data_type == onnx.TensorProto.FLOAT16)
        assert half > 0.8 * sum(p.numel() for p in made.network.parameters())
        assert max(np.prod(w.dims) for w in stored if w not in weights) <= 4 * 512


def test_rounding_weights_to_half_precision_is_asked_for():
    from segan.onnx_graph import _store_in_half

    for rounded, kind in ((False, onnx.TensorProto.FLOAT), (True, onnx.TensorProto.FLOAT16)):
        weight = onnx.numpy_helper.from_array(np.full((8, 8), 1 / 3, np.float32), "w")
        graph = onnx.helper.make_graph([], "g", [], [], [weight])
        _store_in_half(graph, rounded)
        assert [w.data_type for w in graph.initializer] == [kind]


# What is refused


def refusal(capsys, *arguments):
    assert export.main([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_file_that_differs_is_not_written(made, tmp_path, capsys, monkeypatch):
    other = saved(tmp_path / "other.safetensors", trained(seed=1))
    monkeypatch.setattr(forms, "traced", lambda form: None)
    monkeypatch.setattr(export, "onnx_file", lambda *_: made.whole.read_bytes())
    line = refusal(capsys, "--onnx", tmp_path / "x.onnx", "--model", other)
    assert "x.onnx: not written, as a sample differs from PyTorch's by" in line
    assert [path.name for path in tmp_path.iterdir()] == ["other.safetensors"]


def test_a_file_that_gives_no_numbers_is_not_written(made):
    def broken(inputs):
        return [np.full_like(inputs[0], np.nan), *inputs[1:]]

    for form in (forms.Whole(made.network), forms.Hops(made.network)):
        assert np.isnan(export_check.difference(broken, form)[0])
        with pytest.raises(export.Refusal, match="differs from PyTorch's by nan"):
            export._checked(Path("x"), b"", broken, form)


def test_what_makes_no_sense_is_one_line(made, tmp_path, capsys):
    there = tmp_path / "there.onnx"
    there.write_text("precious")
    ahead = saved(tmp_path / "ahead.safetensors", trained(causal=False), causal=False)
    other = tmp_path / "paper.safetensors"
    config = {"channels": [2, 2]}
    checkpoint.export(
        other, paper.Generator(**config), {"_target_": "segan.paper.Generator", **config}
    )
    out = tmp_path / "out.onnx"
    assert "nothing to write" in refusal(capsys)
    assert "exists; --force" in refusal(capsys, "--onnx", there)
    assert "a folder" in refusal(capsys, "--torch", tmp_path)
    assert "no such weights" in refusal(capsys, "--onnx", out, "--model", "gone")
    assert "not causal" in refusal(capsys, "--onnx", out, "--model", ahead, "--streaming")
    assert "networks on the spectrum" in refusal(capsys, "--onnx", out, "--model", other)
    assert there.read_text() == "precious" and not out.exists()


def test_a_missing_library_names_the_extra(tmp_path, capsys, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else name)
    line = refusal(capsys, "--onnx", tmp_path / "x.onnx")
    assert line == "segan-export: onnx is not installed: pip install 'segan[export]'"


# segan-enhance --backend onnx


class InTorch:
    """A network in torch that takes the way of exported ones, in chunks even where it is causal."""

    def __init__(self, network):
        self.rate, self.hop, self.context = network.rate, network.hop, network.context
        self.enhance = lambda noisy: expected(network, noisy)


@pytest.mark.parametrize("rate", [16000, 48000])
def test_a_file_of_whole_waves_does_what_the_network_does(made, rate):
    wave, networks = noise(6, rate + 77), (segan.load(made.whole).network, InTorch(made.network))
    out, reference = (enhance.Enhancer(n, seconds=0.5)(wave, rate, keep=0.1) for n in networks)
    np.testing.assert_allclose(out, reference, atol=1e-5)
    assert np.abs(out - wave).max() > 0.01


@pytest.mark.parametrize("rate", [16000, 48000])
def test_a_causal_file_streams_as_the_network_does(made, rate):
    wave = noise(2, rate // 2)
    enhancer, reference = segan.load(made.hops, threads=1), enhance.Enhancer(made.network)
    np.testing.assert_allclose(enhancer(wave, rate), reference(wave, rate), atol=1e-5)
    streamer = segan.Streamer(enhancer, rate, 2)
    parts = [streamer.feed(wave[:, :5000]), streamer.feed(wave[:, 5000:]), streamer.flush()]
    np.testing.assert_array_equal(np.concatenate(parts, 1), enhancer(wave, rate))


@pytest.mark.parametrize("weights", sorted((files("segan") / "weights").glob("*.onnx")), ids=str)
@pytest.mark.parametrize("name", ["noisy/babble.wav", "noisy_stereo.flac"])
def test_the_embedded_files_are_the_embedded_weights(weights, name):
    wave, rate = soundfile.read(SPEECH / name, dtype="float32", always_2d=True)
    wave = wave[: 2 * rate].T
    out = segan.load(weights.stem, backend="onnx", threads=1)(wave, rate)
    np.testing.assert_allclose(out, segan.load(weights.stem, "cpu")(wave, rate), atol=1e-4)


def test_whole_waves_are_not_streamed(made, capsys, tmp_path):
    with pytest.raises(ValueError, match=r"whole\.onnx: whole waves only; export it .*--streaming"):
        segan.Streamer(made.whole)
    with pytest.raises(ValueError, match=r"OnnxNetwork: whole waves only"):
        segan.Streamer(segan.load(made.whole).network)
    audio.write(tmp_path / "x.wav", noise(1, 100), 16000)
    command = ["--stream", str(tmp_path / "x.wav"), str(tmp_path / "y.wav"), "--model"]
    assert cli.main([*command, str(made.whole)]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "y.wav").exists()


def test_the_command_never_imports_torch(made, tmp_path):
    wave = noise(2, 30000)
    audio.write(tmp_path / "x.wav", wave, 44100)
    code = (
        "import json, sys; from segan.cli import main; code = main(sys.argv[1:]);"
        "print(json.dumps([code, 'torch' in sys.modules]))"
    )
    for model, *options in ((made.whole,), (made.hops, "--stream")):
        done = subprocess.run(
            [sys.executable, "-c", code, "x.wav", "-o", "y.wav", "-f", "--model", model, *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert json.loads(done.stdout) == [0, False], done.stderr
        out, rate = audio.read(tmp_path / "y.wav")
        reference = segan.load(model)(audio.read(tmp_path / "x.wav")[0], 44100)
        assert rate == 44100
        np.testing.assert_allclose(out, reference, atol=1e-4)


def test_jobs_and_pipes_give_the_same_bytes(made, tmp_path):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(("a.wav", "b.wav")):
        audio.write(tmp_path / "in" / name, noise(1, 20000, seed=seed), 16000)
    run = [sys.executable, "-m", "segan.cli", "--model", str(made.whole), "-q"]
    for jobs in ("1", "2"):
        subprocess.run([*run, "in", "-o", jobs, "--jobs", jobs], cwd=tmp_path, check=True)
    one, two = ((tmp_path / jobs / "a.wav").read_bytes() for jobs in "12")
    content = (tmp_path / "in" / "a.wav").read_bytes()
    piped = subprocess.run([*run, "-"], input=content, capture_output=True, check=True).stdout
    assert one == two == piped
    assert (tmp_path / "2" / "b.wav").exists()


def test_files_that_will_not_do_are_one_line(made, tmp_path, capsys, monkeypatch):
    given = tmp_path / "x.wav"
    audio.write(given, noise(1, 500), 16000)
    (tmp_path / "text.onnx").write_text("no graph")
    (tmp_path / "empty.onnx").write_bytes(b"")
    unit = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [unit],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "o.onnx")

    def line(*arguments):
        assert cli.main([str(given), "--backend", "onnx", *map(str, arguments)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "text.onnx: no usable ONNX file" in line("--model", tmp_path / "text.onnx")
    assert "empty.onnx: no usable ONNX file" in line("--model", tmp_path / "empty.onnx")
    assert "not a file of segan-export" in line("--model", tmp_path / "o.onnx")
    assert "gone: no such weights; give a .onnx file" in line("--model", "gone")
    assert "segan-export" in line("--model", made.model)
    assert "device toaster" in line("--model", made.whole, "--device", "toaster")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'segan[onnx]'" in line("--model", made.whole)
    assert [p.name for p in tmp_path.iterdir() if "enhanced" in p.name] == []
    with pytest.raises(ValueError, match="use --backend onnx"):
        segan.load(made.whole, backend="torch")
    with pytest.raises(ValueError, match="backend tpu: none of torch, onnx"):
        segan.load(backend="tpu")
