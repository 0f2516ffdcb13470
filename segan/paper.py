"""The networks of SEGAN and of SEGAN+, as published.

Both papers work on pre-emphasized waves, and so do these networks, inside: a generator takes and
returns plain waves of any length, a discriminator judges plain waves, and ``PreEmphasizedL1`` is
the papers' distance. Data, games and tools see nothing but plain waves.

SEGAN: Pascual, Bonafonte, Serra 2017, arXiv 1703.09452, and its code (santi-pdp/segan) where the
paper is silent: no biases, slopes of PReLU from 0, skips taken before the activation, initial
weights. SEGAN+: the same authors' later network, as their code (santi-pdp/segan_pytorch) has it by
default.
"""

from __future__ import annotations

from math import ceil, log

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan import noise
from gan.layers import Reference, VirtualBatchNorm
from segan.audio import deemphasis, preemphasis

# Shapes below: B waves, T samples, C channels, L = T / stride ** levels steps of the code.

CHANNELS = (16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 1024)
CHANNELS_PLUS = (64, 128, 256, 512, 1024)


class Down(nn.Conv1d):
    """A strided convolution: ``(B, in, T) -> (B, out, T / stride)``, T a multiple of stride.

    The signal is extended by zeros, or as ``extension`` says (see ``torch.nn.functional.pad``).
    """

    def __init__(self, *channels: int, kernel: int, stride: int, bias: bool, extension="constant"):
        super().__init__(*channels, kernel, stride, bias=bias)
        self.extension = extension

    def forward(self, x: Tensor) -> Tensor:
        """Return the shorter signal."""
        half = self.kernel_size[0] // 2
        return super().forward(F.pad(x, (half - 1, half), self.extension))


