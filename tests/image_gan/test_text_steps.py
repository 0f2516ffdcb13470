"""The games of text and pictures on the trainer equal loops written out by the papers."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gan.feed import Order
from gan.speed import Speed
from gan.trainer import Player, Trainer
from image_gan.classifier import Classifier
from image_gan.encoders import GRU, MultiHot
from image_gan.joint_embedding import JointEmbedding, others, ranking
from image_gan.stackgan import MatchingDiscriminator, StackGAN, StageI, StageII
from image_gan.text import batch_of, codes
from image_gan.text_to_image import TextToImage

COUNT, BATCH, SEED = 6, 3, 5
WORDS = ["red", "blue", "green", "circle", "square"]
CAPTIONS = [f"{color} {shape}" for color in WORDS[:3] for shape in WORDS[3:]]
KL = 0.25


class Pictures(torch.utils.data.Dataset):
    """A picture, its caption, and the next one's, which is wrong."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        rng = np.random.default_rng([int(index), index.epoch])
        target = rng.uniform(-1, 1, (3, self.size, self.size)).astype(np.float32)
        said = (codes(CAPTIONS[(int(index) + shift) % COUNT], 32) for shift in range(2))
        return {"target": target, **dict(zip(("text", "wrong"), said, strict=True))}


def batches(size, steps):
    data = Pictures(size)
    for draws in itertools.islice(Order(COUNT, BATCH, SEED), steps):
        items = [data[draw] for draw in draws]
        yield {name: torch.from_numpy(np.stack([x[name] for x in items])) for name in items[0]}


def adam(parameters):
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


def networks(large):
    torch.manual_seed(7)
    first = StageI(len(WORDS), size=8, channels=4, latent=5, condition=6)
    second = StageII(len(WORDS), small=8, size=16, channels=4, condition=6) if large else None
    judge = MatchingDiscriminator(16 if large else 8, channels=4, condition=6, realism=large)
    return StackGAN(MultiHot(WORDS), first, second), judge


def by_hand(large, matching_aware, steps):
    """Sections 3.3 and 3.4 of the paper, with the weights of the authors' code."""
    generator, judge = networks(large)
    of_g = adam([p for p in generator.parameters() if p.requires_grad])
    of_d = adam(judge.parameters())
    ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    bce = F.binary_cross_entropy_with_logits
    torch.manual_seed(SEED)  # of the noise
    for batch in batches(8 * (1 + large), steps):
        right, wrong = (generator.encoder(batch[name]) for name in ("text", "wrong"))
        made, mean, log_variance = generator(torch.randn(BATCH, 5), right)
        conditioning = (generator.second if large else generator.first).conditioning
        other = conditioning.project(wrong)[:, :6].detach()
        given = mean.detach()
        real, fake = judge.features(batch["target"]), judge.features(made.detach())
        true = [bce(judge.matching(real, given), ones)]
        false = [bce(judge.matching(fake, given), zeros)]
        if matching_aware:
            false.append(bce(judge.matching(real, other), zeros))
        if large:
            true.append(bce(judge.plausible(real), ones))
            false.append(bce(judge.plausible(fake), zeros))
        of_d.zero_grad()
        (sum(true) / len(true) + sum(false) / len(false)).backward()
        of_d.step()
        of_g.zero_grad()
        features = judge.features(made)
        loss = bce(judge.matching(features, given), ones)
        if large:
            loss = loss + bce(judge.plausible(features), ones)
        kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
        (loss + KL * kl).backward()
        of_g.step()
    return generator, judge


