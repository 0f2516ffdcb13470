"""Imports run one way: segan -> gan <- image_gan; users' tools start without torch."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "gan": {"segan", "image_gan"},
    "segan": {"image_gan"},
    "image_gan": {"segan"},
}
FILES = [path for package in FORBIDDEN for path in sorted((ROOT / package).rglob("*.py"))]
SCRIPTS = re.findall(r'^[\w-]+ = "([\w.]+):', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
TOOLS = ["segan", *(module for module in SCRIPTS if module != "gan.train")]


def imported(source: str) -> Iterator[str]:
    """Yield the top package of every absolute import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_the_walk_finds_every_kind_of_import():
    source = "import a.b as c, d\nfrom e.f import g\nfrom . import h\ndef i():\n    import j\n"
    assert set(imported(source)) == {"a", "d", "e", "j"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path):
    found = set(imported(path.read_text(encoding="utf-8")))
    name = path.relative_to(ROOT).as_posix()
    assert not found & FORBIDDEN[name.split("/")[0]]
    assert name == "gan/train.py" or not found & {"hydra", "omegaconf"}


def test_the_scripts_are_found():
    assert {"gan.train", "segan.evaluate"} <= set(SCRIPTS)


@pytest.mark.parametrize("tool", TOOLS)
def test_tools_start_without_torch(tool):
    heavy = {"torch", "torchaudio", "scipy", "librosa", "hydra", "matplotlib"}
    code = f"import sys, {tool}; print(*{heavy} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""
