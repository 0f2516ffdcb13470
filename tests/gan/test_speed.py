"""What makes steps faster changes nothing else: layouts, passes, compilation, recomputation."""

import copy
import dataclasses
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan import noise
from gan.generation import Generation
from gan.layers import Noisy, Reference, VirtualBatchNorm
from gan.speed import Speed, pick_precision, recomputed
from gan.trainer import Player, Trainer
from gan.translation import Translation
from image_gan.cycle import Cycle

CPU, CUDA = torch.device("cpu"), torch.device("cuda")  # named, not used


class Pictures(torch.utils.data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        rng = np.random.default_rng([int(index), getattr(index, "epoch", 0)])
        target = rng.standard_normal((3, 8, 8)).astype(np.float32)
        return {
            "source": target + rng.standard_normal((3, 8, 8)).astype(np.float32),
            "target": target,
        }


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(
            *(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh()) for _ in range(3))
        )

    def forward(self, source):
        return self.blocks(source)


class Discriminator(nn.Module):
    """A small PatchGAN with the given layer in its middle."""

    def __init__(self, middle=nn.Identity, channels=6):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(channels, 4, 3), middle(4), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3)
        )

    def forward(self, x, given=None):
        return self.net(x if given is None else torch.cat([x, given], dim=1))


class Virtual(nn.Module):
    """A discriminator with virtual batch normalization."""

    def __init__(self):
        super().__init__()
        self.reference, self.norm = Reference(4), VirtualBatchNorm(4)
        self.enter, self.score = nn.Conv2d(6, 4, 3), nn.Conv2d(4, 1, 3)

    def forward(self, x, given):
        x = self.reference(torch.cat([x, given], dim=1))
        return self.score(self.norm(self.enter(x), len(self.reference)))[len(self.reference) :]


class Normalized(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = spectral_norm(nn.Conv2d(6, 8, 3))

    def forward(self, x, given):
        return self.layer(torch.cat([x, given], dim=1))


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3, betas=(0.5, 0.999))


def descent(parameters):
    """Plain gradient descent, which does not blow up the rounding of vanishing gradients."""
    return torch.optim.SGD(parameters, lr=0.05)


def translation(discriminator=Discriminator):
    torch.manual_seed(1)
    return Translation(Generator(), discriminator())


def cycle():
    torch.manual_seed(1)
    judges = [Discriminator(nn.InstanceNorm2d, channels=3) for _ in range(2)]
    return Cycle(Generator(), Generator(), *judges, pool=6)


def trained(game, speed, steps=4, optimizer=descent, **options):
    players = {name: Player(optimizer) for name in game.turns()}
    options = {"batch_size": 4, "device": "cpu", "seed": 2, "bar": False, **options}
    trainer = Trainer(game, players, Pictures(), steps=steps, speed=speed, **options)
    trainer.run()
    return trainer


def weights(trainer):
    return dict(trainer.game.state_dict())


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def assert_close(one, other, rtol=1e-4, atol=1e-5):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=rtol, atol=atol)


# What is chosen


def test_auto_on_a_cpu_is_fused_optimizers_alone():
    assert Speed().on(CPU) == dataclasses.replace(Speed.plain(), fused=True)


def test_auto_is_on_for_cuda_and_each_can_be_switched_off():
    chosen = Speed(tf32=False).on(CUDA)
    assert (chosen.tf32, chosen.autotune, chosen.fused, chosen.together) == (
        False,
        True,
        True,
        True,
    )
    assert chosen.compile in ("all", ())  # as Triton is there or not
    assert Speed.plain().on(CUDA) == Speed.plain()


@pytest.mark.parametrize(
    ("speed", "told"),
    [
        ({"tf32": "yes"}, "speed.tf32 is 'yes': say auto, true or false"),
        ({"graphs": "auto"}, "speed.graphs is auto"),
        ({"compile": ["critic"]}, "speed.compile: the game has no 'critic'; its networks are gen"),
        ({"recompute": ["generator.x"]}, "speed.recompute: the game has no 'generator.x'"),
        (
            {"compile": "generator"},
            "speed.compile is 'generator': a list of networks",
        ),
    ],
)
def test_what_cannot_be_is_told(speed, told):
    with pytest.raises(ValueError, match=told):
        trained(translation(), speed)


def test_compile_also_takes_yes_and_no():
    game = translation()
    assert Speed(compile=True).networks(game) == Speed(compile="all").networks(game) != []
    assert Speed(compile=False).networks(game) == Speed(compile=()).networks(game) == []


def test_precision_follows_the_device():
    assert pick_precision("auto", CPU) is None
    assert pick_precision("bf16", CPU) is torch.bfloat16
    with pytest.raises(ValueError, match="choose one of auto, fp32"):
        pick_precision("fp8", CPU)


# One pass of the discriminator


@pytest.mark.parametrize(
    "game", [translation, lambda: translation(Virtual), cycle, lambda: generation()]
)
def test_real_and_fake_together_train_as_apart(game):
    apart, together = trained(game(), Speed.plain()), trained(game(), {"together": True})
    assert together.game.together
    assert_close(weights(apart), weights(together))


def test_a_trial_is_in_full_precision():
    assert trained(translation(), {"together": True}, precision="bf16").game.together


