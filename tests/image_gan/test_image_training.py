"""``gan-train`` on every kind of pictures, and what it shows of them on the way."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra

from gan import checkpoint, train
from image_gan import images
from image_gan.kinds import KINDS

PIX2PIX = ["system=pix2pix", "+game.generator.channels=2", "+game.discriminator.channels=2"]
PIX2PIX += ["game.generator.levels=4", "game.discriminator.patch=16", "trainer.epochs=null"]
CYCLE = ["system=cyclegan", "game.generator.channels=2", "game.target_discriminator.channels=2"]
CYCLE += ["game.generator.blocks=1", "game.target_discriminator.patch=16"]
SHORT = ["trainer.steps=2", "trainer.batch_size=2", "trainer.workers=0", "trainer.device=cpu"]
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
    assert {path.stem for path in folder.glob("*.yaml")} == set(DATA)


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
