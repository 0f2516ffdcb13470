"""The recipes' own scripts as modules, and a miniature of VoiceBank-DEMAND."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

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
