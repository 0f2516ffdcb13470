"""The networks that a model file of pictures may hold."""

from image_gan.resnet import ResNet
from image_gan.unet import UNet

KINDS = {f"{kind.__module__}.{kind.__name__}": kind for kind in (UNet, ResNet)}
"""By the name that a model file says, as ``gan.checkpoint.load_network`` takes them."""
