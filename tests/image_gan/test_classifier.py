"""The classifier, and pictures of two domains."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from gan import checkpoint, train
from gan.feed import Draw, feed
from gan.trainer import Player, Trainer
from gan.translation import Translation
from image_gan import images
from image_gan.classifier import Classifier, Domains
from image_gan.kinds import KINDS

WHOLE = {"resize": None, "size": None, "mirror": False}


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, images.from_array(values))


@pytest.fixture
def domains(tmp_path):
    """Two grey horses and five zebras striped across, each of its own brightness."""
    for index in range(2):
        save(tmp_path / f"horses/{index}.png", np.full((24, 24, 3), 100 + index, np.uint8))
    for index in range(5):
        stripes = np.full((24, 24, 3), 200 + index, np.uint8)
        stripes[::4] = stripes[1::4] = 0
        save(tmp_path / f"zebras/{index}.png", stripes)
    return tmp_path


def of(at, **view):
    return Domains(at / "horses", at / "zebras", **view)


def value(item):
    """The 8-bit brightness that says which picture an item is."""
    return round(127.5 * (float(item["source"].max()) + 1))


# The network


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (33, 20), (5, 200)])
def test_any_size_has_features_and_logits(size):
    network = Classifier(inputs=2, classes=4, channels=2).eval()
    x = torch.randn(3, 2, *size)
    assert network.features(x).shape == (3, 16)
    assert network(x).shape == (3, 4)
    torch.testing.assert_close(network(x), network.classify(network.features(x)))


def test_every_weight_and_every_pixel_matter():
    torch.manual_seed(0)
    network, x = Classifier(channels=4), torch.randn(4, 3, 32, 32, requires_grad=True)
    (network(x) * torch.randn(4, 2)).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())
    assert (x.grad.abs().sum(dim=1) > 0).all()


def test_a_picture_has_the_same_features_in_any_batch():
    network, x = Classifier(channels=4), torch.randn(3, 3, 32, 32)
    network(x)  # running statistics
    network.eval()
    torch.testing.assert_close(network.features(x)[1:2], network.features(x[1:2]))


# The data


def test_an_epoch_has_the_larger_domain_once_and_the_other_as_often(domains):
    data = of(domains, **WHOLE)
    assert len(data) == 10
    items = [data[Draw(index, 0)] for index in range(10)]
    assert Counter(int(item["target"]) for item in items) == {0: 5, 1: 5}
    assert {value(i) for i in items if i["target"] == 0} <= {100, 101}
    assert sorted(value(i) for i in items if i["target"] == 1) == [200, 201, 202, 203, 204]


def test_domains_of_one_size_are_gone_through_once(domains):
    data = Domains(domains / "zebras", domains / "zebras", **WHOLE)
    assert Counter(value(data[index]) for index in range(10)) == dict.fromkeys(range(200, 205), 2)


def test_the_smaller_domain_is_drawn_anew_in_every_epoch(domains):
    data = of(domains, **WHOLE)
    drawn = Counter(value(data[Draw(0, epoch)]) for epoch in range(60))
    assert set(drawn) == {100, 101}
    assert min(drawn.values()) > 15


def test_items_depend_on_seed_epoch_and_index_alone(domains):
    view = {"resize": 30, "size": 16}
    first, other = of(domains, **view)[Draw(3, 2)], of(domains, **view)
    other[0]
    assert np.array_equal(first["source"], other[Draw(3, 2)]["source"])
    items = [of(domains, **view, seed=seed)[Draw(3, epoch)] for seed, epoch in ((0, 3), (1, 2))]
    assert any(not np.array_equal(first["source"], item["source"]) for item in items)


def test_batches_hold_pictures_and_classes(domains):
    batch = next(feed(of(domains, resize=20, size=16), 4))
    assert (batch["source"].shape, batch["source"].dtype) == ((4, 3, 16, 16), torch.float32)
    assert (batch["target"].shape, batch["target"].dtype) == ((4,), torch.int64)


def test_a_picture_that_is_too_small_or_broken_is_named(domains):
    with pytest.raises(ValueError, match=r"0\.png: 24 x 24 pixels, of which 32 x 32 can't be cut"):
        of(domains, resize=None, size=32)
    (domains / "zebras" / "3.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"3\.png: can't be read as a picture"):
        of(domains)


# Training


def test_it_tells_the_domains_apart(domains):
    torch.manual_seed(0)
    game = Translation(
        Classifier(channels=4), distances={"cross_entropy": torch.nn.CrossEntropyLoss()}
    )
    data = of(domains, resize=None, size=16)
    players = {"generator": Player(lambda p: torch.optim.Adam(p, lr=0.01))}
    Trainer(game, players, data, steps=20, batch_size=8, bar=False, device="cpu").run()
    items = [data[Draw(index, 99)] for index in range(10)]
    found = game.generator.eval()(torch.from_numpy(np.stack([i["source"] for i in items])))
    assert found.argmax(dim=1).tolist() == [0, 1] * 5


def test_gan_train_trains_resumes_and_exports_it(domains, monkeypatch):
    monkeypatch.chdir(domains)
    words = ["system=classifier", "data=domains", "data.source=horses", "data.target=zebras"]
    words += ["data.resize=20", "data.size=16", "game.generator.channels=2", "trainer.workers=0"]
    for steps in (2, 3):
        GlobalHydra.instance().clear()
        short = [f"trainer.steps={steps}", "trainer.batch_size=2", "trainer.device=cpu"]
        monkeypatch.setattr("sys.argv", ["gan-train", *words, *short])
        train.main()
    assert checkpoint.load("exp/classifier/last.pt")["step"] == 3
    log = Path("exp/classifier/log.jsonl").read_text(encoding="utf-8")
    assert '"generator/cross_entropy"' in log
    network = checkpoint.load_network("exp/classifier/generator.safetensors", KINDS)
    assert network(torch.zeros(1, 3, 33, 20)).shape == (1, 2)
