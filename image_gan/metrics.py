"""Scores of pictures, one function each.

Of a picture and its target: L1, PSNR and SSIM, of all channels or of luma alone, and LPIPS. Of two
sets of pictures: the Fréchet and the kernel distance (FID, KID) of the features that a network
finds in them. Of one set: the Inception score, and how far pictures are from one another. Pictures
are tensors ``(C, H, W)`` with values from 0 to 1. Labels are scored in ``image_gan.labels``.

The computation is torchmetrics' wherever it has one, and InceptionV3 is torch-fidelity's, whose
resizing is that of the network that published scores were computed with.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

Measure = Callable[["Tensor", "Tensor"], float]
Extractor = Callable[["Tensor"], "Tensor"]


class Column(NamedTuple):
    """How a metric is shown.

    Attributes:
        heading: of its column.
        decimals: that are shown.
        up: whether more is better.
        protocol: how it is computed; what stands in braces is filled in.
    """

    heading: str
    decimals: int
    up: bool
    protocol: str


LABELS = "of labels that {network} finds in the pictures, against the true ones; pooled over pixels"

Y = (
    "luma (ITU-R BT.601, 16 to 235, rounded, as MATLAB's rgb2ycbcr; grey pictures as they are, 0 "
    "to 255)"
)

AS_THEY_ARE = "(neither resized nor cropped)"

COLUMNS = {
    "l1": Column("L1", 4, False, "mean absolute difference of values from 0 to 1"),
    "psnr": Column(
        "PSNR", 2, True, "in dB, data range 1, over all channels; mean of pictures not identical"
    ),
    "ssim": Column(
        "SSIM",
        4,
        True,
        "Wang et al. 2004: Gaussian window of 11 x 11, sigma 1.5, wholly in the picture; K1 0.01, "
        "K2 0.03, data range 1; mean over channels",
    ),
    "psnr_y": Column(
        "PSNR of Y", 2, True, f"in dB, data range 255, of {Y}; mean of pictures not identical"
    ),
    "ssim_y": Column("SSIM of Y", 4, True, f"as Wang et al. 2004, data range 255, of {Y}"),
    "lpips": Column("LPIPS", 4, False, "Zhang et al. 2018, version 0.1, AlexNet"),
    "fid": Column(
        "FID",
        2,
        False,
        "Heusel et al. 2017: Fréchet distance of {features}; against {real} real pictures",
    ),
    "kid": Column(
        "KID",
        5,
        False,
        "Binkowski et al. 2018: unbiased squared MMD of {features}, kernel (x.y / d + 1)^3; "
        "{subsets}; against {real} real pictures",
    ),
    "pixel_accuracy": Column("pixel acc.", 4, True, f"share of pixels that are right, {LABELS}"),
    "class_accuracy": Column(
        "class acc.", 4, True, f"mean over the classes that occur of their share right, {LABELS}"
    ),
    "iou": Column("IoU", 4, True, f"intersection over union, mean over the classes, {LABELS}"),
    "target_share": Column(
        "target share", 4, True, "share of pictures that {network} takes for the target domain"
    ),
    "cycle_l1": Column(
        "cycle L1",
        4,
        False,
        "mean absolute difference of a source and what came back of it, values from 0 to 1",
    ),
    "attribute_accuracy": Column(
        "attributes",
        4,
        True,
        f"share of the attributes asked for that {{network}} sees in a picture {AS_THEY_ARE}, mean "
        "of pictures",
    ),
    "all_attributes": Column(
        "all attributes",
        4,
        True,
        f"share of pictures {AS_THEY_ARE} in which {{network}} sees all attributes asked for",
    ),
    "caption_precision": Column(
        "R-precision",
        4,
        True,
        f"share of pictures {AS_THEY_ARE} whose own caption is the nearest (dot product of the "
        "embeddings by {network}) among it and up to 99 others of the pictures scored, by a fixed "
        "seed",
    ),
    "inception_score": Column(
        "IS",
        2,
        True,
        "Salimans et al. 2016: exp of the mean KL divergence of p(y|x) from p(y), {network}; "
        "{splits}",
    ),
    "diversity": Column(
        "diversity",
        4,
        True,
        "mean absolute difference of two pictures of one caption, 8 bits as values from 0 to 1; "
        "mean of captions that have several",
    ),
}
"""The metrics that ``image-gan-evaluate`` knows, in the order of its tables."""

UNDEFINED = {
    "psnr": "identical to its target: infinite",
    "ssim": "smaller than the window of 11 x 11 pixels",
    "psnr_y": "of the same luma as its target: infinite",
    "ssim_y": "smaller than the window of 11 x 11 pixels",
}
"""Why a score of one picture may not be finite."""

WINDOW = 11  # pixels, of SSIM
INCEPTION = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
"""Where torch-fidelity's weights of InceptionV3 are."""

