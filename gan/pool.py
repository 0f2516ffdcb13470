"""The pool of past fakes that a discriminator is shown beside the new ones."""

import torch
from torch import Tensor, nn

from gan import distributed
from gan.layers import register_growing_buffer


class Pool(nn.Module):
    """A store of up to ``size`` past samples (Shrivastava et al. 2017, section 2.3; CycleGAN).

    Called with a batch (B, ...), it returns a detached batch of the same shape. While it fills, a
    sample is kept and returned; once full, a sample is with probability 1/2 returned as it is, and
    otherwise takes the place of a stored one, which is returned in its stead. A pool of size 0
    returns every batch unchanged.

    It draws from a generator of its own, seeded with ``seed``, so that it changes no other draw. A
    module of its game, it is saved with the game, samples and generator, and resumes exactly.
    Processes that share a batch show one another theirs, and all keep the same pool.
    """

    def __init__(self, size: int = 50, seed: int = 0):
        super().__init__()
        self.size = size
        register_growing_buffer(self, "samples")
        self.register_buffer("random", torch.Generator().manual_seed(seed).get_state())

    def forward(self, batch: Tensor) -> Tensor:
        """Return new samples and stored ones, detached, in the shape of the batch."""
        batch = batch.detach()
        if self.size == 0:
            return batch
        random = torch.Generator().set_state(self.random)
        batch = distributed.whole(batch)
        returned = torch.stack([self._exchange(sample, random) for sample in batch])
        self.random.copy_(random.get_state())
        return distributed.own(returned)

    def _apply(self, *arguments, **options):
        random = self.random
        super()._apply(*arguments, **options)
        self.random = random  # stays on the CPU: no draw waits for a GPU
        return self

    def _exchange(self, sample: Tensor, random: torch.Generator) -> Tensor:
        if len(self.samples) < self.size:
            stored = [self.samples] if len(self.samples) else []
            self.samples = torch.cat([*stored, sample[None]])
            return sample
        if torch.rand((), generator=random) < 0.5:
            return sample
        place = int(torch.randint(self.size, (), generator=random))
        stored = self.samples[place].clone()
        self.samples[place] = sample
        return stored
