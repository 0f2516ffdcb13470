"""The networks that a model file of pictures may hold."""

from image_gan.attributes import AttributeClassifier
from image_gan.classifier import Classifier
from image_gan.encoders import ENCODERS
from image_gan.resnet import ResNet
from image_gan.segmenter import Segmenter
from image_gan.srresnet import SRResNet
from image_gan.stackgan import StackGAN, StageI, StageII
from image_gan.unet import UNet


def by_name(*kinds: type) -> dict[str, type]:
    """Return classes by the names that model files say."""
    return {f"{kind.__module__}.{kind.__name__}": kind for kind in kinds}


TRANSLATORS = by_name(UNet, ResNet, SRResNet)
"""From pictures to pictures."""

PAINTERS = by_name(StackGAN, StageI, StageII, *ENCODERS)
"""From text to pictures, and the parts of such networks."""

SCORERS = by_name(Segmenter, Classifier, AttributeClassifier)
"""What scores pictures."""

KINDS = TRANSLATORS | PAINTERS | SCORERS
"""All, as ``gan.checkpoint.load_network`` takes them."""
