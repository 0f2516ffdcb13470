"""Enhancement: a noisy wave in, a clean wave out, of the same length, rate, level and shape.

The network hears one rate (16 kHz). At any other rate, what it adds and takes away within its band
is resampled and applied to the original, and what lies above its band follows the top of it: see
``Enhancer.stream``. Waves are enhanced in chunks that overlap by what the network sees around a
sample, so that the chunks join exactly and memory does not grow with length.

All here is NumPy; the network itself runs in torch or, without it, in ONNX Runtime.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from importlib.util import find_spec
from itertools import chain
from math import ceil, lcm
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from segan.audio import FASTEST, LOUDEST, SLOWEST, WIDEST, resampled, to_integers
from segan.stream import streamed

if TYPE_CHECKING:
    from torch import Tensor, nn

    from segan.onnx_backend import OnnxNetwork

Wave = TypeVar("Wave", np.ndarray, "Tensor")

FRAME = 256  # samples between the gains of the upper band: 16 ms at 16 kHz
SMOOTH = 5  # frames over which these gains are averaged
MARGIN = 4 * FRAME  # what a gain depends on to either side
AROUND = 20  # seconds that a network may look at around a sample, or between starts of chunks
HELD = 2**24  # samples of a chunk, of all channels, at the higher of the two rates


class Enhancer:
    """A network that cleans waves: ``enhancer(wave, rate)``.

    Args:
        network: a module with ``forward``, float ``(B, 1, T) -> (B, 1, T)`` for any T >= 1, and the
            integers ``rate`` (Hz), ``context`` (samples to either side that an output sample
            depends on; silence is seen outside the wave) and ``hop`` (``context`` and the starts
            of chunks are multiples of it). It is put into evaluation mode. Or, in place of
            ``forward``, with ``enhance``, NumPy ``(C, T) -> (C, T)`` float32; then it need be no
            module of torch's.
        device: where it runs, as torch names it; None and "auto" take CUDA where there is one.
        seconds: length of a chunk.

    The same input always gives the same output: what the network draws at random is drawn anew
    from a fixed seed for each chunk, and torch's own random state is left as it was. Rates from
    1000 to 1,000,000 Hz are taken, whatever the network.
    """

    def __init__(
        self,
        network: nn.Module | OnnxNetwork,
        device: str | None = "cpu",
        seconds: float = 20.0,
    ):
        check_network(network)
        self.network, self.device = network, device
        self._run = getattr(network, "enhance", None)
        if self._run is None:
            from segan.torch_backend import TorchNetwork

            runner = TorchNetwork(network, device)
            self._run, self.device = runner.enhance, runner.device
        self.rate = network.rate
        step = lcm(network.hop, FRAME)
        self.size = step * ceil(seconds * self.rate / step)
        self.pad = step * ceil((network.context + MARGIN) / step)

    def __call__(self, wave: Wave, rate: int, keep: float = 0.0) -> Wave:
        """Return ``wave`` cleaned: an array or tensor of the same type, shape and device.

        Args:
            wave: ``(T,)``, ``(C, T)`` or ``(B, C, T)``; each channel is enhanced by itself. Floats
                are taken as they are (full scale 1). Integers of up to 32 bits are PCM, unsigned
                ones centred on half their range; the result is rounded and clipped.
            rate: sample rate in whole Hz, 1000 to 1,000,000.
            keep: share of the original that is blended in, 0 to 1; see ``segan.attenuation_limit``.

        Raises ValueError for a wrong shape, rate or share and for samples that are not finite,
        TypeError for samples that are no PCM.
        """
        torch = sys.modules.get("torch")
        if torch and isinstance(wave, torch.Tensor):
            array = wave.detach().cpu()
            array = (array.float() if array.is_floating_point() else array).numpy()
            out = torch.from_numpy(self._array(array, rate, keep))
            if wave.is_floating_point():  # halves have little room above full scale
                top = min(torch.finfo(wave.dtype).max, torch.finfo(out.dtype).max)
                out = out.clamp(-top, top)
            return out.to(wave)
        return self._array(np.asarray(wave), rate, keep)

    def _array(self, array: np.ndarray, rate: int, keep: float) -> np.ndarray:
        rate = _check(array, rate, keep)
        if array.size == 0:
            return array.copy()
        wave = _to_float(array).reshape(-1, array.shape[-1])
        most = WIDEST // max(rate, 16000)  # rows at once
        rows = (wave[start : start + most] for start in range(0, len(wave), most))
        out = np.concatenate([self._rows(part, rate, keep) for part in rows])
        return _from_float(out, array.dtype).reshape(array.shape)

    def _rows(self, wave: np.ndarray, rate: int, keep: float) -> np.ndarray:
        blocks = (wave[:, start : start + rate] for start in range(0, wave.shape[1], rate))
        return np.concatenate(list(self.stream(blocks, rate, keep)), axis=1)

    def stream(
        self, blocks: Iterable[np.ndarray], rate: int, keep: float = 0.0
    ) -> Iterator[np.ndarray]:
        """Yield the blocks of a wave, ``(C, n)`` float32, cleaned; as many samples as came in.

        At a rate other than the network's the wave x is low + high, where low is what survives
        resampling to the network's rate and back. The network makes its estimate of low. high,
        which it never hears, is passed at the gain that the network gave to the upper half of its
        band: sqrt(energy after / energy before), at most 1, averaged over 80 ms. So hiss sinks
        above the band as it does below, speech keeps its brightness, and a network that changes
        nothing returns x. A causal network gives the very samples of a ``Streamer``, at any rate.
        """
        if getattr(self.network, "causal", False):
            yield from streamed(blocks, self, rate, keep)
            return
        share = 1 - keep
        if rate == self.rate:
            for noisy, enhanced in self._chunks(blocks, rate):
                yield enhanced + keep * (noisy - enhanced)
            return
        original = Fifo()
        low = resampled(original.record(blocks), rate, self.rate)
        for part in resampled(self._changes(low, rate), self.rate, rate):
            x = original.take(part.shape[1])
            change, low_part, loss = part[:, : x.shape[1]].reshape(3, len(x), -1)
            yield x + share * (change - loss.clip(0, 1) * (x - low_part))

    def _changes(self, blocks: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
        """Yield estimate - low, low and the upper band's 1 - gain, stacked: ``(3 C, n)``.

        The loss and not the gain is resampled: beyond the ends of the wave it is zero, as it
        should be where nothing is changed.
        """
        top = min(rate, self.rate) / self.rate  # of the band that file and network share
        for noisy, enhanced, loss in self._chunks(blocks, rate, top):
            yield np.concatenate([enhanced - noisy, noisy, loss])

    def _chunks(
        self, blocks: Iterable[np.ndarray], rate: int, top: float | None = None
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield noisy, enhanced and, where ``top`` is given, the upper loss; each ``(C, n)``."""
        blocks = iter(blocks)
        first = next(blocks, None)
        if first is None:
            return
        size = self._size(len(first), rate)
        for window, before, length in windows(chain([first], blocks), size, self.pad):
            enhanced = self._enhance(window)
            parts = [window, enhanced]
            if top is not None:
                parts.append(upper_loss(window, enhanced, top))
            yield tuple(part[:, before : before + length] for part in parts)

    def _size(self, channels: int, rate: int) -> int:
        """Return the samples of a chunk: fewer where there are many channels, or a high rate."""
        step = lcm(self.network.hop, FRAME)
        seconds = HELD / (channels * max(rate, self.rate))
        return min(self.size, step * ceil(seconds * self.rate / step))

    def _enhance(self, noisy: np.ndarray) -> np.ndarray:
        out = self._run(noisy)
        if out.shape != noisy.shape or not np.isfinite(out).all():
            raise ValueError("the network gives no finite wave of the same length; try another")
        return out


