"""The project's own discriminators: of real and generated spectra, and of how a wave scores."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from segan.disturbance import PerceptualDisturbance
from segan.metrics import pesq
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


class ScoreDiscriminator(SpectrumDiscriminator):
    """Predicts the PESQ of a wave, given the clean one (Fu et al. 2019), as a share of the best.

    ``D(x, given=clean)``: ``(B, 1, T)`` twice, ``(B,)``, 1 for x = clean. It begins as a function
    of the disturbance, which ranks as PESQ does, and learns what that leaves out from the spectra.

    Args:
        channels, window, power: of the convolutions, see ``SpectrumDiscriminator``.
        hidden: units between the mean of the features over time and the score.
    """

    def __init__(
        self,
        channels: tuple[int, ...] = (8, 16, 32, 64),
        window: int = 512,
        power: float = 0.3,
        hidden: int = 64,
    ):
        super().__init__(channels, window, power)
        self.disturbance = PerceptualDisturbance()
        bins = window // 2 + 1
        for _ in channels:
            bins = (bins + 1) // 2
        last = nn.Linear(hidden, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.score = nn.Sequential(nn.Linear(channels[-1] * bins, hidden), nn.LeakyReLU(0.2), last)
        self.line = nn.Parameter(torch.tensor([1.1, -1.9]))  # a fit, before learning

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        """Return the predicted scores. ``(B, 1, T)`` twice, ``(B,)``."""
        features = self.features(x, given)[-1].mean(-1).flatten(1)
        heard = torch.sigmoid(self.line[0] + self.line[1] * self.disturbance.each(x, given))
        return heard + self.score(features)[:, 0]


class PesqScore:
    """``(x, clean) -> (B,)``: wide-band PESQ as a share of the best, NaN where there is no speech.

    Waves are ``(B, 1, T)`` at 16 kHz. 0 stands for 1.0, 1 for 4.64.
    """

    def __call__(self, x: Tensor, clean: Tensor) -> Tensor:
        """Return the scores, on the CPU."""
        waves = (wave[:, 0].detach().float().cpu().numpy() for wave in (x, clean))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pauses, which are left out
            scores = [pesq(target, wave, 16000) for wave, target in zip(*waves, strict=True)]
        return (torch.tensor(scores, dtype=torch.float32) - 1) / 3.644
