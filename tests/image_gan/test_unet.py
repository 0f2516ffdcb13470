"""pix2pix's generator against the paper's table, and against itself written out."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from gan import checkpoint
from image_gan.kinds import KINDS
from image_gan.layers import Dropout
from image_gan.unet import UNet

TINY = {"channels": 4, "levels": 5}
WIDTHS = [64, 128, 256, 512, 512, 512, 512, 512]


def tiny(**options):
    torch.manual_seed(0)
    return UNet(**{**TINY, **options})


def lively(network):
    """Weights and statistics as after some training, and nothing to draw gradients for."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.3)
        network.train()
        for _ in range(3):
            network(torch.randn(4, 3, 32, 32))
    return network.eval().requires_grad_(False)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def by_hand(levels, bias):
    """Parameters of the table in section 6.1.1: 4 x 4 kernels, biases, scales and offsets."""
    encoder = [3, *WIDTHS[:levels]]
    down = [16 * a * b for a, b in pairwise(encoder)]
    decoder = [*encoder[:0:-1], 3]
    up = [16 * a * b for a, b in pairwise(decoder)]
    up[1:] = [2 * weights for weights in up[1:]]  # whose inputs are doubled by the skips
    norms = [2 * width for width in [*encoder[2:-1], *decoder[1:-1]]]
    biases = [*encoder[1:], *decoder[1:-1]] if bias else []
    return sum([*down, *up, *norms, *biases]) + 3


@pytest.mark.parametrize("levels", [7, 8])
@pytest.mark.parametrize("bias", [True, False], ids=["paper", "port"])
def test_parameters_are_those_of_the_table(levels, bias):
    with torch.device("meta"):
        network = UNet(levels=levels, bias=bias)
    assert count(network) == by_hand(levels, bias)


def test_parameters_are_as_many_as_published():
    with torch.device("meta"):
        assert count(UNet(bias=False)) == 54_413_955  # the port's 54.41 M
        assert count(UNet()) == 54_419_459


