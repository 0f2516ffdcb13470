"""``image-gan-generate --text``: from a sentence to pictures."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from gan import checkpoint
from image_gan import generate, paint, translate
from image_gan.encoders import MultiHot
from image_gan.paint import Painter
from image_gan.stackgan import StackGAN, StageI

WORDS = ["red", "blue", "circle"]
FIRST = {"embedding": 3, "size": 8, "channels": 4, "latent": 5, "condition": 6}
CONFIG = {
    "_target_": "image_gan.stackgan.StackGAN",
    "encoder": {"_target_": "image_gan.encoders.MultiHot", "vocabulary": WORDS},
    "first": {"_target_": "image_gan.stackgan.StageI", **FIRST},
}


@pytest.fixture
def model(tmp_path):
    """A model file in the folder in which the program runs."""
    torch.manual_seed(0)
    path = tmp_path / "m.safetensors"
    checkpoint.export(path, StackGAN(MultiHot(WORDS), StageI(**FIRST)), CONFIG)
    os.chdir(tmp_path)
    return path


@pytest.fixture(autouse=True)
def back():
    place = os.getcwd()
    yield
    os.chdir(place)


def run(*words):
    return generate.main(["--model", "m.safetensors", *words])


def lines(folder):
    text = (folder / "captions.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_text_becomes_pictures(model, capsys):
    assert run("--text", "a red circle", "-n", "3", "-o", "out", "--grid", "sheet.png") == 0
    out = model.parent / "out"
    names = [f"a-red-circle.{n}.png" for n in (1, 2, 3)]
    assert sorted(os.listdir(out)) == [*names, "captions.jsonl"]
    assert lines(out) == [{"image": name, "captions": ["a red circle"]} for name in names]
    pictures = [np.asarray(Image.open(out / name)) for name in names]
    assert all(picture.shape == (8, 8, 3) for picture in pictures)
    assert not np.array_equal(pictures[0], pictures[1])
    assert (model.parent / "sheet.png").is_file()
    assert "passed over, for the model has never seen it: 'a'" in capsys.readouterr().err


def test_the_first_of_many_is_that_of_one_and_the_seed_counts(model):
    painter = paint.load(model)
    before = torch.random.get_rng_state()
    one, many, other = painter("red"), painter("red", 3), painter("red", 1, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(one[0], many[0])
    assert not np.array_equal(one[0], other[0])
    assert not np.array_equal(one[0], painter("blue")[0])


def test_texts_that_fail_do_not_stop_the_others(model, capsys):
    texts = ("red", "dragon", "青い鳥", "  ", "blue circle")
    assert run(*(word for text in texts for word in ("--text", text)), "-o", "out") == 2
    said = capsys.readouterr().err
    assert "'dragon': the model knows nothing of it; it knows 3 words: red, blue, circle" in said
    assert "'青い鳥': the model knows nothing of it" in said
    assert "an empty text" in said
    assert "2 pictures of 2 texts -> out, 3 texts failed" in said
    assert [line["captions"] for line in lines(model.parent / "out")] == [["red"], ["blue circle"]]


def test_texts_from_a_file(model):
    (model.parent / "wishes.txt").write_text("red\n\n  blue circle \nred\n", encoding="utf-8")
    assert run("--captions", "wishes.txt", "-n", "2", "-o", "out", "-q") == 0
    names = ["1-red.1.png", "1-red.2.png", "2-blue-circle.1.png", "2-blue-circle.2.png"]
    assert [line["image"] for line in lines(model.parent / "out")] == names


def test_attributes_go_along_with_captions(model):
    Image.new("RGB", (4, 4)).save(model.parent / "x.png")
    line = {"image": "x.png", "captions": ["red"], "attributes": {"color": "red"}}
    (model.parent / "captions.jsonl").write_text(2 * (json.dumps(line) + "\n"), encoding="utf-8")
    assert run("--captions", "captions.jsonl", "-o", "out", "-q") == 0
    assert lines(model.parent / "out") == [{**line, "image": "red.1.png"}]


def test_nothing_is_overwritten_unasked(model, capsys):
    assert run("--text", "red", "-o", "out", "-q") == 0
    first = (model.parent / "out" / "red.1.png").read_bytes()
    assert run("--text", "red", "-o", "out", "--seed", "5") == 2
    assert "exists; --force overwrites it" in capsys.readouterr().err
    assert (model.parent / "out" / "red.1.png").read_bytes() == first
    assert run("--text", "red", "-o", "out", "--seed", "5", "--force", "-q") == 0
    assert (model.parent / "out" / "red.1.png").read_bytes() != first


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--text", "red"], "-o FOLDER: say where"),
        (["-o", "out"], "give pictures (INPUT), or --text"),
        (["x.png", "--text", "red", "-o", "out"], "give pictures (INPUT), or --text"),
        (["x.png", "-n", "2"], "-n: counts the pictures of a --text"),
        (["--text", "red", "-o", "out", "--side-by-side", "left"], "--side-by-side: is for"),
        (["--text", "red", "-o", "out", "-n", "0"], "from 1 up"),
    ],
)
def test_options_that_do_not_go_together(model, capsys, words, complaint):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--captions", "gone.txt", "-o", "out"], "gone.txt: no such file"),
        (["--captions", "empty.txt", "-o", "out"], "empty.txt: holds no text"),
        (["--captions", "binary.txt", "-o", "out"], "binary.txt: no text in UTF-8"),
        (["--text", "red", "-o", "m.safetensors"], "a file, where a folder is needed"),
        (["--text", "red", "-o", "out", "--grid", "out/red.1.png"], "is an input or an output"),
        (["photo.png"], "paints what a text says; give it one, with --text"),
    ],
)
def test_what_cannot_be_read_or_written(model, capsys, words, complaint):
    (model.parent / "empty.txt").write_text(" \n", encoding="utf-8")
    (model.parent / "binary.txt").write_bytes(b"\xff\xfe\x00")
    Image.new("RGB", (4, 4)).save(model.parent / "photo.png")
    assert run(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
    assert not (model.parent / "out").exists()


def test_a_model_of_pictures_paints_nothing(model, capsys):
    config = {"_target_": "image_gan.srresnet.SRResNet", "channels": 2, "blocks": 1}
    network = checkpoint.build(config, translate.TRANSLATORS)
    checkpoint.export(model, network, config)
    assert run("--text", "red", "-o", "out") == 2
    assert "makes no pictures from text" in capsys.readouterr().err


def test_a_model_without_an_encoder_reads_no_text():
    with pytest.raises(ValueError, match="trained on embeddings made elsewhere"):
        Painter(StackGAN(None, StageI(**FIRST)))


def test_a_model_file_that_asks_for_something_else(model, capsys):
    config = {**CONFIG, "encoder": {"_target_": "os.system", "command": "touch ran"}}
    checkpoint.export(model, StackGAN(MultiHot(WORDS), StageI(**FIRST)), config)
    assert run("--text", "red", "-o", "out") == 2
    assert "unknown kind of network 'os.system'" in capsys.readouterr().err
    assert not (model.parent / "ran").exists()
