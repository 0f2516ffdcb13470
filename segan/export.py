"""The command ``segan-export``: a network as a file that runs without this package.

What is exported is compared with the network in PyTorch before it is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from gan.outputs import Refusal, require, run

if TYPE_CHECKING:
    import numpy as np

    from segan.export_check import Runner
    from segan.spectral import SpectralGenerator

DESCRIPTION = """\
Write a network as a file that other programs run: ONNX, for ONNX Runtime on servers, phones and in
browsers, or a program of torch.export. Each is compared with the network in PyTorch first, on waves
of many lengths; where a sample differs by more than 1e-4, nothing is written."""

EXAMPLES = """\
examples:
  segan-export --onnx default.onnx                     the default, on whole waves
  segan-export --onnx live.onnx --model streaming --streaming
  segan-export --onnx mine.onnx --torch mine.pt2 --model exp/mine/generator.safetensors
  segan-enhance noisy.wav --model mine.onnx            runs it, without torch

Whole waves: input noisy, output clean, both float32 (channels, samples) at 16 kHz, any number of
either; each channel is cleaned by itself. --streaming, of causal networks: samples is any multiple
of the hop (256: 16 ms), and further inputs hold the state. Give zeros at first; then what came out
as NAME_next goes in as NAME. The first `delay` samples that come out lie before the wave.

An ONNX file is in one piece and says in its metadata what it is: rate, hop, window, context
(samples to either side that a sample depends on), latency (later samples that it depends on),
delay, causal, form, name, kind, version of segan, licence. Weights that half precision holds
exactly, as those in the package, are stored so; --half stores all so. What is computed is computed
in single precision either way, but for the spectrum, which is summed in doubles.
exit status: 0 written, 2 not (a line says why), 130 interrupted."""

TOLERANCE = 1e-4


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    own = argparse.ArgumentParser(
        "segan-export",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = own.add_argument
    add("--onnx", type=Path, metavar="FILE", help="ONNX file to write")
    add("--torch", type=Path, metavar="FILE", help="torch.export program to write (.pt2)")
    add("--model", default="default", metavar="NAME", help="weights: in the package, or a file")
    add("--streaming", action="store_true", help="a few hops a call, the state in plain sight")
    add("--half", action="store_true", help="round the weights in the ONNX file to half precision")
    add("-f", "--force", action="store_true", help="overwrite files that exist")
    return own


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status: 0, 2 where nothing was written, 130 after Ctrl-C."""
    return run(parser(), export, argv)


def export(options: argparse.Namespace, _: list[str]) -> int:
    """Export what the options ask for, say what it differs by, write it; return 0."""
    places = [place for place in (options.onnx, options.torch) if place]
    if not places:
        raise Refusal("nothing to write; name a file: --onnx FILE.onnx, or --torch FILE.pt2")
    for place in places:
        _check_free(place, options.force)
    require(["torch"] + ["onnx", "onnxscript", "onnxruntime"] * bool(options.onnx), "export")
    from gan.checkpoint import atomic

    files = _files(options)
    for place, (content, line) in files.items():
        with atomic(place) as part:
            part.write_bytes(content)
        print(f"{place}: {line}")
    return 0


def _check_free(place: Path, force: bool) -> None:
    if place.is_dir():
        raise Refusal(f"{place}: a folder; name a file in it")
    if place.exists() and not force:
        raise Refusal(f"{place}: exists; --force overwrites it")


def _files(options: argparse.Namespace) -> dict[Path, tuple[bytes, str]]:
    """Return for each place the checked file, and a line about it."""
    from segan import forms

    network = _network(options.model).requires_grad_(False)
    try:
        form = forms.Hops(network) if options.streaming else forms.Whole(network)
    except ValueError as error:
        raise Refusal(f"--model {options.model} --streaming: {error}") from None
    program = forms.traced(form)
    files = {}
    if options.onnx:
        content = onnx_file(program, form, notes_of(form, options.model), options.half)
        files[options.onnx] = content, _checked(options.onnx, content, onnx_runner(content), form)
    if options.torch:
        content = torch_file(program)
        files[options.torch] = (
            content,
            _checked(options.torch, content, torch_runner(content), form),
        )
    return files


def _checked(place: Path, content: bytes, runner, form) -> str:
    """Return a line about a file that does what the network does. Raises Refusal of another."""
    from segan.export_check import difference

    worst, trials = difference(runner, form)
    if not worst <= TOLERANCE:  # neither is NaN
        raise Refusal(
            f"{place}: not written, as a sample differs from PyTorch's by {worst:.1e} ({trials}); "
            f"at most {TOLERANCE} is allowed"
        )
    size = len(content) / 1e6
    return f"{form.name}, {size:.2f} MB; differs from PyTorch by {worst:.1e} at most ({trials})"


def onnx_file(program, form, notes: dict[str, str], half: bool = False) -> bytes:
    """Return the ONNX file of a form that was traced."""
    from segan.onnx_graph import onnx_model

    model = onnx_model(program, ["noisy", *form.inputs], ["clean", *form.outputs], notes, half)
    return model.SerializeToString()


def onnx_runner(content: bytes) -> Runner:
    """Return what runs an ONNX file."""
    from segan.onnx_backend import open_session

    session = open_session(content, "the exported graph", threads=1)
    names = [i.name for i in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def torch_file(program) -> bytes:
    """Return the file of a ``torch.export`` program."""
    import torch

    file = BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


def torch_runner(content: bytes) -> Runner:
    """Return what runs the file of a ``torch.export`` program."""
    import torch

    module = torch.export.load(BytesIO(content)).module()

    def runner(inputs: list[np.ndarray]) -> list[np.ndarray]:
        with torch.inference_mode():
            return [out.numpy() for out in module(*map(torch.from_numpy, inputs))]

    return runner


def _network(model: str) -> SpectralGenerator:
    """Return the network to export. Raises Refusal where there is none that can be."""
    from segan.enhance import load_network
    from segan.spectral import SpectralGenerator

    try:
        network = load_network(model)
    except ValueError as error:
        raise Refusal(str(error)) from None
    if not isinstance(network, SpectralGenerator):
        raise Refusal(
            f"{model}: a {type(network).__name__}; exported are networks on the spectrum, such as "
            "BandGenerator"
        )
    return network


def notes_of(form, model: str) -> dict[str, str]:
    """Return what the metadata of an ONNX file says of a form of the network called ``model``."""
    import segan

    network, streams = form.network, bool(form.inputs)
    numbers = {name: getattr(network, name) for name in ("rate", "hop", "window", "context")}
    notes = numbers | {
        "latency": network.window if network.causal else network.context,
        "delay": network.window - network.hop if streams else 0,
        "causal": str(network.causal).lower(),
        "form": form.name,
        "name": Path(model).stem,
        "kind": f"{type(network).__module__}.{type(network).__name__}",
        "segan": segan.__version__,
    }
    if not Path(model).is_file():  # the package's own weights
        notes["licence"] = "MIT"
    return {name: str(value) for name, value in notes.items()}


if __name__ == "__main__":
    sys.exit(main())
