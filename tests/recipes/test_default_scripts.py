"""What the recipe of the embedded weights does to networks."""

import pytest
import torch

from gan.checkpoint import export, load_network
from segan.generator import KINDS, BandGenerator

TINY = {"channels": 8, "narrow": 2, "hidden": 6, "dilations": [1, 2]}


@pytest.fixture
def grown(script):
    return script("default/local/grow.py").grown


@pytest.fixture
def small():
    """A network that changes what it is given."""
    torch.manual_seed(0)
    network = BandGenerator(**TINY)
    for parameter in network.leave.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


def test_a_wider_and_deeper_network_begins_as_the_one_it_grew_from(grown, small):
    large = grown(small, {**TINY, "channels": 16, "narrow": 4, "dilations": [1, 2, 1]})
    wave = torch.randn(2, 1, 4000)
    with torch.no_grad():
        torch.testing.assert_close(large(wave), small(wave), atol=1e-5, rtol=0)
        assert (small(wave) - wave).abs().max() > 0.1
    copies = large.blocks[0].mix.weight.detach()[:8].split(8, dim=1)
    assert not torch.allclose(*copies)  # or they would learn the same for ever


def test_a_causal_network_begins_with_what_does_not_lie_ahead(grown, small):
    causal = grown(small, {**TINY, "causal": True})
    taps = causal.blocks[0].mix.weight, small.blocks[0].mix.weight
    torch.testing.assert_close(taps[0][:, :, 1:], taps[1][:, :, :2])
    assert not taps[0][:, :, 0].any()
    torch.testing.assert_close(causal.blocks[1].mix.weight, small.blocks[1].mix.weight)


def test_a_network_between_two_has_its_share_of_both(script, small, tmp_path, monkeypatch):
    config = {"_target_": "segan.generator.BandGenerator", **TINY}
    other = BandGenerator(**TINY)
    for name, network in (("a", small), ("b", other)):
        export(tmp_path / f"{name}.safetensors", network, config)
    words = [str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors"), "0.25"]
    monkeypatch.setattr("sys.argv", ["average.py", *words, str(tmp_path / "c"), "shifts=2"])
    script("default/local/average.py").main()
    between = load_network(tmp_path / "c", KINDS)
    assert between.shifts == 2
    for name, weight in between.state_dict().items():
        expected = 0.75 * small.state_dict()[name] + 0.25 * other.state_dict()[name]
        torch.testing.assert_close(weight, expected)
