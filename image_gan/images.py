"""Pictures and their files: read with every bit that is in them, written as they were.

PNG (with 16 bits a channel too), JPEG, WebP, TIFF of any real type and number of channels, BMP,
GIF, PPM, TGA, JPEG 2000, AVIF and NumPy's .npy are read and written. A file that can't be used
raises OSError or ValueError whose message names it and says what is wrong. Pictures are turned
upright as EXIF says; color profile and resolution are kept, EXIF isn't. Colors of more than 8 bits
in a JPEG 2000 or AVIF are read with 8, and grey of 2 or 4 bits is written with 8.
"""

from __future__ import annotations

import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, JpegImagePlugin

from image_gan import png, tiff

SUFFIXES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
    ".pnm": "PPM",
    ".pfm": "PPM",
    ".tga": "TGA",
    ".jp2": "JPEG2000",
    ".avif": "AVIF",
    ".npy": "NPY",
}
"""Which container a file's suffix stands for."""

MODES = {  # what containers hold; TIFF and NPY hold anything
    "PNG": {"1", "L", "LA", "P", "RGB", "RGBA", "I;16", "LA;16", "RGB;16", "RGBA;16"},
    "JPEG": {"L", "RGB", "CMYK"},
    "WEBP": {"L", "LA", "RGB", "RGBA"},
    "BMP": {"1", "L", "P", "RGB", "RGBA"},
    "GIF": {"1", "L", "P", "RGB", "RGBA"},
    "PPM": {"1", "L", "RGB", "I;16", "F"},
    "TGA": {"L", "LA", "P", "RGB", "RGBA"},
    "JPEG2000": {"L", "LA", "RGB", "RGBA", "I;16"},
    "AVIF": {"L", "LA", "RGB", "RGBA"},
    "TIFF": {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK"},  # by Pillow
}
BEST = {  # how Pillow writes a container where the input's own way doesn't apply
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PLAIN = {"1", "L", "LA", "RGB", "RGBA", "CMYK", "I", "F", "I;16"}  # modes taken as they are
SIMPLER = {  # and what others are taken for
    **dict.fromkeys(("I;16B", "I;16L", "I;16N"), "I;16"),
    **dict.fromkeys(("RGBX", "YCbCr", "HSV"), "RGB"),
    **{"PA": "RGBA", "RGBa": "RGBA", "La": "LA"},
}
BACK = {"RGBX", "YCbCr", "HSV", "RGBa", "La"}  # of these, what Pillow turns them into again
ORIENTATION = 0x0112  # the number that EXIF has for it
PACKED = {"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "group4", "jpeg"}


class PictureWarning(UserWarning):
    """Something about a picture that the result depends on and that its owner may not know."""


class Format(NamedTuple):
    """How a picture lies in its file.

    Attributes:
        container: Pillow's name of it, or NPY; empty for a picture that is in no file.
        mode: Pillow's, or of 16 bits LA;16, RGB;16, RGBA;16; empty where there is no name.
        options: what the writer of that container is told, such as an ICC profile.
        palette: RGBA of its entries, ``(N, 4)``, where the mode is P.
    """

    container: str = ""
    mode: str = ""
    options: Mapping | None = None
    palette: np.ndarray | None = None


class Picture(NamedTuple):
    """A picture, in its file's own type.

    Attributes:
        values: ``(H, W, C)``, of any real type; a palette's colors in place of its indices.
        alpha: opacity ``(H, W)`` of the same type, or None.
        form: how it lies in its file.
    """

    values: np.ndarray
    alpha: np.ndarray | None = None
    form: Format = Format()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.values.shape[:2]

    @property
    def mode(self) -> str:
        """What ``Format`` calls values of such a type, and so many; P is never among them."""
        kind = {"bool": "1", "uint8": "L", "uint16": "I;16", "int32": "I", "float32": "F"}
        grey, channels = kind.get(self.values.dtype.name, ""), self.values.shape[-1]
        if grey not in ("L", "I;16"):
            return grey if channels == 1 and self.alpha is None else ""
        if self.alpha is None:
            names = {1: "L", 3: "RGB"} | ({4: "CMYK"} if self.form.mode == "CMYK" else {})
        else:
            names = {1: "LA", 3: "RGBA"}
        name = names.get(channels, "")
        if grey == "L" or not name:
            return name
        return "I;16" if name == "L" else f"{name};16"


# Reading


def read(path: str | Path) -> Picture:
    """Return the picture in a file.

    Raises:
        OSError: where it can't be opened.
        ValueError: where it holds no picture, a damaged one, or several.
    """
    with complaints(path):
        start = first_bytes(path)
        if start == b"\x93NUM":
            return from_array(np.array(open_array(path)), "NPY")
        if start in TIFF_STARTS:
            return read_tiff(path)
        if start == b"\x89PNG" and (deep := png.read(path)):
            return with_alpha(deep[0], Format("PNG", options=kept(deep[1])))
        with open_image(path) as image:
            return from_file(image)


def size(path: str | Path) -> tuple[int, int]:
    """Return height and width of the picture in a file, from its header; raises as ``read``."""
    with complaints(path):
        start = first_bytes(path)
        if start == b"\x93NUM":
            return open_array(path).shape[:2]
        if start in TIFF_STARTS:
            shape, turn = tiff.shape(path), tiff.orientation(path)
        else:
            with open_image(path) as image:
                shape, turn = image.size[::-1], orientation(image)
        return shape[::-1] if turn >= 5 else shape


@contextmanager
def complaints(path: str | Path) -> Iterator[None]:
    """Turn what decoders raise into a ValueError that names the file; hush their warnings."""
    check_regular(Path(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # given a damaged file, decoders raise anything
        raise ValueError(f"{path}: can't be read as a picture: {reason(error)}") from None


def check_regular(path: Path) -> None:
    """Raise where ``path`` is no file that can be read, or an empty one."""
    status = path.stat()  # raises FileNotFoundError, PermissionError
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"{path}: a folder, where a picture is needed")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path}: not a regular file, where a picture is needed")
    if status.st_size == 0:
        raise ValueError(f"{path}: empty (0 bytes); copy or make it anew")
    with path.open("rb"):
        pass


def reason(error: Exception) -> str:
    """Return what a decoder's error says, in one line."""
    if isinstance(error, Image.UnidentifiedImageError):
        known = ", ".join(dict.fromkeys(SUFFIXES.values()))
        return f"it is damaged, or none of {known}"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    return (str(error).splitlines() or [type(error).__name__])[0]


def first_bytes(path: str | Path) -> bytes:
    """Return the first four bytes of a file, which tell what it is."""
    with open(path, "rb") as file:
        return file.read(4)


def checked(picture: Picture) -> Picture:
    """Return the picture; raise ValueError where it has no pixels, or one that is no number."""
    values = picture.values
    if 0 in values.shape:
        raise ValueError(f"it has {values.shape[0]} x {values.shape[1]} pixels")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row, column, channel = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(
            f"{values[row, column, channel]} at row {row}, column {column} of channel "
            f"{channel + 1}; replace what is not a finite number"
        )
    return picture


def open_array(path: str | Path) -> np.ndarray:
    """Return the array in a .npy file, of which nothing is read yet, and nothing ever run."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    check_array(array)
    return array


def check_array(array: np.ndarray) -> None:
    """Raise ValueError where an array is no picture."""
    if array.ndim not in (2, 3):
        raise ValueError(f"an array of shape {array.shape}, where (H, W) or (H, W, C) is needed")
    if array.dtype.kind not in "buif":
        raise ValueError(f"values of type {array.dtype}, where real numbers are needed")


def from_array(array: np.ndarray, container: str = "") -> Picture:
    """Return the picture that an array is, ``(H, W)`` or ``(H, W, C)``.

    Raises ValueError where it is none.
    """
    check_array(array)
    values = array.reshape(*array.shape[:2], -1) if array.size else array[..., None]
    form = Format(container, options={"flat": array.ndim == 2})
    picture = checked(Picture(values, None, form))
    return picture._replace(form=form._replace(mode=picture.mode))


def read_tiff(path: str | Path) -> Picture:
    """Return the picture in a TIFF."""
    check_pixels(tiff.shape(path))
    page = tiff.read(path)
    if page is None:
        with open_image(path) as image:
            return from_file(image)
    form = Format("TIFF", options=page.options)
    picture = checked(Picture(page.values, page.alpha, form))
    picture = upright(picture, tiff.orientation(path))
    return picture._replace(form=form._replace(mode=picture.mode))


def check_pixels(shape: tuple[int, int]) -> None:
    """Raise ValueError where there are more pixels than Pillow would take; it calls them bombs."""
    most = 2 * (Image.MAX_IMAGE_PIXELS or shape[0] * shape[1])
    if shape[0] * shape[1] > most:
        raise ValueError(f"it has {shape[0] * shape[1]:,} pixels; {most:,} at most")


def open_image(path: str | Path) -> Image.Image:
    """Return the picture as Pillow opens it, of the containers above alone."""
    Image.init()
    names = {*SUFFIXES.values(), "MPO"} & Image.OPEN.keys()
    try:
        return Image.open(path, formats=sorted(names))
    except Image.DecompressionBombError as error:
        raise ValueError(f"it has too many pixels ({error})") from None


def from_file(image: Image.Image) -> Picture:
    """Return the picture in an open file, upright."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise ValueError(f"it holds {frames} frames, where one picture is needed; split it")
    container = image.format.replace("MPO", "JPEG")
    if container == "PPM" and image.mode == "RGB" and image.tile[0][0] == "ppm":
        raise ValueError("it hasn't 8 bits a color; PNG and TIFF may have 16")
    options = kept(image.info) | OPTIONS.get(container, lambda _: {})(image)
    image.load()
    picture = from_pillow(image)
    if container == "PPM" and picture.mode == "I":  # Netpbm's grey has 16 bits at most
        picture = picture._replace(values=picture.values.astype(np.uint16))
    picture = upright(picture, orientation(image))
    mode = "P" if picture.form.palette is not None else picture.mode
    form = picture.form._replace(container=container, mode=mode, options=options)
    return picture._replace(form=form)


def from_pillow(image: Image.Image) -> Picture:
    """Return the picture that a Pillow image is; raise ValueError for a mode without a meaning."""
    if image.mode == "P":
        return from_palette(image)
    mode = SIMPLER.get(image.mode, image.mode)
    if "transparency" in image.info:  # of one color, or one grey
        mode = {"1": "LA", "L": "LA", "RGB": "RGBA"}.get(mode, mode)
    if mode not in PLAIN:
        raise ValueError(f"its mode is {mode}; convert it to RGB first")
    array = np.array(image if mode in ("I;16", image.mode) else image.convert(mode))
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    form = Format(mode=image.mode)
    if mode in ("LA", "RGBA"):
        return with_alpha(array, form)
    return checked(Picture(array.reshape(*array.shape[:2], -1), None, form))


def with_alpha(array: np.ndarray, form: Format) -> Picture:
    """Return a picture whose last channel, where there are two or four, is its opacity."""
    if array.shape[-1] in (1, 3):
        picture = Picture(array, None, form)
    else:
        picture = Picture(array[..., :-1], array[..., -1], form)
    return checked(picture._replace(form=form._replace(mode=form.mode or picture.mode)))


def from_palette(image: Image.Image) -> Picture:
    """Return the colors of a picture with a palette, and what is transparent of it."""
    image = image.copy()
    image.apply_transparency()
    entries = np.array(image.getpalette("RGBA"), np.uint8).reshape(-1, 4)
    palette = np.zeros((256, 4), np.uint8)
    palette[: len(entries)] = entries
    colors = palette[np.array(image)]
    form = Format(mode="P", palette=entries)
    if (colors[..., 3] == 255).all():
        return Picture(colors[..., :3], None, form)
    return Picture(colors[..., :3], colors[..., 3], form)


def halves(picture: Picture, which: str) -> tuple[Picture, Picture]:
    """Return one half of a picture, ``left`` or ``right``, and the other.

    Raises ValueError where its width is odd.
    """
    width = picture.size[1]
    if width % 2:
        raise ValueError(f"its width, {width} pixels, is odd: it holds no two pictures of one size")
    sides = [
        picture._replace(
            values=picture.values[:, part],
            alpha=picture.alpha if picture.alpha is None else picture.alpha[:, part],
        )
        for part in (slice(width // 2), slice(width // 2, None))
    ]
    return (sides[0], sides[1]) if which == "left" else (sides[1], sides[0])


def orientation(image: Image.Image) -> int:
    """Return how the camera was held, as EXIF counts; 1 is upright, and where nothing is said."""
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # EXIF is damaged more often than pictures are
        return 1
    return turn if turn in range(1, 9) else 1


def upright(picture: Picture, turn: int) -> Picture:
    """Return a picture turned and mirrored as EXIF's orientation says."""

    def turned(array: np.ndarray) -> np.ndarray:
        array = array.swapaxes(0, 1) if turn >= 5 else array
        array = array[::-1] if turn in (3, 4, 7, 8) else array
        return np.ascontiguousarray(array[:, ::-1] if turn in (2, 3, 6, 7) else array)

    alpha = picture.alpha if picture.alpha is None else turned(picture.alpha)
    return picture._replace(values=turned(picture.values), alpha=alpha)


def kept(info: Mapping) -> dict:
    """Return what is kept of all that Pillow tells of a file: its colors and its resolution."""
    options = {"icc_profile": info["icc_profile"]} if info.get("icc_profile") else {}
    return options | {"dpi": info["dpi"]} if min(info.get("dpi", (0, 0))) > 1 else options


def jpeg_options(image: Image.Image) -> dict:
    """Return what writes a JPEG as finely as this one."""
    sampling = JpegImagePlugin.get_sampling(image)
    options = {"subsampling": sampling} if sampling >= 0 else {}
    return options | {"qtables": image.quantization} if image.quantization else options


def webp_options(image: Image.Image) -> dict:
    """Return whether a WebP is lossless: of what kind its chunk of pixels is."""
    with open(image.filename, "rb") as file:
        file.seek(12)
        while (head := file.read(8)) and head[:4] not in (b"VP8 ", b"VP8L"):
            length = int.from_bytes(head[4:], "little")
            file.seek(length + length % 2, 1)
    return {"lossless": True, "exact": True} if head[:4] == b"VP8L" else {"quality": 95}


def tiff_options(image: Image.Image) -> dict:
    """Return how a TIFF is compressed, or deflate for what isn't written."""
    used = image.info.get("compression", "raw")
    return {"compression": used} if used in PACKED else BEST["TIFF"]


OPTIONS = {"JPEG": jpeg_options, "WEBP": webp_options, "TIFF": tiff_options}


# Writing


def write(path: str | Path, picture: Picture) -> None:
    """Write a picture in the container that the suffix names, whole or not at all.

    Where that is the container it came from, it is written in the same way.

    Raises:
        OSError: where it can't be written.
        ValueError: where the suffix names no container, or one that can't hold the picture.
    """
    from gan.checkpoint import atomic

    container = container_of(Path(path))
    check_fits(picture, container, path)
    with atomic(path) as part, open(part, "wb") as file:
        save(file, picture, container)


def container_of(path: Path) -> str:
    """Return the container that a file's suffix stands for; raise ValueError for an unknown."""
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise ValueError(
            f"{path}: its suffix names no container that is written; these do: {' '.join(SUFFIXES)}"
        ) from None


def check_fits(picture: Picture, container: str, path: str | Path) -> None:
    """Raise ValueError where a container can't hold such a picture."""
    if container not in ("TIFF", "NPY") and picture.mode not in MODES[container]:
        channels, kind = picture.values.shape[-1], picture.values.dtype
        alpha = " and alpha" if picture.alpha is not None else ""
        raise ValueError(
            f"{path}: {container} can't hold {channels} channel{'s' * (channels != 1)} of "
            f"{kind}{alpha}; TIFF can: -o FILE.tif"
        )


def save(file: BinaryIO, picture: Picture, container: str) -> None:
    """Write a picture into an open file, in a container that holds it."""
    values, alpha, form = picture
    same = form.container == container
    options = dict(form.options or {}) if same else {}
    if container == "NPY":
        stacked = values if alpha is None else np.dstack([values, alpha])
        flat = options.get("flat", True) and stacked.shape[-1] == 1
        np.save(file, stacked[..., 0] if flat else stacked)
    elif container == "TIFF" and ("planarconfig" in options or picture.mode not in MODES["TIFF"]):
        tiff.write(file, values, alpha, options if "planarconfig" in options else {})
    elif picture.mode.endswith(";16") and container == "PNG":
        stacked = values if alpha is None else np.dstack([values, alpha])
        png.write(file, stacked, options.get("icc_profile"))
    else:
        image = to_pillow(picture)
        if not same or form.mode != image.mode:
            options = BEST.get(container, {})
        if container == "GIF":
            image, options = for_gif(image)
        image.save(file, container, **options)


def for_gif(image: Image.Image) -> tuple[Image.Image, dict]:
    """Return a picture of 256 colors or fewer, and which of them is transparent."""
    if image.mode == "RGB":
        return image.quantize(), {}
    if image.mode != "P" or image.palette.mode != "RGBA":
        return image, {}
    opacity = image.getpalette("RGBA")[3::4]
    return image, {"transparency": opacity.index(min(opacity))}


def to_pillow(picture: Picture) -> Image.Image:
    """Return the picture as a Pillow image, of the mode that its form says where it can be so.

    Raises ValueError where Pillow has no such mode.
    """
    values, alpha, form = picture
    if form.mode == "P" and picture.mode in ("RGB", "RGBA"):
        if image := with_palette(picture):
            return image
        note = "it has more colors than a palette holds; what holds them all is another format"
        warnings.warn(note, PictureWarning, stacklevel=2)
    mode = picture.mode
    if mode not in PLAIN:
        channels = values.shape[-1] + (alpha is not None)
        raise ValueError(f"{channels} channels of {values.dtype}: Pillow has no mode; arrays do")
    array = values[..., 0] if values.shape[-1] == 1 else values
    array = array if alpha is None else np.dstack([array, alpha])
    if mode == "CMYK":
        return Image.frombytes("CMYK", picture.size[::-1], array.tobytes())
    image = Image.fromarray(np.ascontiguousarray(array))
    back = form.mode in BACK and SIMPLER[form.mode] == mode
    return image.convert(form.mode) if back else image


def with_palette(picture: Picture) -> Image.Image | None:
    """Return a picture of 256 colors or fewer with a palette, its own where that has them all."""
    values, alpha, form = picture
    opacity = np.full(values.shape[:2], 255, np.uint8) if alpha is None else alpha
    pixels = np.ascontiguousarray(np.dstack([values, opacity])).view(np.uint32)[..., 0]
    colors, indices = np.unique(pixels, return_inverse=True)
    own = np.ascontiguousarray(form.palette).view(np.uint32)[:, 0]
    order = np.argsort(own, kind="stable")
    found = order[np.searchsorted(own, colors, sorter=order).clip(max=len(own) - 1)]
    if (own[found] == colors).all():
        colors, indices = own, found[indices]
    if len(colors) > 256:
        return None
    image = Image.fromarray(indices.reshape(values.shape[:2]).astype(np.uint8))
    entries = colors.view(np.uint8).reshape(-1, 4)
    if alpha is None:
        image.putpalette(entries[:, :3].tobytes())
    else:
        image.putpalette(entries.tobytes(), "RGBA")
    return image
