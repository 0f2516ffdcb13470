"""``gan-train`` with every system of pictures."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import OmegaConf

from gan import checkpoint, train
from gan.objectives import NonSaturating
from gan.trainer import Player, Trainer
from gan.translation import Translation
from image_gan.kinds import KINDS
from image_gan.srresnet import SRDiscriminator, SRResNet

PIX2PIX = [
    "+game.generator.channels=2",
    "game.generator.levels=5",
    "+game.discriminator.channels=2",
]
CYCLE = ["game.generator.channels=2", "game.target_discriminator.channels=2"]
SR = ["game.generator.channels=4", "game.generator.blocks=1"]
SRGAN = [*SR, "game.discriminator.channels=2", "game.discriminator.size=32"]
SRGAN += ["game.discriminator.dense=4"]
ENLARGING = ("srresnet", "srgan", "srgan_features")
TINY = {
    "pix2pix": PIX2PIX,
    "pix2pix_port": PIX2PIX,
    "cyclegan": [*CYCLE, "game.generator.blocks=1", "game.pool=1"],
    "discogan": [*CYCLE, "game.generator.inputs=1"],
    "srresnet": SR,
    "srgan": [*SRGAN, "+game.distances.content.layer=[1,1]"],
    "srgan_features": SRGAN,
}
SHORT = ["trainer.steps=2", "trainer.epochs=null", "trainer.batch_size=2", "trainer.device=cpu"]


class Pictures(torch.utils.data.Dataset):
    """Four pictures of 32 x 32 on each side, or of sources every so manieth row and column."""

    def __init__(self, source=3, target=3, step=1):
        self.channels, self.step = (source, target), step

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rng = np.random.default_rng(int(index))
        sides = [rng.uniform(-1, 1, (c, 32, 32)).astype(np.float32) for c in self.channels]
        return {"source": sides[0][:, :: self.step, :: self.step], "target": sides[1]}


@pytest.fixture
def vgg(tmp_path, monkeypatch):
    """Random weights in the place of VGG19's, as far as they are needed here."""
    models = pytest.importorskip("torchvision.models")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    place = (
        tmp_path / "torch/hub/checkpoints" / models.VGG19_Weights.IMAGENET1K_V1.url.split("/")[-1]
    )
    place.parent.mkdir(parents=True)
    shapes = {"weight": (64, 3, 3, 3), "bias": (64,)}
    torch.save({f"features.0.{kind}": torch.randn(shapes[kind]) for kind in shapes}, place)


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
def test_every_system_runs_resumes_and_exports(run, request, system):
    if system == "srgan":
        request.getfixturevalue("vgg")
    source, scale = 1 if system == "discogan" else 3, 4 if system in ENLARGING else 1
    words = [f"system={system}", *TINY[system], *SHORT, f"+data.source={source}"]
    words.append(f"+data.step={scale}")
    run(*words)
    run(*words, "trainer.steps=3")
    folder = Path("exp") / system
    assert checkpoint.load(folder / "last.pt")["step"] == 3
    forth = checkpoint.load_network(folder / "generator.safetensors", KINDS)
    assert forth(torch.zeros(1, source, 33, 20)).shape == (1, 3, 33 * scale, 20 * scale)
    if system in ("cyclegan", "discogan"):
        back = checkpoint.load_network(folder / "inverse.safetensors", KINDS)
        assert back(torch.zeros(1, 3, 33, 20)).shape == (1, source, 33, 20)


def test_every_system_is_tried_here():
    folder = Path(train.__file__).parents[1] / "image_gan" / "conf" / "system"
    elsewhere = {"segmenter", "classifier", "attribute_classifier"}  # which have their own tests
    elsewhere |= {
        "text_encoder",
        "text_encoder_char",
        "conditional_gan",
        "stackgan",
        "stackgan_large",
    }
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
        ("srresnet", {"generator": 1_550_659}),
        ("srgan_features", {"generator": 1_550_659, "discriminator": 23_565_505}),
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


