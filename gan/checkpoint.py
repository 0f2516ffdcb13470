"""Checkpoints: written whole or not at all, read without running anything that is in them."""

from __future__ import annotations

import json
import os
import random
import re
import stat
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.serialization import get_unsafe_globals_in_checkpoint

PART = re.compile(r"\..+\.(pt|safetensors)\.\w{8}\.part")  # what ``atomic`` calls a run's files

# What a model file may ask for, at most.
WEIGHTS = 2**28  # numbers in all tensors: 1 GiB as float32
HEADER = 2**23  # bytes
CONFIGURATION = 2**16  # characters
NUMBER = 2**24  # a number in the configuration
DEPTH = 8  # networks in networks
FLOATS = {"F64", "F32", "F16", "BF16"}
INTEGERS = {"I64", "I32", "I16", "I8", "U8", "BOOL"}
REMEDY = "give a .safetensors file that gan-train wrote"


@contextmanager
def atomic(path: str | Path, aside: Path | None = None):
    """Give a temporary path beside ``path``; move it there if all went well, else remove it.

    What is at ``path`` is moved ``aside`` first, where that is given, and else replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
        with open(name, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~current_umask())  # as a plain open would have it
        if aside and path.exists():
            os.replace(path, aside)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def current_umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def remove_parts(folder: Path) -> None:
    """Remove the half-written files that a killed run left in ``folder``, which is held."""
    for path in folder.glob(".*.part"):
        if PART.fullmatch(path.name):
            path.unlink(missing_ok=True)


@contextmanager
def needing_room(path: str | Path, content):
    """Say in one line which file can't be written, and the room that its tensors need."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise OSError(
            f"{path}: can't be written ({cause.strerror or cause}); it needs "
            f"{size_of(content) / 1e6:.1f} MB beside the files that are there, which are unchanged"
        ) from error


def size_of(content) -> int:
    """Return the bytes of all tensors in ``content``."""
    if isinstance(content, Tensor):
        return content.nbytes
    if isinstance(content, Mapping):
        return sum(map(size_of, content.values()))
    return sum(map(size_of, content)) if isinstance(content, (list, tuple)) else 0


def save(path: str | Path, state: Mapping, aside: Path | None = None) -> None:
    """Write ``state`` (tensors, numbers, strings, lists and dicts of them) to ``path``.

    Every part of the file carries its checksum (CRC-32). What was at ``path`` is moved ``aside``,
    where that is given.

    Raises:
        OSError: where it can't be written, as on a full disk; what is there stays as it is.
    """
    with needing_room(path, state), atomic(path, aside) as part, part.open("wb") as file:
        torch.save(dict(state), file)  # to a file of Python's, whose errors say what they are


def load(path: str | Path) -> dict:
    """Return what ``save`` wrote, on the CPU.

    Nothing in the file is run; what isn't as its checksums say is refused.

    Raises:
        OSError: where the file can't be opened.
        ValueError: where it is no such checkpoint, or is damaged.
    """
    with open(path, "rb") as file:
        try:
            verify(file)
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # damage shows as any kind
            reason = (str(error) or type(error).__name__).splitlines()[0]
        else:
            if isinstance(state, dict):
                return state
            reason = f"it holds a {type(state).__name__}"
    raise ValueError(
        f"{path}: no checkpoint, or a damaged one ({reason}); put a copy in its place, or remove it"
    )


def verify(file) -> None:
    """Raise an error where an archive of ``torch.save`` is damaged, a bomb or asks for code."""
    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
        if packed or sum(part.file_size for part in parts) > size:
            raise ValueError("it grows when it is unpacked, which none of ours does")
        if name := archive.testzip():
            raise ValueError(f"{name} differs from its checksum")
    file.seek(0)
    if names := get_unsafe_globals_in_checkpoint(file):
        raise ValueError(f"it asks to run {', '.join(names)}, and was not obeyed")
    file.seek(0)


