"""The project's own discriminator: patches of the spectrum, judged given the noisy wave."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from segan.spectral import compress


class SpectrumDiscriminator(nn.Module):
    """A PatchGAN (Isola et al. 2017) on power-compressed magnitudes.

    ``D(x, given=noisy)``: ``(B, 1, T)`` twice, raw scores ``(B, 1, K', N')``, one for each patch of
    time and frequency. Both waves are divided by the level of ``given``, so that scores don't
    depend on loudness. Weights are spectrally normalized (Miyato et al. 2018).

    Args:
        channels: of each convolution, 5 x 5, every one halving bins and frames.
        window: samples of the Hann window; the hop is half.
        power: exponent of the compression.
    """

    def __init__(
        self, channels: tuple[int, ...] = (8, 16, 32, 64), window: int = 512, power: float = 0.3
    ):
        super().__init__()
        self.power, self.window = power, window
        self.register_buffer("taper", torch.hann_window(window), persistent=False)
        sizes = zip((2, *channels[:-1]), channels, strict=True)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 5, stride=2, padding=2)) for a, b in sizes
        )
        self.score = spectral_norm(nn.Conv2d(channels[-1], 1, 3, padding=1))

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        """Return raw scores, high for real. ``(B, 1, T)`` twice, ``(B, 1, K', N')``."""
        return self.score(self.features(x, given)[-1])

    def features(self, x: Tensor, given: Tensor) -> list[Tensor]:
        """Return the activations of every layer."""
        level = given.square().mean((1, 2), keepdim=True).sqrt() + 1e-5
        y = torch.cat([self.magnitude(x / level), self.magnitude(given / level)], dim=1)
        activations = []
        for layer in self.layers:
            y = F.leaky_relu(layer(y), 0.2)
            activations.append(y)
        return activations

    def magnitude(self, wave: Tensor) -> Tensor:
        """Return the compressed magnitude. ``(B, 1, T) -> (B, 1, K, N)``."""
        wave, window = wave[:, 0].float(), self.window
        spectrum = torch.stft(wave, window, window // 2, window=self.taper, return_complex=True)
        return compress(spectrum / window**0.5, self.power).abs()[:, None]
