"""The PatchGANs: receptive fields, parameters, conditions."""

from itertools import pairwise

import pytest
import torch

from image_gan.patch_discriminator import PatchDiscriminator

PAPER = {  # layers of 4 x 4 kernels but for 1, whose are 1 x 1 (section 6.1.2)
    1: (1, [64, 128]),
    16: (16, [64, 128]),
    70: (16, [64, 128, 256, 512]),
    286: (16, [64, 128, 256, 512, 512, 512]),
}
every_patch = pytest.mark.parametrize("patch", PAPER)


def by_hand(patch):
    area, widths = PAPER[patch]
    sizes = [6, *widths, 1]
    convolutions = [area * a * b + b for a, b in pairwise(sizes)]
    return sum(convolutions) + 2 * sum(widths[1:])


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@every_patch
def test_parameters_are_those_of_the_table(patch):
    with torch.device("meta"):
        assert count(PatchDiscriminator(patch=patch)) == by_hand(patch)


def test_parameters_are_as_many_as_published():
    with torch.device("meta"):
        assert count(PatchDiscriminator(bias=False)) == 2_768_705  # the port's 2.77 M
        assert count(PatchDiscriminator()) == 2_769_601
        assert count(PatchDiscriminator(given=0, norm="instance")) == 2_764_737


@every_patch
def test_the_patch_is_the_receptive_field(patch):
    torch.manual_seed(0)
    judge = PatchDiscriminator(1, 0, channels=2, patch=patch).double().eval()
    for parameter in judge.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    picture = torch.randn(1, 1, 512, 480).double().requires_grad_()
    scores = judge(picture)
    middle = scores.shape[2] // 2, scores.shape[3] // 2
    scores[0, 0, middle[0], middle[1]].backward()
    seen = picture.grad[0, 0] != 0
    for axis in (0, 1):
        places = seen.any(axis).nonzero()
        assert places.min() > 0 and places.max() < seen.shape[1 - axis] - 1  # nothing is cut off
        assert places.max() - places.min() + 1 == patch


@pytest.mark.parametrize(("patch", "side"), [(1, 256), (16, 126), (70, 30), (286, 6)])
def test_a_picture_of_256_gives_that_many_scores(patch, side):
    judge = PatchDiscriminator(channels=1, patch=patch)
    picture = torch.randn(2, 1, 3, 256, 256)
    assert judge(picture[0], given=picture[1]).shape == (1, 1, side, side)


@every_patch
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_the_smallest_picture_is_judged_and_a_smaller_one_refused(patch, norm):
    judge = PatchDiscriminator(3, 0, channels=1, patch=patch, norm=norm)
    least = judge.smallest
    scores = judge(torch.randn(1, 3, least, least + 5))
    assert scores.numel() > 0 and torch.isfinite(scores).all()
    with pytest.raises(ValueError, match=f"{least} x {least} pixels or more, not {least - 1} x"):
        judge(torch.randn(1, 3, least - 1, least))


def test_a_score_depends_on_the_picture_and_on_the_condition():
    torch.manual_seed(0)
    judge = PatchDiscriminator(channels=4, patch=16)
    x, given = torch.randn(2, 2, 3, 32, 32)
    score = judge(x, given=given)
    assert not torch.allclose(judge(given, given=x), score, atol=1e-5)
    assert not torch.allclose(judge(x, given=given.flip(0)), score, atol=1e-5)
    with pytest.raises(ValueError, match="given another"):
        judge(x)


def test_an_unconditional_judge_sees_no_condition():
    judge = PatchDiscriminator(given=0, channels=4, patch=16)
    x, given = torch.randn(2, 2, 3, 32, 32)
    assert torch.equal(judge(x, given=given), judge(x))


def test_features_are_the_levels_below_the_score():
    judge = PatchDiscriminator(channels=4, patch=70)
    picture = torch.randn(2, 1, 3, 64, 64)
    features = judge.features(picture[0], given=picture[1])
    assert [f.shape[1:] for f in features] == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 7, 7)]
    assert torch.equal(judge.score(features[-1]), judge(picture[0], given=picture[1]))


def test_gradients_reach_every_parameter_and_the_picture():
    judge = PatchDiscriminator(channels=4, patch=16, bias=False)
    x = torch.randn(2, 3, 32, 32, requires_grad=True)
    judge(x, given=torch.randn(2, 3, 32, 32)).square().mean().backward()
    for name, parameter in judge.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    assert x.grad.abs().sum() > 0


def test_an_unknown_patch_is_named():
    with pytest.raises(ValueError, match="patch 64: choose one of 1, 16, 34, 70, 142, 286"):
        PatchDiscriminator(patch=64)
