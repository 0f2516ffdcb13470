"""The systems on the trainer equal loops written out by the papers, to the last bit."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gan import checkpoint
from gan.feed import Order
from gan.objectives import NonSaturating
from gan.schedules import StepTail
from gan.speed import Speed
from gan.trainer import Player, Trainer
from gan.translation import Translation
from image_gan.cycle import Cycle
from image_gan.patch_discriminator import PatchDiscriminator
from image_gan.perceptual import VGGDistance
from image_gan.resnet import ResNet
from image_gan.srresnet import SRDiscriminator, SRResNet
from image_gan.unet import UNet

COUNT, BATCH, SEED, POOL = 6, 2, 5, 2


def pictures(index, epoch):
    """Two pictures that depend on the index and on the epoch alone."""
    rng = np.random.default_rng([index, epoch])
    return rng.uniform(-1, 1, (2, 3, 32, 32)).astype(np.float32)


class Pictures(torch.utils.data.Dataset):
    """Sources are every so manieth row and column, where ``step`` says so."""

    def __init__(self, step=1):
        self.step = step

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        source, target = pictures(int(index), index.epoch)
        return {"source": source[:, :: self.step, :: self.step], "target": target}


def batches(steps, step=1):
    """What the trainer sees."""
    for draws in itertools.islice(Order(COUNT, BATCH, SEED), steps):
        chosen = [pictures(int(draw), draw.epoch) for draw in draws]
        source, target = torch.from_numpy(np.stack(chosen)).unbind(1)
        yield source[..., ::step, ::step].contiguous(), target


def adam(parameters):
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


def train(game, players, steps, step=1, **options):
    options = {"batch_size": BATCH, "seed": SEED, "device": "cpu", "bar": False, **options}
    trainer = Trainer(game, players, Pictures(step), steps=steps, speed=Speed.plain(), **options)
    trainer.run()
    return trainer


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key


def pix2pix_networks():
    torch.manual_seed(7)
    return UNet(channels=4, levels=5), PatchDiscriminator(channels=4)


def test_three_steps_of_pix2pix():
    players = {
        "discriminator": Player(adam, weights={"adversarial": 0.5}),
        "generator": Player(adam, weights={"l1": 100}),
    }
    game = Translation(*pix2pix_networks(), NonSaturating())
    train(game, players, steps=3)

    generator, discriminator = pix2pix_networks()
    of_g, of_d = adam(generator.parameters()), adam(discriminator.parameters())
    start = {k: v.clone() for k, v in generator.state_dict().items()}
    torch.manual_seed(SEED)  # of the dropout
    for x, y in batches(3):
        made = generator(x)
        real, fake = discriminator(y, given=x), discriminator(made.detach(), given=x)
        of_d.zero_grad()  # -log D = softplus(-score), -log(1 - D) = softplus(score)
        (0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())).backward()
        of_d.step()
        of_g.zero_grad()
        fooled = F.softplus(-discriminator(made, given=x)).mean()
        (fooled + 100 * (made - y).abs().mean()).backward()
        of_g.step()

    assert_same(game.generator.state_dict(), generator.state_dict())
    assert_same(game.discriminator.state_dict(), discriminator.state_dict())
    trained = generator.state_dict()
    assert not any(torch.equal(start[name], trained[name]) for name in start)


def cyclegan_networks():
    torch.manual_seed(9)
    generators = [ResNet(channels=4, blocks=1) for _ in range(2)]
    judges = [PatchDiscriminator(given=0, channels=4, norm="instance") for _ in range(2)]
    return generators, judges


def cyclegan_players(**of_generator):
    weights = {"source_cycle": 10, "target_cycle": 10, **of_generator}
    halves = {"source_adversarial": 0.5, "target_adversarial": 0.5}
    return {
        "generator": Player(adam, weights=weights),
        "discriminator": Player(adam, weights=halves),
    }


def cyclegan(**options):
    generators, judges = cyclegan_networks()
    return Cycle(*generators, *judges, pool=POOL, **options)


class PoolByHand:
    """Up to POOL past fakes; once full, a coin says whether a new one takes the place of an old."""

    def __init__(self, seed):
        self.random, self.kept, self.exchanged = torch.Generator().manual_seed(seed), [], 0

    def __call__(self, fakes):
        return torch.stack([self.query(fake) for fake in fakes.detach()])

    def query(self, fake):
        if len(self.kept) < POOL:
            self.kept.append(fake)
            return fake
        if torch.rand((), generator=self.random) < 0.5:
            return fake
        place = torch.randint(POOL, (), generator=self.random)
        old, self.kept[place] = self.kept[place], fake
        self.exchanged += 1
        return old


def cyclegan_by_hand(steps, identity):
    """Section 3 and appendix 7.1 of the paper; returns the networks and the pools."""
    (g, f), (d_y, d_x) = cyclegan_networks()
    of_g = adam([*g.parameters(), *f.parameters()])
    of_d = adam([*d_y.parameters(), *d_x.parameters()])
    pool_y, pool_x = PoolByHand(0), PoolByHand(1)
    for x, y in batches(steps):
        fake_y, fake_x = g(x), f(y)
        loss = ((d_y(fake_y) - 1) ** 2).mean() + ((d_x(fake_x) - 1) ** 2).mean()
        loss = loss + 10 * (f(fake_y) - x).abs().mean() + 10 * (g(fake_x) - y).abs().mean()
        if identity:
            loss = loss + 5 * (g(y) - y).abs().mean() + 5 * (f(x) - x).abs().mean()
        of_g.zero_grad()
        loss.backward()
        of_g.step()
        of_d.zero_grad()
        old_y, old_x = pool_y(fake_y), pool_x(fake_x)
        (0.5 * (((d_y(y) - 1) ** 2).mean() + (d_y(old_y) ** 2).mean())).backward()
        (0.5 * (((d_x(x) - 1) ** 2).mean() + (d_x(old_x) ** 2).mean())).backward()
        of_d.step()
    return {
        "generator": g,
        "inverse": f,
        "target_discriminator": d_y,
        "source_discriminator": d_x,
    }, {
        "target_pool": pool_y,
        "source_pool": pool_x,
    }


def check_cyclegan(game, identity):
    networks, pools = cyclegan_by_hand(3, identity)
    for name, network in networks.items():
        assert_same(getattr(game, name).state_dict(), network.state_dict())
    for name, pool in pools.items():
        assert torch.equal(getattr(game, name).samples, torch.stack(pool.kept))
        assert pool.exchanged > 0  # or this would show nothing of pools


def test_three_steps_of_cyclegan():
    game = cyclegan()
    train(game, cyclegan_players(), steps=3)
    check_cyclegan(game, identity=False)


def test_three_steps_of_cyclegan_with_identity():
    game = cyclegan(identity=True)
    train(game, cyclegan_players(source_identity=5, target_identity=5), steps=3)
    check_cyclegan(game, identity=True)


def test_one_optimizer_trains_both_of_a_kind():
    trainer = train(cyclegan(), cyclegan_players(), steps=1)
    assert trainer.optimizers.keys() == {"generator", "discriminator"}
    for player, networks in {
        "generator": ("generator", "inverse"),
        "discriminator": ("target_discriminator", "source_discriminator"),
    }.items():
        held = [p for group in trainer.optimizers[player].param_groups for p in group["params"]]
        wanted = itertools.chain(*(getattr(trainer.game, name).parameters() for name in networks))
        assert {id(p) for p in held} == {id(p) for p in wanted}


def test_cyclegan_resumed_equals_uninterrupted_bit_for_bit(tmp_path):
    every = {"report": 1, "save": 1}
    whole = train(cyclegan(), cyclegan_players(), 5)
    train(cyclegan(), cyclegan_players(), 1, folder=tmp_path, every=every)  # the pools fill
    train(cyclegan(), cyclegan_players(), 3, folder=tmp_path, every=every)  # and are exchanged
    state = checkpoint.load(tmp_path / "last.pt")
    resumed = train(cyclegan(), cyclegan_players(), 5, folder=tmp_path, every=every)
    assert_same(whole.game.state_dict(), resumed.game.state_dict())
    for player in whole.optimizers:
        states = [t.optimizers[player].state_dict()["state"] for t in (whole, resumed)]
        for one, other in zip(states[0].values(), states[1].values(), strict=True):
            assert_same(one, other)

    for name in ("target_pool", "source_pool"):  # forgotten, they lead another way
        state["game"][f"{name}.samples"] = torch.zeros(0)
    checkpoint.save(tmp_path / "last.pt", state)
    other = train(cyclegan(), cyclegan_players(), 5, folder=tmp_path)
    ends = [t.game.target_discriminator.score.weight for t in (whole, other)]
    assert not torch.equal(*ends)


def test_pix2pix_draws_noise_in_training():
    """Without it, the test of its steps would say nothing of dropout."""
    generator, _ = pix2pix_networks()
    x = torch.randn(1, 3, 32, 32)
    assert not torch.equal(generator(x), generator(x))


# SRGAN


def srgan_networks():
    torch.manual_seed(3)
    generator = SRResNet(channels=4, blocks=1)
    return generator, SRDiscriminator(channels=2, size=32, dense=4)


def of_srgan(parameters):
    return torch.optim.Adam(parameters, lr=1e-4, betas=(0.9, 0.999))


def vgg_weights():
    """Random weights of VGG19's first four convolutions."""
    torch.manual_seed(4)
    shapes = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128)}
    weights = {f"features.{n}.weight": torch.randn(*s, 3, 3) / 30 for n, s in shapes.items()}
    return weights | {f"features.{n}.bias": torch.randn(s[0]) / 30 for n, s in shapes.items()}


