"""The project's own generators: waveform in, waveform out, with analysis and synthesis inside."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segan import paper
from segan.spectral import SpectralGenerator

# Shapes below: B waves, T samples, N frames, K = window // 2 + 1 bins, Z bands, C channels.

BANDS = ((16, 4), (8, 8), (8, 16))
"""Bands of 4 bins (125 Hz) up to 2 kHz, of 8 up to 4 kHz, of 16 up to 8 kHz."""


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


class MaskGenerator(SpectralGenerator):
    """A complex mask on the spectrum, by convolutions over time alone: small and quick.

    ``(B, 1, T) -> (B, 1, T)``; what all such networks keep to is said of ``SpectralGenerator``.

    Args:
        channels: width of the blocks.
        dilations: dilation of each block, in frames.
        kernel: taps of each block's convolution.
        window, hop, power, level, rate: see ``SpectralGenerator``.
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
        super().__init__(sum(dilations) * (kernel // 2), window, hop, power, level, rate)
        bins = window // 2 + 1
        self.enter = nn.Conv1d(3 * bins, channels, 1)
        self.blocks = nn.Sequential(*(Block(channels, kernel, d) for d in dilations))
        self.leave = nn.Conv1d(channels, 2 * bins, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def mask_parts(
        self, magnitude: Tensor, real: Tensor, imaginary: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the mask's parts, 1 and 0 where nothing is learnt yet. ``(B, K, N)`` each."""
        x = torch.cat([magnitude, real, imaginary], dim=1)
        x = self.leave(F.silu(self.blocks(self.enter(x)))).float()
        real, imaginary = x.chunk(2, dim=1)
        return 1 + real, imaginary


class Split(nn.Module):
    """Bins gathered into bands, each by a linear map of its own.

    Shape: ``(B, N, K - 1, D) -> (B, N, Z, C)``.
    """

    def __init__(self, features: int, channels: int, bands: tuple[tuple[int, int], ...]):
        super().__init__()
        self.sizes = [count * width for count, width in bands]
        self.weights = nn.ParameterList(
            torch.randn(count, width * features, channels) / (width * features) ** 0.5
            for count, width in bands
        )
        self.bias = nn.Parameter(torch.zeros(sum(count for count, _ in bands), channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the bands. ``(B, N, K - 1, D) -> (B, N, Z, C)``."""
        frames, parts = x.shape[:2], x.flatten(0, 1).split(self.sizes, dim=1)
        pairs = zip(parts, self.weights, strict=True)
        y = [torch.bmm(p.reshape(p.shape[0], *w.shape[:2]).transpose(0, 1), w) for p, w in pairs]
        y = torch.cat(y).transpose(0, 1).contiguous()  # (B N, Z, C)
        return (y + self.bias.to(y.dtype)).unflatten(0, frames)


class Join(nn.Module):
    """Bands taken apart into bins, each by a linear map of its own; zero before training.

    Shape: ``(B, N, Z, C) -> (B, N, K - 1, D)``.
    """

    def __init__(self, channels: int, features: int, bands: tuple[tuple[int, int], ...]):
        super().__init__()
        self.counts, self.features = [count for count, _ in bands], features
        self.weights = nn.ParameterList(
            torch.zeros(count, channels, width * features) for count, width in bands
        )
        self.biases = nn.ParameterList(
            torch.zeros(count, 1, width * features) for count, width in bands
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the bins. ``(B, N, Z, C) -> (B, N, K - 1, D)``."""
        frames, parts = x.shape[:2], x.flatten(0, 1).transpose(0, 1).split(self.counts)
        maps = zip(parts, self.weights, self.biases, strict=True)
        y = [torch.baddbmm(b.to(p.dtype), p, w).transpose(0, 1).flatten(1) for p, w, b in maps]
        return torch.cat(y, dim=1).unflatten(1, (-1, self.features)).unflatten(0, frames)


class Near(nn.Module):
    """What is added from neighboring frames and bands: a 3 x 3 convolution, dilated over time.

    Shape: ``(B, N, Z, C) -> (B, N, Z, C)``. An output frame depends on ``dilation`` frames on
    either side; ``causal``: on twice as many before it, and none after.
    """

    def __init__(self, channels: int, dilation: int, causal: bool):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.past, around = (2 * dilation, 0) if causal else (0, dilation)
        self.mix = nn.Conv2d(channels, channels, 3, padding=(around, 1), dilation=(dilation, 1))
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus what the block adds."""
        y = self.norm(x)
        if self.past:
            y = F.pad(y, (0, 0, 0, 0, self.past, 0))
        y = self.mix(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # memory stays in order
        return x + self.out(F.silu(y))

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``forward`` of the frames after ``past``, and the past of those that follow.

        The convolution is one product here, which for few frames is several times as quick.
        """
        y = torch.cat([past, self.norm(x)], dim=1)
        frames, bands = x.shape[1:3]
        padded = F.pad(y, (0, 0, 1, 1))
        near = [padded[:, i : i + frames] for i in range(0, self.past + 1, self.past // 2)]
        near = torch.cat([part[:, :, j : j + bands] for part in near for j in range(3)], dim=-1)
        weight = self.mix.weight.permute(0, 2, 3, 1).flatten(1)  # (C, 9 C)
        mixed = F.linear(near, weight, self.mix.bias)
        return x + self.out(F.silu(mixed)), y[:, -self.past :]


class Across(nn.Module):
    """What is added from all bands of the same frame, through a narrow dense layer.

    Shape: ``(B, N, Z, C) -> (B, N, Z, C)``.
    """

    def __init__(self, channels: int, bands: int, narrow: int, hidden: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.down = nn.Linear(channels, narrow)
        self.mix = nn.Linear(bands * narrow, hidden)
        self.back = nn.Linear(hidden, bands * narrow)
        self.up = nn.Linear(narrow, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` plus what the block adds."""
        y = self.down(self.norm(x)).flatten(2)  # (B, N, Z * narrow)
        y = self.back(F.silu(self.mix(y))).unflatten(2, (x.shape[2], -1))
        return x + self.up(F.silu(y))


class BandGenerator(SpectralGenerator):
    """A complex mask on the spectrum, by a network over time and bands.

    The bins are gathered into bands, narrow ones below. Blocks that look at near frames and bands,
    with weights that all bands share, take turns with blocks that look across all bands of a frame.

    ``(B, 1, T) -> (B, 1, T)``; what all such networks keep to is said of ``SpectralGenerator``.

    Args:
        channels: of each band.
        dilations: of the convolutions over time, in frames, one for each pair of blocks.
        narrow: channels of each band that the dense layer across the bands sees.
        hidden: width of that layer.
        bands: counts of bands and their widths in bins, from bin 1 upwards; bin 0 follows bin 1.
        causal: no look-ahead but the window's, 32 ms.
        window, hop, power, level, rate, shifts: see ``SpectralGenerator``.
    """

    def __init__(
        self,
        channels: int = 48,
        dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 1, 2, 4),
        narrow: int = 8,
        hidden: int = 256,
        bands: tuple[tuple[int, int], ...] = BANDS,
        causal: bool = False,
        window: int = 512,
        hop: int = 256,
        power: float = 0.3,
        level: float = 2.0,
        rate: int = 16000,
        shifts: int = 1,
    ):
        if sum(count * width for count, width in bands) != window // 2:
            raise ValueError(f"bands {bands}: they must hold {window // 2} bins, window // 2")
        reach = sum(dilations) * (2 if causal else 1)
        super().__init__(reach, window, hop, power, level, rate, causal, shifts)
        self.enter = Split(3, channels, bands)
        count = sum(count for count, _ in bands)
        self.blocks = nn.Sequential()
        for dilation in dilations:
            self.blocks.append(Near(channels, dilation, causal))
            self.blocks.append(Across(channels, count, narrow, hidden))
        self.norm = nn.LayerNorm(channels)
        self.leave = Join(channels, 2, bands)

    def mask_parts(
        self, magnitude: Tensor, real: Tensor, imaginary: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the mask's parts, 1 and 0 where nothing is learnt yet. ``(B, K, N)`` each."""
        views = [x.transpose(1, 2)[:, :, 1:] for x in (magnitude, real, imaginary)]
        x = self.enter(torch.stack(views, dim=-1))  # (B, N, K - 1, 3) -> (B, N, Z, C)
        x = self.gains(self.blocks(x)).transpose(1, 2)  # (B, K, N, 2)
        return 1 + x[..., 0], x[..., 1]

    def gains(self, x: Tensor) -> Tensor:
        """Return mask - 1, real and imaginary. ``(B, N, Z, C) -> (B, N, K, 2)``."""
        x = self.leave(F.silu(self.norm(x))).float()  # (B, N, K - 1, 2)
        return torch.cat([x[:, :, :1], x], dim=2)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the frames that the convolutions look back at, by name."""
        bands, channels = self.enter.bias.shape
        return {f"past_{i}": (b.past, bands, channels) for i, b in enumerate(self.blocks[::2])}

    def estimate_step(
        self, compressed: Tensor, state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the masked spectrum of the next frames, and the state after them."""
        x = compressed.permute(0, 3, 2, 1)  # (B, N, K, 2)
        size = x.square().sum(-1, keepdim=True).sqrt()
        x = self.enter(torch.cat([size, x], dim=-1)[:, :, 1:])  # (B, N, Z, C)
        new, blocks = {}, list(self.blocks)
        for i, (near, across) in enumerate(zip(blocks[::2], blocks[1::2], strict=True)):
            x, new[f"past_{i}"] = near.step(x, state[f"past_{i}"])
            x = across(x)
        gain = self.gains(x).permute(0, 3, 2, 1)  # (B, 2, K, N)
        real, imaginary = compressed.chunk(2, dim=1)
        turned = torch.cat([-imaginary, real], dim=1)
        return compressed + compressed * gain[:, :1] + turned * gain[:, 1:], new


KINDS = {
    f"{kind.__module__}.{kind.__name__}": kind
    for kind in (BandGenerator, MaskGenerator, paper.Generator, paper.GeneratorPlus)
}
"""The networks that a weights file may ask for."""
