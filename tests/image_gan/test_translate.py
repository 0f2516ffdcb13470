"""A model of pictures: any picture in, its like out."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import image_gan
from gan.checkpoint import export
from image_gan import images
from image_gan.images import Format, Picture, PictureWarning
from image_gan.resnet import ResNet
from image_gan.translate import PictureTranslator, load
from image_gan.unet import UNet

SHAPE = 33, 51


class Same(nn.Module):
    def forward(self, x):
        return x


class Negative(nn.Module):
    def forward(self, x):
        return -x


def same(channels):
    """A 1 x 1 convolution that changes nothing."""
    layer = nn.Conv2d(channels, channels, 1, bias=False)
    nn.init.dirac_(layer.weight)
    return layer


def random(dtype, *channels):
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.random((*SHAPE, *channels), np.float32).astype(dtype)
    return rng.integers(
        0, 2 if dtype == "?" else np.iinfo(dtype).max + 1, (*SHAPE, *channels)
    ).astype(dtype)


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "i2", "f4", "f8"])
@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,), (7,)])
@pytest.mark.parametrize("tile", [0, 20])
def test_arrays_come_back_bit_by_bit(dtype, channels, tile):
    given = random(dtype, *channels)
    if dtype == "?" and channels not in ((), (1,)):
        return
    found = PictureTranslator(same(channels[0] if channels else 1), tile=tile, overlap=8)(given)
    assert (found.dtype, found.shape) == (given.dtype, given.shape)
    assert np.array_equal(found, given)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_images_come_back_bit_by_bit(mode):
    color = Image.fromarray(random("u1", 3))
    given = {
        "I;16": lambda: Image.fromarray(random("u2")),
        "F": lambda: Image.fromarray(random("f4")),
        "P": lambda: color.quantize(9),
        "RGBA": lambda: Image.fromarray(random("u1", 4)),
    }.get(mode, lambda: color.convert(mode))()
    found = PictureTranslator(Same(), tile=20, overlap=8)(given)
    assert (found.mode, found.size) == (given.mode, given.size)
    assert np.array_equal(np.asarray(found), np.asarray(given))


@pytest.mark.parametrize("shape", [(3, *SHAPE), (2, 3, *SHAPE)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_are_what_the_network_makes_of_them(shape, dtype):
    given = torch.rand(shape, dtype=dtype, requires_grad=True) * 2 - 1
    found = PictureTranslator(Negative(), tile=20, overlap=8)(given)
    assert found.dtype == dtype and not found.requires_grad
    assert torch.equal(found, -given.detach().float().to(dtype))
    found += 1  # which a tensor made in inference mode would refuse


def test_a_negative_is_one_in_every_type():
    model = PictureTranslator(Negative())
    assert np.array_equal(model(random("u1", 3)), 255 - random("u1", 3))
    assert np.array_equal(model(random("u2")), 65535 - random("u2"))
    assert np.array_equal(model(random("?")), ~random("?"))
    np.testing.assert_allclose(model(random("f4")), 1 - random("f4"), atol=1e-7)


def test_floats_keep_their_own_range_which_is_said():
    given = 500 * random("f4") - 100
    with pytest.warns(PictureWarning, match="are taken for their whole range; --range"):
        found = PictureTranslator(Negative())(given)
    np.testing.assert_allclose(found, given.min() + given.max() - given, atol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = PictureTranslator(Negative())(given, between=(-100, 400))
    np.testing.assert_allclose(found, 300 - given, atol=1e-3)
    with pytest.raises(ValueError, match="lower end comes first"):
        PictureTranslator(Same())(given, between=(5, 5))


def test_opacity_is_kept_aside_unless_the_network_takes_it():
    picture = Picture(random("u1", 3), random("u1"), Format("PNG", "RGBA"))
    for network in (Negative(), nn.Sequential(same(3), Negative())):
        found = PictureTranslator(network).picture(picture)
        assert np.array_equal(found.values, 255 - picture.values)
        assert np.array_equal(found.alpha, picture.alpha)
    found = PictureTranslator(nn.Sequential(same(4), Negative())).picture(picture)
    assert np.array_equal(found.values, 255 - picture.values)
    assert np.array_equal(found.alpha, 255 - picture.alpha)


def test_grey_stays_grey_unless_color_is_asked_for():
    model = PictureTranslator(nn.Sequential(same(3), Negative()))
    assert np.array_equal(model(random("u1")), 255 - random("u1"))
    assert model(random("u1"), color=True).shape == (*SHAPE, 3)
    assert model(Image.fromarray(random("u1")), color=True).mode == "RGB"
    assert model(Image.fromarray(random("?")), color=True).mode == "RGB"
    to_color = PictureTranslator(nn.Conv2d(1, 3, 1))
    assert to_color(random("u1")).shape == to_color(random("u1", 3)).shape == (*SHAPE, 3)
    assert to_color(random("?")).dtype == np.uint8


def test_ink_is_translated_as_color():
    model = PictureTranslator(nn.Sequential(same(3), Negative()))
    given = Image.fromarray(random("u1", 3)).convert("CMYK")
    found = model(given)
    assert found.mode == "CMYK"
    difference = np.asarray(found.convert("RGB")).astype(int) - (255 - random("u1", 3).astype(int))
    assert abs(difference).max() <= 3


def test_the_same_picture_and_seed_give_the_same_and_leave_chance_alone():
    model = PictureTranslator(UNet(channels=2, levels=4), tile=32, overlap=8)
    picture = torch.rand(3, *SHAPE) * 2 - 1
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with pytest.warns(PictureWarning):
        first, again = model(picture), model(picture)
        batch, other = model(torch.stack([-picture, picture])), model(picture, seed=1)
    assert torch.equal(first, again) and torch.equal(first, batch[1])
    assert not torch.equal(first, other)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (ResNet(channels=2, blocks=1), "normalizes each by itself"),
        (ResNet(channels=2, blocks=1, norm="batch"), None),
        (UNet(channels=2, levels=4), "normalizes each by itself and draws noise"),
        (UNet(channels=2, levels=4, own_statistics_at_test=False), "network draws noise"),
        (UNet(channels=2, levels=4, dropout=0), "normalizes each by itself, so"),
        (UNet(channels=2, levels=4, dropout_at_test=False, own_statistics_at_test=False), None),
    ],
)
def test_tiles_that_may_differ_are_said(network, said):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        PictureTranslator(network, tile=32, overlap=16)(random("u1", 3))
        PictureTranslator(network, tile=64)(random("u1", 3)[:30])  # one tile
        PictureTranslator(network, tile=0)(random("u1", 3))
    assert len(caught) == bool(said)
    assert not said or said in str(caught[0].message)


def test_a_real_network_in_tiles_is_the_network_on_the_whole():
    torch.manual_seed(0)
    network = ResNet(channels=4, blocks=1, norm="batch").eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight)  # the first weights of the papers fade to nothing
    picture = torch.rand(3, 151, 280) * 2 - 1
    tiled = PictureTranslator(network, tile=144, overlap=72)(picture)
    whole = PictureTranslator(network, tile=0)(picture)
    with torch.no_grad():
        assert torch.equal(whole, network(picture[None])[0])
    assert whole.std() > 0.1
    assert (tiled - whole).abs().max() < 1e-4
    apart = PictureTranslator(network, tile=144, overlap=0)(picture)
    assert (apart - whole).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("picture", "error", "message"),
    [
        (np.zeros((4, 4, 2)), ValueError, "2 channels, where 3 are needed"),
        (np.zeros(4), ValueError, r"shape \(4,\), where"),
        (np.zeros((4, 4), complex), ValueError, "complex128, where real numbers"),
        (np.full((4, 4), np.nan), ValueError, "nan at row 0"),
        (torch.zeros(2, 4, 4), ValueError, "2 channels, where 3 are needed"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), TypeError, "floats in"),
        (torch.zeros(4, 4), TypeError, "floats in"),
        ("photo.png", TypeError, "str: a Pillow image"),
    ],
)
def test_what_is_no_picture_is_refused(picture, error, message):
    with pytest.raises(error, match=message):
        PictureTranslator(same(3))(picture)


@pytest.mark.parametrize("options", [{"tile": -1}, {"tile": 100, "overlap": 51}, {"overlap": -1}])
def test_tiles_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match="overlap by half of their side at most"):
        PictureTranslator(Same(), **options)


def test_a_model_file_says_all_that_training_was_told(tmp_path):
    config = {"channels": 2, "blocks": 1, "inputs": 1, "outputs": 3}
    network = ResNet(**config)
    export(tmp_path / "G.safetensors", network, {"_target_": "image_gan.resnet.ResNet"} | config)
    model = image_gan.load(tmp_path / "G.safetensors", device="cpu")
    assert isinstance(model, image_gan.PictureTranslator)
    picture = torch.rand(1, *SHAPE) * 2 - 1
    with torch.no_grad():
        assert torch.equal(model(picture), network.eval()(picture[None])[0])
    assert model(random("u2")).shape == (*SHAPE, 3)


def test_models_that_will_not_do_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors: no such model"):
        load(tmp_path / "gone.safetensors")
    torch.save({"evil": print}, tmp_path / "evil.safetensors")
    with pytest.raises(ValueError, match=r"evil\.safetensors: no model file"):
        load(tmp_path / "evil.safetensors")
    export(tmp_path / "other.safetensors", nn.Linear(1, 1), {"_target_": "os.system"})
    with pytest.raises(ValueError, match=r"unknown kind of network 'os\.system'"):
        load(tmp_path / "other.safetensors")


def test_the_package_imports_nothing_heavy():
    code = "import sys, image_gan; print({'torch', 'PIL', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = image_gan.nothing
    assert images.PictureWarning is PictureWarning
