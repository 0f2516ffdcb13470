"""A network as an ONNX graph: exported, made small, labelled.

What makes it small: weights that half precision holds exactly are stored so and cast where the
graph begins, and the kernels of the Fourier transform are written out as their formula. ONNX
Runtime works both out when it opens the file.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import onnx
import torch
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxscript import optimizer
from torch.export import ExportedProgram

OPSET = 18
SMALL = 64  # numbers; fewer are left as they are
FOURIER = "fourier."  # what names of the transform begin with


def onnx_model(
    program: ExportedProgram,
    inputs: Iterable[str],
    outputs: Iterable[str],
    notes: Mapping[str, str],
    half: bool = False,
) -> ModelProto:
    """Return an exported form of ``segan.forms`` as an ONNX model, in one piece.

    Args:
        program: what torch made of the form.
        inputs, outputs: their names, in order.
        notes: strings for the model's metadata; of them ``window`` and ``hop`` are read here.
        half: whether weights are rounded to half precision where it doesn't hold them exactly.
    """
    with _quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            optimize=False,  # its rewriting takes x + 1e-12 for x
            verbose=False,
            external_data=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
        )
        _fold(exported.model)
    model = exported.model_proto
    _spell_out_fourier(model.graph, int(notes["window"]), int(notes["hop"]))
    _store_in_half(model.graph, half)
    _label(model, notes)
    onnx.checker.check_model(model, full_check=True)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter from telling of anything but errors."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _fold(model) -> None:
    """Leave out the detours that depend on small constants alone."""
    optimizer.inline(model)
    optimizer.fold_constants(model, input_size_limit=1024, output_size_limit=1024)
    optimizer.remove_unused_nodes(model)


def _spell_out_fourier(graph: GraphProto, window: int, hop: int) -> None:
    """Put the formula of ``segan.spectral.fourier`` in the place of its kernels."""
    bins = window // 2 + 1
    share = np.full((2, bins), 4 * hop / window**2)  # of a bin and its mirror image
    share[:, [0, -1]] /= 2
    constants = {  # angles in quarters of a sample's turn, as cos(x + pi / 2) = -sin x
        "bins": np.tile(4 * np.arange(bins), 2),
        "times": np.arange(window)[:, None],
        "phases": np.repeat([0, window], bins),
        "turn": np.array(4 * window),
        "cosine": np.cos(np.pi / 2 / window * np.arange(4 * window)),
        "taper": np.sqrt(np.hanning(window + 1)[:-1, None]),
        "share": share.reshape(-1, 1),
    }
    steps = (
        ("Mul", ["times", "bins"], "turns"),
        ("Add", ["turns", "phases"], "shifted"),
        ("Mod", ["shifted", "turn"], "angles"),
        ("Gather", ["cosine", "angles"], "waves"),
        ("Mul", ["waves", "taper"], "there"),
        ("Transpose", ["there"], "rows"),
        ("Mul", ["rows", "share"], "scaled"),
    )
    names = {name: FOURIER + name for _, inputs, output in steps for name in [*inputs, output]}
    names["there"] = _taken_out(graph, "there")
    nodes = [
        helper.make_node(kind, [names[i] for i in inputs], [names[output]])
        for kind, inputs, output in steps
    ]
    back = _taken_out(graph, "back")
    nodes.append(helper.make_node("Cast", [names["scaled"]], [back], to=TensorProto.FLOAT))
    _begin_with(graph, nodes, {FOURIER + name: value for name, value in constants.items()})


def _taken_out(graph: GraphProto, name: str) -> str:
    """Remove the network's constant of that name, and return what the graph calls it."""
    (constant,) = (c for c in graph.initializer if c.name.split(".")[-1] == name)
    graph.initializer.remove(constant)
    return constant.name


def _store_in_half(graph: GraphProto, rounded: bool) -> None:
    """Store weights in half precision, where it holds them exactly or they may be ``rounded``."""
    nodes, constants = [], {}
    for weight in list(graph.initializer):
        value = numpy_helper.to_array(weight)
        if value.dtype != np.float32 or value.size < SMALL or weight.name.startswith(FOURIER):
            continue
        with np.errstate(over="ignore"):
            short = value.astype(np.float16)
        if rounded or np.array_equal(short, value):
            name = f"{weight.name}_half"
            constants[name] = short
            nodes.append(helper.make_node("Cast", [name], [weight.name], to=TensorProto.FLOAT))
            graph.initializer.remove(weight)
    _begin_with(graph, nodes, constants)


def _begin_with(
    graph: GraphProto, nodes: Iterable[NodeProto], constants: Mapping[str, np.ndarray]
) -> None:
    """Let the graph begin with ``nodes``, which need ``constants``."""
    own = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *own])
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in constants.items())


def _label(model: ModelProto, notes: Mapping[str, str]) -> None:
    """Give the model its metadata, and its axes names that can be read."""
    model.producer_name, model.producer_version = "segan", notes["segan"]
    model.graph.name = notes["form"]
    helper.set_model_props(model, dict(notes))
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        axes = value.type.tensor_type.shape.dim
        for axis, name in zip(axes, ("channels", "samples"), strict=False):
            if axis.dim_param:
                axis.dim_param = name
