"""All of recipes/horse2zebra on a miniature of two domains, also when it is killed on the way."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def recipe(picture_recipe):
    return picture_recipe("horse2zebra")


def test_killed_in_its_training_it_goes_both_ways_to_the_end(recipe):
    recipe.kill("step 8", 0.0)
    done = recipe.run()
    assert done.returncode == 0, done.stderr
    scores, tables = recipe.results()
    assert set(scores) == {f"{one}{way}" for one in SYSTEMS for way in ("", "_back")}
    assert len(tables) == 2  # a report of each way
    assert recipe.score("copy", "target_share") < recipe.score("real", "target_share")
    assert recipe.score("copy_back", "target_share") < recipe.score("real_back", "target_share")
    assert 0 < recipe.score("cyclegan", "cycle_l1") < 1
    exp, data = recipe.folder / "exp", recipe.folder / "data"
    assert same(data / "back/source", data / "test/target")
    assert same(exp / "copy_back/generated", data / "test/target")
    for name in ("cyclegan/generated", "cyclegan/cycled", "cyclegan_back/cycled"):
        side = "target" if "back" in name else "source"
        assert names(exp / name) == names(data / "test" / side)
        assert all(np.array(Image.open(path)).std() > 0 for path in (exp / name).iterdir())

    before = {path: path.stat().st_mtime_ns for path in recipe.folder.rglob("*")}
    last = recipe.run()
    stages = [line for line in last.stdout.splitlines() if line.startswith("Stage")]
    assert len(stages) == 16 and all(line.endswith("done before") for line in stages)
    assert {path: path.stat().st_mtime_ns for path in recipe.folder.rglob("*")} == before


SYSTEMS = ("copy", "cyclegan", "real")


def names(folder):
    return sorted(path.stem for path in folder.iterdir())


def same(one, two):
    return {path.name: path.read_bytes() for path in one.iterdir()} == {
        path.name: path.read_bytes() for path in two.iterdir()
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--system", "pix2pix"], "--system pix2pix: one of cyclegan, discogan"),
        (["--size", "big"], "--size big: one of 256, 128, 64"),
    ],
)
def test_a_wrong_option_dies_in_one_line(recipe, words, said):
    done = recipe.run(*words)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not (recipe.folder / "data").exists()


def test_a_training_does_not_go_on_with_other_data(recipe):
    recipe.began_before_data("cyclegan")
    done = recipe.run("--stage", "2")
    assert done.returncode == 2
    assert "exp/cyclegan was trained on other data: remove it" in done.stderr
