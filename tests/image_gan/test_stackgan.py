"""The networks of StackGAN against the paper, its code, and formulas."""

import itertools
import math

import pytest
import torch
from torch.nn.functional import linear

from gan.penalties import kl_to_unit_normal
from image_gan.encoders import MultiHot
from image_gan.stackgan import (
    Conditioning,
    MatchingDiscriminator,
    StackGAN,
    StageI,
    StageII,
    beside,
)

WORDS = ["red", "blue", "circle"]


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def tiny(second=True, augment=True):
    torch.manual_seed(0)
    first = StageI(3, size=8, channels=4, latent=5, condition=6, augment=augment)
    larger = StageII(3, small=8, size=16, channels=4, condition=6, augment=augment)
    return StackGAN(MultiHot(WORDS), first, larger if second else None)


def test_as_many_weights_as_the_authors_networks():
    """In millions 10.3, 5.7, 36.6 with stage I, 71.3; to the last one, written out by hand."""
    with torch.device("meta"):
        first, second = StageI(1024), StageII(1024)
        small, large = MatchingDiscriminator(), MatchingDiscriminator(256, realism=True)
    conditioning = 1024 * 256 + 256
    ups = [1024, 512, 256, 128, 64]
    doublings = sum(9 * a * b + 2 * b for a, b in itertools.pairwise(ups))
    of_first = conditioning + 228 * 16384 + 2 * 16384 + doublings + 9 * 64 * 3
    assert count(first) == of_first == 10_301_248
    enter = 9 * 3 * 128 + 16 * 128 * 256 + 2 * 256 + 16 * 256 * 512 + 2 * 512
    join, blocks = 9 * 640 * 512 + 2 * 512, 4 * 2 * (9 * 512 * 512 + 2 * 512)
    ups = [512, 256, 128, 64, 32]
    doublings = sum(9 * a * b + 2 * b for a, b in itertools.pairwise(ups))
    of_second = conditioning + enter + join + blocks + doublings + 9 * 32 * 3
    assert count(second) == of_second
    assert round((of_first + of_second) / 1e6, 1) == 36.6
    assert count(small) == 5_715_713
    assert round(count(large) / 1e6, 1) == 71.3


@pytest.mark.parametrize(("small", "size"), [(8, 16), (16, 64), (64, 128)])
def test_stage_two_goes_from_any_size_to_any_larger(small, size):
    stage = StageII(3, small=small, size=size, channels=4, condition=2)
    drawn = stage(torch.zeros(2, 3, small, small), torch.zeros(2, 3))
    assert drawn.picture.shape == (2, 3, size, size)
    judge = MatchingDiscriminator(size, channels=2, condition=2)
    assert judge(drawn.picture, given=drawn.mean).shape == (2, 1)


def test_sizes_that_cannot_be():
    for size in (0, 4, 48):
        with pytest.raises(ValueError, match="power of two from 8 up"):
            StageI(3, size=size)
    with pytest.raises(ValueError, match="more than that of stage I"):
        StageII(3, small=64, size=64)


def test_conditioning_augmentation_is_its_formula():
    torch.manual_seed(1)
    layer, embedding = Conditioning(4, condition=3), torch.randn(1, 4)
    condition, mean, log_variance = layer(embedding.expand(100_000, -1))
    weight, bias = layer.project[0].weight, layer.project[0].bias
    projected = linear(embedding, weight, bias).clamp(min=0)
    torch.testing.assert_close(mean[:1], projected[:, :3])
    torch.testing.assert_close(log_variance[:1], projected[:, 3:])
    spread = (projected[0, 3:] / 2).exp()
    assert torch.all((condition.mean(0) - mean[0]).abs() < 5 * spread / math.sqrt(100_000))
    torch.testing.assert_close(condition.std(0), spread, rtol=0.02, atol=0)


def test_the_kl_is_that_of_the_normal_distributions():
    torch.manual_seed(2)
    _, mean, log_variance = Conditioning(4, condition=3)(torch.randn(5, 4))
    own = torch.distributions.Normal(mean, (log_variance / 2).exp())
    unit = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    wanted = torch.distributions.kl_divergence(own, unit).sum(1).mean()
    torch.testing.assert_close(kl_to_unit_normal(mean, log_variance), wanted)
    published = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).mean()  # of the code
    torch.testing.assert_close(wanted / 3, published)


def test_without_augmentation_the_condition_is_the_mean():
    layer, embedding = Conditioning(4, condition=3, augment=False), torch.randn(2, 4)
    condition, mean, log_variance = layer(embedding)
    assert log_variance is None
    assert torch.equal(condition, mean)
    assert torch.equal(layer(embedding)[0], condition)


def test_the_condition_stands_at_every_place():
    x, condition = torch.randn(2, 5, 4, 4), torch.randn(2, 3)
    joined = beside(x, condition)
    assert torch.equal(joined[:, 3:], x)
    assert torch.equal(joined[:, :3], condition[:, :, None, None].expand(2, 3, 4, 4))


def test_only_the_last_stage_trains():
    network = tiny().train()
    assert network.second.training
    assert not network.first.training
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trained == {f"second.{name}" for name, _ in network.second.named_parameters()}
    before = {name: x.clone() for name, x in network.first.state_dict().items()}
    network(torch.randn(4, 5), torch.randn(4, 3)).picture.sum().backward()
    assert all(p.grad is None for p in network.first.parameters())
    assert all(torch.equal(x, before[n]) for n, x in network.first.state_dict().items())


def test_a_text_is_read_by_the_encoder_that_goes_along():
    network = tiny(second=False).eval()
    codes = torch.tensor([[*map(ord, "red circle"), 0]])
    assert network.embed(codes).tolist() == [[1.0, 0.0, 1.0]]
    with pytest.raises(ValueError, match="no text encoder"):
        StackGAN(None, network.first).embed(codes)


def test_the_condition_matters_to_picture_and_score():
    network, judge = tiny(augment=False).eval(), MatchingDiscriminator(16, 4, 6).eval()
    z = torch.randn(1, 5)
    red, blue = (network(z, torch.eye(3)[None, n]) for n in range(2))
    assert not torch.allclose(red.picture, blue.picture)
    assert not torch.allclose(judge(red.picture, red.mean), judge(red.picture, blue.mean))
