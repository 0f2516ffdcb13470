"""The networks that a model file of pictures may hold."""

from image_gan.classifier import Classifier
from image_gan.resnet import ResNet
from image_gan.segmenter import Segmenter
from image_gan.srresnet import SRResNet
from image_gan.unet import UNet

TRANSLATORS = {f"{kind.__module__}.{kind.__name__}": kind for kind in (UNet, ResNet, SRResNet)}
"""From pictures to pictures, by the name that a model file says."""

SCORERS = {f"{kind.__module__}.{kind.__name__}": kind for kind in (Segmenter, Classifier)}
"""What scores pictures."""

KINDS = TRANSLATORS | SCORERS
"""All, as ``gan.checkpoint.load_network`` takes them."""