def phi_22(x):
    """Section 2.2.1 of the paper: features after the second convolution before the second pooling,
    rescaled by 1 / 12.75."""
    w = vgg_weights()
    mean, spread = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    x = ((x + 1) / 2 - mean) / spread
    for place in (0, 2, 5, 7):
        x = F.max_pool2d(x, 2) if place == 5 else x
        x = F.relu(
            F.conv2d(x, w[f"features.{place}.weight"], w[f"features.{place}.bias"], padding=1)
        )
    return 1 / 12.75 * x


def features_by_hand(discriminator, x):
    found = []
    for level in discriminator.levels:
        x = level(x)
        found.append(x)
    return found


def srgan_by_hand(steps, matching):
    """Equations 2, 3 and 5 to 6; the rate falls to a tenth in the second half of the run."""
    generator, discriminator = srgan_networks()
    of_g, of_d = of_srgan(generator.parameters()), of_srgan(discriminator.parameters())
    for number, (small, large) in enumerate(batches(steps, step=4)):
        for optimizer in (of_g, of_d):
            optimizer.param_groups[0]["lr"] = 1e-4 if number < steps / 2 else 1e-4 * 0.1
        made = generator(small)
        real, fake = discriminator(large), discriminator(made.detach())
        of_d.zero_grad()
        (F.softplus(-real).mean() + F.softplus(fake).mean()).backward()
        of_d.step()
        of_g.zero_grad()
        if matching:
            content = ((made - large) ** 2).mean()
            ways = [features_by_hand(discriminator, x) for x in (large, made)]
            pairs = zip(*ways, strict=True)
            matched = sum((b - a.detach()).abs().mean() for a, b in pairs) / len(ways[0])
        else:
            content = ((phi_22(made) - phi_22(large).detach()) ** 2).mean()
        loss = 1e-3 * F.softplus(-discriminator(made)).mean() + content
        (loss + 1e-2 * matched if matching else loss).backward()
        of_g.step()
    return generator, discriminator


