"""What a generator makes of pictures, or of texts, in training: contact sheets, distances."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import l1_loss
from torch.utils.data import Dataset

from gan import distributed
from image_gan.captions import read
from image_gan.images import from_array, write
from image_gan.metrics import Measure
from image_gan.sheet import sheet, shown
from image_gan.text import batch_of


class Pictures:
    """A sheet of source, estimate and target, and the mean L1 distance between the last two.

    Where the game has an ``inverse``, there are no pairs: the sheet shows the way there and back,
    and the distance is that of what came back from the source. The processes of a run share the
    pictures out.

    Args:
        data: the pictures, as ``image_gan.data`` has them; of each, what its first epoch holds.
        pictures: how many to look at, evenly spread; all of these are translated.
        measures: further scores of pairs by name, ``(estimate, target) -> float`` of pictures
            ``(C, H, W)`` from 0 to 1, whose mean is told; see ``image_gan.metrics``.
    """

    def __init__(
        self, data: Dataset, pictures: int = 8, measures: Mapping[str, Measure] | None = None
    ):
        self.measures = dict(measures or {})
        spread = np.linspace(0, len(data) - 1, min(pictures, len(data))).round().astype(int)
        self.items = [data[int(index)] for index in spread]

    def __call__(self, networks: Mapping[str, nn.Module], log=None) -> dict[str, float]:
        """Return the scores; write the sheet into ``samples/`` and show it in TensorBoard."""
        forth, back = networks["generator"], networks.get("inverse")
        seen = distributed.each(partial(look, forth, back, self.measures), self.items)
        if log:
            rows = [(str(number), pictures) for number, (_, pictures) in enumerate(seen, 1)]
            heading = "target" if back is None else "back"
            keep(log, np.array(sheet(["source", "estimate", heading], rows)))
        scores = [own for own, _ in seen]
        return {name: float(np.mean([own[name] for own in scores])) for name in scores[0]}


def look(
    forth: nn.Module,
    back: nn.Module | None,
    measures: Mapping[str, Measure],
    item: Mapping[str, np.ndarray],
) -> tuple[dict[str, float], list[Image.Image]]:
    """Return the scores of an item, and the pictures that the sheet shows of it."""
    device = next(forth.parameters()).device
    sides = (torch.from_numpy(item[side])[None].to(device) for side in ("source", "target"))
    source, target = sides  # (1, C, H, W)
    estimate = forth(source)
    last = target if back is None else back(estimate)
    if back is None:
        scores = {"l1": float(l1_loss(estimate, target))}
        pair = [(x[0].double().clamp(-1, 1) + 1) / 2 for x in (estimate, target)]
        scores |= {name: measure(*pair) for name, measure in measures.items()}
    else:
        scores = {"cycle_l1": float(l1_loss(last, source))}
    return scores, [shown(x[0].cpu().numpy()) for x in (source, estimate, last)]


class Drawings:
    """A sheet of what is painted of some captions, a row for each, and how much a row differs.

    ``diversity`` is the mean L1 distance, of values from 0 to 1, between pictures of one caption:
    near 0, a generator ignores its noise.

    Args:
        path: of a ``captions.jsonl``, see ``image_gan.captions``.
        captions: how many, evenly spread over those that differ.
        pictures: of each, always from the same noise.
    """

    def __init__(self, path: str | Path, captions: int = 8, pictures: int = 8):
        every = list(dict.fromkeys(caption for one in read(path) for caption in one.captions))
        spread = np.linspace(0, len(every) - 1, min(captions, len(every))).round().astype(int)
        self.captions, self.pictures = [every[index] for index in spread], pictures

    def __call__(self, networks: Mapping[str, nn.Module], log=None) -> dict[str, float]:
        """Return the diversity; write the sheet into ``samples/`` and show it in TensorBoard."""
        network = networks["generator"]
        device = next(network.parameters()).device
        z = torch.randn(self.pictures, network.latent, generator=torch.Generator().manual_seed(0))
        rows, distances = [], []
        for caption in self.captions:
            embedding = network.embed(batch_of([caption] * self.pictures, device))
            drawn = network(z.to(device), embedding).picture.float().cpu()
            rows.append((caption, [shown(picture.numpy()) for picture in drawn]))
            distances.append(torch.pdist(drawn.flatten(1), p=1).mean() / drawn[0].numel() / 2)
        if log:
            keep(log, np.array(sheet([""] * self.pictures, rows)))
        return {"diversity": float(np.mean(distances))}


def keep(log, page: np.ndarray) -> None:
    """Write a sheet ``(H, W, 3)`` into the run's ``samples/`` and show it in TensorBoard."""
    write(log.folder / "samples" / f"{log.step:07d}.png", from_array(page))
    log.image("samples", page.transpose(2, 0, 1) / 255)
