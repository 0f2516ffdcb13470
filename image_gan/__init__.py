"""Picture GANs on the shared trainer: a picture in, its translation out; or text in.

    import image_gan

    model = image_gan.load("exp/pix2pix/generator.safetensors")
    estimate = model(picture)  # of PIL, NumPy or torch, and so is the estimate

    from image_gan import paint

    painter = paint.load("exp/stackgan/generator.safetensors")
    pictures = painter("a small blue bird", count=8)

Nothing heavy is imported before one of the names below is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_gan.translate import PictureTranslator, load

__all__ = ["PictureTranslator", "load"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from image_gan import translate

        return getattr(translate, name)
    raise AttributeError(f"module 'image_gan' has no attribute {name!r}")
