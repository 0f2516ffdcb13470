"""What a generator makes of pictures in training: a contact sheet, and its distance."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import l1_loss
from torch.utils.data import Dataset

from gan import distributed
from image_gan.images import from_array, write
from image_gan.sheet import sheet, shown


class Pictures:
    """A sheet of source, estimate and target, and the mean L1 distance between the last two.

    Where the game has an ``inverse``, there are no pairs: the sheet shows the way there and back,
    and the distance is that of what came back from the source. The processes of a run share the
    pictures out.

    Args:
        data: the pictures, as ``image_gan.data`` has them; of each, what its first epoch holds.
        pictures: how many to look at, evenly spread; all of these are translated.
    """

    def __init__(self, data: Dataset, pictures: int = 8):
        spread = np.linspace(0, len(data) - 1, min(pictures, len(data))).round().astype(int)
        self.items = [data[int(index)] for index in spread]

    def __call__(self, networks: Mapping[str, nn.Module], log=None) -> dict[str, float]:
        """Return the distance; write the sheet into ``samples/`` and show it in TensorBoard."""
        forth, back = networks["generator"], networks.get("inverse")
        name, heading = ("l1", "target") if back is None else ("cycle_l1", "back")
        seen = distributed.each(partial(look, forth, back), self.items)
        if log:
            rows = [(str(number), pictures) for number, (_, pictures) in enumerate(seen, 1)]
            keep(log, np.array(sheet(["source", "estimate", heading], rows)))
        return {name: float(np.mean([distance for distance, _ in seen]))}


def look(
    forth: nn.Module, back: nn.Module | None, item: Mapping[str, np.ndarray]
) -> tuple[float, list[Image.Image]]:
    """Return the distance for an item, and the pictures that the sheet shows of it."""
    device = next(forth.parameters()).device
    sides = (torch.from_numpy(item[side])[None].to(device) for side in ("source", "target"))
    source, target = sides  # (1, C, H, W)
    estimate = forth(source)
    last = target if back is None else back(estimate)
    distance = l1_loss(estimate, target) if back is None else l1_loss(last, source)
    return float(distance), [shown(x[0].cpu().numpy()) for x in (source, estimate, last)]


def keep(log, page: np.ndarray) -> None:
    """Write a sheet ``(H, W, 3)`` into the run's ``samples/`` and show it in TensorBoard."""
    write(log.folder / "samples" / f"{log.step:07d}.png", from_array(page))
    log.image("samples", page.transpose(2, 0, 1) / 255)
