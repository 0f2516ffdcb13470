"""The content loss of SRGAN: how far pictures are apart in what VGG19 finds in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Of VGG19: channels and convolutions between one pooling and the next."""

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the pictures it was trained on


class VGGDistance(nn.Module):
    """Mean squared difference of VGG19's features, times ``scale`` (Ledig et al. 2017, eq. 5).

    ``(B, 3, H, W)`` twice, in [-1, 1] -> a scalar. The weights are torchvision's, the scale that of
    the paper's code, whose weights were others. They are constants, and no part of checkpoints.

    Args:
        layer: ``[i, j]``: the j-th convolution, after its activation, before the i-th pooling.
            The paper has 5, 4 (VGG54), and 2, 2.
        scale: of the features.
        weights: tensors called as torchvision calls them; None takes torchvision's file, which is
            fetched where it isn't here.

    Raises:
        ValueError: where there is no such layer, or weights are missing.
        OSError: where they aren't here and can't be fetched, or torchvision isn't installed.
    """

    def __init__(
        self,
        layer: Sequence[int] = (5, 4),
        scale: float = 1 / 12.75,
        weights: Mapping[str, Tensor] | None = None,
    ):
        super().__init__()
        last, depth = layer
        if not (1 <= last <= len(BLOCKS) and 1 <= depth <= BLOCKS[last - 1][1]):
            raise ValueError(
                f"layer {list(layer)}: VGG19 has no such; the paper's are [5,4], [2,2]"
            )
        self.scale = scale
        self.convolutions = [*(count for _, count in BLOCKS[: last - 1]), depth]
        self.keep(fetched() if weights is None else weights)
        for name, values in (("mean", MEAN), ("spread", SPREAD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def keep(self, weights: Mapping[str, Tensor]) -> None:
        """Keep those of the weights that are needed, as constants."""
        place = 0  # in torchvision's list, where a convolution takes two and a pooling one
        for block, count in enumerate(self.convolutions):
            for number in range(count):
                for kind in ("weight", "bias"):
                    name = f"features.{place}.{kind}"
                    if name not in weights:
                        raise ValueError(f"weights of VGG19: {name} is missing")
                    own = weights[name].detach().float()
                    self.register_buffer(f"{kind}_{block}_{number}", own, persistent=False)
                place += 2
            place += 1

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Return the distance."""
        with torch.no_grad():
            wanted = self.features(target)
        return F.mse_loss(self.features(estimate), wanted)

    def features(self, pictures: Tensor) -> Tensor:
        """Return what the layer finds in pictures, scaled."""
        x = ((pictures + 1) / 2 - self.mean) / self.spread
        for block, count in enumerate(self.convolutions):
            x = F.max_pool2d(x, 2) if block else x
            for number in range(count):
                named = (self.get_buffer(f"{kind}_{block}_{number}") for kind in ("weight", "bias"))
                x = F.relu(F.conv2d(x, *named, padding=1))
        return self.scale * x


def fetched() -> dict[str, Tensor]:
    """Return torchvision's weights of VGG19, fetched if they aren't here; raises OSError."""
    from torch.hub import get_dir, load_state_dict_from_url

    remedy = "or train without them: system=srgan_features"
    try:
        from torchvision.models import VGG19_Weights
    except (ImportError, RuntimeError) as error:  # or one for another torch
        reason = str(error).splitlines()[0]
        raise OSError(
            f"the content loss needs torchvision ({reason}): pip install 'segan[fid]', {remedy}"
        ) from None
    url = VGG19_Weights.IMAGENET1K_V1.url
    place = Path(get_dir()) / "checkpoints"
    try:
        return load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:  # no network; what came has another check sum
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise OSError(
            f"the weights of VGG19 can't be fetched ({reason}): fetch {url} where there is a "
            f"network and put it into {place}, {remedy}"
        ) from None
    except Exception as error:  # a damaged file shows as any kind
        raise OSError(
            f"{place / Path(url).name}: holds no weights ({type(error).__name__}); remove it, and "
            f"fetch {url} again"
        ) from None
