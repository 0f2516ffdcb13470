"""All of recipes/voicebank on a miniature of the corpus, also when it is killed on the way."""

import os
import re
import shutil
import subprocess

import pytest
from climbing import Recipe

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or not hasattr(os, "killpg"), reason="needs bash and signals"
)


def voicebank(recipes, corpus, folder):
    words = ["--jobs", "2", "--train-options", "trainer.workers=0 trainer.device=cpu"]
    return Recipe(recipes / "voicebank/run.sh", corpus, folder, words)


@pytest.fixture
def recipe(recipes, miniature, tmp_path):
    return voicebank(recipes, miniature, tmp_path / "killed")


def climbed(recipe):
    """Return the results of a whole run, once they are seen to make sense."""
    done = recipe.run()
    assert done.returncode == 0, done.stderr
    scores, tables = recipe.results()
    (table,) = tables.values()
    assert set(scores) == {"noisy", "wiener", "segan"}
    assert any("2.16" in line for line in table)  # what the paper has, beside ours
    return scores, tables


def test_from_a_corpus_to_a_table(recipe):
    climbed(recipe)


@pytest.mark.slow
def test_killed_in_every_stage_and_run_again_it_ends_with_the_same_table(
    recipe, recipes, miniature, tmp_path
):
    scores, tables = climbed(voicebank(recipes, miniature, tmp_path / "whole"))
    for sign, after in [
        ("Stage 1", 0.3),
        ("step 10", 0.0),  # of the training, stage 2
        ("Stage 3: enhance with segan", 1.0),
        ("Stage 4: score segan", 0.5),
        ("Stage 5", 0.7),
    ]:
        recipe.kill(sign, after)
    again = recipe.run()
    assert again.returncode == 0, again.stderr
    assert "Stage 2: train segan: done before" in again.stdout
    assert recipe.results() == (scores, tables)

    before = {path: path.stat().st_mtime_ns for path in recipe.folder.rglob("*")}
    last = recipe.run()
    stages = [line for line in last.stdout.splitlines() if line.startswith("Stage")]
    assert len(stages) == 8 and all(line.endswith("done before") for line in stages)
    assert {path: path.stat().st_mtime_ns for path in recipe.folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sytem", "segan"], "--sytem: no such option; --help lists them"),
        (["--name", "x"], "--name: no such option"),
        (["--value=3"], "--value: no such option"),
        (["--system", "wavenet"], "--system wavenet: one of segan, segan_plus, default, embedded"),
        (["--tiny", "yes"], "--tiny yes: true or false"),
        (["--stage", "one"], "--stage, --stop-stage: whole numbers"),
        (["segan"], "segan: options begin with --"),
        (["--steps"], "--steps: needs a value"),
        (["--corpus", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_a_wrong_option_dies_in_one_line(recipe, words, said):
    done = recipe.run(*words)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not recipe.folder.exists()


@pytest.mark.parametrize("name", ["default", "default_start"])
def test_a_training_does_not_go_on_with_other_data(recipe, name):
    recipe.began_before_data(name)
    done = recipe.run("--stage", "2", "--system", "default")
    assert done.returncode == 2
    assert f"exp/{name} was trained on other data: remove it" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["default_start", "quality_start", "streaming"])
def test_neither_do_those_of_the_package(recipe, recipes, name):
    recipe.began_before_data(name)
    folders = ["--data", recipe.folder / "data", "--exp", recipe.folder / "exp"]
    recipe.command = ["bash", *map(str, [recipes / "default/run.sh", *folders])]
    done = recipe.run("--stage", "2")
    assert done.returncode == 2
    assert f"exp/{name} was trained on other data: remove it" in done.stderr
    assert done.stdout == ""


def test_what_the_user_sets_for_a_training_comes_last(recipe, tmp_path):
    (tmp_path / "cmd.sh").write_text("train_cmd=echo\n", encoding="utf-8")
    words = ["--stage", "2", "--stop-stage", "2", "--system", "default", "--steps", "9"]
    words += ["--train-options", "trainer.seed=7 trainer.steps=5"]
    done = recipe.run(*words, "--cmd", str(tmp_path / "cmd.sh"))
    trainings = [line for line in done.stdout.splitlines() if line.startswith("gan-train")]
    assert len(trainings) == 2
    for line in trainings:
        settings = dict(word.split("=", 1) for word in line.split() if "=" in word)
        assert settings["trainer.seed"] == "7" and settings["trainer.steps"] == "5"


def test_a_fault_of_the_corpus_stops_the_ladder(recipe, miniature, tmp_path):
    corpus = tmp_path / "corpus"
    shutil.copytree(miniature, corpus)
    (corpus / "noisy_testset_wav.zip").unlink()
    recipe.command[3] = str(corpus)
    done = recipe.run()
    assert done.returncode == 2
    assert "has neither noisy_testset_wav.zip nor a folder noisy_testset_wav" in done.stderr
    assert "Stage 2" not in done.stdout
    assert not list(recipe.folder.rglob("wav.scp"))
    shutil.copy(miniature / "noisy_testset_wav.zip", corpus)
    assert recipe.run("--stop-stage", "1").returncode == 0


@pytest.mark.parametrize("name", ["voicebank", "own_corpus", "default"])
def test_help_lists_every_option(recipes, name):
    command = ["bash", f"{name}/run.sh", "--help"]
    text = subprocess.run(command, cwd=recipes, capture_output=True, text=True, check=True).stdout
    script = (recipes / name / "run.sh").read_text(encoding="utf-8")
    defaults = script.split('cd "$(dirname "$0")"')[1].split(". ../ladder.sh")[0]
    names = set(re.findall(r"^(\w+)=", defaults, re.M)) - {"title", "published"}
    assert len(names) > 8
    for option in names:
        assert f"--{option.replace('_', '-')}" in text
