"""The project's own generators: waveform in, waveform out, with analysis and synthesis inside."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segan import paper

# Shapes below: B waves, T samples, N frames, K = window // 2 + 1 bins, C channels.


def compress(spectrum: Tensor, power: float) -> Tensor:
    """Return ``|X|^power * exp(i angle X)``, smooth at 0. Any shape, complex in and out."""
    energy = spectrum.real.square() + spectrum.imag.square() + 1e-12
    return spectrum * energy ** ((power - 1) / 2)


class Block(nn.Module):
    """A residual block over time: dilated convolution, normalization, SiLU, 1x1 convolution.

    Shape: ``(B, C, N) -> (B, C, N)``. Normalization is per frame, so that an output frame depends
    on ``dilation * (kernel // 2)`` frames on either side and on no others.
    """

    def __init__(self, channels: int, kernel: int, dilation: int):
        super().__init__()
        reach = dilation * (kernel // 2)
        self.mix = nn.Conv1d(channels, channels, kernel, padding=reach, dilation=dilation)
        self.norm = nn.LayerNorm(channels)
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus what the block adds. ``(B, C, N) -> (B, C, N)``."""
        y = self.norm(self.mix(x).transpose(1, 2)).transpose(1, 2)
        return x + self.out(F.silu(y))


class MaskGenerator(nn.Module):
    """A wave cleaned by a complex mask on its power-compressed spectrum.

    ``(B, 1, T) -> (B, 1, T)`` for any ``T >= 1``, 16 kHz by default. Scaling the input scales the
    output alike: the spectrum is divided by the root mean square of the surrounding ``level``
    seconds before the network sees it. Every output sample depends on ``context`` samples on
    either side at most, so a long wave may be enhanced in chunks with the same result.

    Args:
        channels: width of the blocks.
        dilations: dilation of each block, in frames.
        kernel: taps of each block's convolution.
        window: samples of the analysis window (periodic Hann, square root).
        hop: samples between frames.
        power: exponent of the compression; the mask acts on the compressed spectrum.
        level: seconds over which the level is taken.
        rate: sample rate in Hz.
    """

    def __init__(
        self,
        channels: int = 256,
        dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 1, 2, 4, 8, 16),
        kernel: int = 3,
        window: int = 512,
        hop: int = 256,
        power: float = 0.3,
        level: float = 4.0,
        rate: int = 16000,
    ):
        super().__init__()
        self.rate, self.window, self.hop, self.power = rate, window, hop, power
        bins = window // 2 + 1
        self.level_frames = 2 * round(level * rate / hop / 2) + 1
        self.register_buffer(
            "taper", torch.hann_window(window, device="cpu").sqrt(), persistent=False
        )
        self.enter = nn.Conv1d(3 * bins, channels, 1)
        self.blocks = nn.Sequential(*(Block(channels, kernel, d) for d in dilations))
        self.leave = nn.Conv1d(channels, 2 * bins, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        reach = sum(d * (kernel // 2) for d in dilations) + self.level_frames // 2
        self.context = reach * hop + -(-2 * window // hop) * hop

    def forward(self, noisy: Tensor) -> Tensor:
        """Return the estimate of the clean wave. ``(B, 1, T) -> (B, 1, T)``."""
        spectrum = self.analysis(noisy[:, 0])  # (B, K, N) complex
        level = self.level(spectrum)  # (B, 1, N)
        compressed = compress(spectrum / level, self.power)
        masked = compressed * self.mask(compressed)
        return self.synthesis(compress(masked, 1 / self.power) * level, noisy.shape[-1])[:, None]

    def mask(self, compressed: Tensor) -> Tensor:
        """Return the complex mask, 1 where nothing is learnt yet. ``(B, K, N) -> (B, K, N)``."""
        x = torch.cat([compressed.abs(), compressed.real, compressed.imag], dim=1)
        x = self.leave(F.silu(self.blocks(self.enter(x)))).float()
        real, imaginary = x.chunk(2, dim=1)
        return torch.complex(1 + real, imaginary)

    def level(self, spectrum: Tensor) -> Tensor:
        """Return the local root mean square of the frames. ``(B, K, N) -> (B, 1, N)``."""
        energy = (spectrum.real.square() + spectrum.imag.square()).mean(1, keepdim=True)
        width = self.level_frames
        energy = F.avg_pool1d(energy, width, 1, width // 2, count_include_pad=False)
        return energy.sqrt() + 1e-8

    def analysis(self, wave: Tensor) -> Tensor:
        """Return the spectrum of zero-padded waves. ``(B, T) -> (B, K, N)``."""
        hop, window = self.hop, self.window
        tail = -wave.shape[-1] % hop + window - hop
        wave = F.pad(wave.float(), (window - hop, tail))
        return torch.stft(wave, window, hop, window=self.taper, center=False, return_complex=True)

    def synthesis(self, spectrum: Tensor, length: int) -> Tensor:
        """Return the wave of a spectrum made by ``analysis``. ``(B, K, N) -> (B, T)``."""
        hop, window = self.hop, self.window
        frames = torch.fft.irfft(spectrum, window, dim=1) * self.taper[:, None]  # (B, window, N)
        total = (frames.shape[-1] - 1) * hop + window
        wave = F.fold(frames, (1, total), (1, window), stride=(1, hop))[:, 0, 0]
        start = window - hop
        return wave[:, start : start + length] / (window / hop / 2)


KINDS = {
    f"{kind.__module__}.{kind.__name__}": kind
    for kind in (MaskGenerator, paper.Generator, paper.GeneratorPlus)
}
"""The networks that a weights file may ask for."""
