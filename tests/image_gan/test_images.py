"""Files of pictures: every bit read, and written as it was."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, features

from image_gan import images, png
from image_gan.images import Format, Picture, PictureWarning

SHAPE = 17, 23


def random(dtype, *channels, top=None):
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.random((*SHAPE, *channels)).astype(dtype)
    return rng.integers(0, top or np.iinfo(dtype).max + 1, (*SHAPE, *channels)).astype(dtype)


def image(mode):
    if mode == "I;16":
        return Image.fromarray(random("u2"))
    if mode == "F":
        return Image.fromarray(random("f4"))
    if mode == "P":
        return Image.fromarray(random("u1", 3)).quantize(32)
    bands = {"LA": 2, "RGB": 3, "RGBA": 4}.get(mode)
    if bands is None:
        return Image.fromarray(random("u1", 3)).convert(mode)
    return Image.fromarray(random("u1", bands), mode)


def again(path):
    """Read, write and read a picture; return the two."""
    first = images.read(path)
    images.write(path.with_stem("again"), first)
    return first, images.read(path.with_stem("again"))


def check_same(first, second):
    assert second.form[:2] == first.form[:2]
    assert second.values.dtype == first.values.dtype
    assert np.array_equal(second.values, first.values)
    assert (second.alpha is None) == (first.alpha is None)
    assert first.alpha is None or np.array_equal(second.alpha, first.alpha)


LOSSLESS = {
    "png": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "tif": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"],
    "bmp": ["1", "L", "P", "RGB"],
    "gif": ["P"],
    "pbm": ["1"],
    "pgm": ["L", "I;16"],
    "ppm": ["RGB"],
    "pfm": ["F"],
    "tga": ["L", "LA", "P", "RGB", "RGBA"],
    "jp2": ["L", "RGB", "RGBA", "I;16"],
    "webp": ["RGB", "RGBA"],
}


@pytest.mark.parametrize(
    ("suffix", "mode"), [(suffix, mode) for suffix, modes in LOSSLESS.items() for mode in modes]
)
def test_what_pillow_writes_comes_back_bit_by_bit(tmp_path, suffix, mode):
    if suffix == "jp2" and not features.check("jpg_2000"):
        pytest.skip("this Pillow has no JPEG 2000")
    given = image(mode)
    extra = {"lossless": True, "exact": True} if suffix == "webp" else {}
    given.save(tmp_path / f"x.{suffix}", **extra)
    first, second = again(tmp_path / f"x.{suffix}")
    pixels = np.asarray(given.convert("RGB") if mode == "P" else given)
    found = first.values if first.alpha is None else np.dstack([first.values, first.alpha])
    assert np.array_equal(found.squeeze(), pixels)
    check_same(first, second)
    assert first.form.mode == mode


@pytest.mark.parametrize(
    ("dtype", "channels", "options"),
    [
        ("u2", 3, {}),
        ("u2", 3, {"compression": "zlib", "predictor": True}),
        ("u2", 3, {"bigtiff": True, "byteorder": ">"}),
        ("u2", 1, {"photometric": "miniswhite"}),
        ("f8", 1, {}),
        ("f4", 4, {"photometric": "rgb"}),
        ("f4", 5, {"photometric": "minisblack", "planarconfig": "contig"}),
        ("f2", 3, {"photometric": "rgb"}),
        ("i2", 1, {}),
        ("u4", 1, {}),
        ("i8", 1, {}),
        ("u1", 6, {"photometric": "minisblack", "planarconfig": "contig"}),
        ("u2", 4, {"photometric": "separated"}),
    ],
)
def test_tiff_of_any_type_comes_back_bit_by_bit(tmp_path, dtype, channels, options):
    given = random(dtype, channels)
    tifffile.imwrite(tmp_path / "x.tif", given[..., 0] if channels == 1 else given, **options)
    first, second = again(tmp_path / "x.tif")
    found = first.values if first.alpha is None else np.dstack([first.values, first.alpha])
    inverted = options.get("photometric") == "miniswhite"
    assert np.array_equal(found, 65535 - given if inverted else given)
    check_same(first, second)
    with tifffile.TiffFile(tmp_path / "again.tif") as file:
        assert file.is_bigtiff == options.get("bigtiff", False)
        assert bool(file.pages[0].compression == 1) == ("compression" not in options)


@pytest.mark.parametrize("options", [{"planarconfig": "separate"}, {"ome": True}])
def test_channels_that_lie_one_after_the_other_are_read(tmp_path, options):
    given = random("u2", 4)
    axes = {"axes": "CYX"} if "ome" in options else None
    layers = np.moveaxis(given, -1, 0)
    tifffile.imwrite(tmp_path / "x.tif", layers, photometric="minisblack", metadata=axes, **options)
    first, second = again(tmp_path / "x.tif")
    assert np.array_equal(first.values, given)
    check_same(first, second)


@pytest.mark.parametrize(
    ("dtype", "shape"), [("u1", ()), ("f8", (1,)), ("i4", (7,)), ("u2", (3,)), ("f2", ())]
)
def test_arrays_come_back_bit_by_bit(tmp_path, dtype, shape):
    given = random(dtype, *shape)
    np.save(tmp_path / "x.npy", given)
    check_same(*again(tmp_path / "x.npy"))
    found = np.load(tmp_path / "again.npy")
    assert found.dtype == given.dtype
    assert np.array_equal(found, given)


# PNG of 16 bits


def filtered(values):
    """Return a PNG of 16 bits, its rows with all filters in turn, as RFC 2083 defines them."""
    height, width, channels = values.shape
    rows = values.astype(">u2").view(np.uint8).reshape(height, -1).astype(int)
    left = np.pad(rows, ((0, 0), (2 * channels, 0)))[:, : rows.shape[1]]
    up = np.pad(rows, ((1, 0), (0, 0)))[:-1]
    corner = np.pad(left, ((1, 0), (0, 0)))[:-1]
    distances = [abs(left + up - corner - x) for x in (left, up, corner)]
    paeth = np.choose(np.argmin(distances, 0), [left, up, corner])
    guesses = [np.zeros_like(rows), left, up, (left + up) // 2, paeth]
    lines = [
        bytes([y % 5]) + ((rows[y] - guesses[y % 5][y]) % 256).astype(np.uint8).tobytes()
        for y in range(height)
    ]
    return container(width, height, channels, b"".join(lines))


def interlaced(values):
    """Return a PNG of 16 bits in the seven passes of Adam7, unfiltered."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    parts = [values[y::dy, x::dx] for y, x, dy, dx in [*passes, (1, 0, 2, 1)]]
    lines = [b"\0" + row.astype(">u2").tobytes() for part in parts if part.size for row in part]
    height, width, channels = values.shape
    return container(width, height, channels, b"".join(lines), interlaced=1)