@pytest.mark.parametrize("large", [False, True], ids=["stage-one", "stage-two"])
@pytest.mark.parametrize("matching_aware", [True, False], ids=["matching-aware", "plain"])
def test_three_steps_of_stackgan(large, matching_aware):
    game = TextToImage(*networks(large), matching_aware=matching_aware)
    players = {"discriminator": Player(adam), "generator": Player(adam, weights={"kl": KL})}
    options = {"batch_size": BATCH, "seed": SEED, "device": "cpu", "bar": False}
    data = Pictures(8 * (1 + large))
    Trainer(game, players, data, steps=3, speed=Speed.plain(), **options).run()
    for own, written in zip(
        (game.generator, game.discriminator), by_hand(large, matching_aware, 3), strict=True
    ):
        start = dict(zip("gd", networks(large), strict=True))
        start = start["g" if own is game.generator else "d"].state_dict()
        trained = {name for name, p in own.named_parameters() if p.requires_grad}
        for name, value in written.state_dict().items():
            torch.testing.assert_close(own.state_dict()[name], value, rtol=1e-5, atol=1e-6)
            if name in trained:
                assert not torch.equal(value, start[name]), name


def test_embeddings_made_elsewhere_take_the_place_of_text():
    generator, judge = networks(False)
    game, batch = TextToImage(generator, judge), next(batches(8, 1))
    made = {
        "embedding": generator.embed(batch["text"]),
        "wrong_embedding": generator.embed(batch["wrong"]),
        "target": batch["target"],
    }
    losses = []
    for own in (batch, made):
        torch.manual_seed(1)
        losses.append(game.judge(own, game.play(own))["adversarial"])
    assert torch.equal(*losses)


def test_a_discriminator_of_another_size_is_refused():
    generator, _ = networks(False)
    with pytest.raises(ValueError, match="of 8 pixels, the discriminator judges those of 16"):
        TextToImage(generator, MatchingDiscriminator(16, channels=2))


def test_one_batch_is_learnt_by_heart():
    """Real pictures with wrong text are told from those with their own."""
    generator, judge = networks(False)
    game, batch = TextToImage(generator, judge), next(batches(8, 1))
    optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3)
    play = {name: x.detach() for name, x in game.play(batch).items()}
    for _ in range(60):
        optimizer.zero_grad()
        loss = game.judge(batch, play)["adversarial"]
        loss.backward()
        optimizer.step()
    assert loss < 0.1  # of 2 log 2
    real = judge.features(batch["target"])
    right, wrong = (
        judge.matching(real, play["mean"]),
        judge.matching(real, game.wrong_condition(batch)),
    )
    assert right.min() > 0 > wrong.max()


def test_the_ranking_loss_is_its_formula():
    scores = torch.randn(4, 4)
    texts = ["a b", "c", "a b", "d"]
    total, pairs = 0.0, 0
    for i, j in itertools.product(range(4), repeat=2):
        if texts[i] != texts[j]:
            total += max(0.0, 0.5 + float(scores[i, j] - scores[i, i]))
            total += max(0.0, 0.5 + float(scores[i, j] - scores[j, j]))
            pairs += 1
    found = ranking(scores, others(batch_of(texts)), margin=0.5)
    assert float(found) == pytest.approx(total / pairs, rel=1e-6)


def test_a_batch_of_one_caption_has_no_ranking():
    scores = torch.randn(2, 2, requires_grad=True)
    loss = ranking(scores, others(batch_of(["a", "a"])))
    loss.backward()
    assert loss == 0
    assert not scores.grad.any()


def test_a_joint_embedding_learns_which_caption_goes_with_which_picture():
    torch.manual_seed(3)
    encoder = GRU(WORDS, size=8, channels=8)
    game = JointEmbedding(encoder, Classifier(classes=8, channels=4))
    batch = {"target": torch.randn(COUNT, 3, 16, 16), "text": batch_of(CAPTIONS)}
    optimizer = torch.optim.Adam(game.parameters(), lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        loss = game.rank(batch, {})["ranking"]
        loss.backward()
        optimizer.step()
    assert loss < 0.05
    scores = game.pictures(batch["target"]) @ encoder(batch["text"]).T
    assert scores.argmax(dim=1).tolist() == scores.argmax(dim=0).tolist() == list(range(COUNT))
