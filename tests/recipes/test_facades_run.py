"""All of recipes/facades on a miniature of the corpus, also when it is killed on the way."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from image_gan.labels import read_palette


@pytest.fixture
def recipe(picture_recipe):
    return picture_recipe("facades", "--system", "pix2pix,l1")


def climbed(recipe):
    """Return the results of a whole run, once they are seen to make sense."""
    done = recipe.run()
    assert done.returncode == 0, done.stderr
    scores, tables = recipe.results()
    assert set(scores) == {"copy", "mean", "l1", "pix2pix", "real"}
    (table,) = tables.values()
    assert [row.split("|")[1].strip() for row in table[2:7]] == [
        *("copy", "mean", "l1", "pix2pix", "real")
    ]
    assert recipe.score("mean", "l1") < recipe.score("copy", "l1")
    assert recipe.score("pix2pix", "l1") < recipe.score("copy", "l1")
    assert (recipe.folder / "exp/pix2pix/sheet.png").exists()
    palette = {tuple(color) for color in read_palette(recipe.palette).colors}
    for path in (recipe.folder / "data/test/labels").iterdir():
        assert {tuple(color) for color in np.array(Image.open(path)).reshape(-1, 3)} <= palette
    return scores, tables


def test_from_pictures_to_a_table(recipe):
    climbed(recipe)


@pytest.mark.slow
def test_the_ablation_is_the_same_whether_it_was_killed_or_not(recipe):
    scores, tables = climbed(recipe)
    shutil.rmtree(recipe.folder / "exp/pix2pix")
    recipe.kill("step 8", 0.0)
    again = recipe.run()
    assert again.returncode == 0, again.stderr
    assert "step 2: train" not in again.stdout  # it went on from the checkpoint
    assert recipe.results() == (scores, tables)

    before = {path: path.stat().st_mtime_ns for path in recipe.folder.rglob("*")}
    last = recipe.run()
    stages = [line for line in last.stdout.splitlines() if line.startswith("Stage")]
    assert len(stages) == 14 and all(line.endswith("done before") for line in stages)
    assert {path: path.stat().st_mtime_ns for path in recipe.folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sytem", "l1"], "--sytem: no such option; --help lists them"),
        (["--system", "cyclegan"], "--system cyclegan: one of pix2pix, l1, adversary; or all"),
        (["--size", "100"], "--size 100: one of 256, 128, 64"),
        (["--corpus", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_a_wrong_option_dies_in_one_line(recipe, words, said):
    done = recipe.run(*words)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not (recipe.folder / "data").exists()


def test_a_broken_picture_stops_the_ladder_and_a_mended_corpus_goes_on(recipe):
    path = recipe.corpus / "val" / "13.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = recipe.run("--stop-stage", "2")
    assert done.returncode == 2
    assert "13.jpg: can't be read as a picture" in done.stderr
    assert "Stage 2" not in done.stdout
    assert not list(recipe.folder.rglob("*.png"))
    path.write_bytes(whole)
    assert recipe.run("--stop-stage", "1").returncode == 0


def test_a_training_does_not_go_on_with_other_data(recipe):
    recipe.began_before_data("pix2pix")
    done = recipe.run("--stage", "2", "--system", "pix2pix")
    assert done.returncode == 2
    assert "exp/pix2pix was trained on other data: remove it" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["facades", "horse2zebra", "super_resolution", "text_to_image"])
def test_help_lists_every_option(recipes, name):
    command = ["bash", f"{name}/run.sh", "--help"]
    text = subprocess.run(command, cwd=recipes, capture_output=True, text=True, check=True).stdout
    script = (recipes / name / "run.sh").read_text(encoding="utf-8")
    defaults = script.split('cd "$(dirname "$0")"')[1].split(". ../ladder.sh")[0]
    names = set(re.findall(r"^(\w+)=", defaults, re.M)) - {"title", "palette"}
    assert len(names) > 8
    for option in names:
        assert f"--{option.replace('_', '-')}" in text
