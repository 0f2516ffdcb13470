"""Mixing batches on a device: the same as one scene at a time in NumPy."""

import json

import numpy as np
import pytest
import soundfile
import torch
from hydra.core.global_hydra import GlobalHydra
from scipy.signal import lfilter
from torch.utils.data import default_collate

from gan import train
from gan.feed import Draw
from segan import augment, device_mixing
from segan.data import Mixtures, Scenes

RATE = 16000
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]


class Noise:
    """A source without files."""

    def draw(self, rng, frames):
        return (rng.standard_normal(frames) * rng.uniform(0.01, 0.3)).astype(np.float32)


class Words(Noise):
    """Bursts with silence between, which is not active."""

    def draw(self, rng, frames):
        return super().draw(rng, frames) * (np.arange(frames) // 1600 % 2)


class One(list):
    """A corpus of one part."""

    frames, masses = [16 * 8000], [1.0]


@pytest.fixture
def pair(monkeypatch):
    """Give the same data twice, mixed in NumPy and to be mixed."""

    def build(recipe, frames=8000):
        monkeypatch.setattr("segan.data.recordings", lambda place, rate: One([place]))
        rest = (Words(), Noise(), frames / RATE)
        return Mixtures(*rest, recipe=recipe), Scenes(*rest, recipe=recipe)

    return build


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "recipe",
    [
        augment.Recipe(),
        augment.Recipe(speed=0.5, filters=1, synthetic=0, babble=0, second=1, reverb=1),
        augment.Recipe(speed=0, filters=0, synthetic=0.5, babble=0.5, second=0.5, reverb=0),
    ],
)
def test_batches_on_the_device_are_the_mixtures(pair, recipe, device):
    mixtures, scenes = pair(recipe)
    draws = [Draw(index, epoch) for index in range(8) for epoch in (0, 3)]
    expected = default_collate([mixtures[draw] for draw in draws])
    batch = default_collate([scenes[draw] for draw in draws])
    found = device_mixing.Mixer(RATE)({name: x.to(device) for name, x in batch.items()})
    for name in ("source", "target"):
        assert found[name].dtype == torch.float32
        assert found[name].device.type == device
        torch.testing.assert_close(found[name].cpu(), expected[name], rtol=0, atol=2e-5)


def test_silence_mixes_without_a_nan():
    mixer, noise = device_mixing.Mixer(RATE), torch.randn(2, 3200)
    clean = torch.stack([torch.zeros(3200), torch.ones(3200)])
    mixed = mixer.mix(clean, noise * torch.tensor([[1.0], [0.0]]), torch.zeros(2))
    assert torch.equal(mixed, torch.stack([noise[0], clean[1]]))


def test_the_filter_is_the_recursion():
    rng = np.random.default_rng(0)
    wave = rng.standard_normal((20, 3000))  # whose span is odd
    coefficients = np.concatenate(
        [
            rng.uniform(-0.375, 0.375, (18, 4)),  # the hardest are corners
            [[-0.375, -0.375, 0.3, 0.3], [0.375, -0.375, 0.3, 0.3]],
        ]
    )
    expected = [
        lfilter([1, *c[2:]], [1, *c[:2]], w) for c, w in zip(coefficients, wave, strict=True)
    ]
    found = device_mixing.filtered(torch.tensor(wave), torch.tensor(coefficients))
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-9)


@pytest.mark.parametrize("step", [augment.ONE, 60000, 78643])
def test_a_played_cut_is_interpolated(step):
    wave = np.random.default_rng(0).standard_normal(augment.needed(1000, step))
    expected = np.interp(np.arange(1000) * step / augment.ONE, np.arange(len(wave)), wave)
    np.testing.assert_allclose(augment.played(wave, step, 1000), expected, atol=1e-9)
    noise = torch.tensor(np.stack([np.append(wave, 0)] * 2))[None]
    found = device_mixing.played(noise, torch.tensor([[step, step]]), 1000)
    np.testing.assert_allclose(found[0, 1], expected, atol=1e-9)


def test_a_run_on_scenes_is_one_on_mixtures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for kind in ("speech", "noise"):
        (tmp_path / kind).mkdir()
        soundfile.write(f"{kind}/a.wav", 0.1 * rng.standard_normal(17000), RATE)
        (tmp_path / kind / "wav.scp").write_text(f"a {kind}/a.wav\n")
    words = [
        *("system=segan", "data.speech=speech", "data.noise=noise", "data.seconds=1.024"),
        *("trainer.steps=1", "trainer.epochs=null", "trainer.batch_size=2", "trainer.device=cpu"),
        *("trainer.workers=0", "+game.generator.channels=[2,3]"),
        *("+game.discriminator.channels=[2,3]", "+game.discriminator.references=2"),
    ]
    losses = []
    for kind in ("mixtures", "scenes"):
        GlobalHydra.instance().clear()
        monkeypatch.setattr("sys.argv", ["gan-train", *words, f"data={kind}", f"name={kind}"])
        train.main()
        first = json.loads((tmp_path / "exp" / kind / "log.jsonl").read_text().splitlines()[0])
        losses.append([first[name] for name in sorted(first) if name.startswith("generator/")])
    assert len(losses[0]) == 2
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
