"""The default's networks."""

import pytest
import torch

from gan import checkpoint
from segan.discriminator import SpectrumDiscriminator
from segan.generator import KINDS, MaskGenerator
from segan.spectral import compress

SMALL = {"channels": 16, "dilations": (1, 2), "level": 0.2}


def trained(seed=0, **options):
    """A small generator whose mask is no longer the identity."""
    torch.manual_seed(seed)
    network = MaskGenerator(**{**SMALL, **options})
    torch.nn.init.normal_(network.leave.weight, std=0.05)
    return network.eval().requires_grad_(False)


def test_default_has_the_parameters_that_its_card_says():
    assert sum(p.numel() for p in MaskGenerator().parameters()) == 2_961_410


@pytest.mark.parametrize("length", [1, 2, 255, 256, 257, 511, 513, 4000])
def test_untrained_it_is_the_identity_at_any_length(length):
    wave = torch.randn(2, 1, length)
    torch.testing.assert_close(MaskGenerator(**SMALL)(wave), wave, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale", [10.0, 0.1, 1e-3])
def test_scaling_the_input_scales_the_output(scale):
    network, wave = trained(), torch.randn(1, 1, 8000)
    torch.testing.assert_close(network(scale * wave), scale * network(wave), atol=0, rtol=0.02)


def test_silence_stays_silence():
    assert trained()(torch.zeros(1, 1, 4000)).abs().max() == 0


def test_context_is_all_that_an_output_depends_on():
    network = trained()
    middle = 20 * network.hop
    wave = torch.randn(1, 1, 2 * middle)
    reference = network(wave)
    far, near = wave.clone(), wave.clone()
    far[..., middle + network.context :] += 1
    far[..., : middle - network.context] += 1
    near[..., middle + 2 * network.hop] += 1
    torch.testing.assert_close(network(far)[..., middle], reference[..., middle])
    assert (network(near)[..., middle] - reference[..., middle]).abs() > 1e-6


def test_a_chunk_with_its_context_equals_the_whole():
    network = trained()
    c, hop = network.context, network.hop
    wave = torch.randn(1, 1, 4 * c + 60 * hop)
    start, end = 30 * hop, 50 * hop
    chunk = network(wave[..., start - c : end + c])[..., c : c + end - start]
    torch.testing.assert_close(chunk, network(wave)[..., start:end], atol=1e-5, rtol=1e-4)


def test_gradients_reach_every_parameter():
    network = MaskGenerator(**SMALL)
    torch.nn.init.normal_(network.leave.weight, std=0.05)
    network(torch.randn(2, 1, 4000)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_compression_keeps_the_phase_and_powers_the_magnitude():
    spectrum = torch.randn(50, dtype=torch.complex64) + 0.1
    torch.testing.assert_close(compress(spectrum, 0.3).angle(), spectrum.angle())
    torch.testing.assert_close(compress(spectrum, 0.3).abs(), spectrum.abs() ** 0.3)
    torch.testing.assert_close(compress(compress(spectrum, 0.3), 1 / 0.3), spectrum)


def test_exported_and_loaded_it_gives_the_same_samples(tmp_path):
    network, wave = trained(), torch.randn(1, 1, 4000)
    config = {"_target_": "segan.generator.MaskGenerator", **SMALL}
    checkpoint.export(tmp_path / "model", network, config)
    assert torch.equal(checkpoint.load_network(tmp_path / "model", KINDS)(wave), network(wave))


def test_discriminator_hears_its_condition_and_ignores_loudness():
    torch.manual_seed(0)
    judge = SpectrumDiscriminator(channels=(4, 4)).eval()
    x, given = torch.randn(2, 3, 1, 4000)
    score = judge(x, given=given)
    assert (score - judge(given, given=x)).abs().max() > 1e-3
    assert (score - judge(x, given=given.flip(0))).abs().max() > 1e-3
    torch.testing.assert_close(judge(0.1 * x, given=0.1 * given), score, atol=1e-3, rtol=1e-2)
