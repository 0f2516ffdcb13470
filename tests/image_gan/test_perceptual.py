"""The content loss of SRGAN, with random weights: VGG19's own can't be had in a test."""

import pytest
import torch
from torch import nn

from gan.objectives import NonSaturating
from gan.translation import Translation
from image_gan import perceptual
from image_gan.perceptual import VGGDistance

vgg = pytest.importorskip("torchvision.models.vgg")


@pytest.fixture(scope="module")
def weights():
    """Random weights in torchvision's form, which let something through to the last layer."""
    torch.manual_seed(0)
    with torch.device("meta"):
        state = vgg.vgg19().features.state_dict(prefix="features.")
    made = {name: torch.empty(value.shape) for name, value in state.items()}
    for value in made.values():
        nn.init.kaiming_uniform_(value, nonlinearity="relu") if value.dim() > 1 else value.zero_()
    return made


def pictures(seed, side=32):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, side, side, generator=generator) * 2 - 1


@pytest.mark.parametrize(("layer", "count"), [((5, 4), 36), ((2, 2), 9), ((1, 1), 2), ((3, 1), 12)])
def test_features_are_torchvisions_after_activation(weights, layer, count):
    with torch.device("meta"):
        network = vgg.vgg19().features
    network.load_state_dict({k[9:]: v for k, v in weights.items()}, assign=True)
    x = pictures(0)
    mean, spread = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    with torch.no_grad():
        expected = network[:count](((x + 1) / 2 - mean) / spread)
        found = VGGDistance(layer, scale=1.0, weights=weights).features(x)
    assert isinstance(network[count - 1], nn.ReLU)
    assert float(expected.std()) > 1e-3
    torch.testing.assert_close(found, expected)


def test_the_distance_is_the_mean_square_of_scaled_features(weights):
    distance = VGGDistance((2, 2), weights=weights)
    one, other = pictures(0), pictures(1)
    plain = VGGDistance((2, 2), scale=1.0, weights=weights)
    by_hand = ((plain.features(one) - plain.features(other)) ** 2).mean() / 12.75**2
    assert distance(one, other) == pytest.approx(float(by_hand), rel=1e-5)
    assert float(distance(one, one)) == 0


def test_only_the_estimate_has_a_gradient_and_weights_are_no_part_of_a_checkpoint(weights):
    distance = VGGDistance((2, 2), weights=weights)
    one, other = pictures(0).requires_grad_(), pictures(1).requires_grad_()
    distance(one, other).backward()
    assert one.grad.abs().sum() > 0 and other.grad is None
    assert not list(distance.parameters()) and not distance.state_dict()
    game = Translation(
        nn.Conv2d(3, 3, 1), objective=NonSaturating(), distances={"content": distance}
    )
    assert not any("distance" in name for name in game.state_dict())
    assert game.double().distances["content"].mean.dtype == torch.float64  # it moves with the game


def test_the_file_in_torchs_cache_is_taken(weights, tmp_path, monkeypatch):
    url = vgg.VGG19_Weights.IMAGENET1K_V1.url
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    place = tmp_path / "hub/checkpoints" / url.rpartition("/")[2]
    place.parent.mkdir(parents=True)
    shallow = {name: value for name, value in weights.items() if int(name.split(".")[1]) < 8}
    torch.save(shallow, place)
    x = pictures(0), pictures(1)
    assert VGGDistance((2, 2))(*x) == VGGDistance((2, 2), weights=weights)(*x)
    with pytest.raises(ValueError, match=r"weights of VGG19: features\.10\.weight is missing"):
        VGGDistance((5, 4))
    place.write_bytes(b"no weights")
    with pytest.raises(OSError, match=f"{url.rpartition('/')[2]}: holds no weights"):
        VGGDistance((2, 2))


def test_without_a_network_one_line_says_what_to_fetch_and_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = vgg.VGG19_Weights.IMAGENET1K_V1.url

    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(OSError) as caught:
        perceptual.fetched()
    said = str(caught.value)
    assert "\n" not in said and f"fetch {url}" in said and str(tmp_path) in said
    assert "system=srgan_features" in said


@pytest.mark.parametrize("layer", [(0, 1), (6, 1), (2, 3), (5, 0)])
def test_a_layer_that_vgg19_has_not_is_refused(layer):
    with pytest.raises(ValueError, match="VGG19 has no such"):
        VGGDistance(layer, weights={})
