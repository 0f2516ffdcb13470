"""The networks of SRGAN are those of the paper."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from image_gan.srresnet import SRDiscriminator, SRResNet


def weights(network):
    return sum(p.numel() for p in network.parameters())


def conv(entering, leaving, side):
    return entering * leaving * side**2 + leaving


@pytest.mark.parametrize(("scale", "count"), [(2, 1_402_883), (4, 1_550_659)])
def test_srresnet_has_the_papers_weights(scale, count):
    block = 2 * (conv(64, 64, 3) + 2 * 64) + 64  # two convolutions, two normalizations, a PReLU
    by_hand = conv(3, 64, 9) + 64 + 16 * block + conv(64, 64, 3) + 2 * 64 + conv(64, 3, 9)
    by_hand += {2: 1, 4: 2}[scale] * (conv(64, 256, 3) + 64)
    with torch.device("meta"):
        assert weights(SRResNet(scale=scale)) == by_hand == count


def test_the_discriminator_has_the_papers_weights():
    widths = (3, 64, 64, 128, 128, 256, 256, 512, 512)
    pairs = list(pairwise(widths))
    by_hand = sum(conv(*pair, 3) for pair in pairs) + sum(2 * b for _, b in pairs[1:])
    by_hand += 512 * 6 * 6 * 1024 + 1024 + 1024 + 1  # 96 is halved four times
    with torch.device("meta"):
        assert weights(SRDiscriminator()) == by_hand == 23_565_505


def test_the_layers_are_those_of_figure_4():
    network, judge = SRResNet(blocks=2), SRDiscriminator(channels=4, dense=8)
    kinds = [
        type(layer).__name__
        for layer in network.modules()
        if not any(True for _ in layer.children())
    ]
    block = ["Conv2d", "BatchNorm2d", "PReLU", "Conv2d", "BatchNorm2d"]
    grown = ["Conv2d", "PixelShuffle", "PReLU"]
    assert kinds == ["Conv2d", "PReLU", *block * 2, "Conv2d", "BatchNorm2d", *grown * 2, "Conv2d"]
    strides = [layer.stride[0] for layer in judge.modules() if isinstance(layer, nn.Conv2d)]
    assert strides == [1, 2, 1, 2, 1, 2, 1, 2]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in judge.levels[0])
    assert all(isinstance(level[1], nn.BatchNorm2d) for level in judge.levels[1:])


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (7, 12)])
def test_any_size_is_enlarged(scale, size):
    network = SRResNet(channels=4, blocks=1, scale=scale, inputs=2).eval()
    made = network(torch.zeros(1, 2, *size))
    assert made.shape == (1, 3, scale * size[0], scale * size[1])


def test_inside_small_pictures_are_in_0_to_1():
    seen = []
    network = SRResNet(channels=4, blocks=1).eval()
    network.enter.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = torch.rand(1, 3, 5, 5) * 2 - 1
    network(x)
    assert torch.equal(seen[0], (x + 1) / 2)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_an_estimate_sees_its_context_and_no_more(scale):
    torch.manual_seed(0)
    network = SRResNet(channels=4, blocks=2, scale=scale).double().eval()
    far = network.context
    x = torch.rand(1, 3, 1, 2 * far + 3, dtype=torch.float64).requires_grad_()
    network(x)[..., scale * (far + 1) : scale * (far + 2)].sum().backward()
    reached = x.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten() - (far + 1)
    assert -far <= int(reached.min()) and int(reached.max()) <= far
    assert int(reached.max()) >= far - 2  # or it would say nothing


def test_at_test_a_picture_does_not_depend_on_those_beside_it():
    torch.manual_seed(0)
    network = SRResNet(channels=4, blocks=1)
    x = torch.rand(2, 3, 6, 6)
    network(x)  # running statistics
    network.eval()
    assert torch.allclose(network(x)[:1], network(x[:1]), atol=1e-6)
    network.train()
    assert not torch.allclose(network(x)[:1], network(x[:1]), atol=1e-3)


def test_what_will_not_do_is_refused():
    with pytest.raises(ValueError, match="scale 3: choose one of 2, 4, 8"):
        SRResNet(scale=3)
    judge = SRDiscriminator(channels=2, size=32, dense=4)
    assert judge(torch.zeros(2, 3, 32, 32), given=torch.zeros(2, 3, 8, 8)).shape == (2, 1)
    with pytest.raises(ValueError, match=r"32 x 32 pixels, not 32 x 33; make data\.size"):
        judge(torch.zeros(2, 3, 32, 33))
