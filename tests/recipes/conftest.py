"""The recipes' own scripts as modules, miniatures of their corpora, and runs on these."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from climbing import Recipe

RECIPES = Path(__file__).parents[2] / "recipes"


def load_script(path: Path):
    """Return a recipe's script as a module that worker processes can find too."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def recipes():
    """Return the folder of the recipes."""
    return RECIPES


@pytest.fixture
def script(monkeypatch):
    """Return a recipe's script by its name below recipes/, imported for this test alone."""

    def load(name: str):
        path = RECIPES / name
        monkeypatch.syspath_prepend(str(path.parent))
        monkeypatch.setitem(sys.modules, path.stem, None)
        return load_script(path)

    return load


@pytest.fixture(scope="session")
def miniature(tmp_path_factory):
    """Return a corpus of 24 synthetic pairs in the layout of VoiceBank-DEMAND."""
    target = tmp_path_factory.mktemp("corpus") / "miniature"
    command = [sys.executable, RECIPES / "voicebank/local/miniature.py", target]
    subprocess.run([*map(str, command), "--utterances", "3"], check=True)
    return target


class PictureRecipe(Recipe):
    """A recipe for pictures with tiny networks and a corpus of its own, in a folder of its own."""

    def __init__(self, recipes: Path, name: str, corpus: Path, folder: Path, words: Sequence[str]):
        self.corpus = folder / "corpus"
        shutil.copytree(corpus, self.corpus)
        self.palette = recipes / name / "conf/palette.tsv"
        words = [
            *("--size", "64", "--device", "cpu", "--train-options", "trainer.workers=0"),
            *words,
        ]
        script = recipes / name / "run.sh"
        if "judge_options=" in script.read_text(encoding="utf-8"):
            words += ["--judge-options", "trainer.workers=0"]
        super().__init__(script, self.corpus, folder, words)

    def score(self, system: str, metric: str) -> float:
        """Return a score of a system."""
        path = self.folder / "exp" / system / "scores/summary.json"
        return json.loads(path.read_text(encoding="utf-8"))["metrics"][metric]["value"]


@pytest.fixture(scope="session")
def picture_corpus(recipes, tmp_path_factory):
    """Return a function that makes the miniature of a recipe for pictures, once."""

    @cache
    def made(name: str) -> Path:
        target = tmp_path_factory.mktemp(name) / "miniature"
        command = [sys.executable, recipes / name / "local/miniature.py", target, "--size", "64"]
        subprocess.run([str(word) for word in command], check=True)
        return target

    return made


@pytest.fixture
def picture_recipe(recipes, picture_corpus, tmp_path):
    """Return a function that sets up a recipe for pictures by its name, with options."""
    if shutil.which("bash") is None or not hasattr(os, "killpg"):
        pytest.skip("needs bash and signals")
    return lambda name, *words: PictureRecipe(recipes, name, picture_corpus(name), tmp_path, words)
