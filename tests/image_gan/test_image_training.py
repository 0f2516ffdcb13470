"""``gan-train`` on every kind of pictures, and what it shows of them on the way."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import image_gan
from gan import checkpoint, train
from image_gan import images
from image_gan.kinds import KINDS
from image_gan.translate import PictureTranslator

PIX2PIX = ["system=pix2pix", "+game.generator.channels=2", "+game.discriminator.channels=2"]
PIX2PIX += ["game.generator.levels=4", "game.discriminator.patch=16"]
CYCLE = ["system=cyclegan", "game.generator.channels=2", "game.target_discriminator.channels=2"]
CYCLE += ["game.generator.blocks=1", "game.target_discriminator.patch=16"]
SHORT = [
    "trainer.steps=2",
    "trainer.epochs=null",
    "trainer.batch_size=2",
    "trainer.workers=0",
    "trainer.device=cpu",
]
SHORT += ["data.resize=36", "data.size=32"]
DATA = {
    "side_by_side": ["data.folder=both"],
    "paired_pictures": ["data.source=source", "data.target=target"],
    "unpaired_pictures": ["data.source=source", "data.target=target"],
    "pictures_csv": ["data.path=list.csv"],
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs gan-train in a folder with three pairs of pictures."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = []
    for index in range(3):
        sides = [rng.integers(0, 256, (40, 48, 3)).astype(np.uint8) for _ in range(2)]
        for name, values in (
            ("both", np.hstack(sides)),
            *zip(("source", "target"), sides, strict=True),
        ):
            images.write(Path(name) / f"{index}.png", images.from_array(values))
        rows.append((f"source/{index}.png", f"target/{index}.png"))
    with open("list.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("source", "target"), *rows])

    def run(*words):
        GlobalHydra.instance().clear()
        monkeypatch.setattr("sys.argv", ["gan-train", *SHORT, *words])
        train.main()

    return run


@pytest.mark.parametrize("kind", DATA)
def test_every_kind_of_data_trains(run, kind):
    system = CYCLE if kind == "unpaired_pictures" else PIX2PIX
    run(*system, f"data={kind}", *DATA[kind], "name=x")
    assert checkpoint.load("exp/x/last.pt")["step"] == 2
    checkpoint.load_network("exp/x/generator.safetensors", KINDS)


def test_every_kind_of_data_is_tried_here():
    folder = Path(train.__file__).parents[1] / "image_gan" / "conf" / "data"
    elsewhere = {"labelled", "domains", "downscaled"}  # tried with those, and with SRResNet
    elsewhere |= {"captioned", "attributes"}  # and from text to pictures
    assert {path.stem for path in folder.glob("*.yaml")} == set(DATA) | elsewhere


def test_data_takes_the_channels_of_the_networks(run):
    channels = ["game.generator.inputs=1", "game.generator.outputs=4"]
    with pytest.raises(SystemExit, match="2"):
        run(*PIX2PIX, "data=side_by_side", "data.folder=both", *channels)
    run(*PIX2PIX, "data=side_by_side", "data.folder=both", "game.generator.inputs=1", "name=grey")
    network = checkpoint.load_network("exp/grey/generator.safetensors", KINDS)
    assert network.encoder[0][0].in_channels == 1


def reports():
    lines = Path("exp/x/log.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == "validation"]


def test_validation_shows_pairs_and_their_distance(run):
    words = ["data=side_by_side", "data.folder=both", "data.source=right", "name=x"]
    words += ["validation=pictures", "validation.data.folder=both", "validation.pictures=2"]
    run(*PIX2PIX, *words, "trainer.every.validate=1", "trainer.best=[l1,min]")
    assert [line["step"] for line in reports()] == [1, 2]
    assert all(0 < line["l1"] < 2 for line in reports())
    sheets = sorted(Path("exp/x/samples").iterdir())
    assert [path.name for path in sheets] == ["0000001.png", "0000002.png"]
    shown = images.read(sheets[0]).values
    assert shown.shape == (14 + 12 + 2 * (14 + 6 + 32), 6 + 3 * 38, 3)
    source = images.read("both/0.png").values[:, 48:]  # whose right half is the source
    assert abs(shown[34:66, 6:38].mean((0, 1)) - source.mean((0, 1))).max() < 2
    assert Path("exp/x/best.pt").exists()


def test_validation_shows_the_way_there_and_back(run):
    words = ["data=unpaired_pictures", *DATA["unpaired_pictures"], "name=x", "validation=pictures"]
    words += ["data@validation.data=unpaired_pictures", "validation.data.source=target"]
    run(*CYCLE, *words, "validation.data.target=source")
    (report,) = reports()
    assert 0 < report["cycle_l1"] < 2
    assert images.read("exp/x/samples/0000002.png").values.shape[1] == 6 + 3 * 38


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=side_by_side", "data.folder=gone"], "gone: no such folder"),
        (["data=side_by_side"], "data.folder"),
        (["data=side_by_side", "data.folder=both", "data.source=up"], "say left or right"),
        (["data=paired_pictures", "data.source=source", "data.target=both"], "its target"),
        (["data=pictures_csv", "data.path=gone.csv"], "gone.csv"),
        (["data=side_by_side", "data.folder=both", "data.size=90"], "size 90 can't be cut out"),
    ],
)
def test_pictures_that_will_not_do_are_one_line(run, capsys, words, message):
    with pytest.raises(SystemExit, match="2"):
        run(*PIX2PIX, *words)
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and message in errors[0]


def test_a_schedule_falls_over_a_run_that_is_told_in_epochs(run):
    words = ["data=unpaired_pictures", "data.source=source", "data.target=target"]
    run(*CYCLE, *words, "trainer.epochs=4", "trainer.steps=null", "trainer.batch_size=1", "name=x")
    config = OmegaConf.load("exp/x/config.yaml")
    assert config.trainer.steps == 12 == config.players.generator.schedule.steps
    assert checkpoint.load("exp/x/last.pt")["step"] == 12


def test_the_model_file_tells_the_range_of_values(run):
    words = ["data=paired_pictures", "data.source=deep", "data.target=deep", "name=deep"]
    grey = ["game.generator.inputs=1", "game.generator.outputs=1"]
    deep = np.random.default_rng(0).integers(0, 4096, (40, 48), dtype=np.int32)
    for index in range(3):
        images.write(Path(f"deep/{index}.tif"), images.from_array(deep))
    run(*PIX2PIX, *grey, *words, "data.range=[0,4095]")
    path = "exp/deep/generator.safetensors"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as that the range is guessed
        estimate = image_gan.load(path)(deep)
    bare = PictureTranslator(checkpoint.load_network(path, KINDS))
    assert np.array_equal(estimate, bare(deep, between=(0, 4095)))
    assert not np.array_equal(estimate, bare(deep, between=(0, 9999)))


@pytest.mark.parametrize("text", ["[5, 5]", "[1]", "7", "{", '["a", "b"]'])
def test_a_range_that_is_none_is_refused(tmp_path, text):
    config = {"_target_": "image_gan.unet.UNet", "channels": 2, "levels": 3, "dropout_layers": []}
    network = checkpoint.build(config, KINDS)
    checkpoint.export(tmp_path / "model", network, config, range=text)
    with pytest.raises(ValueError, match=r"model: no range of values"):
        image_gan.load(tmp_path / "model")


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_killed_and_begun_again_cyclegan_ends_with_the_same_networks_and_pools(run):
    words = [*CYCLE, "data=unpaired_pictures", "data.source=source", "data.target=target"]
    words += ["game.pool=3", "trainer.steps=60", "trainer.every.save=1"]
    run(*words, "name=whole")
    command = [sys.executable, "-c", "from gan.train import main; main()"]
    path = os.pathsep.join([str(Path(train.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}  # sums of one order
    for step in (3, 7):
        process = subprocess.Popen([*command, *SHORT, *words, "name=killed"], env=environment)
        while process.poll() is None and saved_step("exp/killed/last.pt") < step:
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert step <= saved_step("exp/killed/last.pt") < 60
    run(*words, "name=killed")
    whole, killed = (checkpoint.load(f"exp/{name}/last.pt") for name in ("whole", "killed"))
    assert any("pool" in key for key in whole["game"])
    same(whole["game"], killed["game"])
    same(whole["optimizers"], killed["optimizers"])


def saved_step(path):
    return checkpoint.load(path)["step"] if Path(path).exists() else 0


def same(one, other):
    """Assert that two nested states are equal, bit for bit."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        for pair in zip(one, other, strict=True):
            same(*pair)
    else:
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
