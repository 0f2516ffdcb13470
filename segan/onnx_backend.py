"""Exported networks, run by ONNX Runtime: what ``segan.enhance`` uses where there is no torch.

The files are those of ``segan-export``. Nothing in them is code; what isn't as they say is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

ROWS = 4  # channels that the network is given at once


class OnnxNetwork:
    """An exported network on whole waves.

    Attributes:
        rate: sample rate in Hz.
        hop, context: see ``segan.enhance.Enhancer``.
    """

    def __init__(self, session, notes: Mapping[str, int]):
        self.session = session
        self.rate, self.hop, self.context = notes["rate"], notes["hop"], notes["context"]

    def enhance(self, noisy: np.ndarray) -> np.ndarray:
        """Return the clean waves. ``(C, T) -> (C, T)`` float32."""
        rows = (noisy[start : start + ROWS] for start in range(0, len(noisy), ROWS))
        return np.concatenate([run(self.session, {"noisy": row})["clean"] for row in rows])


class OnnxStepper:
    """An exported network that takes a wave a few hops at a time, with a state.

    Attributes:
        rate: sample rate in Hz.
        hop, context: see ``segan.enhance.Enhancer``.
        delay: samples that the output of ``step`` lags its input.
        causal: it is.
    """

    causal = True

    def __init__(self, session, notes: Mapping[str, int]):
        self.session, self.delay = session, notes["delay"]
        self.rate, self.hop, self.context = notes["rate"], notes["hop"], notes["context"]
        self.shapes = {i.name: i.shape[1:] for i in session.get_inputs() if i.name != "noisy"}

    def start(self, batch: int) -> dict[str, np.ndarray]:
        """Return the state before ``batch`` waves: zeros."""
        return {name: np.zeros((batch, *shape), np.float32) for name, shape in self.shapes.items()}

    def step(
        self, noisy: np.ndarray, state: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the next samples and the state after them.

        ``(B, n * hop) -> (B, n * hop)`` float32, for any n >= 1.
        """
        out = run(self.session, {"noisy": noisy, **state})
        return out["clean"], {name: out[name + "_next"] for name in state}

    def enhance(self, noisy: np.ndarray) -> np.ndarray:
        """Return the clean waves. ``(C, T) -> (C, T)`` float32."""
        length = noisy.shape[1]
        end = self.delay + -(length + self.delay) % self.hop
        clean, _ = self.step(np.pad(noisy, [(0, 0), (0, end)]), self.start(len(noisy)))
        return clean[:, self.delay : self.delay + length]


FORMS = {"whole": OnnxNetwork, "hops": OnnxStepper}
"""What a file may hold: its note ``form`` -> how it is run."""


def run(session, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what the network makes of ``inputs``, by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def open_network(
    path: Path, device: str | None = None, threads: int | None = None
) -> OnnxNetwork | OnnxStepper:
    """Return the network in a file of ``segan-export``.

    Args:
        path: of the file.
        device: "cpu", None or "auto"; "cuda" where this ONNX Runtime has it.
        threads: of the CPU; None takes as many as ONNX Runtime does.

    Raises OSError where it cannot be read, ValueError where it is no such file or the device is not
    there, ImportError where ONNX Runtime is not installed.
    """
    session = open_session(path.read_bytes(), str(path), device, threads)
    notes = session.get_modelmeta().custom_metadata_map
    try:
        kind = FORMS[notes["form"]]
        numbers = {name: int(notes[name]) for name in ("rate", "hop", "context", "delay")}
    except (KeyError, ValueError):
        raise ValueError(f"{path}: not a file of segan-export; make one with it") from None
    return kind(session, numbers)


def open_session(content: bytes, name: str, device: str | None = None, threads: int | None = None):
    """Return ONNX Runtime's session of a file's ``content``; raises as ``open_network``."""
    try:
        import onnxruntime as ort
    except ImportError:
        raise ImportError(
            "onnxruntime is not installed, which --backend onnx needs: pip install 'segan[onnx]'"
        ) from None
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what is wrong is said below, in one line
    options.intra_op_num_threads = threads or 0
    try:
        return ort.InferenceSession(content, options, providers=[_provider(ort, device)])
    except ValueError:
        raise
    except Exception as error:  # of many kinds, with no base of their own
        reason = str(error).splitlines()[0].split(" : ")[-1]
        raise ValueError(f"{name}: no usable ONNX file ({reason})") from None


def _provider(ort, device: str | None) -> str:
    """Return what ONNX Runtime calls a device. Raises ValueError where it has none such."""
    if device in (None, "auto", "cpu"):
        return "CPUExecutionProvider"
    wanted = f"{device.upper()}ExecutionProvider"
    if wanted not in ort.get_available_providers():
        raise ValueError(f"device {device}: this ONNX Runtime cannot use it; cpu always does")
    return wanted