def container(width, height, channels, lines, *chunks, interlaced=0):
    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, interlaced))
    middle = b"".join(chunk(*one) for one in chunks)
    data = chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + middle + data


@pytest.mark.parametrize("made", [filtered, interlaced])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits_keeps_them_all(tmp_path, made, channels):
    given = random("u2", channels)
    (tmp_path / "x.png").write_bytes(made(given))
    first, second = again(tmp_path / "x.png")
    found = first.values if first.alpha is None else np.dstack([first.values, first.alpha])
    assert np.array_equal(found, given)
    check_same(first, second)
    assert first.form.mode == {1: "I;16", 2: "LA;16", 3: "RGB;16", 4: "RGBA;16"}[channels]


@given(st.integers(1, 140), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_png_of_16_bits_is_what_pillow_reads_of_it(height, width, channels, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 65536, (height, width, channels)).astype(np.uint16)
    file = io.BytesIO()
    png.write(file, values)
    with Image.open(file) as found:  # the high bytes, but for grey
        pixels = np.asarray(found).reshape(height, width, -1)
    if channels == 2:
        pixels = pixels[..., [0, 3]]
    assert np.array_equal(pixels, values if channels == 1 else values >> 8)


def test_a_transparent_color_of_16_bits_becomes_opacity(tmp_path):
    given = random("u2", 3, top=2)
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in given)
    key = (b"tRNS", struct.pack(">HHH", 1, 0, 1))
    (tmp_path / "x.png").write_bytes(container(*SHAPE[::-1], 3, lines, key))
    picture = images.read(tmp_path / "x.png")
    assert np.array_equal(picture.alpha == 0, (given == (1, 0, 1)).all(-1))
    assert set(np.unique(picture.alpha)) == {0, 65535}


