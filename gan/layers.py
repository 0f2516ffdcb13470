"""Layers and wrappers of discriminators: minibatch discrimination, batch norms, noise."""

from functools import cache, partial

import torch
from torch import Tensor, nn

from gan import distributed, noise
from gan.schedules import Schedule


def register_growing_buffer(module: nn.Module, name: str) -> None:
    """Give ``module`` an empty buffer that takes, in loading, the shape of what was saved."""
    module.register_buffer(name, torch.empty(0))
    module.register_load_state_dict_pre_hook(partial(_take_saved_shape, name))


def _take_saved_shape(name: str, module: nn.Module, state: dict, prefix: str, *_) -> None:
    if (saved := state.get(prefix + name)) is not None:
        setattr(module, name, getattr(module, name).new_empty(saved.shape, dtype=saved.dtype))


class MinibatchDiscrimination(nn.Module):
    """How close each sample is to the rest of its batch, appended to its features.

    Shape: ``(B, features) -> (B, features + kernels)``. A kernel projects the features to ``width``
    numbers; what it appends is the sum over the batch, the sample itself included, of
    exp(-L1 distance of the projections). Salimans et al. 2016, section 3.2.
    """

    def __init__(self, features: int, kernels: int = 100, width: int = 5):
        super().__init__()
        self.projection = nn.Parameter(torch.empty(features, kernels, width))
        nn.init.normal_(self.projection, std=features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features with their closeness appended."""
        projected = torch.einsum("bf,fkw->bkw", x, self.projection)
        distance = (projected[:, None] - projected[None]).abs().sum(-1)  # (B, B, kernels)
        return torch.cat([x, torch.exp(-distance).sum(1)], dim=1)


class Reference(nn.Module):
    """The fixed batch by which virtual batch normalization measures all others.

    ``(B, ...) -> (N + B, ...)``: the N reference samples, then the batch. The reference is the
    first ``size`` samples given to ``set``, or else of the first batch that passes in training; it
    is saved with the module's state. Processes that share a batch take it of the whole one.
    """

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        register_growing_buffer(self, "batch")

    def __len__(self) -> int:
        return len(self.batch)

    @torch.no_grad()
    def set(self, batch: Tensor) -> None:
        """Take the first ``size`` samples of a batch as the reference."""
        self.batch = distributed.whole(batch)[: self.size].detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """Return the reference samples and the batch, in this order."""
        if len(self) == 0:
            if not self.training:
                raise RuntimeError("virtual batch norm needs a reference batch: set one, or train")
            self.set(x)
        return torch.cat([self.batch, x])


class VirtualBatchNorm(nn.Module):
    """Normalization by the statistics of a reference batch and of the sample itself.

    Shape: ``(N + B, channels, ...)``, the same out. The first N samples are the reference (see
    ``Reference``), normalized as ordinary batch normalization would; each of the others by the
    reference's mean and mean square with a weight of N / (N + 1) and its own with 1 / (N + 1), so
    that it depends on no other sample of its batch. Gradients reach the weights through the
    reference too. Salimans et al. 2016, section 3.4; scales start at N(1, .02) as in their code.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5):
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        nn.init.normal_(self.weight, mean=1.0, std=0.02)

    def forward(self, x: Tensor, references: int) -> Tensor:
        """Return the batch normalized, whose first ``references`` samples are the reference."""
        flat = x.float().reshape(*x.shape[:2], -1)  # (N + B, C, everything else)
        moments = torch.stack([flat.mean(2), flat.square().mean(2)])  # (2, N + B, C)
        known = moments[:, :references].mean(1, keepdim=True)  # (2, 1, C)
        mixed = torch.lerp(known, moments[:, references:], 1 / (references + 1))
        mean, square = torch.cat([known.expand(-1, references, -1), mixed], dim=1)
        scale = self.weight * torch.rsqrt((square - mean.square()).relu() + self.epsilon)
        normal = (flat - mean[..., None]) * scale[..., None] + self.bias[:, None]
        return normal.reshape(x.shape).to(x.dtype)


class SharedBatchNorm(nn.Module):
    """Batch normalization by the statistics of all processes' batches, of one size, in training.

    What ``share_batch_norm`` puts before ``nn.BatchNorm1d``, ``nn.BatchNorm2d`` and kinds of them:
    alone and in evaluation they act as ever. Statistics are joined as means and as variances, which
    loses no digits, in one exchange; gradients flow back through them to all processes.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the batch ``(B, channels, ...)`` normalized."""
        if not self.training or distributed.world() == 1:
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        own = torch.var_mean(wide, [0, *range(2, x.dim())], correction=0)
        variances, means = distributed.everyone(torch.stack(own)).unbind(1)  # (world, channels)
        mean, variance = means.mean(0), variances.mean(0) + means.var(0, correction=0)
        if self.track_running_stats:
            count = distributed.world() * x.numel() / x.shape[1]
            self._track(mean.detach(), variance.detach() * count / (count - 1))
        along = [1, -1, *[1] * (x.dim() - 2)]  # the channels
        scale = torch.rsqrt(variance + self.eps)
        normal = (wide - mean.view(along)) * scale.view(along)
        if self.affine:
            normal = normal * self.weight.view(along) + self.bias.view(along)
        return normal.to(x.dtype)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of the batch, as nn.BatchNorm does."""
        self.num_batches_tracked += 1
        part = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, part)
        self.running_var.lerp_(variance, part)


def share_batch_norm(module: nn.Module) -> None:
    """Let every batch normalization inside ``module`` go by the statistics of all processes.

    Weights and running statistics stay what and where they are.
    """
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.__class__ = _shared(type(layer))


@cache
def _shared(kind: type) -> type:
    if issubclass(kind, SharedBatchNorm):
        return kind
    named = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (SharedBatchNorm, kind), named)


class Noisy(nn.Module):
    """A discriminator that sees its samples through Gaussian noise (Sønderby et al. 2017).

    ``std`` is a schedule of the noise's standard deviation, over steps of training. A step is
    ``calls_per_step`` calls: three for a game that judges a real and a generated batch, then fools.
    With ``noisy_given`` the condition is made noisy too, as in the code of SEGAN. There is no noise
    in evaluation.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        std: Schedule,
        noisy_given: bool = False,
        calls_per_step: int = 3,
    ):
        super().__init__()
        self.discriminator = discriminator
        self.std = std
        self.noisy_given = noisy_given
        self.calls_per_step = calls_per_step
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor | list[Tensor]:
        """Return the discriminator's scores of a noisy ``x``."""
        scores = self.discriminator(self._blur(x), **self._condition(given))
        if self.training:
            self.calls += 1
        return scores

    def features(self, x: Tensor, given: Tensor | None = None) -> list[Tensor]:
        """Return the discriminator's activations for a noisy ``x``; this counts as no call."""
        return self.discriminator.features(self._blur(x), **self._condition(given))

    def _apply(self, *arguments, **options):
        calls = self.calls
        super()._apply(*arguments, **options)
        self.calls = calls  # stays on the CPU: no call waits for a GPU
        return self

    def _condition(self, given: Tensor | None) -> dict[str, Tensor]:
        if given is None:
            return {}
        return {"given": self._blur(given) if self.noisy_given else given}

    def _blur(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x + self.std(int(self.calls) // self.calls_per_step) * noise.normal_like(x)
