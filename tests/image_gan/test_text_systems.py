"""``gan-train`` from captions to pictures: encoder, stage I, stage II, and what scores them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from gan import checkpoint, train
from image_gan import paint
from image_gan.kinds import KINDS, SCORERS

SHORT = ["trainer.steps=2", "trainer.epochs=null", "trainer.batch_size=4", "trainer.workers=0"]
SHORT += ["trainer.device=cpu", "data=captioned", "data.path=corpus", "data.resize=null"]
TINY = ["game.generator.first.channels=4", "game.generator.first.size=8"]
TINY += ["game.generator.first.latent=3", "game.discriminator.channels=2", *SHORT]
ENCODER = ["system=text_encoder", *SHORT, "data.size=16", "game.encoder.size=5"]
ENCODER += ["game.encoder.channels=3", "game.pictures.channels=2"]
LARGE = ["system=stackgan_large", "game.generator.second.size=16"]
LARGE += ["game.generator.second.channels=4", "game.discriminator.channels=2", *SHORT]
JUDGE = ["system=attribute_classifier", *SHORT, "data=attributes", "data.size=16"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Pictures of one color each, 16 x 16."""
    folder, rng = tmp_path_factory.mktemp("text"), np.random.default_rng(0)
    (folder / "corpus").mkdir()
    with (folder / "corpus/captions.jsonl").open("w", encoding="utf-8") as file:
        for number, (name, level) in enumerate({"red": 200, "dark": 20, "tomato's": 90}.items()):
            values = rng.integers(0, 50, (16, 16, 3), dtype=np.uint8) + np.uint8(level)
            Image.fromarray(values).save(folder / f"corpus/{number}.png")
            line = {"image": f"{number}.png", "captions": [f"a {name} picture", f'"{name}", é!']}
            file.write(json.dumps({**line, "attributes": {"color": name}}) + "\n")
    return folder


@pytest.fixture
def run(corpus, monkeypatch):
    """A function that runs gan-train in that folder."""
    monkeypatch.chdir(corpus)

    def run(*words):
        GlobalHydra.instance().clear()
        monkeypatch.setattr("sys.argv", ["gan-train", *words])
        train.main()

    return run


@pytest.fixture
def encoder(run, corpus):
    """The file of a trained text encoder."""
    run(*ENCODER)
    return "exp/text_encoder/encoder.safetensors"


@pytest.fixture
def first(run, encoder):
    """The file of a trained stage I."""
    run("system=stackgan", f"encoder={encoder}", *TINY)
    return "exp/stackgan/generator.safetensors"


def test_an_encoder_knows_the_words_of_its_captions(encoder):
    network = checkpoint.load_network(encoder, KINDS)
    assert list(network.numbers) == ["a", "picture", "é", "dark", "red", "tomato's"]
    pictures = checkpoint.load_network("exp/text_encoder/pictures.safetensors", KINDS)
    assert pictures(torch.zeros(2, 3, 16, 16)).shape == (2, 5)


def test_a_stage_takes_its_encoder_along_unchanged(run, encoder, first):
    alone, painter = checkpoint.load_network(encoder, KINDS), paint.load(first)
    for name, value in alone.state_dict().items():
        assert torch.equal(value, painter.network.encoder.state_dict()[name])
    assert painter("a red picture")[0].size == (8, 8)
    run("system=stackgan", f"encoder={encoder}", *TINY, "trainer.steps=3")  # goes on
    assert checkpoint.load("exp/stackgan/last.pt")["step"] == 3


def test_stage_two_starts_from_stage_one_and_leaves_it_alone(run, first):
    words = [
        *LARGE,
        f"stage_one={first}",
        "validation=drawings",
        "validation.path=corpus",
        "trainer.every.validate=2",
    ]
    run(*words, "+trainer.averages.generator=0.9")
    small, large = paint.load(first).network, paint.load("exp/stackgan_large/generator.safetensors")
    for name, value in small.state_dict().items():
        assert torch.equal(value, large.network.state_dict()[name]), name
    assert large("a red picture")[0].size == (16, 16)
    sheet = Image.open("exp/stackgan_large/samples/0000002.png")
    assert sheet.width > 8 * 16
    log = [json.loads(x) for x in Path("exp/stackgan_large/log.jsonl").read_text().splitlines()]
    assert any(line.get("diversity", 0) > 0 for line in log)


def test_the_other_systems(run):
    run("system=conditional_gan", *TINY, "game.matching_aware=false")
    assert paint.load("exp/conditional_gan/generator.safetensors")("red")[0].size == (8, 8)
    run("system=text_encoder_char", *SHORT, "data.size=16", "game.encoder.channels=2")
    run(*JUDGE, "game.generator.channels=2")
    judge = checkpoint.load_network("exp/attribute_classifier/generator.safetensors", SCORERS)
    assert judge.attributes == {"color": ["dark", "red", "tomato's"]}


def test_embeddings_made_elsewhere(run, corpus):
    np.save("corpus/embeddings.npy", np.zeros((6, 7), np.float32))
    path = Path("corpus/captions.jsonl")
    before = path.read_text(encoding="utf-8")
    lines = [{**json.loads(x), "embedding": 2 * n} for n, x in enumerate(before.splitlines())]
    path.write_text("".join(json.dumps(x) + "\n" for x in lines), encoding="utf-8")
    words = ["encoder=null", "data.embeddings=true", "game.generator.first.embedding=7"]
    run("system=stackgan", "name=made", *words, *TINY)
    path.write_text(before, encoding="utf-8")
    with pytest.raises(ValueError, match="trained on embeddings made elsewhere"):
        paint.load("exp/made/generator.safetensors")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["system=stackgan", *TINY], "encoder"),
        (["system=stackgan", "encoder=gone.safetensors", *TINY], "gone.safetensors"),
        (["system=stackgan", "encoder=corpus/0.png", *TINY], "corpus/0.png: no model file"),
        ([*LARGE, "stage_one=ENCODER"], "which has no encoder"),
        (["system=conditional_gan", *TINY, "data.path=gone"], "gone: no such file"),
        (["system=conditional_gan", *TINY, "+init.first=x"], "init.first: the game has no"),
        (
            ["system=conditional_gan", *TINY, "init.generator.encoder=ENCODER"],
            "unknown kind of network 'image_gan.encoders.GRU'",
        ),
    ],
)
def test_what_is_wrong_is_one_line(run, encoder, capsys, words, complaint):
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        run("name=wrong", *(word.replace("ENCODER", encoder) for word in words))
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
    assert not Path("exp/wrong/last.pt").exists()
