"""The papers' training procedures as one writes them by hand: plain PyTorch, eager, nothing shared.

The references of ``train_step.py``. A loop takes the networks (those of a game of the project) and
batches, pairs of tensors on the device, until these end. As careful code does, it leaves the
discriminator's weights out of the generator's backward pass, and fetches losses every 50 steps.
"""

import copy
import itertools
import random

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss
from torch.optim import Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR


def fetch(step, *losses):
    if step % 50 == 0:
        return [loss.item() for loss in losses]


def tiny(game, batches):
    """SEGAN's losses on networks so small that the loop itself is what takes the time."""
    generator, discriminator = game.generator, game.discriminator
    of_d = Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    of_g = Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for step, (source, target) in enumerate(batches):
        estimate = generator(source)
        of_d.zero_grad()
        real, fake = discriminator(target, source), discriminator(estimate.detach(), source)
        judged = ((real - 1) ** 2).mean() + (fake**2).mean()
        judged.backward()
        of_d.step()
        of_g.zero_grad()
        fooled = ((discriminator(estimate, source) - 1) ** 2).mean()
        distance = l1_loss(estimate, target)
        (fooled + 100 * distance).backward()
        of_g.step()
        fetch(step, judged, fooled, distance)


def segan(game, batches):
    """Pascual et al. 2017, eq. 4 and 5: least squares, 100 times L1, RMSprop."""
    generator, discriminator, l1 = game.generator, game.discriminator, game.distances["l1"]
    of_d = RMSprop(discriminator.parameters(), lr=2e-4, alpha=0.9)
    of_g = RMSprop(generator.parameters(), lr=2e-4, alpha=0.9)
    for step, (noisy, clean) in enumerate(batches):
        estimate = generator(noisy)
        discriminator.requires_grad_(True)
        of_d.zero_grad()
        real, fake = discriminator(clean, noisy), discriminator(estimate.detach(), noisy)
        judged = ((real - 1) ** 2).mean() + (fake**2).mean()
        judged.backward()
        of_d.step()
        discriminator.requires_grad_(False)
        of_g.zero_grad()
        fooled = ((discriminator(estimate, noisy) - 1) ** 2).mean()
        distance = l1(estimate, clean)
        (fooled + 100 * distance).backward()
        of_g.step()
        fetch(step, judged, fooled, distance)


def pix2pix(game, batches):
    """Isola et al. 2017, section 3: cross-entropy of patches, halved for D, 100 times L1, Adam."""
    generator, discriminator = game.generator, game.discriminator
    of_d = Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    of_g = Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    cross_entropy = binary_cross_entropy_with_logits
    for step, (labels, photo) in enumerate(batches):
        estimate = generator(labels)
        discriminator.requires_grad_(True)
        of_d.zero_grad()
        real, fake = discriminator(photo, labels), discriminator(estimate.detach(), labels)
        of_real = cross_entropy(real, torch.ones_like(real))
        of_fake = cross_entropy(fake, torch.zeros_like(fake))
        (0.5 * (of_real + of_fake)).backward()
        of_d.step()
        discriminator.requires_grad_(False)
        of_g.zero_grad()
        fake = discriminator(estimate, labels)
        fooled, distance = cross_entropy(fake, torch.ones_like(fake)), l1_loss(estimate, photo)
        (fooled + 100 * distance).backward()
        of_g.step()
        fetch(step, of_real, of_fake, fooled, distance)


class Pool:
    """The last 50 estimates, of which every second one shown is an older one."""

    def __init__(self):
        self.kept = []

    def __call__(self, estimates):
        return torch.stack([self.swap(one) for one in estimates.detach()])

    def swap(self, estimate):
        if len(self.kept) < 50:
            self.kept.append(estimate)
            return estimate
        if random.random() < 0.5:
            return estimate
        place = random.randrange(50)
        older, self.kept[place] = self.kept[place], estimate
        return older


def cyclegan(game, batches):
    """Zhu et al. 2017, section 4: generators first, least squares, 10 times the cycles, pools."""
    to_b, to_a = game.generator, game.inverse
    judge_b, judge_a = game.target_discriminator, game.source_discriminator
    judges = nn.ModuleList([judge_b, judge_a])
    of_g = Adam(itertools.chain(to_b.parameters(), to_a.parameters()), 2e-4, (0.5, 0.999))
    of_d = Adam(judges.parameters(), lr=2e-4, betas=(0.5, 0.999))
    pool_a, pool_b = Pool(), Pool()
    for step, (a, b) in enumerate(batches):
        judges.requires_grad_(False)
        of_g.zero_grad()
        fake_b, fake_a = to_b(a), to_a(b)
        cycle = l1_loss(to_a(fake_b), a) + l1_loss(to_b(fake_a), b)
        fooled = ((judge_b(fake_b) - 1) ** 2).mean() + ((judge_a(fake_a) - 1) ** 2).mean()
        (fooled + 10 * cycle).backward()
        of_g.step()
        judges.requires_grad_(True)
        of_d.zero_grad()
        for judge, real, fake in ((judge_b, b, pool_b(fake_b)), (judge_a, a, pool_a(fake_a))):
            judged = ((judge(real) - 1) ** 2).mean() + (judge(fake) ** 2).mean()
            (0.5 * judged).backward()
        of_d.step()
        fetch(step, cycle, fooled, judged)


def default(game, batches, weights):
    """The default's second run: distances with their weights, AdamW, clipping, moving average."""
    generator, discriminator, distances = game.generator, game.discriminator, game.distances
    of_d = AdamW(discriminator.parameters(), lr=4e-4, betas=(0.5, 0.98))
    of_g = AdamW(generator.parameters(), lr=8e-4, betas=(0.9, 0.98))
    warmup, cosine = LinearLR(of_g, 0.005, total_iters=200), CosineAnnealingLR(of_g, 6000)
    schedule = SequentialLR(of_g, [warmup, cosine], [200])
    average = copy.deepcopy(generator).requires_grad_(False)
    for step, (noisy, clean) in enumerate(batches):
        estimate = generator(noisy)
        discriminator.requires_grad_(True)
        of_d.zero_grad()
        real, fake = discriminator(clean, noisy), discriminator(estimate.detach(), noisy)
        judged = ((real - 1) ** 2).mean() + (fake**2).mean()
        judged.backward()
        of_d.step()
        discriminator.requires_grad_(False)
        of_g.zero_grad()
        terms = {name: distance(estimate, clean) for name, distance in distances.items()}
        terms["adversarial"] = ((discriminator(estimate, noisy) - 1) ** 2).mean()
        sum(weights.get(name, 1) * term for name, term in terms.items()).backward()
        nn.utils.clip_grad_norm_(generator.parameters(), 1)
        of_g.step()
        schedule.step()
        with torch.no_grad():
            for mean, weight in zip(average.parameters(), generator.parameters(), strict=True):
                mean.lerp_(weight, 0.002)
        fetch(step, judged, *terms.values())
