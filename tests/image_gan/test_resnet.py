"""CycleGAN's generator against the paper's list of layers."""

import pytest
import torch
import torch.nn.functional as F

from gan import checkpoint
from image_gan.kinds import KINDS
from image_gan.resnet import ResNet


def by_hand(blocks):
    """c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3, each with biases."""
    layers = [(3, 64, 49), (64, 128, 9), (128, 256, 9), *[(256, 256, 9)] * (2 * blocks)]
    layers += [(256, 128, 9), (128, 64, 9), (64, 3, 49)]
    return sum(area * inputs * outputs + outputs for inputs, outputs, area in layers)


@pytest.mark.parametrize(("blocks", "published"), [(9, 11_378_179), (6, 7_837_699)])
def test_parameters_are_as_many_as_published(blocks, published):
    with torch.device("meta"):
        network = ResNet(blocks=blocks)
    assert sum(p.numel() for p in network.parameters()) == by_hand(blocks) == published


def test_it_equals_one_written_out():
    torch.manual_seed(0)
    network = ResNet(inputs=2, outputs=1, channels=3, blocks=1)
    w = [parameter.normal_(std=0.3) for parameter in network.requires_grad_(False).parameters()]
    w = iter(zip(w[::2], w[1::2], strict=True))

    def reflected(x, border):
        return F.conv2d(F.pad(x, 4 * [border], "reflect"), *next(w))

    def normal(x):
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
        return (x - mean) / (variance + 1e-5).sqrt()

    x = torch.randn(2, 2, 16, 12)
    h = F.relu(normal(reflected(x, 3)))
    for _ in range(2):
        h = F.relu(normal(F.conv2d(h, *next(w), stride=2, padding=1)))
    h = h + normal(reflected(F.relu(normal(reflected(h, 1))), 1))
    for _ in range(2):
        h = F.conv_transpose2d(h, *next(w), stride=2, padding=1, output_padding=1)
        h = F.relu(normal(h))
    expected = torch.tanh(reflected(h, 3))
    assert expected.std() > 0.1
    torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network.eval()(x), expected, atol=1e-5, rtol=1e-4)


def test_with_batch_normalization_evaluation_is_by_running_statistics():
    network = ResNet(channels=4, blocks=1, norm="batch").requires_grad_(False)
    for _ in range(3):
        network(torch.randn(4, 3, 16, 16))
    pictures = torch.randn(2, 3, 16, 16)
    trained = network(pictures)
    tested = network.eval()(pictures)
    assert not torch.allclose(tested, trained, atol=1e-3)
    alone = torch.cat([network(picture[None]) for picture in pictures])
    torch.testing.assert_close(tested, alone, atol=1e-6, rtol=1e-4)


def test_exported_and_loaded_it_gives_the_same_pictures(tmp_path):
    config = {"inputs": 1, "outputs": 4, "channels": 4, "blocks": 1}
    network = ResNet(**config).eval().requires_grad_(False)
    checkpoint.export(tmp_path / "m", network, {"_target_": "image_gan.resnet.ResNet", **config})
    picture = torch.randn(1, 1, 13, 21)
    loaded = checkpoint.load_network(tmp_path / "m", KINDS)
    assert torch.equal(loaded(picture), network(picture))
    assert network(picture).shape == (1, 4, 13, 21)
