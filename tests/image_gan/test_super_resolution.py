"""``gan-train`` on pictures made smaller, from a folder to a model that enlarges."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

import image_gan
from gan import train
from image_gan import images, metrics
from image_gan.downscaled import Downscaled

WORDS = [
    *("system=srresnet", "game.generator.channels=4", "game.generator.blocks=1", "name=x"),
    *("data=downscaled", "data.folder=train", "data.size=16"),
    *("trainer.steps=2", "trainer.batch_size=2", "trainer.workers=0", "trainer.device=cpu"),
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs gan-train in a folder with pictures to learn from and others."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder, count in (("train", 3), ("test", 2)):
        for index in range(count):
            picture = rng.integers(0, 256, (26, 31, 3)).astype(np.uint8)
            images.write(Path(folder) / f"{index}.png", images.from_array(picture))

    def run(*words):
        GlobalHydra.instance().clear()
        monkeypatch.setattr("sys.argv", ["gan-train", *WORDS, *words])
        train.main()

    return run


@pytest.mark.parametrize("scale", [2, 4])
def test_from_a_folder_to_a_model_that_enlarges(run, scale):
    words = ["validation=enlarged", "validation.data.folder=test", "trainer.best=[psnr_y,max]"]
    run(f"game.generator.scale={scale}", *words)
    lines = [json.loads(line) for line in Path("exp/x/log.jsonl").read_text("utf-8").splitlines()]
    (report,) = (line for line in lines if line["kind"] == "validation")
    model, scores = image_gan.load("exp/x/generator.safetensors"), []
    data = Downscaled("test", scale, size=None, mirror=False, rotate=False)
    for item in (data[0], data[1]):
        assert item["target"].shape[1:] == (26 // scale * scale, 31 // scale * scale)
        estimate = model(torch.from_numpy(item["source"])).clamp(-1, 1)
        pair = [(x.double() + 1) / 2 for x in (estimate, torch.from_numpy(item["target"]))]
        scores.append(metrics.psnr_y(*pair, border=scale))
    assert report["psnr_y"] == pytest.approx(np.mean(scores), abs=1e-5)
    assert images.read("exp/x/samples/0000002.png").values.shape[1] > 3 * 28
    assert Path("exp/x/best.pt").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.folder=gone"], "gone: no such folder"),
        (["data.size=28"], "0.png: 26 x 31 pixels, of which 28 x 28 can't be cut out"),
        (["data.size=18"], "size 18: no multiple of the scale, 4"),
        (["game.generator.scale=3", "data.size=15"], "scale 3: choose one of 2, 4, 8"),
        (
            ["system=srgan_features", "game.discriminator.size=32"],
            "pictures of 32 x 32 pixels, not",
        ),
        (["+init.generator=none.safetensors"], "none.safetensors"),
    ],
)
def test_what_does_not_fit_is_one_line(run, capsys, words, message):
    with pytest.raises(SystemExit, match="2"):
        run(*words)
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and message in errors[0]
