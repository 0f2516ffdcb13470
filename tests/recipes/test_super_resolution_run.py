"""All of recipes/super_resolution on a miniature of gratings and shapes."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from image_gan.imresize import imresize


@pytest.fixture
def recipe(picture_recipe):
    return picture_recipe("super_resolution", "--score-options", "--metrics psnr_y")


def pixels(path):
    return np.array(Image.open(path))


def test_from_large_pictures_to_a_report(recipe):
    words = ["--system", "srgan_features", "--quote", "set5"]
    done = recipe.run(*words)
    assert done.returncode == 0, done.stderr
    exp, data = recipe.folder / "exp", recipe.folder / "data"
    names = sorted(path.name for path in (recipe.corpus / "test").iterdir())
    for name in names:
        large = pixels(recipe.corpus / "test" / name)
        height, width = (length // 4 * 4 for length in large.shape[:2])
        small = imresize(large[:height, :width], 1 / 4, axes=(0, 1))
        assert np.array_equal(pixels(data / "test/target" / name), large[:height, :width])
        assert np.array_equal(pixels(data / "test/source" / name), small)
        made = pixels(exp / "bicubic/generated" / name)
        assert np.array_equal(made, imresize(small, 4, axes=(0, 1)))
        assert pixels(exp / "srgan_features/generated" / name).shape == (height, width, 3)
    scores, tables = recipe.results()
    assert set(scores) == {"bicubic", "srgan_features"}
    assert recipe.score("bicubic", "psnr_y") > recipe.score("srgan_features", "psnr_y") > 5
    summary = json.loads((exp / "bicubic/scores/summary.json").read_text(encoding="utf-8"))
    assert "without a border of 4 pixels" in summary["metrics"]["psnr_y"]["protocol"]
    (table,) = tables.values()
    rows = [[cell.strip() for cell in row.split("|")[1:3]] for row in table[2:]]
    assert [row[0] for row in rows[:2]] == ["bicubic", "srgan_features"]
    assert ["*SRResNet-MSE* (quoted, 1)", "32.05"] in rows
    began = (exp / "srgan_features/config.yaml").read_text(encoding="utf-8")
    assert "srresnet/generator.safetensors" in began
    assert (exp / "srgan_features/sheet.png").exists()

    before = {path: path.stat().st_mtime_ns for path in recipe.folder.rglob("*")}
    last = recipe.run(*words)
    stages = [line for line in last.stdout.splitlines() if line.startswith("Stage")]
    assert len(stages) == 8 and all(line.endswith("done before") for line in stages)
    assert {path: path.stat().st_mtime_ns for path in recipe.folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--system", "pix2pix"],
            "--system pix2pix: one of srresnet, srgan, srgan_features; or bicubic",
        ),
        (["--scale", "3"], "--scale 3: one of 2, 4"),
        (["--size", "66"], "--size 66: no multiple of --scale 4"),
        (["--quote", "set6"], "--quote set6: one of set5, set14, bsd100"),
        (["--corpus", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_a_wrong_option_dies_in_one_line(recipe, words, said):
    done = recipe.run(*words)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not (recipe.folder / "data").exists()


def test_what_starts_from_srresnet_does_not_go_on_from_another(recipe):
    exp = recipe.folder / "exp"
    for number, path in enumerate(["data/.done", "exp/srgan/config.yaml", "exp/srresnet/.trained"]):
        (recipe.folder / path).parent.mkdir(parents=True)
        (recipe.folder / path).touch()
        os.utime(recipe.folder / path, (number, number))
    settings = "  0 auto true trainer.workers=0"
    (exp / "srresnet/.trained").write_text(settings, encoding="utf-8")
    done = recipe.run("--stage", "2", "--stop-stage", "2")
    assert done.returncode == 2
    assert "exp/srgan began before" in done.stderr and "was trained: remove it" in done.stderr