SUBSETS, SUBSET_SIZE = 100, 1000  # of KID, as in the paper
SPLITS, SPLIT_SIZE = 10, 100  # of the Inception score: as published; pictures at least


# Of a picture and its target


def l1(estimate: Tensor, target: Tensor) -> float:
    """Return the mean absolute difference of two pictures."""
    return float((estimate - target).abs().mean())


def psnr(estimate: Tensor, target: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB; infinite for identical pictures."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return float(peak_signal_noise_ratio(estimate, target, data_range=1.0))


def ssim(estimate: Tensor, target: Tensor) -> float:
    """Return the structural similarity, -1 to 1; NaN for pictures smaller than its window.

    The mean is over windows wholly in the picture, as in the paper (Wang et al. 2004, section
    III.B); torchmetrics' own also counts mirrored edges.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    if min(target.shape[-2:]) < WINDOW:
        return math.nan
    pictures = estimate[None], target[None]
    _, full = structural_similarity_index_measure(
        *pictures, sigma=1.5, kernel_size=WINDOW, data_range=1.0, return_full_image=True
    )
    edge = WINDOW // 2
    return float(full[..., edge:-edge, edge:-edge].mean())


def inside(picture: Tensor, border: int) -> Tensor:
    """Return a picture without its outer ``border`` pixels; raise ValueError where none is left."""
    height, width = picture.shape[-2:]
    if min(height, width) <= 2 * border:
        raise ValueError(f"{height} x {width} pixels, of which a border of {border} leaves nothing")
    return picture[..., border : height - border, border : width - border]


def luma(picture: Tensor) -> Tensor:
    """Return the luma that super-resolution is measured by: ``(1, H, W)``, levels of 8 bits / 255.

    Of RGB, Y of ITU-R BT.601 from 16 to 235, rounded, as MATLAB's ``rgb2ycbcr`` has it for 8 bits.
    A grey picture is its own. Raises ValueError for other channels.
    """
    if len(picture) == 1:
        return (255 * picture).add(0.5).floor() / 255
    if len(picture) != 3:
        raise ValueError(
            f"{len(picture)} channels: luma is of grey or RGB; leave out psnr_y, ssim_y"
        )
    red, green, blue = picture
    return (16.5 + 65.481 * red + 128.553 * green + 24.966 * blue).floor()[None] / 255


def psnr_y(estimate: Tensor, target: Tensor, border: int = 0) -> float:
    """Return the PSNR of two pictures' luma in dB, without their outer ``border`` pixels."""
    one, other = (inside(luma(x), border) for x in (estimate, target))
    error = float((one - other).square().mean())
    return -10 * math.log10(error) if error else math.inf


def ssim_y(estimate: Tensor, target: Tensor, border: int = 0) -> float:
    """Return the SSIM of two pictures' luma, without their outer ``border`` pixels."""
    return ssim(*(inside(luma(x), border) for x in (estimate, target)))


def lpips() -> Measure:
    """Return LPIPS as a function of two grey or RGB pictures (Zhang et al. 2018), with AlexNet.

    Raises:
        ImportError: where torchvision isn't installed.
        OSError: where its weights aren't here and can't be fetched.
    """
    import torch
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = LearnedPerceptualImagePatchSimilarity("alex", normalize=True).eval()

    def measure(estimate: Tensor, target: Tensor) -> float:
        network.reset()
        colors = [x.float().expand(3 if len(x) == 1 else -1, -1, -1) for x in (estimate, target)]
        with torch.no_grad():
            return float(network(colors[0][None], colors[1][None]))

    return measure


# Of two sets of features


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Return the Fréchet distance of two Gaussians fit to features (Heusel et al. 2017, eq. 6).

    ``(N, F)`` and ``(M, F)`` -> 0 or more; N and M are 2 at least. It is biased: fewer pictures
    give more, much more where they are fewer than the features.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    distance = FrechetInceptionDistance(feature=given(real.shape[1]))
    distance.update(real.double(), real=True)
    distance.update(generated.double(), real=False)
    return max(0.0, float(distance.compute()))  # rounding may leave it just below


def kernel_distance(real: Tensor, generated: Tensor, seed: int = 0) -> float:
    """Return the unbiased squared maximum mean discrepancy (Binkowski et al. 2018, section 4).

    ``(N, F)`` and ``(M, F)``, N and M 2 at least, -> near 0 for features of one distribution, where
    it may be negative. The mean of 100 subsets, drawn by ``seed``; of 1000, or all of the fewer.
    """
    import torch
    from torchmetrics.image.kid import KernelInceptionDistance

    count, size = subsets(len(real), len(generated))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it takes memory
        distance = KernelInceptionDistance(
            feature=given(real.shape[1]), subsets=count, subset_size=size
        )
    distance.update(real.double(), real=True)
    distance.update(generated.double(), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return float(distance.compute()[0])


def subsets(real: int, generated: int) -> tuple[int, int]:
    """Return how many subsets the kernel distance takes of so many pictures, and of what size.

    >>> subsets(5000, 400), subsets(400, 400)
    ((100, 400), (1, 400))
    """
    size = min(SUBSET_SIZE, real, generated)
    return (1 if size == real == generated else SUBSETS), size  # all of both are always the same


def given(count: int):
    """Return the network that hands ``count`` features on: torchmetrics wants one."""
    from torch import nn

    network = nn.Identity()
    network.num_features = count
    return network


# Of one set of pictures


def inception_score(logits: Tensor, seed: int = 0) -> float:
    """Return exp E KL(p(y|x) || p(y)) (Salimans et al. 2016, section 4), 1 to the classes' number.

    ``(N, K)``, logits of the K classes, N 1 at least. The mean of as many parts as ``splits`` says,
    of pictures in an order drawn by ``seed``.
    """
    import torch
    from torchmetrics.image.inception import InceptionScore

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it takes memory; that one part has no deviation
        score = InceptionScore(feature=given(logits.shape[1]), splits=splits(len(logits)))
        score.update(logits.double().log_softmax(dim=1).clamp(min=-600))  # exp of less is 0
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return float(score.compute()[0])


def splits(pictures: int) -> int:
    """Return how many parts the Inception score takes the mean of: 10, of 100 pictures at least.

    >>> splits(5000), splits(450), splits(20)
    (10, 4, 1)
    """
    return max(1, min(SPLITS, pictures // SPLIT_SIZE))


def spread(pictures: Tensor) -> float:
    """Return the mean absolute difference of two different pictures ``(N, C, H, W)``, N 2 at least.

    Sorted pixel by pixel, the k-th of N (from 0) is 2k - N + 1 times more often the greater of a
    pair than the lesser.
    """
    import torch

    count = len(pictures)
    signs = 2 * torch.arange(count, dtype=torch.float64) - count + 1
    sums = signs @ pictures.flatten(1).sort(dim=0).values.double()
    return float(sums.mean()) / (count * (count - 1) / 2)


# The network that published FIDs and KIDs are of


class Inception:
    """InceptionV3 of Heusel et al.: an RGB picture ``(3, H, W)`` -> its 2048 features ``(2048,)``.

    ``both(picture)`` has the logits ``(1008,)``, without biases, beside them.

    Args:
        weights: the file with its weights; nothing in it is run. Without one, the file that
            torch-fidelity once fetched, or it is fetched now.
        device: where it runs.

    Raises:
        ImportError: where torch-fidelity, or the torchvision that it wants, isn't installed.
        OSError: where the weights can't be read, or fetched.
        ValueError: where the file doesn't hold them.
    """

    def __init__(self, weights: Path | None = None, device="cpu"):
        import torch
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        from gan.checkpoint import load

        state = fetched() if weights is None else load(weights)
        copy = io.BytesIO()  # torch-fidelity reads files as pickles: this one was made here
        torch.save(state, copy)
        copy.seek(0)
        try:
            network = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], copy)
        except (RuntimeError, TypeError, AttributeError):
            raise ValueError(f"{weights}: holds other weights than torch-fidelity's") from None
        self.network, self.device = network.to(device), device

    def __call__(self, picture: Tensor) -> Tensor:
        """Return the features, on the CPU."""
        return self.both(picture)[0]

    def both(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features and the logits that Inception scores are of, on the CPU."""
        import torch

        values = (picture * 255).round().to(torch.uint8)  # as published scores are computed
        features, logits = self.network(values[None].to(self.device))
        return features[0].cpu(), logits[0].cpu()


def cached() -> Path:
    """Return where torch-fidelity's weights of InceptionV3 are kept once they were fetched."""
    from torch.hub import get_dir

    return Path(get_dir()) / "checkpoints" / Path(INCEPTION).name


def fetched() -> dict:
    """Return the weights of InceptionV3, fetched if they aren't here; raises OSError."""
    from torch.hub import load_state_dict_from_url

    try:
        return load_state_dict_from_url(
            INCEPTION, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:  # no network; what came has another check sum
        raise OSError(f"its weights can't be fetched ({error})") from None