def export(path: str | Path, network: nn.Module, config: Mapping, **notes: str) -> None:
    """Write one network with what builds it: safetensors, the configuration in its header.

    Args:
        path: of the file.
        network: whose parameters and persistent buffers are written, in their own precision.
        config: ``{"_target_": kind, keyword: value, ...}``, as ``build`` reads it.
        notes: further strings for the header, such as ``version="0.1.0"``.

    Raises:
        OSError: where it can't be written, as on a full disk; what is there stays as it is.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    header = {"config": json.dumps(dict(config)), **notes}
    with needing_room(path, tensors), atomic(path) as part:
        try:
            save_file(tensors, part, header)
        except SafetensorError as error:
            raise OSError(str(error)) from None


def build(config: Mapping, kinds: Mapping[str, Callable[..., nn.Module]]) -> nn.Module:
    """Return the network that ``config`` describes, freshly initialized.

    Raises:
        ValueError: where its kind is not among ``kinds``, or its keywords don't fit.
    """
    keywords = {
        key: build(value, kinds) if isinstance(value, Mapping) and "_target_" in value else value
        for key, value in config.items()
        if key != "_target_"
    }
    kind = config.get("_target_")
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"unknown kind of network {kind!r}; known are {', '.join(sorted(kinds))}")
    try:
        return kinds[kind](**keywords)
    except Exception as error:  # keywords that make no sense fail in any way
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"can't build {kind} ({reason})") from None


def load_network(path: str | Path, kinds: Mapping[str, Callable[..., nn.Module]]) -> nn.Module:
    """Return the network that ``export`` wrote, in float32, in evaluation mode.

    Nothing in the file is run: ``kinds`` says which classes it may ask for.

    Raises:
        OSError: where the file can't be opened.
        ValueError: where it is no model file, or holds other tensors than its network wants.
    """
    with model_file(path) as file:
        header, slices = file.metadata() or {}, {n: file.get_slice(n) for n in file.keys()}  # noqa: SIM118
        shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
        types = {name: part.get_dtype() for name, part in slices.items()}
        config = check(header, shapes, types, kinds)
        tensors = {name: file.get_tensor(name).float() for name in shapes}
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                raise ValueError(f"tensor {name!r} holds what is no finite number; {REMEDY}")
    network = build(config, kinds)
    network.load_state_dict(tensors)
    return network.eval()


def config_in(path: str | Path | None, part: str | None = None) -> dict | None:
    """Return the configuration of a file's network, or of a part of it; None without a file.

    Raises:
        OSError: where the file can't be opened.
        ValueError: where it is no model file, or its network has no such part.
    """
    if path is None:
        return None
    with model_file(path) as file:
        config = configuration(file.metadata() or {})
        if part is not None and part not in config:
            raise ValueError(f"holds a {config.get('_target_')}, which has no {part}")
    return config if part is None else config[part]


@contextmanager
def model_file(path: str | Path):
    """Give a safetensors file, open; ValueErrors in the block are told of it.

    Raises:
        OSError: where the file can't be opened.
        ValueError: where it is none.
    """
    try:
        check_beginning(path)
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: no model file ({reason}); {REMEDY}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def check_beginning(path: str | Path) -> None:
    """Raise ValueError for what is no safetensors file, before more than 8 bytes of it are read."""
    status = os.stat(path)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise ValueError(f"no model file (not a regular one); {REMEDY}")
    with open(path, "rb") as file:
        first = file.read(8)
    large = len(first) == 8 and int.from_bytes(first, "little") > HEADER
    if large and first[:2] in (b"PK", *(bytes([0x80, protocol]) for protocol in range(2, 6))):
        raise ValueError(f"no model file (a pickle or archive; nothing in it was run); {REMEDY}")
    if status.st_size > HEADER + 8 * WEIGHTS:
        raise ValueError(f"no model file ({status.st_size / 2**30:.1f} GiB); {REMEDY}")
    if large:
        raise ValueError(f"no model file (its header would be too large); {REMEDY}")


def read_notes(path: str | Path) -> dict[str, str]:
    """Return the strings that ``export`` put beside the network.

    Raises:
        OSError: where the file can't be opened.
        ValueError: where it is no model file.
    """
    with model_file(path) as file:
        return {k: v for k, v in (file.metadata() or {}).items() if k != "config"}


def check(
    header: Mapping[str, str], shapes: Mapping[str, tuple], types: Mapping[str, str], kinds
) -> dict:
    """Return the header's configuration, once its tensors fit it; takes no memory for them."""
    if sum(map(prod, shapes.values())) > WEIGHTS:
        raise ValueError(f"holds more than {WEIGHTS} weights; {REMEDY}")
    config = configuration(header)
    with torch.device("meta"), no_larger_than(len(shapes)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers without a weight: what follows refuses them
        network = build(config, kinds)
    state = network.state_dict()
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if wanted != shapes:
        name = sorted(set(wanted.items()) ^ set(shapes.items()))[0][0]
        raise ValueError(
            f"tensor {name!r} is {shapes.get(name, 'missing')}, "
            f"its configuration wants {wanted.get(name, 'none')}"
        )
    for name, kind in types.items():
        if not prod(shapes[name]):
            raise ValueError(f"tensor {name!r} is empty; {REMEDY}")
        if kind not in (FLOATS if state[name].is_floating_point() else INTEGERS):
            raise ValueError(f"tensor {name!r} is of type {kind}, which is not for it; {REMEDY}")
    return config


def configuration(header: Mapping[str, str]) -> dict:
    """Return the configuration in a header. Raises ValueError for none, or an absurd one."""
    if "config" not in header:
        raise ValueError("holds no configuration; was it written by this package?")
    text = header["config"]
    if len(text) > CONFIGURATION:
        raise ValueError(f"its configuration has more than {CONFIGURATION} characters; {REMEDY}")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("its configuration is no JSON") from None
    if not isinstance(config, dict):
        raise ValueError("its configuration is no mapping")
    check_numbers(config)
    return config


def check_numbers(value, depth: int = 0) -> None:
    """Raise ValueError where a number is beyond ``NUMBER``, or something nested too deeply."""
    if isinstance(value, (dict, list)):
        if depth == DEPTH:
            raise ValueError(f"its configuration is nested more than {DEPTH} deep; {REMEDY}")
        for item in value.values() if isinstance(value, dict) else value:
            check_numbers(item, depth + 1)
    elif isinstance(value, (int, float)) and not abs(value) <= NUMBER:  # nor is NaN
        raise ValueError(f"its configuration asks for {str(value)[:20]}, and {NUMBER} is the most")


@contextmanager
def no_larger_than(tensors: int):
    """Raise ValueError in the block where a network grows far beyond so many tensors."""
    thread, room = threading.get_ident(), 8 * tensors + 200

    def count(*_) -> None:
        nonlocal room
        room -= threading.get_ident() == thread
        if room < 0:
            raise ValueError(f"it grows far beyond the {tensors} tensors of the file")

    hooks = [
        register_module_module_registration_hook(count),
        register_module_parameter_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def random_state() -> dict:
    """Return the state of Python's, NumPy's and torch's generators, of plain types."""
    kind, keys, *rest = np.random.get_state()
    state = {
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), *rest),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: Mapping) -> None:
    """Restore what ``random_state`` returned."""
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        for index, own in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(own, index)