def check_network(network) -> None:
    """Raise ValueError where a network's rate, hop or context are of no use."""
    rate, hop, context = network.rate, network.hop, network.context
    if not SLOWEST <= rate <= FASTEST:
        raise ValueError(f"a network for {rate} Hz; {SLOWEST} to {FASTEST} are needed")
    if hop < 1 or context < 0 or max(lcm(hop, FRAME), context) > AROUND * rate:
        raise ValueError(
            f"a network with hop {hop}, context {context}: a hop from 1, and both within "
            f"{AROUND} s at {rate} Hz, are needed"
        )


class Fifo:
    """Samples waiting for their turn: blocks ``(C, n)`` go in, any number of samples comes out."""

    def __init__(self):
        self.held: np.ndarray | None = None

    def put(self, block: np.ndarray) -> None:
        """Append ``block``."""
        self.held = block if self.held is None else np.concatenate([self.held, block], axis=1)

    def take(self, count: int) -> np.ndarray:
        """Return the first ``count`` samples, fewer where fewer are held, and drop them."""
        taken, self.held = self.held[:, :count], self.held[:, count:]
        return taken

    def record(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield ``blocks``, keeping a copy of each."""
        for block in blocks:
            self.put(block)
            yield block


def windows(
    blocks: Iterable[np.ndarray], size: int, pad: int
) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yield a wave in windows: its samples ``(C, n)``, where its own part begins, and its length.

    The own parts follow one another, ``size`` samples each and the last one up to ``size + pad``;
    around each are up to ``pad`` samples, as far as the wave reaches.
    """
    held, before = None, 0
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=1)
        while held.shape[1] >= before + size + pad:
            yield held[:, : before + size + pad], before, size
            end = before + size
            before = min(pad, end)
            held = held[:, end - before :]
    if held is not None and held.shape[1] > before:
        yield held, before, held.shape[1] - before


