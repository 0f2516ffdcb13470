"""Pictures of any size, through networks that take some."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from image_gan.resnet import ResNet
from image_gan.sizes import fitting, in_any_size, reflect
from image_gan.unet import UNet

LENGTHS = st.integers(1, 70)
NETWORKS = {
    "unet": lambda: UNet(channels=2, levels=5),
    "resnet": lambda: ResNet(channels=2, blocks=1),
}
both = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


@given(LENGTHS, st.integers(1, 40), st.integers(1, 100))
@settings(deadline=None)
def test_the_fitting_size_is_the_least(length, multiple, smallest):
    full = fitting(length, multiple, smallest)
    assert full % multiple == 0 and full >= max(length, smallest)
    assert full - multiple < max(length, smallest)


@given(LENGTHS, LENGTHS, st.integers(0, 90), st.integers(0, 90))
@settings(max_examples=50, deadline=None)
def test_reflection_is_numpys_however_often_it_takes(height, width, more_rows, more_columns):
    picture = np.random.default_rng(0).random((2, height, width), np.float32)
    pads = [(0, 0), *((more // 2, more - more // 2) for more in (more_rows, more_columns))]
    expected = np.pad(picture, pads, mode="reflect")
    found = reflect(torch.from_numpy(picture), height + more_rows, width + more_columns)
    assert np.array_equal(found.numpy(), expected)


@given(LENGTHS, LENGTHS, st.sampled_from([1, 4, 32]), st.sampled_from([1, 8, 32]))
@settings(max_examples=50, deadline=None)
def test_a_network_that_changes_nothing_gives_the_picture_back(height, width, multiple, smallest):
    seen, picture = [], torch.randn(1, 2, height, width)

    def network(x):
        seen.extend(x.shape[-2:])
        return x

    assert torch.equal(in_any_size(network, picture, multiple, smallest), picture)
    assert all(n % multiple == 0 and n >= smallest for n in seen)


@both
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (33, 70), (64, 31)])
def test_any_size_comes_back(make, size):
    with torch.no_grad():
        estimate = make()(torch.randn(2, 3, *size))
    assert estimate.shape == (2, 3, *size)
    assert torch.isfinite(estimate).all()


@both
def test_the_sizes_a_network_says_it_takes_reach_its_core_as_they_are(make):
    network = make().eval()
    network.requires_grad_(False)
    least = fitting(1, network.multiple, network.smallest)
    for size in [(least, least), (least, least + network.multiple)]:
        picture = torch.randn(1, 3, *size)
        state = torch.get_rng_state()
        estimate = network.core(picture)
        torch.set_rng_state(state)  # for the noise
        assert estimate.shape == picture.shape
        assert torch.equal(network(picture), estimate)


def test_less_than_the_smallest_is_too_little_for_the_core():
    with pytest.raises((RuntimeError, ValueError)):
        ResNet(channels=2, blocks=1).core(torch.randn(1, 3, 4, 4))
    with pytest.raises((RuntimeError, ValueError)):
        UNet(channels=2, levels=5).core(torch.randn(1, 3, 16, 16))


def test_what_is_near_the_border_sees_its_reflection():
    def network(x):  # each pixel becomes its upper left neighbour
        return torch.roll(x, (1, 1), dims=(-2, -1))

    picture = torch.arange(9.0).reshape(1, 1, 3, 3)
    found = in_any_size(network, picture, multiple=8, smallest=8)
    assert found[0, 0].tolist() == [[4, 3, 4], [1, 0, 1], [4, 3, 4]]