def logged(folder):
    """The names of the generator's losses."""
    lines = (Path(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        name.partition("/")[2]
        for line in map(json.loads, lines)
        for name in line
        if name.startswith("generator/")
    }


def test_srgan_starts_from_srresnet(run, vgg):
    run("system=srresnet", *SR, *SHORT, "+data.step=4")
    before = Path("exp/srresnet/generator.safetensors")
    start = [f"init.generator={before}", "+data.step=4", "trainer.steps=1"]
    for system, names in (
        ("srgan", {"adversarial", "content"}),
        ("srgan_features", {"adversarial", "content", "features"}),
    ):
        run(f"system={system}", *TINY[system], *SHORT, *start)
        assert logged(f"exp/{system}") == names
        pair = [
            checkpoint.load_network(path, KINDS).enter[0].weight
            for path in (before, Path("exp") / system / "generator.safetensors")
        ]
        assert 0 < (pair[0] - pair[1]).abs().max() <= 1.1e-4  # one step of Adam from there
        state = checkpoint.load(f"exp/{system}/last.pt")["game"]
        assert {name.partition(".")[0] for name in state} == {"generator", "discriminator"}


def test_the_rate_of_srgan_falls_to_a_tenth_in_the_second_half(run, capsys):
    run("system=srgan_features", *SRGAN, "dry_run=true", "trainer.steps=300")
    config = OmegaConf.create(capsys.readouterr().out.partition("\n# ")[0])
    for player in config.players.values():
        assert player.optimizer.lr == 1e-4
        schedule = instantiate(player.schedule)
        assert [schedule(149), schedule(150)] == [1, 0.1]


def test_without_vgg19_one_line_says_what_to_do(run, capsys, monkeypatch, tmp_path):
    pytest.importorskip("torchvision")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    with pytest.raises(SystemExit, match="2"):
        run("system=srgan", *SRGAN, *SHORT, "+data.step=4")
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("gan-train: the weights of VGG19 can't be fetched (unreachable): fetch ")
    assert "vgg19" in line and str(tmp_path) in line and line.endswith("system=srgan_features")
    assert not Path("exp").exists()


def unreachable(*_, **__):
    raise OSError("unreachable")


def test_variants_of_srgan_are_settings(run, vgg):
    words = ["game.matching=false", "~players.generator.weights.features", "+data.step=2"]
    run("system=srgan_features", *SRGAN, *SHORT, *words, "game.generator.scale=2")
    assert logged("exp/srgan_features") == {"adversarial", "content"}
    alone = ["~game.discriminator", "~players.discriminator", "~players.generator.weights"]
    run("system=srgan", *TINY["srgan"][:2], TINY["srgan"][-1], *SHORT, *alone, "+data.step=4")
    assert logged("exp/srgan") == {"content"}


def test_srgan_overfits_one_batch():
    """From noise to the pictures themselves; the distance falls to a small part."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(-1, 1, (2, 3, 8, 8)).astype(np.float32))
    target = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
    batch = {"source": target[..., ::4, ::4], "target": target}
    judge = SRDiscriminator(channels=2, size=32, dense=4)
    content = {"mse": torch.nn.MSELoss()}
    game = Translation(
        SRResNet(channels=12, blocks=1), judge, NonSaturating(), content, matching=True
    )
    weights = {"adversarial": 1e-3, "features": 1e-2}
    adam = partial(torch.optim.Adam, lr=4e-3)
    players = {"discriminator": Player(adam), "generator": Player(adam, weights=weights)}
    trainer = Trainer(game, players, [batch], steps=1, device="cpu", bar=False)
    for _ in range(50):
        trainer.step([batch])
    distances = [float(losses["mse"]) for _, name, losses in trainer.pending if name == "generator"]
    assert distances[0] > 0.1 and distances[-1] < 0.02