def test_profiles_are_kept(tmp_path):
    profile = bytes(range(200))
    for name, mode in (("a.png", "RGB"), ("a.jpg", "RGB"), ("a.tif", "L"), ("a.webp", "RGB")):
        image(mode).save(tmp_path / name, icc_profile=profile)
        assert again(tmp_path / name)[1].form.options["icc_profile"] == profile
    file = io.BytesIO()
    png.write(file, random("u2", 3), profile)
    assert Image.open(file).info["icc_profile"] == profile


# What a lossy or a small format keeps


def test_a_jpeg_is_written_as_finely_as_it_was(tmp_path):
    smooth = Image.fromarray(random("u1", 3)).resize((256, 256), Image.Resampling.BICUBIC)
    for quality, sampling in ((30, 2), (95, 0)):
        smooth.save(tmp_path / "x.jpg", quality=quality, subsampling=sampling)
        first, second = again(tmp_path / "x.jpg")
        assert second.form.options == first.form.options
        assert second.form.options["subsampling"] == sampling
        assert abs(first.values.astype(int) - second.values).mean() < 2


def test_webp_stays_lossy_or_lossless(tmp_path):
    for lossless in (False, True):
        image("RGBA").save(tmp_path / "x.webp", lossless=lossless, icc_profile=b"profile")
        _, second = again(tmp_path / "x.webp")
        assert second.form.options.get("lossless", False) == lossless


def test_a_palette_keeps_its_order_and_what_is_transparent(tmp_path):
    given = image("P")
    given.save(tmp_path / "x.png", transparency=3)
    first, second = again(tmp_path / "x.png")
    assert np.array_equal(first.alpha == 0, np.asarray(given) == 3)
    check_same(first, second)
    with Image.open(tmp_path / "again.png") as found:
        assert np.array_equal(np.asarray(found), np.asarray(given))
    given.save(tmp_path / "x.gif", transparency=3)
    check_same(*again(tmp_path / "x.gif"))


def test_new_colors_that_fit_a_palette_stay_one_and_others_are_said(tmp_path):
    image("P").save(tmp_path / "x.png")
    picture = images.read(tmp_path / "x.png")
    few = picture._replace(values=picture.values // 2)
    images.write(tmp_path / "few.png", few)
    found = images.read(tmp_path / "few.png")
    assert found.form.mode == "P"
    assert np.array_equal(found.values, few.values)
    many = picture._replace(values=random("u1", 3))
    with pytest.warns(PictureWarning, match="more colors than a palette holds"):
        images.write(tmp_path / "many.png", many)
    found = images.read(tmp_path / "many.png")
    assert found.form.mode == "RGB"
    assert np.array_equal(found.values, many.values)


def test_another_suffix_is_another_format(tmp_path):
    picture = Picture(random("u1", 3))
    for suffix in ("png", "tif", "bmp", "npy", "webp", "ppm"):
        images.write(tmp_path / f"x.{suffix}", picture)
        assert np.array_equal(images.read(tmp_path / f"x.{suffix}").values, picture.values)
    with pytest.raises(ValueError, match=r"x\.doc: its suffix names no container"):
        images.write(tmp_path / "x.doc", picture)


@pytest.mark.parametrize(
    ("suffix", "dtype", "channels"), [("jpg", "u2", 3), ("png", "f4", 1), ("webp", "u1", 5)]
)
def test_what_a_format_cannot_hold_is_refused_whole(tmp_path, suffix, dtype, channels):
    path = tmp_path / f"x.{suffix}"
    with pytest.raises(ValueError, match=rf"x\.{suffix}: \w+ can't hold {channels} channel.*TIFF"):
        images.write(path, Picture(random(dtype, channels)))
    assert not list(tmp_path.iterdir())


# Upright


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "deep.tif"])
def test_pictures_are_turned_upright(tmp_path, turn, suffix):
    given = image("RGB")
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"x.{suffix}"
    if suffix == "deep.tif":
        tags = [(0x0112, "H", 1, turn, True)]
        tifffile.imwrite(path, np.asarray(given).astype(np.uint16), extratags=tags)
    else:
        given.save(path, exif=exif)
    given.getexif()[0x0112] = turn
    expected = np.asarray(ImageOps.exif_transpose(given))
    first, second = again(path)
    assert np.array_equal(first.values, expected)
    assert images.size(path) == first.size == expected.shape[:2]
    check_same(first, second)