def test_levels_are_those_of_the_paper():
    network, found = UNet(channels=2), []
    for child in [*network.encoder, *network.decoder]:
        child.register_forward_hook(lambda _, __, out: found.append((out.shape[2], out.shape[1])))
    with torch.no_grad():
        network(torch.zeros(1, 3, 256, 256))
    sizes = [128, 64, 32, 16, 8, 4, 2, 1]
    code = list(zip(sizes, [width // 32 for width in WIDTHS], strict=True))
    assert found == [*code, *code[-2::-1], (256, 3)]


def own(x, weight, bias):
    """Normalize each picture by itself, written out."""
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
    normal = (x - mean) / (variance + 1e-5).sqrt()
    return normal * weight[:, None, None] + bias[:, None, None]


@pytest.mark.parametrize("skips", [True, False], ids=["skips", "encoder-decoder"])
def test_it_equals_one_written_out(skips):
    network = lively(tiny(levels=3, skips=skips, dropout_layers=()))
    w = dict(network.named_parameters())
    x = torch.randn(2, 3, 16, 8)

    def down(x, name):
        return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=2, padding=1)

    def up(x, name):
        name = f"decoder.{name}.1"
        x = F.conv_transpose2d(F.relu(x), w[f"{name}.weight"], w[f"{name}.bias"], 2, 1)
        return x

    first = down(x, "encoder.0.0")
    second = down(F.leaky_relu(first, 0.2), "encoder.1.1")
    second = own(second, w["encoder.1.2.weight"], w["encoder.1.2.bias"])
    code = down(F.leaky_relu(second, 0.2), "encoder.2.1")
    h = own(up(code, 0), w["decoder.0.2.weight"], w["decoder.0.2.bias"])
    h = torch.cat([h, second], 1) if skips else h
    h = own(up(h, 1), w["decoder.1.2.weight"], w["decoder.1.2.bias"])
    h = torch.cat([h, first], 1) if skips else h
    expected = torch.tanh(up(h, 2))
    assert expected.std() > 0.1
    torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layers", [(1, 2, 3), (2, 3, 4)], ids=["paper", "port"])
def test_half_is_dropped_in_those_layers_and_in_no_others(layers):
    network, shares = tiny(levels=7, channels=8, dropout_layers=layers), []
    for child in network.decoder:
        child.register_forward_hook(lambda _, __, out: shares.append((out == 0).float().mean()))
    network(torch.randn(16, 3, 128, 128))
    dropping = [number for number, share in enumerate(shares, 1) if share > 0.4]
    assert dropping == list(layers)
    assert shares[layers[-1] - 1] == pytest.approx(0.5, abs=0.02)


def test_a_decoder_of_few_layers_never_drops_the_picture():
    assert sum(isinstance(layer, Dropout) for layer in tiny(levels=3).modules()) == 2
    assert not any(isinstance(layer, Dropout) for layer in tiny(levels=3).decoder[-1])


def test_the_noise_of_a_test_is_a_choice():
    picture = torch.randn(1, 3, 32, 32)
    noisy, still = lively(tiny()), lively(tiny(dropout_at_test=False))
    torch.manual_seed(1)
    first = noisy(picture)
    assert not torch.allclose(noisy(picture), first, atol=0.01)
    torch.manual_seed(1)
    assert torch.equal(noisy(picture), first)  # it comes from torch's generator
    assert torch.equal(still(picture), still(picture))
    still.train()
    assert not torch.allclose(still(picture), still(picture), atol=0.01)


def test_by_its_own_statistics_a_picture_comes_out_as_in_a_training_batch_of_one():
    network = lively(tiny(dropout_layers=()))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    pictures = torch.randn(3, 3, 32, 32)
    alone = torch.cat([network(picture[None]) for picture in pictures])
    torch.testing.assert_close(network(pictures), alone, atol=1e-5, rtol=1e-4)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name  # a test is no training
    network.train()
    trained = torch.cat([network(picture[None]) for picture in pictures])
    assert torch.equal(trained, alone)


def test_by_the_statistics_of_training_a_picture_depends_on_them_alone():
    network = lively(tiny(dropout_layers=(), own_statistics_at_test=False))
    pictures = 3 * torch.randn(3, 3, 32, 32)
    alone = torch.cat([network(picture[None]) for picture in pictures])
    torch.testing.assert_close(network(pictures), alone, atol=1e-5, rtol=1e-4)
    before = network(pictures)
    network.encoder[1][2].running_mean += 1
    assert not torch.allclose(network(pictures), before, atol=0.01)


@pytest.mark.parametrize("at_test", [True, False])
def test_a_model_file_says_how_it_is_tested(at_test, tmp_path):
    options = {**TINY, "dropout_at_test": at_test, "own_statistics_at_test": at_test}
    network, picture = lively(tiny(**options)), torch.randn(1, 3, 32, 32)
    config = {"_target_": "image_gan.unet.UNet", **options}
    checkpoint.export(tmp_path / "model", network, config)
    loaded = checkpoint.load_network(tmp_path / "model", KINDS)
    torch.manual_seed(2)
    expected = network(picture)
    torch.manual_seed(2)
    assert torch.equal(loaded(picture), expected)
    assert torch.equal(loaded(picture), expected) is not at_test


def test_gradients_reach_every_parameter():
    network = tiny(bias=False, norm="batch")
    network(torch.randn(2, 3, 32, 32)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_instance_normalization_has_no_weights():
    assert count(tiny(norm="batch")) - count(tiny(norm="instance")) == sum(
        2 * width for width in [8, 16, 32, 32, 16, 8, 4]
    )


def test_weights_start_as_in_the_paper():
    network = UNet(channels=16, levels=4)
    for name, tensor in network.named_parameters():
        if tensor.dim() == 4:
            assert tensor.std().item() == pytest.approx(0.02, rel=0.1), name
        elif "weight" in name:
            assert tensor.mean().item() == pytest.approx(1, abs=0.02)
            assert 0.005 < tensor.std() < 0.04
        else:
            assert (tensor == 0).all()


def test_an_unknown_norm_is_named():
    with pytest.raises(ValueError, match="norm 'layer': choose one of batch, instance"):
        UNet(norm="layer")


@pytest.mark.parametrize("options", [{"levels": 0}, {"dropout_layers": [0, 1]}])
def test_numbers_below_one_are_refused(options):
    with pytest.raises(ValueError, match="both count from 1"):
        UNet(**options)
