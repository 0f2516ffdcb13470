"""The segmenter, and photos with their labels."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from gan import checkpoint, train
from gan.feed import Draw, feed
from gan.trainer import Player, Trainer
from gan.translation import Translation
from image_gan import images, translate
from image_gan.kinds import KINDS
from image_gan.labels import read_palette, to_classes, to_colors
from image_gan.segmenter import Labelled, Segmenter

TABLE = "class\tred\tgreen\tblue\nsky\t0\t0\t255\nwall\t255\t0\t0\ndoor\t0\t255\t0\n"
WHOLE = {"resize": None, "size": None, "mirror": False}


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, images.from_array(values))


@pytest.fixture
def pairs(tmp_path):
    """Photos of three classes, one a channel, whose every pixel tells its class, and labels."""
    (tmp_path / "palette.tsv").write_text(TABLE, encoding="utf-8")
    palette = read_palette(tmp_path / "palette.tsv")
    for index in range(4):
        rng = np.random.default_rng(index)
        classes = rng.integers(0, 3, (5, 7)).repeat(4, axis=0).repeat(4, axis=1)
        photo = np.eye(3)[classes] * 255
        save(tmp_path / f"photos/{index}.png", photo.astype(np.uint8))
        save(tmp_path / f"labels/{index}.png", to_colors(classes, palette))
    return tmp_path


def labelled(at, **view):
    return Labelled(at / "photos", at / "labels", at / "palette.tsv", **view)


# The network


@pytest.mark.parametrize("size", [(16, 16), (48, 32), (33, 20), (1, 1), (7, 90)])
def test_any_size_has_logits_for_every_pixel(size):
    network = Segmenter(inputs=2, classes=5, channels=2).eval()
    assert network(torch.randn(2, 2, *size)).shape == (2, 5, *size)


def test_it_has_as_many_weights_as_it_says():
    with torch.device("meta"):
        count = sum(p.numel() for p in Segmenter().parameters())
    assert f"{count:,} weights" in Segmenter.__doc__


def test_every_weight_and_every_pixel_matter():
    torch.manual_seed(0)
    network, x = Segmenter(channels=4), torch.randn(2, 3, 32, 32, requires_grad=True)
    logits = network(x)
    (logits * torch.randn_like(logits)).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())
    assert (x.grad.abs().sum(dim=1) > 0).all()


def test_a_picture_is_scored_the_same_in_any_batch():
    network, x = Segmenter(channels=4), torch.randn(3, 3, 32, 32)
    network(x)  # running statistics
    network.eval()
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]))


# The data


def test_photos_and_labels_are_resized_cut_and_mirrored_alike(pairs):
    data = labelled(pairs, resize=[40, 56], size=[24, 30])  # whole multiples: nothing between
    seen = set()
    for epoch in range(12):
        item = data[Draw(epoch % 4, epoch)]
        assert item["source"].shape == (3, 24, 30)
        assert item["target"].shape == (24, 30)
        assert (item["source"].dtype, item["target"].dtype) == (np.float32, np.int64)
        agree = item["source"].argmax(axis=0) == item["target"]
        assert agree.mean() > 0.99  # ties of the bicubic edges
        seen.add(item["target"].tobytes())
    assert len(seen) == 12


def test_whole_labels_are_what_the_files_hold(pairs):
    item, palette = labelled(pairs, **WHOLE)[2], read_palette(pairs / "palette.tsv")
    expected = to_classes(np.asarray(Image.open(pairs / "labels/2.png")), palette)
    assert np.array_equal(item["target"], expected)


def test_workers_and_order_change_nothing(pairs):
    data = labelled(pairs, resize=24, size=16)
    first, other = data[Draw(1, 3)], labelled(pairs, resize=24, size=16)
    other[0]
    assert all(np.array_equal(first[key], other[Draw(1, 3)][key]) for key in first)
    alone, shared = (next(feed(data, 4, workers=count)) for count in (0, 1))
    assert all(torch.equal(alone[key], shared[key]) for key in alone)


def test_a_palette_of_other_classes_is_refused(pairs):
    message = r"palette\.tsv: 3 classes, where the network tells 12 apart"
    with pytest.raises(ValueError, match=message):
        labelled(pairs, classes=12)
    assert len(labelled(pairs, classes=3)) == 4


def test_labels_without_colors_are_named(pairs):
    save(pairs / "labels/1.png", np.zeros((20, 28, 1), np.uint8))
    path = re.escape(str(pairs / "labels" / "1.png"))
    with pytest.raises(ValueError, match=rf"{path}: 20 x 28 x 1 values of uint8"):
        labelled(pairs)[1]


# Training


def test_it_overfits_one_batch(pairs):
    torch.manual_seed(0)
    game = Translation(
        Segmenter(classes=3, channels=8), distances={"cross_entropy": torch.nn.CrossEntropyLoss()}
    )
    data = labelled(pairs, resize=None, size=[16, 16], mirror=False)
    batch = next(feed(data, 4))
    players = {"generator": Player(lambda p: torch.optim.Adam(p, lr=0.01))}
    trainer = Trainer(game, players, data, steps=1, bar=False, device="cpu")
    for _ in range(40):
        trainer.step([batch])
    found = game.generator(batch["source"]).argmax(dim=1)
    assert (found == batch["target"]).float().mean() > 0.97


@pytest.fixture
def run(pairs, monkeypatch):
    """A function that runs gan-train on the pairs above."""
    monkeypatch.chdir(pairs)

    def run(*words):
        GlobalHydra.instance().clear()
        data = ["data=labelled", "data.source=photos", "data.target=labels", "trainer.workers=0"]
        data += ["data.palette=palette.tsv", "data.resize=20", "data.size=16", "trainer.device=cpu"]
        game = ["game.generator.channels=2", "trainer.steps=2", "trainer.batch_size=2"]
        monkeypatch.setattr("sys.argv", ["gan-train", "system=segmenter", *data, *game, *words])
        train.main()

    return run


def test_gan_train_trains_resumes_and_exports_it(run):
    run("game.generator.classes=3")
    run("game.generator.classes=3", "trainer.steps=3")
    folder = Path("exp/segmenter")
    assert '"generator/cross_entropy"' in (folder / "log.jsonl").read_text(encoding="utf-8")
    assert checkpoint.load(folder / "last.pt")["step"] == 3
    network = checkpoint.load_network(folder / "generator.safetensors", KINDS)
    assert network(torch.zeros(1, 3, 33, 20)).shape == (1, 3, 33, 20)


def test_it_is_no_translator_of_pictures(run):
    run("game.generator.classes=3")
    with pytest.raises(ValueError, match=r"kind of network .image_gan\.segmenter\.Segmenter"):
        translate.load("exp/segmenter/generator.safetensors")


def test_gan_train_says_that_the_palette_is_another(run, capsys):
    with pytest.raises(SystemExit, match="2"):
        run()
    said = "gan-train: palette.tsv: 3 classes, where the network tells 12 apart"
    assert said in capsys.readouterr().err
    assert not Path("exp").exists()