def upper_loss(noisy: np.ndarray, enhanced: np.ndarray, top: float) -> np.ndarray:
    """Return 1 - gain in the upper half of a band, for each sample: ``(C, T) -> (C, T)`` in [0, 1].

    ``top`` is the upper end of the band as a share of half the sample rate. The gain is
    sqrt(energy of enhanced / energy of noisy), no more than 1.
    """
    before, after = (_upper_energy(wave, top) for wave in (noisy, enhanced))
    loss = 1 - np.sqrt(np.minimum(after / np.maximum(before, 1e-30), 1))
    loss[before == 0] = 0
    steps = np.diff(loss, append=loss[:, -1:])  # none after the last frame, until the end
    between = np.arange(FRAME, dtype=np.float32) / FRAME
    loss = (loss[:, :, None] + steps[:, :, None] * between).reshape(len(loss), -1)
    return loss[:, : noisy.shape[-1]]


def _upper_energy(wave: np.ndarray, top: float) -> np.ndarray:
    """Return the energy in the upper half of the band around each frame. ``(C, T) -> (C, N)``."""
    padded = np.pad(wave, [(0, 0), (FRAME, FRAME)])
    frames = sliding_window_view(padded, 2 * FRAME, axis=1)[:, ::FRAME]  # (C, N, 2 FRAME)
    window = np.hanning(2 * FRAME + 1)[:-1].astype(np.float32)
    spectrum = np.fft.rfft(frames * window)[:, :, round(FRAME * top / 2) : round(FRAME * top) + 1]
    energy = (spectrum.real**2 + spectrum.imag**2).sum(2)
    return (_sums(energy) / _sums(np.ones_like(energy))).astype(np.float32)


