"""Distances: zero for identical waves, and what each is deaf to."""

import numpy as np
import pytest
import torch
from pesq import pesq
from pystoi import stoi
from scipy.stats import spearmanr

from segan.discriminator import PesqScore, ScoreDiscriminator
from segan.distances import CompressedSpectrum, RelativeL1
from segan.disturbance import PerceptualDisturbance, bark
from segan.intelligibility import Unintelligibility

ALL = [
    RelativeL1(),
    CompressedSpectrum(),
    CompressedSpectrum((256, 1024)),
    PerceptualDisturbance(),
    Unintelligibility(),
]


def voice(seed=0, seconds=2.0, rate=16000, pause=0.0):
    """A made voice: harmonics with a gliding pitch, in syllables with ``pause`` between them."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time + seed)) / rate
    wave = sum(np.sin(k * phase) / k**1.2 for k in range(1, 30))
    gate = np.clip(np.sin(2 * np.pi * 3 * time + rng.uniform(0, 6)), pause, 1)
    return 0.1 * wave * gate


def tensor(*waves):
    return torch.tensor(np.stack(waves), dtype=torch.float32)[:, None]


@pytest.mark.parametrize("distance", ALL, ids=lambda d: type(d).__name__)
def test_zero_for_the_target_itself_and_growing_with_noise(distance):
    target = tensor(voice(0), voice(1))
    noise = 0.02 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    values = [float(distance(target + share * noise, target)) for share in (0, 0.1, 0.3, 1)]
    assert values[0] < 1e-6
    assert values == sorted(values)


@pytest.mark.parametrize("distance", ALL, ids=lambda d: type(d).__name__)
def test_gradients_are_finite_everywhere(distance):
    for estimate, target in [
        (torch.zeros(2, 1, 8000), tensor(voice(0)[:8000], voice(1)[:8000])),
        (torch.randn(2, 1, 8000), torch.zeros(2, 1, 8000)),
        (torch.zeros(2, 1, 8000), torch.zeros(2, 1, 8000)),
    ]:
        estimate.requires_grad_()
        distance(estimate, target).backward()
        assert estimate.grad.isfinite().all()


@pytest.mark.parametrize("distance", ALL, ids=lambda d: type(d).__name__)
def test_scaling_both_changes_nothing(distance):
    target = tensor(voice(0))
    estimate = target + 0.01 * torch.randn(target.shape, generator=torch.Generator().manual_seed(1))
    both = distance(0.3 * estimate, 0.3 * target)
    torch.testing.assert_close(both, distance(estimate, target), rtol=1e-2, atol=1e-4)


def test_relative_l1_by_hand():
    target = torch.tensor([[[3.0, -3.0]], [[0.5, 0.5]]])
    assert float(RelativeL1()(torch.zeros(2, 1, 2), target)) == pytest.approx(1.0)


def test_spectrum_by_hand_for_a_gain():
    # A gain g scales the compressed spectrum by g^c, real and imaginary parts and magnitude alike.
    target = tensor(voice(0))
    distance = CompressedSpectrum(power=0.5)
    x = distance.spectrum(512, target[:, 0] / target.square().mean().sqrt())
    expected = (0.25**0.5 - 1) ** 2 * x.abs().square().mean()
    torch.testing.assert_close(distance(0.25 * target, target), expected, rtol=1e-3, atol=0)


def test_disturbance_ranks_as_pesq_does():
    rng = np.random.default_rng(0)
    distance = PerceptualDisturbance()
    for seed in range(4):
        clean, ours, theirs = voice(seed), [], []
        for snr in (0, 5, 10, 15, 20, 30):
            noise = rng.standard_normal(len(clean))
            noisy = clean + noise * clean.std() * 10 ** (-snr / 20)
            theirs.append(pesq(16000, clean.astype(np.float32), noisy.astype(np.float32), "wb"))
            ours.append(float(distance(tensor(noisy), tensor(clean))))
        assert spearmanr(ours, theirs)[0] <= -0.9


def test_bark_is_the_published_scale():
    hertz, published = torch.tensor([100.0, 510.0, 1000.0, 4000.0]), [0.77, 5.0, 8.53, 17.46]
    np.testing.assert_allclose(bark(hertz), published, atol=0.1)


@pytest.mark.parametrize("snr", [-5, 5, 15])
def test_unintelligibility_is_what_stoi_lacks_to_one(snr):
    target = voice(3, pause=0.1)  # real pauses are cut out by the one, weighted by the other
    noise = np.random.default_rng(snr + 9).standard_normal(len(target))
    noise *= np.linalg.norm(target) / np.linalg.norm(noise) * 10 ** (-snr / 20)
    distance = float(Unintelligibility()(tensor(target + noise), tensor(target)))
    assert 1 - distance == pytest.approx(stoi(target, target + noise, 16000), abs=0.02)


def test_unintelligibility_does_not_count_pauses():
    target = np.concatenate([voice(0, 1.0, pause=0.2), np.zeros(16000)])
    noise = 0.01 * np.random.default_rng(0).standard_normal(16000)
    estimate = np.concatenate([target[:16000], noise])
    distance = Unintelligibility()
    assert float(distance(tensor(estimate), tensor(target))) < 0.25
    assert float(distance(tensor(estimate[:16000]), tensor(target[:16000]))) < 1e-6


def test_scores_are_shares_of_the_best_pesq_where_there_is_speech():
    clean = voice(0)
    noisy = clean + 0.02 * np.random.default_rng(0).standard_normal(len(clean))
    silence = np.zeros(len(clean))
    scores = PesqScore()(tensor(clean, noisy, silence), tensor(clean, clean, silence))
    noisy, clean = noisy.astype(np.float32), clean.astype(np.float32)
    assert float(scores[0]) == pytest.approx(1, abs=1e-3)
    assert 1 + 3.644 * float(scores[1]) == pytest.approx(pesq(16000, clean, noisy, "wb"), abs=1e-3)
    assert scores[2].isnan()


def test_predicted_scores_begin_by_ranking_as_pesq_does():
    torch.manual_seed(0)
    judge, clean = ScoreDiscriminator(channels=(2, 2)).eval(), tensor(voice(0))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * clean.std()
    with torch.no_grad():
        scores = [float(judge(clean + share * noise, given=clean)) for share in (1, 0.3, 0.1, 0)]
    assert scores == sorted(scores)
    assert scores[0] > 0 and scores[-1] < 1