def check_srgan(steps, game, weights):
    players = {
        name: Player(of_srgan, weights=own, schedule=StepTail(steps))
        for name, own in (("discriminator", {}), ("generator", weights))
    }
    train(game, players, steps, step=4)
    networks = srgan_by_hand(steps, game.matching)
    assert_same(game.generator.state_dict(), networks[0].state_dict())
    assert_same(game.discriminator.state_dict(), networks[1].state_dict())
    start, trained = srgan_networks()[0].state_dict(), game.generator.state_dict()
    assert not any(torch.equal(start[name], trained[name]) for name in start)


def test_four_steps_of_srgan():
    content = {"content": VGGDistance((2, 2), weights=vgg_weights())}
    game = Translation(*srgan_networks(), NonSaturating(), content)
    check_srgan(4, game, {"adversarial": 1e-3})


def test_four_steps_of_srgan_with_the_discriminators_features():
    content = {"content": torch.nn.MSELoss()}
    game = Translation(*srgan_networks(), NonSaturating(), content, matching=True)
    check_srgan(4, game, {"adversarial": 1e-3, "features": 1e-2})


def test_three_steps_of_srresnet():
    game = Translation(srgan_networks()[0], distances={"mse": torch.nn.MSELoss()})
    train(game, {"generator": Player(of_srgan)}, steps=3, step=4)
    generator, _ = srgan_networks()
    optimizer = of_srgan(generator.parameters())
    for small, large in batches(3, step=4):
        optimizer.zero_grad()
        ((generator(small) - large) ** 2).mean().backward()
        optimizer.step()
    assert_same(game.generator.state_dict(), generator.state_dict())


def test_matching_needs_a_discriminator_with_features():
    with pytest.raises(ValueError, match="matching: needs a discriminator that tells its features"):
        Translation(torch.nn.Identity(), matching=True)
