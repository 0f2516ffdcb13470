"""Pictures with captions: what is read, what is drawn, what is refused."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gan.feed import Draw
from image_gan import attributes, captions
from image_gan.attributes import AttributeClassifier, AttributeCrossEntropy, Attributes
from image_gan.captions import Captioned, square
from image_gan.text import texts

PLAIN = {"size": 8, "resize": None, "mirror": False}
COLORS = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 255, 0)}


@pytest.fixture
def corpus(tmp_path):
    """Three pictures of one color each, with two captions and an attribute."""
    lines = []
    for color, value in COLORS.items():
        Image.new("RGB", (8, 8), value).save(tmp_path / f"{color}.png")
        said = [f"a {color} square", f"all is {color}"]
        lines.append({"image": f"{color}.png", "captions": said, "attributes": {"color": color}})
    return SimpleNamespace(folder=tmp_path, lines=lines, write=lambda *x: write(tmp_path, x))


def write(folder, lines):
    text = "".join(x if isinstance(x, str) else json.dumps(x) + "\n" for x in lines)
    (folder / captions.NAME).write_text(text, encoding="utf-8")
    return folder


def said(item, name="text"):
    return texts(torch.from_numpy(item[name])[None])[0]


def test_a_caption_goes_with_its_picture_and_the_wrong_one_with_another(corpus):
    data = Captioned(corpus.write(*corpus.lines), **PLAIN)
    assert len(data) == 3
    seen = set()
    for epoch in range(20):
        for index, color in enumerate(COLORS):
            item = data[Draw(index, epoch)]
            level = np.array(COLORS[color], np.float32)[:, None, None] / 127.5 - 1
            assert np.array_equal(item["target"], np.broadcast_to(level, (3, 8, 8)))
            assert said(item) in corpus.lines[index]["captions"]
            assert said(item, "wrong") not in corpus.lines[index]["captions"]
            seen |= {said(item), said(item, "wrong")}
    assert seen == {caption for line in corpus.lines for caption in line["captions"]}


def test_an_item_depends_on_seed_epoch_and_index_alone(corpus):
    corpus.write(*corpus.lines)
    one, other = (Captioned(corpus.folder, seed=3, **PLAIN) for _ in range(2))
    [one[Draw(n, 0)] for n in range(3)]
    for name, value in one[Draw(1, 5)].items():
        assert np.array_equal(value, other[Draw(1, 5)][name])


def test_the_same_caption_of_another_picture_is_not_wrong(corpus):
    lines = [{**line, "captions": ["dull"]} for line in corpus.lines]
    lines[2] = {**lines[2], "captions": ["bright"]}
    data = Captioned(corpus.write(*lines), **PLAIN)
    wrong = {said(data[Draw(n, epoch)], "wrong") for n in range(2) for epoch in range(10)}
    assert wrong == {"bright"}


def test_where_nothing_is_wrong_for_a_picture(corpus):
    every = [caption for line in corpus.lines for caption in line["captions"]]
    corpus.write(*corpus.lines[:2], {**corpus.lines[2], "captions": every})
    with pytest.raises(ValueError, match="a picture has every caption that there is"):
        Captioned(corpus.folder, **PLAIN)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{no json\n", "line 2: is no JSON"),
        ("[1]\n", 'line 2: has no "image"'),
        ({"image": "red.png"}, 'line 2: has no "captions"'),
        ({"image": "red.png", "captions": []}, 'line 2: has no "captions"'),
        ({"image": "red.png", "captions": ["a", "  "]}, "none of them empty"),
        ({"image": "gone.png", "captions": ["a"]}, r"line 2: .*gone\.png is not there"),
        ({"image": "red.png", "captions": ["a"], "box": [1, 2, 3]}, '"box" is not'),
        ({"image": "red.png", "captions": ["a"], "box": [1, 2, 3, float("inf")]}, '"box" is not'),
        ({"image": "red.png", "captions": ["a"], "attributes": {"x": 1}}, '"attributes" is no'),
        ({"image": "red.png", "captions": ["a"], "embedding": -1}, '"embedding" is not'),
    ],
)
def test_a_wrong_line_is_named(corpus, line, complaint):
    corpus.write(corpus.lines[0], line)
    with pytest.raises(ValueError, match=complaint):
        captions.read(corpus.folder)


def test_a_file_of_nothing_and_no_file(corpus):
    with pytest.raises(OSError, match="no such file"):
        captions.read(corpus.folder)
    with pytest.raises(ValueError, match="lists no pictures"):
        captions.read(corpus.write("\n\n"))


def test_a_broken_picture_is_named(corpus):
    (corpus.folder / "red.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"red\.png"):
        Captioned(corpus.write(*corpus.lines), **PLAIN)


def test_captions_of_any_script(corpus):
    lines = [{**line, "captions": [f"青い {line['image']} مرحبا"]} for line in corpus.lines]
    data = Captioned(corpus.write("\ufeff", *lines), **PLAIN)
    assert said(data[0]) == "青い red.png مرحبا"


@pytest.mark.parametrize(
    ("box", "size", "wanted"),
    [
        (None, (20, 30), ((0, 0), (20, 30))),
        ((10, 10, 4, 8), (100, 100), ((8, 6), (12, 12))),  # 1.5 * 8, around (14, 12)
        ((0, 0, 4, 8), (100, 100), ((0, 0), (10, 8))),  # cut off at the border
        ((90, 90, 30, 30), (100, 100), ((82, 82), (18, 18))),
    ],
)
def test_the_square_around_a_box(box, size, wanted):
    assert square(box, size) == wanted


def test_a_box_is_cut_out(corpus):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[4:8, 4:8] = 255
    Image.fromarray(picture).save(corpus.folder / "red.png")
    lines = [{**corpus.lines[0], "box": [4, 4, 4, 4]}, *corpus.lines[1:]]
    data = Captioned(corpus.write(*lines), size=6, resize=None, mirror=False)
    cut = picture[3:9, 3:9].transpose(2, 0, 1) / 127.5 - 1
    assert np.array_equal(data[0]["target"], cut.astype(np.float32))


def test_embeddings_made_elsewhere(corpus):
    rows = np.arange(12, dtype=np.float16).reshape(6, 2)
    np.save(corpus.folder / "embeddings.npy", rows)
    lines = [{**line, "embedding": 2 * n} for n, line in enumerate(corpus.lines)]
    data = Captioned(corpus.write(*lines), embeddings=True, **PLAIN)
    for epoch in range(8):
        item = data[Draw(1, epoch)]
        assert item["embedding"].dtype == np.float32
        assert item["embedding"].tolist() in rows[2:4].tolist()
        assert item["wrong_embedding"].tolist() in [*rows[:2].tolist(), *rows[4:].tolist()]
    corpus.write(*lines[:2], {**lines[2], "embedding": 5})
    with pytest.raises(ValueError, match=r"green\.png: its captions have no rows"):
        Captioned(corpus.folder, embeddings=True, **PLAIN)


def test_embeddings_that_hold_objects_are_refused(corpus):
    np.save(corpus.folder / "embeddings.npy", np.array([{}, {}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="no embeddings"):
        Captioned(corpus.write(*corpus.lines), embeddings=True, **PLAIN)
    (corpus.folder / "embeddings.npy").unlink()
    with pytest.raises(OSError, match="no such file; say data"):
        Captioned(corpus.folder, embeddings=True, **PLAIN)


# Attributes


def test_attributes_of_a_file(corpus):
    wanted = {"color": ["blue", "green", "red"]}
    assert attributes.attributes_of(corpus.write(*corpus.lines)) == wanted
    data = Attributes(corpus.folder, wanted, **PLAIN)
    assert [int(data[n]["target"][0]) for n in range(3)] == [2, 0, 1]
    with pytest.raises(ValueError, match="color is green, none of red, blue"):
        Attributes(corpus.folder, {"color": ["red", "blue"]}, **PLAIN)
    with pytest.raises(ValueError, match="shape is not told, none of"):
        Attributes(corpus.folder, {"shape": ["round", "flat"]}, **PLAIN)


def test_a_file_without_attributes(corpus):
    lines = [{**line, "attributes": {}} for line in corpus.lines]
    with pytest.raises(ValueError, match="tells no attributes"):
        attributes.attributes_of(corpus.write(*lines))


def test_the_classifier_learns_to_name_them():
    torch.manual_seed(0)
    known = {"hair": ["blue", "red"], "eyes": ["big", "dark", "small"]}
    network, distance = AttributeClassifier(known, channels=4), AttributeCrossEntropy(known)
    pictures = torch.randn(6, 3, 16, 16)
    values = torch.tensor([[n % 2, n % 3] for n in range(6)])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = distance(network(pictures), values)
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    named = [(x["hair"], x["eyes"]) for x in network.named(pictures)]
    assert named == [(known["hair"][n % 2], known["eyes"][n % 3]) for n in range(6)]


def test_the_loss_is_the_mean_of_the_attributes_cross_entropies():
    known = {"hair": ["blue", "red"], "eyes": ["big", "dark", "small"]}
    logits, values = torch.randn(4, 5), torch.tensor([[0, 2], [1, 1], [1, 0], [0, 0]])
    wanted = 0.0
    for row, (hair, eyes) in zip(logits, values, strict=True):
        wanted -= row[:2].log_softmax(0)[hair] + row[2:].log_softmax(0)[eyes]
    torch.testing.assert_close(AttributeCrossEntropy(known)(logits, values), wanted / 8)


@pytest.mark.parametrize("wrong", [{}, {"hair": ["blue"]}, {"hair": ["blue", "blue"]}])
def test_attributes_need_two_values(wrong):
    with pytest.raises(ValueError, match="two values at least"):
        AttributeClassifier(wrong)