# What can't be used


def written(mode, suffix, **extra):
    file = io.BytesIO()
    image(mode).save(file, suffix, **extra)
    return file.getvalue()


def saved(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def tiff(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


BAD = {
    "empty.png": (b"", r"empty \(0 bytes\)"),
    "text.png": (b"this is no picture\n" * 9, "damaged, or none of PNG"),
    "cut.jpg": (written("RGB", "jpeg", quality=95)[:-300], "truncated"),
    "cut.png": (written("RGB", "png")[:-200], "can't be read"),
    "deep.png": (filtered(random("u2", 3))[:-200], "can't be read"),
    "cut.tif": (tiff(random("u2", 3))[:-200], "can't be read"),
    "cut.npy": (saved(random("f4", 3))[:-20], "can't be read"),
    "code.npy": (saved(np.array([print], object)), "can't be read"),
    "words.npy": (saved(np.array([["a"]])), "type <U1, where real numbers"),
    "flat.npy": (saved(np.zeros(5)), r"shape \(5,\), where \(H, W\)"),
    "none.npy": (saved(np.zeros((0, 5))), "0 x 5 pixels"),
    "nan.npy": (saved(np.array([[0, 1], [np.nan, 1]])), "nan at row 1, column 0 of channel 1"),
    "nan.tif": (tiff(np.full((3, 4), np.inf, "f4")), "inf at row 0, column 0"),
    "complex.tif": (tiff(np.ones((3, 4), "c8")), "complex64, where real numbers"),
    "pages.tif": (tiff(np.zeros((5, *SHAPE), "u2"), photometric="minisblack"), "5 pages"),
    "frames.gif": (
        written("L", "gif", save_all=True, append_images=[image("1")]),
        "2 frames, where one",
    ),
    "deep.ppm": (b"P6 2 1 65535\n" + bytes(12), "8 bits a color"),
    "lab.tif": (tiff(random("u1", 3), photometric="cielab"), "its mode is LAB"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_is_named(tmp_path, name):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: .*{message}") as caught:
        images.read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        images.read(tmp_path / "gone.png")
    with pytest.raises(IsADirectoryError, match="a folder, where a picture is needed"):
        images.read(tmp_path)


def test_bombs_are_not_opened(tmp_path, monkeypatch):
    image("RGB").save(tmp_path / "x.png")
    tifffile.imwrite(tmp_path / "x.tif", random("u2", 3))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("x.png", "x.tif"):
        with pytest.raises(ValueError, match=rf"{name}: .*pixels"):
            images.read(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # between the warning and the error
    assert images.read(tmp_path / "x.png").size == SHAPE


def test_a_name_may_say_something_else_than_the_file(tmp_path):
    image("RGB").save(tmp_path / "x.png", "TIFF")
    assert images.read(tmp_path / "x.png").form.container == "TIFF"


def test_halves():
    picture = Picture(random("u1", 3)[:, :22], random("u1")[:, :22])
    left, right = images.halves(picture, "left")
    assert np.array_equal(np.hstack([left.values, right.values]), picture.values)
    assert np.array_equal(np.hstack([left.alpha, right.alpha]), picture.alpha)
    assert np.array_equal(images.halves(picture, "right")[0].values, right.values)
    with pytest.raises(ValueError, match="its width, 23 pixels, is odd"):
        images.halves(Picture(random("u1", 3)), "left")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "I"])
def test_pillow_images_come_back(mode):
    given = image(mode)
    found = images.to_pillow(images.from_pillow(given))
    assert (found.mode, found.size) == (given.mode, given.size)
    assert np.array_equal(np.asarray(found), np.asarray(given))


def test_other_modes_of_pillows_come_back_as_they_can():
    for mode in ("YCbCr", "HSV", "RGBX"):
        assert images.to_pillow(images.from_pillow(image("RGB").convert(mode))).mode == mode
    with pytest.raises(ValueError, match="its mode is LAB"):
        images.from_pillow(Image.new("LAB", (3, 3)))
    with pytest.raises(ValueError, match="3 channels of uint16: Pillow has no mode"):
        images.to_pillow(Picture(random("u2", 3), None, Format()))
