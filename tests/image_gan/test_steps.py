"""pix2pix and CycleGAN on the trainer equal loops written out by the papers, to the last bit."""

import itertools

import numpy as np
import torch
import torch.nn.functional as F

from gan import checkpoint
from gan.feed import Order
from gan.objectives import NonSaturating
from gan.speed import Speed
from gan.trainer import Player, Trainer
from gan.translation import Translation
from image_gan.cycle import Cycle
from image_gan.patch_discriminator import PatchDiscriminator
from image_gan.resnet import ResNet
from image_gan.unet import UNet

COUNT, BATCH, SEED, POOL = 6, 2, 5, 2


def pictures(index, epoch):
    """Two pictures that depend on the index and on the epoch alone."""
    rng = np.random.default_rng([index, epoch])
    return rng.uniform(-1, 1, (2, 3, 32, 32)).astype(np.float32)


class Pictures(torch.utils.data.Dataset):
    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        source, target = pictures(int(index), index.epoch)
        return {"source": source, "target": target}


def batches(steps):
    """What the trainer sees."""
    for draws in itertools.islice(Order(COUNT, BATCH, SEED), steps):
        chosen = [pictures(int(draw), draw.epoch) for draw in draws]
        yield torch.from_numpy(np.stack(chosen)).unbind(1)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


def train(game, players, steps, **options):
    options = {"batch_size": BATCH, "seed": SEED, "device": "cpu", "bar": False, **options}
    trainer = Trainer(game, players, Pictures(), steps=steps, speed=Speed.plain(), **options)
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
