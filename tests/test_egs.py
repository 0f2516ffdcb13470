"""The examples run, and the sounds beside them are what their table says."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from gan.checkpoint import export
from segan import load
from segan.augment import active_level
from segan.generator import MaskGenerator

EGS = Path(__file__).parents[1] / "egs"
SPEECH = EGS / "speech"
SMALLEST = ["enhance_file.py", "plot_spectrograms.py", "train_on_folder.py"]
PAIRS = {  # by the SNR in dB
    ("clean.wav", "noisy.wav"): 5,
    ("clean_stereo.flac", "noisy_stereo.flac"): 5,
    ("clean/babble.wav", "noisy/babble.wav"): 5,
    ("clean/keyboard.wav", "noisy/keyboard.wav"): 5,
    ("clean/traffic.wav", "noisy/traffic.wav"): 0,
}
each_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[1])


@pytest.fixture
def run(monkeypatch):
    """Return a function that runs an example with some arguments, as its own program."""

    def program(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        return runpy.run_path(str(EGS / name), run_name="__main__")

    return program


def noise(seconds, rate, channels=1, seed=0):
    shape = round(seconds * rate), channels
    return 0.1 * np.random.default_rng(seed).standard_normal(shape)


@pytest.fixture
def model(tmp_path):
    """Return the file of a model that changes its input, and little."""
    torch.manual_seed(0)
    config = {"channels": 8, "dilations": [1], "window": 64, "hop": 32}
    network = MaskGenerator(**config)
    torch.nn.init.normal_(network.leave.weight, std=0.1)
    path = tmp_path / "model.safetensors"
    export(path, network, {"_target_": "segan.generator.MaskGenerator", **config})
    return path


@pytest.mark.parametrize("name", [*SMALLEST, "ring.py", "speech/make.py"])
def test_help(run, capsys, name):
    with pytest.raises(SystemExit) as stop:
        run(name, "--help")
    assert stop.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize("name", [*SMALLEST, "stream.js"])
def test_the_smallest_programs_are_under_sixty_lines(name):
    assert len((EGS / name).read_text(encoding="utf-8").splitlines()) < 60


def test_every_example_is_in_the_table():
    table = (EGS / "README.md").read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    files = [path for path in EGS.rglob("*") if path.suffix in (".py", ".js", ".wav", ".flac")]
    missing = [p for p in files if not any(p.relative_to(EGS).as_posix()[7:] in r for r in rows)]
    assert len(files) == 16
    assert not missing


# -- sounds ------------------------------------------------------------------------------------


@each_pair
def test_pairs_are_aligned_and_at_their_snr(pair):
    clean, rate = soundfile.read(SPEECH / pair[0], always_2d=True)
    noisy, noisy_rate = soundfile.read(SPEECH / pair[1], always_2d=True)
    assert (noisy_rate, noisy.shape) == (rate, clean.shape)
    added = noisy - clean
    for channel in range(clean.shape[1]):
        level = np.sqrt(np.mean(added[:, channel] ** 2))
        snr = 20 * np.log10(active_level(clean[:, channel], rate) / level)
        assert snr == pytest.approx(PAIRS[pair], abs=0.2)


@each_pair
def test_the_first_and_the_last_half_second_hold_noise_alone(pair):
    clean, rate = soundfile.read(SPEECH / pair[0], always_2d=True)
    noisy, _ = soundfile.read(SPEECH / pair[1], always_2d=True)
    for margin in (slice(0, rate * 49 // 100), slice(-rate * 49 // 100, None)):
        assert np.abs(clean[margin]).max() < 2e-3
        assert np.abs(noisy[margin]).max() > 2e-2
    assert np.abs(clean).max() > 0.1


@each_pair
def test_noisy_files_peak_at_minus_three_decibels(pair):
    noisy, _ = soundfile.read(SPEECH / pair[1])
    assert 20 * np.log10(np.abs(noisy).max()) == pytest.approx(-3, abs=0.01)


def test_formats_and_sizes_are_as_the_table_says():
    infos = {pair[1]: soundfile.info(SPEECH / pair[1]) for pair in PAIRS}
    stereo = infos.pop("noisy_stereo.flac")
    assert (stereo.samplerate, stereo.channels, stereo.format) == (48000, 2, "FLAC")
    assert {(i.samplerate, i.channels, i.format) for i in infos.values()} == {(16000, 1, "WAV")}
    assert sum(path.stat().st_size for path in SPEECH.rglob("*.*")) < 1.5e6


def test_made_noise_depends_on_its_seed_alone():
    noises = runpy.run_path(str(SPEECH / "make.py"))["NOISES"]
    for name in ("rain", "traffic", "keyboard"):
        one, same, other = (
            noises[name](np.random.default_rng(seed), 8000, 16000) for seed in (1, 1, 2)
        )
        assert np.array_equal(one, same), name
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.9, name


def test_making_sounds_says_what_to_install(run, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as stop:
        run("speech/make.py", tmp_path / "out")
    assert stop.value.code == 2
    assert "apt install espeak-ng" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# -- programs ----------------------------------------------------------------------------------


def test_enhance_file(run, tmp_path, model):
    soundfile.write(tmp_path / "noisy.flac", noise(0.3, 44100, 2), 44100)
    run("enhance_file.py", tmp_path / "noisy.flac", tmp_path / "out.wav", "--model", model)
    noisy, _ = soundfile.read(tmp_path / "noisy.flac")
    out, rate = soundfile.read(tmp_path / "out.wav")
    assert (rate, out.shape) == (44100, noisy.shape)
    assert np.abs(out - noisy).max() > 1e-3


@pytest.mark.parametrize("name", ["enhance_file.py", "plot_spectrograms.py", "train_on_folder.py"])
def test_a_missing_input_is_one_line(run, tmp_path, model, capsys, name):
    arguments = {
        "enhance_file.py": ["nowhere.wav", tmp_path / "out.wav", "--model", model],
        "plot_spectrograms.py": ["nowhere.wav"] * 3,
        "train_on_folder.py": [tmp_path / "nowhere", tmp_path, "-o", tmp_path / "work"],
    }
    with pytest.raises(SystemExit) as stop:
        run(name, *arguments[name])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nowhere" in line


def test_plot_spectrograms(run, tmp_path):
    for number, name in enumerate(("clean.wav", "noisy.wav", "enhanced.wav")):
        soundfile.write(tmp_path / name, noise(0.5, 8000, seed=number), 8000)
    files = [tmp_path / name for name in ("clean.wav", "noisy.wav", "enhanced.wav")]
    run("plot_spectrograms.py", *files, "-o", tmp_path / "picture.png")
    pytest.importorskip("PIL")
    from PIL import Image

    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width == 1800
        assert np.asarray(picture.convert("L"))[:, -1].min() > 250  # a light margin


def test_train_on_folder_exports_what_enhances(run, tmp_path):
    for folder, name, rate in (
        ("a", "one.flac", 44100),
        ("a", "x/two.wav", 8000),
        ("b", "n.wav", 16000),
    ):
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(1.2, rate, 2), rate)
    (tmp_path / "a" / "notes.txt").write_text("no sound")
    run("train_on_folder.py", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "w", "--steps", 3)

    listed = (tmp_path / "w" / "speech" / "wav.scp").read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 1)[0] for line in listed] == ["000000", "000001"]
    for line in listed:
        info = soundfile.info(line.split(" ", 1)[1])
        assert (info.samplerate, info.channels, info.frames) == (16000, 1, 19200)

    enhancer = load(tmp_path / "w" / "run" / "generator.safetensors", "cpu")
    wave = noise(0.5, 16000).T
    assert enhancer(wave, 16000).shape == wave.shape


def node_modules(runtime):
    """Return the folder in which node finds an npm package, None where it finds none."""
    if not (node := shutil.which("node")):
        return None
    asked = [node, "-p", f"require.resolve('{runtime}')"]
    found = subprocess.run(asked, cwd=EGS, capture_output=True, text=True).stdout
    return found.split("node_modules")[0] + "node_modules" if found else None


def test_stream_without_python_gives_the_same_samples(tmp_path):
    runtimes = {r: node_modules(r) for r in ("onnxruntime-node", "onnxruntime-web")}
    if not any(runtimes.values()):
        pytest.skip("needs node, npm install onnxruntime-node, NODE_PATH=.../node_modules")
    from segan import export, forms
    from segan.generator import BandGenerator

    torch.manual_seed(0)
    options = {"channels": 4, "dilations": (2,), "narrow": 2, "hidden": 8, "level": 0.1}
    network = BandGenerator(**options, causal=True).eval().requires_grad_(False)
    torch.nn.init.normal_(network.leave.weights[0], std=0.2)
    form, program = forms.Hops(network), (EGS / "stream.js").read_text(encoding="utf-8")
    file = export.onnx_file(forms.traced(form), form, export.notes_of(form, "default"))
    (tmp_path / "live.onnx").write_bytes(file)

    for runtime, channels in ((r, c) for r, modules in runtimes.items() if modules for c in (1, 2)):
        text = program.replace('["onnxruntime-node", "onnxruntime-web"]', f'["{runtime}"]')
        (tmp_path / "stream.js").write_text(text, encoding="utf-8")
        noisy = np.round(32768 * noise(0.3, 16000, channels)).clip(-32768, 32767).astype("<i2")
        done = subprocess.run(
            ["node", tmp_path / "stream.js", tmp_path / "live.onnx", str(channels)],
            input=noisy.tobytes(),
            capture_output=True,
            env=os.environ | {"NODE_PATH": runtimes[runtime]},
        )
        assert done.returncode == 0, done.stderr.decode()
        out = np.frombuffer(done.stdout, "<i2").reshape(-1, channels)
        clean = network(torch.from_numpy(noisy.T / np.float32(32768))[:, None])[:, 0].numpy().T
        assert out.shape == noisy.shape and np.abs(clean - noisy / 32768).max() > 0.01
        assert np.abs(out - 32768 * clean).max() < 1  # half a step is rounding


# -- the ring ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ring():
    return runpy.run_path(str(EGS / "ring.py"))


def test_ring_runs_with_every_objective(run, ring, tmp_path):
    run("ring.py", "--steps", 20, "-o", tmp_path)
    head, *rows = (tmp_path / "ring.tsv").read_text(encoding="utf-8").splitlines()
    assert head.split("\t") == ["objective", "seed", "modes", "good", "spread"]
    assert [row.split("\t")[0] for row in rows] == list(ring["SIX"])
    assert (tmp_path / "ring.png").stat().st_size > 10_000


def test_real_points_reach_every_mode(ring):
    modes, good, spread = ring["measure"](ring["ring"](seed=5))
    assert modes == 8
    assert good == pytest.approx(1 - np.exp(-4.5), abs=0.003)  # of a Gaussian, within 3 deviations
    assert spread == pytest.approx(1, abs=0.01)


def test_collapsed_and_scattered_samples_reach_few(ring):
    collapsed = ring["CENTERS"][:1].repeat(4000, 1)
    assert ring["measure"](collapsed) == (1, 1.0, pytest.approx(0, abs=1e-3))
    torch.manual_seed(0)
    modes, good, _ = ring["measure"](4 * torch.rand(16384, 2) - 2)
    assert modes == 0
    assert good == pytest.approx(8 * np.pi * 0.15**2 / 16, abs=0.01)  # the area of eight disks


def test_a_mode_needs_a_third_of_its_share(ring):
    counts = torch.tensor([27, 100, 100, 100, 100, 100, 100, 173])  # of 800: 27 / 800 < 1 / 24
    points = ring["CENTERS"].repeat_interleave(counts, 0)
    assert ring["measure"](points)[:2] == (7, 1.0)
    points[-10:] = ring["CENTERS"][0]
    assert ring["measure"](points)[:2] == (8, 1.0)
