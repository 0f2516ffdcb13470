"""Pictures enlarged: any picture, in tiles, as if it were whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from gan.checkpoint import export
from image_gan import generate, images
from image_gan.imresize import imresize
from image_gan.srresnet import SRResNet
from image_gan.tiles import cuts, in_tiles
from image_gan.translate import PictureTranslator

SHAPE = 13, 21


class Nearest(nn.Module):
    """Every pixel becomes a square."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return x.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


def squares(x, scale):
    """What Nearest makes of ``(H, W)`` or ``(H, W, C)``."""
    return x.repeat(scale, 0).repeat(scale, 1)


def random(dtype, *channels):
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.random((*SHAPE, *channels), np.float32).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, (*SHAPE, *channels), dtype)


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 40),
    st.integers(0, 20),
    st.sampled_from([1, 4]),
    st.sampled_from([2, 3, 4]),
)
@settings(max_examples=60, deadline=None)
def test_tiles_that_agree_leave_no_trace(height, width, tile, overlap, multiple, scale):
    picture = torch.randn(2, height, width)
    sides = [cuts(length, tile, min(overlap, tile // 2), multiple) for length in picture.shape[1:]]

    def part(rows, columns):
        return Nearest(scale)(picture[:, rows[:, None], columns])

    found = torch.cat(list(in_tiles(part, *sides, min(overlap, tile // 2), scale)), 1)
    assert torch.equal(found, Nearest(scale)(picture))


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("tile", [0, 24])
def test_arrays_of_any_type_are_enlarged_in_it(dtype, channels, tile):
    x = random(dtype, *channels)
    found = PictureTranslator(Nearest(4), tile=tile)(x)
    assert found.dtype == x.dtype
    assert np.array_equal(found, squares(x, 4))


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_images_are_enlarged_in_their_mode(mode):
    color = Image.fromarray(random("u1", 3))
    x = {
        "I;16": lambda: Image.fromarray(random("u2")),
        "P": lambda: color.quantize(9),
        "RGBA": lambda: Image.fromarray(np.dstack([random("u1", 3), np.full(SHAPE, 7, np.uint8)])),
    }.get(mode, lambda: color.convert(mode))()
    found = PictureTranslator(Nearest(2), tile=20, overlap=8)(x)
    assert (found.mode, found.size) == (mode, (2 * x.width, 2 * x.height))
    assert np.array_equal(np.asarray(found), squares(np.asarray(x), 2))


def test_tensors_are_what_the_network_makes_of_them():
    x = torch.rand(2, 3, *SHAPE) * 2 - 1
    assert torch.equal(PictureTranslator(Nearest(2), tile=16)(x), Nearest(2)(x))


def network(scale=4, seed=0):
    """A small SRResNet whose layers all count, and whose normalization has seen something."""
    torch.manual_seed(seed)
    made = SRResNet(channels=8, blocks=2, scale=scale)
    for _ in range(3):
        made(torch.rand(2, 3, 16, 16) * 2 - 1)
    return made.eval()


@pytest.mark.parametrize("scale", [2, 4])
def test_a_network_in_tiles_is_the_network_on_the_whole(scale):
    own, x = network(scale), torch.rand(3, 64, 128) * 2 - 1
    overlap = -(-8 * own.context // 3)  # that nothing beyond a tile is missed
    with torch.no_grad():
        whole = own(x[None])[0]
    assert torch.equal(PictureTranslator(own, tile=0)(x), whole)
    tiled = PictureTranslator(own, tile=2 * scale * overlap, overlap=scale * overlap)(x)
    assert whole.std() > 0.02
    assert (tiled - whole).abs().max() < 1e-5
    apart = PictureTranslator(own, tile=2 * scale * overlap, overlap=0)(x)
    assert (apart - whole).abs().max() > 1e-3


def test_tiles_are_told_in_pixels_of_the_output():
    own, seen = network(4), []
    own.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[2:]))
    PictureTranslator(own, tile=64)(random("u1", 3))  # 52 x 84
    assert {tuple(shape) for shape in seen} == {(13, 16)}
    seen.clear()
    PictureTranslator(own, tile=84)(random("u1", 3))
    assert [tuple(shape) for shape in seen] == [SHAPE]


def test_what_is_heard_comes_to_the_pixels_of_the_picture():
    heard = []
    picture = images.from_array(random("u1", 3))
    PictureTranslator(Nearest(4), tile=24).picture(picture, heard=heard.append)
    assert sum(heard) == SHAPE[0] * SHAPE[1] and len(heard) > 1


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model file, in the folder that the test is in."""
    config = {"_target_": "image_gan.srresnet.SRResNet", "channels": 8, "blocks": 2, "scale": 4}
    export(tmp_path / "sr.safetensors", network(), config)
    monkeypatch.chdir(tmp_path)
    return "sr.safetensors"


@pytest.mark.parametrize(
    ("name", "dtype", "channels"),
    [
        ("x.png", "u1", 3),
        ("x.png", "u2", 3),
        ("x.tif", "u2", 1),
        ("x.tif", "f4", 3),
        ("x.jpg", "u1", 3),
    ],
)
def test_the_command_keeps_format_and_depth(model, name, dtype, channels):
    x = random(dtype, channels)
    images.write(name, images.from_array(x))
    assert generate.main(["--model", model, name, "--device", "cpu", "--tile", "64"]) == 0
    before, after = images.read(name), images.read(name.replace("x.", "x.generated."))
    assert after.values.dtype == np.dtype(dtype)
    assert after.form[:2] == before.form[:2]
    assert after.size == (4 * SHAPE[0], 4 * SHAPE[1])
    expected = PictureTranslator(network(), tile=64)(before.values)
    if name != "x.jpg":  # which loses something
        assert np.array_equal(after.values, expected)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_the_command_enlarges_opacity_bicubically(model, dtype):
    x, opacity = random(dtype, 3), random(dtype) // 2 + np.iinfo(dtype).max // 4
    images.write("x.png", images.Picture(x, opacity, images.Format("PNG", "RGBA")))
    assert generate.main(["--model", model, "x.png", "--device", "cpu"]) == 0
    after = images.read("x.generated.png")
    assert after.alpha.dtype == np.dtype(dtype)
    assert np.array_equal(after.alpha, imresize(opacity, 4).clip(opacity.min(), opacity.max()))
    assert np.array_equal(after.values, PictureTranslator(network())(x))
