"""Networks that work on the spectrum of a wave: what they share, waveform in, waveform out."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Shapes below: B waves, T samples, N frames, K = window // 2 + 1 bins.


def compress(spectrum: Tensor, power: float) -> Tensor:
    """Return ``|X|^power * exp(i angle X)``, smooth at 0. Any shape, complex in and out."""
    energy = spectrum.real.square() + spectrum.imag.square() + 1e-12
    return spectrum * energy ** ((power - 1) / 2)


def compress_parts(parts: Tensor, power: float) -> Tensor:
    """Return ``compress`` of real and imaginary parts. ``(B, 2, K, N) -> (B, 2, K, N)``."""
    energy = parts.square().sum(1, keepdim=True) + 1e-12
    return parts * energy ** ((power - 1) / 2)


def fourier(window: int, hop: int) -> tuple[Tensor, Tensor]:
    """Return the matrices from a frame to its spectrum, in doubles, and back, in floats; tapered.

    ``(window, 2 K)``, real parts first, and ``(2 K, window)``: the discrete Fourier transform and
    its inverse as ``SpectralGenerator.analysis`` and ``synthesis`` have them.
    """
    bins = torch.arange(window // 2 + 1, dtype=torch.float64, device="cpu")
    time = torch.arange(window, dtype=torch.float64, device="cpu")
    angle = 2 * torch.pi / window * (bins[:, None] * time % window)
    waves = torch.cat([angle.cos(), -angle.sin()])
    waves *= torch.hann_window(window, dtype=torch.float64, device="cpu").sqrt()
    share = torch.full_like(bins, 2 / window)  # of a bin and its mirror image
    share[[0, -1]] = 1 / window
    back = waves * share.repeat(2)[:, None] * (2 * hop / window)
    return waves.T.contiguous(), back.float()


def averaged(clean: Callable[[Tensor], Tensor], noisy: Tensor, hop: int, shifts: int) -> Tensor:
    """Return the mean of what ``clean`` makes of a wave ``(..., T)`` on shifted grids of frames.

    Errors that depend on where the frames lie cancel in part (cycle spinning: Coifman and Donoho
    1995); the work is ``shifts`` times as much.
    """
    places = range(0, hop, hop // shifts)
    return sum(clean(F.pad(noisy, (place, 0)))[..., place:] for place in places) / shifts


class SpectralGenerator(nn.Module):
    """A wave cleaned through its power-compressed spectrum by the mask that ``mask_parts`` gives.

    ``(B, 1, T) -> (B, 1, T)`` for any ``T >= 1``. Scaling the input scales the output alike: the
    spectrum is divided by the root mean square of the surrounding ``level`` seconds before the
    network sees it. Every output sample depends on ``context`` samples on either side at most, so
    a long wave may be enhanced in chunks with the same result.

    Args:
        reach: frames on either side that an estimated frame depends on.
        window: samples of the analysis window (periodic Hann, square root).
        hop: samples between frames.
        power: exponent of the compression.
        level: seconds over which the level is taken.
        rate: sample rate in Hz.
        causal: the level is taken over the past alone. Where ``mask_parts`` uses no later frames
            either, an output sample depends on at most ``window`` later ones, and ``step`` cleans
            a wave as it comes.
        shifts: grids of frames whose results are averaged in evaluation; 1 where causal.
    """

    def __init__(
        self,
        reach: int,
        window: int,
        hop: int,
        power: float,
        level: float,
        rate: int,
        causal: bool = False,
        shifts: int = 1,
    ):
        super().__init__()
        if hop < 1 or window % hop or not 2 <= window // hop <= 16:
            raise ValueError(f"window {window}, hop {hop}: the window must hold 2 to 16 whole hops")
        if not (0 < power <= 1 and level > 0 and rate > 0):
            raise ValueError(f"power {power}, level {level}, rate {rate}: above 0, power at most 1")
        if shifts not in (1, 2, 4) or hop % shifts or (causal and shifts > 1):
            raise ValueError(f"shifts {shifts}: 1, 2 or 4, as divides hop {hop}; 1 where causal")
        self.rate, self.window, self.hop, self.power = rate, window, hop, power
        self.causal, self.shifts = causal, shifts
        self.level_frames = 2 * round(level * rate / hop / 2) + 1
        self.register_buffer(
            "taper", torch.hann_window(window, device="cpu").sqrt(), persistent=False
        )
        past = self.level_frames - 1 if causal else self.level_frames // 2
        self.context = (reach + past) * hop + -(-2 * window // hop) * hop + (shifts > 1) * hop
        self.there, self.back = fourier(window, hop)  # no buffers: not every device has doubles

    def mask_parts(
        self, magnitude: Tensor, real: Tensor, imaginary: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the real and imaginary part of the mask, from three views of the spectrum.

        ``(B, K, N)`` each, all of them real: what a runtime without complex numbers can compute.
        """
        raise NotImplementedError

    def mask(self, compressed: Tensor) -> Tensor:
        """Return the complex mask on a compressed spectrum. ``(B, K, N) -> (B, K, N)``."""
        parts = self.mask_parts(compressed.abs(), compressed.real, compressed.imag)
        return torch.complex(*parts)

    def forward(self, noisy: Tensor) -> Tensor:
        """Return the estimate of the clean wave. ``(B, 1, T) -> (B, 1, T)``."""
        return averaged(self.clean, noisy, self.hop, 1 if self.training else self.shifts)

    def clean(self, noisy: Tensor) -> Tensor:
        """Return the estimate from a single grid of frames. ``(B, 1, T) -> (B, 1, T)``."""
        spectrum = self.analysis(noisy[:, 0])  # (B, K, N) complex
        level = self.level(spectrum.real.square() + spectrum.imag.square())  # (B, 1, N)
        compressed = compress(spectrum / level, self.power)
        clean = compressed * self.mask(compressed)
        return self.synthesis(compress(clean, 1 / self.power) * level, noisy.shape[-1])[:, None]

    def level(self, energy: Tensor) -> Tensor:
        """Return the root mean square around each frame. ``(B, K, N) -> (B, 1, N)``."""
        energy = energy.mean(1, keepdim=True)
        width = self.level_frames
        if self.causal:
            frames = torch.arange(1, energy.shape[-1] + 1, device=energy.device).clamp(max=width)
            energy = F.avg_pool1d(F.pad(energy, (width - 1, 0)), width, 1) * (width / frames)
        else:
            energy = F.avg_pool1d(energy, width, 1, width // 2, count_include_pad=False)
        return energy.sqrt() + 1e-8

    def analysis(self, wave: Tensor) -> Tensor:
        """Return the spectrum of zero-padded waves. ``(B, T) -> (B, K, N)``.

        In evaluation it is summed in double precision, where the device has it; see
        ``analysis_step``.
        """
        hop, window = self.hop, self.window
        tail = -wave.shape[-1] % hop + window - hop
        wave, taper = F.pad(wave.float(), (window - hop, tail)), self.taper
        if not self.training and wave.device.type != "mps":
            wave = wave.double()
            taper = torch.hann_window(window, dtype=wave.dtype, device=wave.device).sqrt()
        spectrum = torch.stft(wave, window, hop, window=taper, center=False, return_complex=True)
        return spectrum.to(torch.complex64)

    def synthesis(self, spectrum: Tensor, length: int) -> Tensor:
        """Return the wave of a spectrum made by ``analysis``. ``(B, K, N) -> (B, T)``."""
        hop, window = self.hop, self.window
        frames = torch.fft.irfft(spectrum, window, dim=1) * self.taper[:, None]  # (B, window, N)
        total = (frames.shape[-1] - 1) * hop + window
        wave = F.fold(frames, (1, total), (1, window), stride=(1, hop))[:, 0, 0]
        start = window - hop
        return wave[:, start : start + length] / (window / hop / 2)

    def start(self, batch: int = 1) -> dict[str, Tensor]:
        """Return the state of ``step`` before a wave: tensors by name, each ``(B, ...)``.

        Raises ValueError where the network hears later samples than its window holds.
        """
        if not self.causal:
            kind = type(self).__name__
            raise ValueError(f"this {kind} is not causal and hears ahead; only causal=True steps")
        lap = self.window - self.hop
        shapes = {
            "heard": (lap,),  # samples of the next frame
            "energy": (2, self.level_frames - 1),  # of past frames; and 1 where there was one
            **self.shapes(),
            "sounding": (lap,),  # the frames so far, where the next ones overlap them
        }
        return {name: self.taper.new_zeros(batch, *shape) for name, shape in shapes.items()}

    def step(self, noisy: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the samples of ``forward``, ``window - hop`` late, and the state after them.

        ``(B, 1, n * hop) -> (B, 1, n * hop)``, n >= 1; the first ``window - hop`` samples of all
        are those before the wave, to be dropped. Nothing but the arguments and the weights is used
        and nothing is changed; real numbers, convolutions and slices all along.
        """
        wave = torch.cat([state["heard"], noisy[:, 0]], dim=1)
        spectrum = self.analysis_step(wave)
        energy = spectrum.square().sum(1).mean(1, keepdim=True)  # (B, 1, N)
        energy = torch.cat([energy, torch.ones_like(energy)], dim=1)
        energy = torch.cat([state["energy"], energy], dim=2)
        total, count = F.avg_pool1d(energy, self.level_frames, 1).chunk(2, dim=1)
        level = ((total / count).sqrt() + 1e-8)[:, None]  # (B, 1, 1, N)
        clean, new = self.estimate_step(compress_parts(spectrum / level, self.power), state)
        clean, sounding = self.synthesis_step(
            compress_parts(clean, 1 / self.power) * level, state["sounding"]
        )
        return clean[:, None], {
            "heard": wave[:, self.hop - self.window :],
            "energy": energy[:, :, 1 - self.level_frames :],
            **new,
            "sounding": sounding,
        }

    def analysis_step(self, wave: Tensor) -> Tensor:
        """Return the spectrum of whole frames. ``(B, window - hop + n hop) -> (B, 2, K, N)``.

        Summed in double precision: where a band is as good as empty, compression would make
        rounding audible, and it depends on the number of frames.
        """
        hops = wave.unflatten(1, (-1, self.hop))
        more = self.window // self.hop - 1  # hops of a frame after its first
        parts = [hops[:, i : hops.shape[1] - more + i] for i in range(more + 1)]
        frames = torch.cat(parts, dim=2).to(self.there.dtype)  # (B, N, window)
        spectrum = (frames @ self.there.to(wave.device)).to(wave.dtype)
        return spectrum.unflatten(2, (2, -1)).permute(0, 2, 3, 1)

    def synthesis_step(self, spectrum: Tensor, sounding: Tensor) -> tuple[Tensor, Tensor]:
        """Return the samples that are complete, ``(B, n hop)``, and those that sound on."""
        frames = spectrum.permute(0, 3, 1, 2).flatten(2) @ self.back.to(spectrum)  # (B, N, window)
        parts = frames.split(self.hop, dim=2)
        more = len(parts) - 1
        begun = F.pad(sounding.unflatten(1, (-1, self.hop)), (0, 0, 0, frames.shape[1]))
        for i, part in enumerate(parts):
            begun = begun + F.pad(part, (0, 0, i, more - i))
        return begun[:, :-more].flatten(1), begun[:, -more:].flatten(1)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what ``estimate_step`` keeps, for one wave, by name."""
        return {}

    def estimate_step(
        self, compressed: Tensor, state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the masked spectrum of the next frames, and the state after them.

        ``(B, 2, K, N) -> (B, 2, K, N)``, real and imaginary parts.
        """
        raise NotImplementedError