def generation():
    torch.manual_seed(1)

    class Sampler(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(5, 192)

        def forward(self, z):
            return self.net(z).unflatten(1, (3, 8, 8))

    return Generation(Sampler(), Discriminator(channels=3), latent=5)


@pytest.mark.parametrize(
    "discriminator",
    [
        lambda: Discriminator(nn.BatchNorm2d),
        lambda: Discriminator(lambda _: nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))),
        Normalized,
        lambda: Noisy(Discriminator(), lambda step: 0.0),  # which counts its calls
    ],
)
def test_what_a_batch_shares_keeps_real_and_fake_apart(discriminator):
    apart = trained(translation(discriminator), Speed.plain())
    asked = trained(translation(discriminator), {"together": True})
    assert not asked.game.together
    assert_same(weights(apart), weights(asked))  # the trial has left no trace


def test_resumed_with_one_pass_equals_uninterrupted(tmp_path):
    whole = trained(cycle(), {"together": True}, folder=tmp_path / "whole")
    trained(cycle(), {"together": True}, steps=2, folder=tmp_path / "parts")
    parts = trained(cycle(), {"together": True}, folder=tmp_path / "parts")
    assert_same(weights(whole), weights(parts))


# Compilation


@pytest.fixture
def backend(monkeypatch):
    """Let torch.compile use a backend that needs no compiler, and count what it is given."""
    seen = []

    def compile_with(module, *, mode=None, real=torch.compile, fail=False):
        def translate(graph, example):
            seen.append(mode)
            if compile_with.fails:
                raise RuntimeError("no such kernel")
            return graph.forward

        module._compiled_call_impl = real(module._call_impl, backend=translate)

    compile_with.fails = False
    monkeypatch.setattr(nn.Module, "compile", compile_with)
    compile_with.seen = seen
    yield compile_with
    torch._dynamo.reset()


def test_compiled_networks_train_as_others(backend):
    plain = trained(translation(), Speed.plain())
    compiled = trained(translation(), {"compile": "all"})
    assert len(backend.seen) >= 2  # generator and discriminator
    assert_close(weights(plain), weights(compiled))


def test_only_the_named_are_compiled_and_graphs_asked_for(backend):
    trained(translation(), {"compile": ["generator"], "graphs": True})
    assert set(backend.seen) == {"reduce-overhead"}


def test_a_compiler_that_fails_is_told_of_and_done_without(backend):
    backend.fails = True
    plain = trained(translation(), Speed.plain())
    with pytest.warns(UserWarning, match="torch.compile fails here, going on without it"):
        failed = trained(translation(), {"compile": "all"})
    assert_same(weights(plain), weights(failed))


# Layers and optimizers


def test_channels_last_trains_as_channels_first():
    first = trained(translation(), Speed.plain())
    last = trained(translation(), {"channels_last": True})
    weight = last.game.generator.blocks[0][0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert next(last.batches())["source"].is_contiguous(memory_format=torch.channels_last)
    assert_close(weights(first), weights(last))


def test_recomputed_blocks_train_as_kept_ones_and_keep_less():
    kept = trained(translation(), Speed.plain(), averages={"generator": 0.9})
    again = trained(translation(), {"recompute": ["generator.blocks"]}, averages={"generator": 0.9})
    assert_same(weights(kept), weights(again))
    averages = [t.averages["generator"].module for t in (kept, again)]
    x = torch.ones(1, 3, 8, 8)
    assert torch.equal(*(average(x) for average in averages))  # the copy has its own weights
    assert not torch.equal(averages[1](x), again.game.generator(x))
    assert saved_by(again.game.generator, x) < saved_by(kept.game.generator, x)


def saved_by(network, x):
    """Return how many numbers a network keeps for its backward pass."""
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: sizes.append(t.numel() if t.dim() == 4 and t.shape[-1] == 8 else 0) or t,
        lambda t: t,
    ):
        network(x)
    return sum(sizes)


def test_what_is_recomputed_draws_the_same_noise():
    class Noisily(nn.Module):
        def forward(self, x):
            return x * noise.normal_like(x)

    module = Noisily()
    recomputed(module, "g")
    x = torch.ones(4, requires_grad=True)
    y = module(x)
    after = noise.state()
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert torch.equal(noise.state(), after)


@pytest.mark.parametrize("module", [nn.BatchNorm2d(3), Normalized()])
def test_what_changes_in_a_forward_pass_is_not_recomputed(module):
    with pytest.raises(ValueError, match="'d' holds buffers"):
        recomputed(module, "d")


def test_a_copy_of_a_recomputed_module_is_one():
    module = nn.Linear(2, 2)
    recomputed(module, "g")
    assert isinstance(module, nn.Linear)
    assert type(copy.deepcopy(module)) is type(module)


def test_fused_optimizers_go_on_where_others_left_off_and_back(tmp_path):
    plain = trained(translation(), Speed.plain(), steps=6, optimizer=adam)
    for steps, fused in ((2, False), (4, True), (6, False)):
        options = {"steps": steps, "folder": tmp_path, "optimizer": adam}
        mixed = trained(translation(), {"fused": fused}, **options)
        groups = mixed.optimizers["generator"].param_groups
        assert all(bool(group["fused"]) == fused for group in groups)
    assert_close(weights(plain), weights(mixed))


def test_bf16_stays_near_fp32():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exact = trained(translation(), None, steps=20)
        rough = trained(translation(), None, steps=20, precision="bf16")
    for name, weight in weights(exact).items():
        assert (weights(rough)[name] - weight).norm() < 0.05 * weight.norm()
    assert weights(rough)["generator.blocks.0.0.weight"].dtype == torch.float32


def test_a_run_goes_on_in_another_precision(tmp_path):
    trained(translation(), None, steps=2, folder=tmp_path, precision="bf16")
    assert trained(translation(), None, steps=4, folder=tmp_path).step_number == 4
