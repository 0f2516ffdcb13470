"""The generator over time and bands, and what every generator on the spectrum keeps to."""

import pytest
import torch

from gan import checkpoint
from segan.forms import Whole
from segan.generator import KINDS, BandGenerator
from segan.spectral import SpectralGenerator

SMALL = {"channels": 8, "dilations": (1, 3), "narrow": 2, "hidden": 16, "level": 0.2}
BOTH = pytest.mark.parametrize("causal", [False, True])
KINDS_OF_CONTEXT = pytest.mark.parametrize(
    "options", [{}, {"causal": True}, {"shifts": 2}], ids=str
)


def trained(seed=0, **options):
    """A small generator whose mask is no longer the identity."""
    torch.manual_seed(seed)
    network = BandGenerator(**{**SMALL, **options})
    for weight in network.leave.weights:
        torch.nn.init.normal_(weight, std=0.1)
    return network.eval().requires_grad_(False)


def test_default_has_the_parameters_that_its_card_says():
    assert sum(p.numel() for p in BandGenerator().parameters()) == 1_309_472


@BOTH
@pytest.mark.parametrize("length", [1, 2, 255, 256, 257, 511, 513, 4000])
def test_untrained_it_is_the_identity_at_any_length(length, causal):
    wave = torch.randn(2, 1, length)
    network = BandGenerator(**SMALL, causal=causal)
    torch.testing.assert_close(network(wave), wave, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale", [10.0, 0.1, 1e-3])
def test_scaling_the_input_scales_the_output(scale):
    network, wave = trained(), torch.randn(1, 1, 8000)
    torch.testing.assert_close(network(scale * wave), scale * network(wave), atol=0, rtol=0.02)


@BOTH
def test_silence_stays_silence(causal):
    assert trained(causal=causal)(torch.zeros(1, 1, 4000)).abs().max() == 0


@KINDS_OF_CONTEXT
def test_context_is_all_that_an_output_depends_on(options):
    network = trained(**options)
    middle = 40 * network.hop
    wave = torch.randn(1, 1, 2 * middle)
    reference = network(wave)
    far, near = wave.clone(), wave.clone()
    far[..., middle + network.context :] += 1
    far[..., : middle - network.context] += 1
    near[..., middle - 4 * network.hop] += 1
    torch.testing.assert_close(network(far)[..., middle], reference[..., middle])
    assert (network(near)[..., middle] - reference[..., middle]).abs() > 1e-6


@KINDS_OF_CONTEXT
def test_a_chunk_with_its_context_equals_the_whole(options):
    network = trained(**options)
    c, hop = network.context, network.hop
    wave = torch.randn(1, 1, 2 * c + 60 * hop)
    start, end = c + 10 * hop, c + 30 * hop
    chunk = network(wave[..., start - c : end + c])[..., c : c + end - start]
    torch.testing.assert_close(chunk, network(wave)[..., start:end], atol=1e-5, rtol=1e-4)


@BOTH
def test_causal_is_to_hear_no_more_than_a_window_ahead(causal):
    network, middle = trained(causal=causal), 30 * 256
    wave = torch.randn(1, 1, 2 * middle)
    changed = wave.clone()
    changed[..., middle + network.window :] += 1
    difference = (network(changed) - network(wave))[..., :middle].abs().max()
    assert (difference < 1e-5) == causal


@pytest.mark.parametrize("hops", [1, 2, 7])
@pytest.mark.parametrize("window", [{}, {"window": 512, "hop": 128}])
def test_stepped_a_causal_network_gives_the_samples_of_forward_late(hops, window):
    network = trained(causal=True, **window)
    wave = torch.randn(2, 1, 42 * network.hop)
    state, parts = network.start(2), []
    for part in wave.split(hops * network.hop, dim=-1):
        clean, state = network.step(part, state)
        assert clean.shape == part.shape
        parts.append(clean)
    late = network.window - network.hop
    stepped, whole = torch.cat(parts, dim=-1), network(wave)
    torch.testing.assert_close(stepped[..., late:], whole[..., :-late], atol=1e-5, rtol=0)


def test_a_step_changes_none_of_its_arguments():
    network, hop = trained(causal=True), torch.randn(1, 1, 256)
    _, state = network.step(hop, network.start())
    before = {name: tensor.clone() for name, tensor in state.items()}
    first, after = network.step(hop, state)
    second, _ = network.step(hop, state)
    assert torch.equal(first, second)
    assert list(after) == list(before)
    for name, tensor in before.items():
        assert torch.equal(state[name], tensor) and after[name].shape == tensor.shape


def test_only_causal_networks_step():
    with pytest.raises(ValueError, match="BandGenerator is not causal and hears ahead"):
        trained(causal=False).start()


def test_a_band_hears_its_neighbors_and_those_far_away():
    network = trained()
    spectrum = torch.randn(1, 257, 9, dtype=torch.complex64)
    changed = spectrum.clone()
    changed[:, 1:5, 4] += 1  # the lowest band of one frame
    moved = (network.mask(changed) - network.mask(spectrum)).abs().amax((0, 2))
    assert (moved > 1e-6).all()


def test_gradients_reach_every_parameter():
    network = BandGenerator(**SMALL)
    for weight in network.leave.weights:
        torch.nn.init.normal_(weight, std=0.05)
    network(torch.randn(2, 1, 4000)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_bands_that_leave_bins_out_are_refused():
    with pytest.raises(ValueError, match="must hold 256 bins"):
        BandGenerator(**SMALL, bands=((16, 4), (8, 8)))


def test_exported_and_loaded_it_gives_the_same_samples(tmp_path):
    network, wave = trained(), torch.randn(1, 1, 4000)
    config = {"_target_": "segan.generator.BandGenerator", **SMALL}
    checkpoint.export(tmp_path / "model", network, config)
    assert torch.equal(checkpoint.load_network(tmp_path / "model", KINDS)(wave), network(wave))


def test_shifts_average_what_grids_of_frames_give():
    once, twice = trained(), trained(shifts=2)
    wave = torch.randn(1, 1, 3000)
    other = once(torch.nn.functional.pad(wave, (128, 0)))[..., 128:]
    torch.testing.assert_close(twice(wave), (once(wave) + other) / 2)
    assert not torch.allclose(once(wave), other, atol=1e-3)
    torch.testing.assert_close(Whole(twice)(wave[0])[0], twice(wave)[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(twice.train()(wave), once.train()(wave))


def test_shifts_that_frames_or_latency_do_not_allow_are_refused():
    for options in ({"shifts": 3}, {"shifts": 0}, {"shifts": 8}, {"shifts": 2, "causal": True}):
        with pytest.raises(ValueError, match=f"shifts {options['shifts']}: 1, 2 or 4"):
            trained(**options)
    with pytest.raises(ValueError, match="shifts 3: 1, 2 or 4"):  # though it divides the hop
        SpectralGenerator(0, 384, 192, 0.3, 1.0, 16000, shifts=3)
