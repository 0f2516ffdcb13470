"""The whole of recipes/own_corpus: from two folders to a table, from the start and fine-tuned."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from gan.checkpoint import load_network
from segan.enhance import load
from segan.generator import KINDS

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture
def folders(miniature, tmp_path):
    """Return a folder of speech at 48 kHz and one of noise in another format and rate."""
    zipfile.ZipFile(miniature / "clean_trainset_28spk_wav.zip").extractall(tmp_path)
    (tmp_path / "noise").mkdir()
    rng = np.random.default_rng(0)
    for number in range(7):
        noise = 0.1 * np.cumsum(rng.standard_normal((44100, 2)), 0) / 30
        soundfile.write(tmp_path / f"noise/{number} wind.flac", noise.clip(-1, 1), 44100)
    return tmp_path / "clean_trainset_28spk_wav", tmp_path / "noise"


def run(recipes, folder, *words):
    script = recipes / "own_corpus/run.sh"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", script, "--data", folder / "data", "--exp", folder / "exp", "--jobs", "2"]
    command += ["--validate", "0", "--train-options", "trainer.workers=0 trainer.device=cpu"]
    return subprocess.run(
        [*map(str, command), *words],
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def score(folder, system):
    summary = json.loads((folder / "exp" / system / "scores/summary.json").read_text())
    return summary["systems"]["enhanced"]["si_sdr"]["mean"]


def test_two_folders_become_a_model_and_its_scores(recipes, folders, tmp_path):
    speech, noise = folders
    given = ["--speech", str(speech), "--noise", str(noise), "--speaker", "prefix"]
    done = run(recipes, tmp_path, *given, "--tiny", "true", "--test-speakers", "1")
    assert done.returncode == 0, done.stderr
    held_out = {
        part: set((tmp_path / f"data/{part}/train/spk2utt").read_text().split())
        for part in ("speech", "noise")
    }
    used = [
        (tmp_path / f"data/test/{name}").read_text().split() for name in ("utt2spk", "utt2noise")
    ]
    assert not held_out["speech"] & set(used[0]) and not held_out["noise"] & set(used[1])
    load_network(tmp_path / "exp/default/generator.safetensors", KINDS)
    assert score(tmp_path, "embedded") > score(tmp_path, "noisy") + 1
    assert "| default |" in (tmp_path / "exp/RESULTS.md").read_text(encoding="utf-8")

    again = [*given, "--test-speakers", "1", "--init", "default", "--steps", "1"]
    done = run(recipes, tmp_path, *again, "--batch-size", "1", "--mixtures", "2")  # fewer
    assert done.returncode == 0, done.stderr
    assert "exp/default: scored on other data, so it is not in the report" in done.stderr
    tuned = load(tmp_path / "exp/tuned/generator.safetensors").network.state_dict()
    shipped = load("default").network.state_dict()
    moved = [float((tuned[name] - weight).abs().max()) for name, weight in shipped.items()]
    assert 0 < max(moved) < 0.01  # it went on from the package's weights
    table = (tmp_path / "exp/RESULTS.md").read_text(encoding="utf-8")
    assert "| tuned |" in table and "| default |" not in table
    assert all(torch.isfinite(weight).all() for weight in tuned.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--noise", "."], "--speech and --noise: both are needed"),
        (["--speech", "nowhere"], "nowhere: no such folder"),
        (["--system", "wiener"], "--system wiener: one of default, segan, segan_plus"),
        (["--system", "segan", "--init", "default"], "--init goes with --system default"),
    ],
)
def test_a_wrong_option_dies_in_one_line(recipes, tmp_path, words, said):
    done = run(recipes, tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "exp").exists()


def test_too_few_speakers_are_named(recipes, folders, tmp_path):
    speech, noise = folders
    given = ["--speech", str(speech), "--noise", str(noise), "--speaker", "prefix"]
    done = run(recipes, tmp_path, *given, "--test-speakers", "9")
    assert done.returncode == 2
    assert "speakers" in done.stderr
    assert "Stage 2" not in done.stdout
