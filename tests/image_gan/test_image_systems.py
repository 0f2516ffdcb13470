"""``gan-train`` with every system of pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from gan import checkpoint, train
from image_gan.kinds import KINDS

PIX2PIX = [
    "+game.generator.channels=2",
    "game.generator.levels=5",
    "+game.discriminator.channels=2",
]
CYCLE = ["game.generator.channels=2", "game.target_discriminator.channels=2"]
TINY = {
    "pix2pix": PIX2PIX,
    "pix2pix_port": PIX2PIX,
    "cyclegan": [*CYCLE, "game.generator.blocks=1", "game.pool=1"],
    "discogan": [*CYCLE, "game.generator.inputs=1"],
}
SHORT = ["trainer.steps=2", "trainer.epochs=null", "trainer.batch_size=2", "trainer.device=cpu"]


class Pictures(torch.utils.data.Dataset):
    """Four pictures of 32 x 32 on each side."""

    def __init__(self, source=3, target=3):
        self.channels = source, target

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rng = np.random.default_rng(int(index))
        sides = [rng.uniform(-1, 1, (c, 32, 32)).astype(np.float32) for c in self.channels]
        return dict(zip(("source", "target"), sides, strict=True))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs gan-train in an empty folder, on the data set above."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        GlobalHydra.instance().clear()
        data = [f"+data._target_={__name__}.Pictures", "trainer.workers=0"]
        monkeypatch.setattr("sys.argv", ["gan-train", *words, *data])
        train.main()

    return run


@pytest.mark.parametrize("system", TINY)
def test_every_system_runs_resumes_and_exports(run, system):
    source = 1 if system == "discogan" else 3
    words = [f"system={system}", *TINY[system], *SHORT, f"+data.source={source}"]
    run(*words)
    run(*words, "trainer.steps=3")
    folder = Path("exp") / system
    assert checkpoint.load(folder / "last.pt")["step"] == 3
    forth = checkpoint.load_network(folder / "generator.safetensors", KINDS)
    assert forth(torch.zeros(1, source, 33, 20)).shape == (1, 3, 33, 20)
    if "pix2pix" not in system:
        back = checkpoint.load_network(folder / "inverse.safetensors", KINDS)
        assert back(torch.zeros(1, 3, 33, 20)).shape == (1, source, 33, 20)


def test_every_system_is_tried_here():
    folder = Path(train.__file__).parents[1] / "image_gan" / "conf" / "system"
    elsewhere = {"segmenter", "classifier"}  # which have tests of their own
    assert {path.stem for path in folder.glob("*.yaml")} == set(TINY) | elsewhere


@pytest.mark.parametrize(
    ("words", "losses"),
    [
        (["~game.discriminator", "~players.discriminator"], {"l1"}),
        (["players.generator.weights.l1=0"], {"adversarial", "l1"}),
        (["game.discriminator.given=0"], {"adversarial", "l1"}),
        (["+game.generator.skips=false"], {"adversarial", "l1"}),
    ],
    ids=["l1-alone", "adversary-alone", "unconditional", "encoder-decoder"],
)
def test_the_papers_ablations_are_settings(run, words, losses):
    tiny = [word for word in PIX2PIX if words[0][1:] not in word]
    run("system=pix2pix", *tiny, *SHORT, *words)
    last = Path("exp/pix2pix/log.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert {name for name in ("l1", "adversarial") if f'"generator/{name}"' in last} == losses
    assert Path("exp/pix2pix/generator.safetensors").exists()


def test_the_identity_loss_is_a_setting(run):
    weights = [f"+players.generator.weights.{side}_identity=5" for side in ("source", "target")]
    run("system=cyclegan", *TINY["cyclegan"], *SHORT, "game.identity=true", *weights)
    assert '"generator/target_identity"' in Path("exp/cyclegan/log.jsonl").read_text("utf-8")


@pytest.mark.parametrize(
    ("system", "counts"),
    [
        ("pix2pix", {"generator": 54_419_459, "discriminator": 2_769_601}),
        ("pix2pix_port", {"generator": 54_413_955, "discriminator": 2_768_705}),
        ("cyclegan", {"inverse": 11_378_179, "target_discriminator": 2_764_737}),
    ],
)
def test_a_dry_run_says_how_many_parameters(run, capsys, monkeypatch, system, counts):
    monkeypatch.setattr(torch.nn.init, "normal_", lambda tensor, **_: tensor)  # no need of values
    run(f"system={system}", "dry_run=true")
    printed = capsys.readouterr().out
    for network, number in counts.items():
        assert f"# {network}: {number:,} parameters" in printed
    assert not Path("exp").exists()


def test_the_port_differs_where_it_says(run, capsys):
    def settings(system):
        run(f"system={system}", *PIX2PIX, "dry_run=true")
        return set(capsys.readouterr().out.splitlines())

    paper, port = settings("pix2pix"), settings("pix2pix_port")
    found = {line.strip() for line in port - paper}
    assert "bias: false" in found
    assert "_target_: gan.schedules.LinearTail" in found