class Up(nn.ConvTranspose1d):
    """A transposed convolution: ``(B, in, T) -> (B, out, stride * T)``."""

    def __init__(self, *channels: int, kernel: int, stride: int, bias: bool):
        super().__init__(*channels, kernel, stride, padding=(kernel - stride) // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the longer signal."""
        return super().forward(x)[..., : self.stride[0] * x.shape[-1]]


class Generator(nn.Module):
    """SEGAN's generator: 73,096,048 weights as it stands.

    ``(B, 1, T) -> (B, 1, T)`` for any ``T >= 1``, plain waves in [-1, 1]. A convolutional encoder,
    a code to which noise z is added as further channels, and a decoder that mirrors the encoder and
    is given its activations. Waves are filled up with silence to a multiple of ``hop`` samples, and
    to a length that the deepest kernel fits in. Every output sample depends on ``context`` samples
    on either side at most, and on z.

    Args:
        channels: of the encoder's levels.
        kernel: taps of every convolution, an odd number.
        stride: of every convolution.
        coefficient: of the pre-emphasis.
        rate: sample rate in Hz.
    """

    bias = False
    extension = "constant"

    def __init__(
        self,
        channels: tuple[int, ...] = CHANNELS,
        kernel: int = 31,
        stride: int = 2,
        coefficient: float = 0.95,
        rate: int = 16000,
    ):
        super().__init__()
        channels = tuple(channels)
        self.coefficient, self.rate = coefficient, rate
        self.hop = stride ** len(channels)
        self.least = self.hop // stride * (kernel // 2 + 1)
        self.context = self.hop * ceil(_reach(kernel, stride, self.hop, coefficient) / self.hop)

        size = {"kernel": kernel, "stride": stride, "bias": self.bias}
        pairs = zip((1, *channels), channels, strict=False)
        self.encoder = nn.ModuleList(Down(*p, **size, extension=self.extension) for p in pairs)
        self.encoder_prelus = nn.ModuleList(nn.PReLU(c, init=0.0) for c in channels)

        outputs = (*channels[-2::-1], 1)
        inputs = (2 * c for c in channels[::-1])  # the code with z, then levels with their skips
        self.decoder = nn.ModuleList(Up(*p, **size) for p in zip(inputs, outputs, strict=True))
        self.decoder_prelus = nn.ModuleList(nn.PReLU(c, init=0.0) for c in outputs[:-1])
        self.initialize()

    def initialize(self) -> None:
        """Draw the weights of all convolutions from the code's truncated normal."""
        _truncated_normal_(self)

    def forward(self, noisy: Tensor, z: Tensor | None = None) -> Tensor:
        """Return the estimate of the clean waves.

        z is ``(B, C, L)``, with the C of the code; None draws it from the unit normal.
        """
        length = noisy.shape[-1]
        full = self.hop * ceil(max(length, self.least) / self.hop)
        emphasized = F.pad(preemphasis(noisy, self.coefficient), (0, full - length))
        estimate = self.core(emphasized, z)[..., :length].to(noisy.dtype)
        return deemphasis(estimate, self.coefficient)

    def core(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """Return the paper's output, in [-1, 1], for pre-emphasized waves, T a multiple of hop."""
        skips = []
        for down, prelu in zip(self.encoder, self.encoder_prelus, strict=True):
            skips.append(down(x))
            x = prelu(skips[-1])
        code = skips.pop()  # (B, C, L)
        x = torch.cat([noise.normal_like(code) if z is None else z, x], 1)
        for up, prelu in zip(self.decoder[:-1], self.decoder_prelus, strict=True):
            skip = self.skip(len(skips) - 1, skips.pop())
            x = torch.cat([prelu(up(x)), skip], 1)
        return torch.tanh(self.decoder[-1](x))  # (B, 1, T)

    def skip(self, level: int, x: Tensor) -> Tensor:
        """Return what the decoder is given of the encoder's level."""
        return x


class GeneratorPlus(Generator):
    """SEGAN+'s generator: fewer, wider levels, biases, and skips weighted by channel.

    Used as ``Generator``; 64,770,561 weights as it stands.
    """

    bias = True
    extension = "reflect"

    def __init__(
        self,
        channels: tuple[int, ...] = CHANNELS_PLUS,
        kernel: int = 31,
        stride: int = 4,
        coefficient: float = 0.95,
        rate: int = 16000,
    ):
        super().__init__(channels, kernel, stride, coefficient, rate)
        self.alphas = nn.ParameterList(torch.ones(c, 1) for c in channels[:-1])

    def initialize(self) -> None:
        """Draw the encoder's weights from N(0, .02); the decoder keeps torch's own start."""
        _normal_(self.encoder)

    def skip(self, level: int, x: Tensor) -> Tensor:
        """Return the level's channels, each with its weight."""
        return self.alphas[level] * x


class Discriminator(nn.Module):
    """SEGAN's discriminator: 24,370,569 weights as it stands, virtual batch normalization.

    ``(B, 1, T), given (B, 1, T) -> (B, 1)``: a raw score for each wave given the noisy one, both
    plain, T = ``window``. Its reference batch is the first it is shown in training, unless
    ``set_reference`` chose another. A score depends on no other wave in the batch (Salimans et al.
    2016); the authors' code took the statistics of the whole batch for those of the wave.

    Args:
        channels: of the levels.
        kernel: taps of every convolution, an odd number.
        stride: of every convolution.
        window: samples judged at once.
        references: waves in the reference batch, at most.
        slope: of LeakyReLU.
        coefficient: of the pre-emphasis.
    """

    def __init__(
        self,
        channels: tuple[int, ...] = CHANNELS,
        kernel: int = 31,
        stride: int = 2,
        window: int = 16384,
        references: int = 100,
        slope: float = 0.3,
        coefficient: float = 0.95,
    ):
        super().__init__()
        self.window, self.slope, self.coefficient = window, slope, coefficient
        self.reference = Reference(references)
        pairs = zip((2, *channels), channels, strict=False)
        self.levels = nn.ModuleList(
            Down(*p, kernel=kernel, stride=stride, bias=False) for p in pairs
        )
        self.norms = nn.ModuleList(VirtualBatchNorm(c) for c in channels)
        self.squeeze = nn.Conv1d(channels[-1], 1, 1, bias=False)
        self.score = nn.Linear(window // stride ** len(channels), 1)
        _truncated_normal_(self)
        nn.init.xavier_uniform_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def set_reference(self, x: Tensor, given: Tensor) -> None:
        """Take the first ``references`` pairs as those that statistics are measured by."""
        self.reference.set(_pair(x, given, self))

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        """Return a raw score for each wave, high for clean ones."""
        last = self.features(x, given)[-1]  # (B, C, L)
        return self.score(self.squeeze(last).flatten(1))

    def features(self, x: Tensor, given: Tensor) -> list[Tensor]:
        """Return the activations of all levels, ``(B, C, T / stride ** level)`` each."""
        x = self.reference(_pair(x, given, self))  # (N + B, 2, T)
        references = len(self.reference)
        activations = []
        for down, norm in zip(self.levels, self.norms, strict=True):
            x = F.leaky_relu(norm(down(x), references), self.slope)
            activations.append(x[references:])
        return activations


class DiscriminatorPlus(nn.Module):
    """SEGAN+'s discriminator: batch normalization, and levels that are shifted at random.

    ``(B, 1, T), given (B, 1, T) -> (B, 1)``, raw scores of plain waves, T = ``window``. In
    training, what enters a level is rolled by 1 to ``shift`` steps, to the left or to the right, so
    that the generator's regular artefacts can't be told by their phase (Donahue et al. 2018,
    section 3.3).

    Args:
        channels: of the levels.
        kernel: taps of every convolution, an odd number.
        stride: of every convolution.
        window: samples judged at once.
        hidden: widths of the two hidden layers that score the code.
        shift: the largest roll, in steps; 0 for none.
        coefficient: of the pre-emphasis.
    """

    def __init__(
        self,
        channels: tuple[int, ...] = CHANNELS_PLUS,
        kernel: int = 31,
        stride: int = 4,
        window: int = 16384,
        hidden: tuple[int, int] = (256, 128),
        shift: int = 5,
        coefficient: float = 0.95,
    ):
        super().__init__()
        self.window, self.shift, self.coefficient = window, shift, coefficient
        self.levels = nn.ModuleList(
            nn.Sequential(
                Down(*p, kernel=kernel, stride=stride, bias=True, extension="reflect"),
                nn.BatchNorm1d(p[1]),
                nn.PReLU(p[1], init=0.0),
            )
            for p in zip((2, *channels), channels, strict=False)
        )
        code = channels[-1] * (window // stride ** len(channels))
        wide, narrow = hidden
        self.score = nn.Sequential(
            nn.Linear(code, wide),
            nn.PReLU(wide),
            nn.Linear(wide, narrow),
            nn.PReLU(narrow),
            nn.Linear(narrow, 1),
        )
        _normal_(self.levels)
        for layer in self.score[::2]:
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        """Return a raw score for each wave, high for clean ones."""
        return self.score(self.features(x, given)[-1].flatten(1))

    def features(self, x: Tensor, given: Tensor) -> list[Tensor]:
        """Return the activations of all levels, ``(B, C, T / stride ** level)`` each."""
        x = _pair(x, given, self)  # (B, 2, T)
        activations = []
        for level in self.levels:
            x = level(self._rolled(x))
            activations.append(x)
        return activations

    def _rolled(self, x: Tensor) -> Tensor:
        if not self.training or self.shift == 0:
            return x
        steps = int(torch.randint(1, self.shift + 1, ()))
        return torch.roll(x, steps if torch.rand(()) < 0.5 else -steps, dims=-1)


class PreEmphasizedL1(nn.Module):
    """The mean absolute difference of pre-emphasized waves, which both papers weigh by 100."""

    def __init__(self, coefficient: float = 0.95):
        super().__init__()
        self.coefficient = coefficient

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Return the distance. ``(B, 1, T)`` twice, a scalar."""
        return preemphasis(estimate - target, self.coefficient).abs().mean()


def _pair(x: Tensor, given: Tensor, judge: Discriminator | DiscriminatorPlus) -> Tensor:
    """Return what a discriminator hears: ``(B, 1, T)`` twice -> ``(B, 2, T)``, pre-emphasized."""
    if x.shape[-1] != judge.window:
        raise ValueError(f"this discriminator judges {judge.window} samples, not {x.shape[-1]}")
    return preemphasis(torch.cat([x, given], 1), judge.coefficient)


def _reach(kernel: int, stride: int, hop: int, coefficient: float) -> int:
    """Return how many samples away an input may matter: convolutions, then the de-emphasis.

    A level's two kernels reach ``kernel`` steps together; the recursion fades below 1e-8.
    """
    steps = (hop - 1) // (stride - 1)  # 1 + stride + stride ** 2 + ...
    return kernel * steps + (ceil(log(1e-8, coefficient)) if coefficient else 0)


def _truncated_normal_(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
            nn.init.trunc_normal_(layer.weight, std=0.02, a=-0.04, b=0.04)


def _normal_(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