def _sums(energy: np.ndarray) -> np.ndarray:
    """Return the sum over the ``SMOOTH`` frames around each. ``(C, N) -> (C, N)``."""
    around = np.pad(energy, [(0, 0), (SMOOTH // 2, SMOOTH // 2)])
    return sliding_window_view(around, SMOOTH, axis=1).sum(2)


def _check(array: np.ndarray, rate: int, keep: float) -> int:
    """Return ``rate`` as an int. Raises ValueError where the call makes no sense."""
    if int(rate) != rate or not SLOWEST <= rate <= FASTEST:
        raise ValueError(f"rate {rate}: whole Hz from {SLOWEST} to {FASTEST} are taken")
    if not 0 <= keep <= 1:
        raise ValueError(f"keep {keep}: a share from 0 to 1 is needed")
    if array.ndim not in (1, 2, 3):
        raise ValueError(f"wave of shape {array.shape}: (T,), (C, T) or (B, C, T) is needed")
    if array.ndim > 1 and array.shape[-2] > max(64, array.shape[-1]):
        raise ValueError(f"wave of shape {array.shape}: channels come first; transpose it")
    if array.dtype.kind == "f":
        _check_samples(array)
    return int(rate)


def _check_samples(array: np.ndarray) -> None:
    good = np.abs(array) <= min(LOUDEST, float(np.finfo(array.dtype).max))  # which NaN is not
    if good.all():
        return
    where = int(np.argwhere(~good)[:, -1].min())
    if not np.isfinite(array[~good]).all():
        raise ValueError(f"wave: not finite at sample {where}; replace NaN and infinity")
    raise ValueError(f"wave: beyond {LOUDEST:g} at sample {where}; scale it to full scale 1")


def _to_float(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    middle, top = _pcm(array.dtype)
    return ((array.astype(np.float64) - middle) / top).astype(np.float32)


def _from_float(wave: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        top = min(float(np.finfo(dtype).max), float(np.finfo(wave.dtype).max))
        return wave.clip(-top, top).astype(dtype)
    middle, _ = _pcm(dtype)
    return (to_integers(wave, 8 * dtype.itemsize).astype(np.int64) + middle).astype(dtype)


def _pcm(dtype: np.dtype) -> tuple[int, int]:
    """Return the sample value of silence and the full scale above it."""
    if dtype.kind not in "iu" or dtype.itemsize > 4:
        raise TypeError(
            f"samples of type {dtype}: floats, or integers of up to 32 bits, are needed"
        )
    top = 2 ** (8 * dtype.itemsize - 1)
    return (top if dtype.kind == "u" else 0), top


BACKENDS = {"torch": ".safetensors", "onnx": ".onnx"}  # what runs a network -> its files


def load(
    name_or_path: str | Path = "default",
    device: str | None = None,
    backend: str | None = None,
    threads: int | None = None,
) -> Enhancer:
    """Return an enhancer with the weights of that name in the package, or in that file.

    Args:
        name_or_path: "wiener" is the classical filter, to compare with.
        device: where it runs; None and "auto" take CUDA where torch has one.
        backend: "torch" or "onnx", which needs no torch and starts faster; None takes "onnx" for a
            file named ``.onnx`` and "torch" for all else.
        threads: of the CPU, for "onnx"; torch has its own ``set_num_threads``.

    Raises OSError where there is no such file, ValueError where it holds no usable network or the
    backend doesn't exist, ImportError where what it needs is not installed.
    """
    backend = backend_of(name_or_path, backend)
    if backend == "onnx":
        from segan.onnx_backend import open_network

        with weights(name_or_path, backend) as path:
            return _tried(open_network(path, device, threads), device, name_or_path)
    if find_spec("torch") is None:
        raise ImportError("torch is not installed; --backend onnx does without it")
    if name_or_path == "wiener":
        from segan.baselines import WienerFilter

        return Enhancer(WienerFilter(), "cpu")
    from segan.torch_backend import device_of

    return _tried(load_network(name_or_path), device_of(device), name_or_path)


def _tried(network, device, name: str | Path) -> Enhancer:
    """Return the enhancer of a network that was seen to clean a short wave."""
    try:
        enhancer = Enhancer(network, device)
        enhancer._enhance(np.linspace(-0.1, 0.1, 64, dtype=np.float32)[None])
    except Exception as error:  # keywords that make no sense may fail in any way, and only now
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{name}: its network does not work ({reason})") from None
    return enhancer


def load_network(name_or_path: str | Path) -> nn.Module:
    """Return the network in torch with the weights of that name, or in that file; see ``load``."""
    from gan import checkpoint
    from segan.generator import KINDS

    with weights(name_or_path) as path:
        return checkpoint.load_network(path, KINDS)


def backend_of(name_or_path: str | Path, backend: str | None = None) -> str:
    """Return what runs those weights: ``backend``, where it is given."""
    if backend is None:
        return "onnx" if str(name_or_path).endswith(BACKENDS["onnx"]) else "torch"
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend}: none of {', '.join(BACKENDS)}")
    return backend


@contextmanager
def weights(name_or_path: str | Path, backend: str = "torch") -> Iterator[Path]:
    """Give the path of the weights of that name in the package, or ``name_or_path`` itself.

    Raises FileNotFoundError where there are none, ValueError for a file of the other backend.
    """
    suffix = BACKENDS[backend]
    embedded = files("segan") / "weights" / f"{name_or_path}{suffix}"
    if embedded.is_file():
        with as_file(embedded) as path:
            yield path
        return
    if not Path(name_or_path).is_file():
        raise FileNotFoundError(
            f"{name_or_path}: no such weights; give a {suffix} file or one of: {_embedded(suffix)}"
        )
    other = next(name for name in BACKENDS if name != backend)
    if Path(name_or_path).suffix == BACKENDS[other]:
        remedy = "leave --backend onnx out, or make an ONNX file of it with segan-export"
        if other == "onnx":
            remedy = "use --backend onnx"
        raise ValueError(f"{name_or_path}: weights for the backend {other}; {remedy}")
    yield Path(name_or_path)


def _embedded(suffix: str) -> str:
    folder = files("segan") / "weights"
    names = (item.name for item in folder.iterdir()) if folder.is_dir() else ()
    return ", ".join(sorted(n.removesuffix(suffix) for n in names if n.endswith(suffix)))
