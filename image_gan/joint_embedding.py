"""A joint embedding: captions near the pictures they describe. It trains text encoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan.game import Batch, Game, Losses, Turn
from image_gan.text import texts


class JointEmbedding(Game):
    """The game of Reed et al. 2016 (CVPR), eq. 5: one player, who trains both encoders.

    Batches hold ``target``, pictures, and ``text``. The loss is ``ranking``.

    Args:
        encoder: of texts, ``codes (B, L) -> (B, E)``.
        pictures: of pictures, ``(B, C, H, W) -> (B, E)``.
        margin: by which a picture should be nearer to its own caption than to another.
    """

    def __init__(self, encoder: nn.Module, pictures: nn.Module, margin: float = 1.0):
        super().__init__()
        self.encoder, self.pictures, self.margin = encoder, pictures, margin

    def turns(self) -> dict[str, Turn]:
        """Return the only turn."""
        return {"encoders": Turn([self.encoder, self.pictures], self.rank)}

    def rank(self, batch: Batch, play: Batch) -> Losses:
        """Return the ranking loss, of pictures and captions in a batch."""
        pictures, captions = self.pictures(batch["target"]), self.encoder(batch["text"])
        return {"ranking": ranking(pictures @ captions.T, others(batch["text"]), self.margin)}


def ranking(scores: Tensor, others: Tensor, margin: float = 1.0) -> Tensor:
    """Return the structured hinge loss both ways, the mean over pairs that don't belong together.

    Args:
        scores: ``(B, B)``, of picture i and caption j; the diagonal is of those that do.
        others: ``(B, B)``, which pairs don't.
        margin: by which the former should be higher.
    """
    own = scores.diagonal()
    excess = (margin + scores - own[:, None]).relu() + (margin + scores - own).relu()
    return (excess * others).sum() / others.sum().clamp(min=1)


def others(codes: Tensor) -> Tensor:
    """Return which pairs of captions differ, ``(B, B)``: the same said twice is no mistake."""
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts(codes)))}
    own = torch.tensor([numbers[text] for text in texts(codes)], device=codes.device)
    return own[:, None] != own
