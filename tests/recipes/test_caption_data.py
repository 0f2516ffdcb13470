"""What recipes/local makes of corpora with captions, in the layouts that they are published in."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_gan import captions

BIRDS = {  # the picture and its captions
    "001.Albatross/Albatross_0001": ["a white bird", "it has a long beak"],
    "001.Albatross/Albatross_0002": ["a bird , white and grey", "wide wings"],
    "002.Finch/Finch_0001": ["a small red bird", "a short beak"],
    "003.Jay/Jay_0001": ["a blue bird", "птица синяя"],
}


@pytest.fixture
def data(script, monkeypatch, tmp_path):
    """Return a function that runs recipes/local/caption_data.py with given words."""
    module = script("local/caption_data.py")

    def run(layout, corpus, *words):
        monkeypatch.setattr(
            "sys.argv", ["caption_data.py", layout, *map(str, (corpus, tmp_path / "data", *words))]
        )
        return module.main()

    return run


def write(path, content=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def picture(path, level=0, size=(12, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 0, 0)).save(path)


@pytest.fixture
def birds(tmp_path):
    """Return a corpus in the layout of CUB-200-2011, captions beside it."""
    root = tmp_path / "birds"
    for number, name in enumerate(BIRDS):
        picture(root / f"CUB_200_2011/images/{name}.jpg", number)
        write(root / f"text_c10/{name}.txt", "\n".join(BIRDS[name]) + "\n\n")
    rows = list(enumerate(BIRDS, 1))
    for file, row in {
        "images": "{} {}.jpg",
        "bounding_boxes": "{} 1.0 2.0 {n}.5 4.0",
        "train_test_split": "{} {bit}",
    }.items():
        lines = [row.format(n, name, n=n, bit=int(n < 3)) for n, name in rows]
        write(root / f"CUB_200_2011/{file}.txt", "\n".join(lines) + "\n")
    return root


def read(tmp_path):
    """Return the entries of both parts, as a training reads them."""
    return tuple(captions.read(tmp_path / "data" / part) for part in ("train", "test"))


def stems(entries):
    return [one.path.stem for one in entries]


# Layouts


def test_birds_have_captions_boxes_and_the_split_of_the_corpus(data, birds, tmp_path, capsys):
    assert data("cub", birds) == 0
    train, test = read(tmp_path)
    assert stems(train) == ["Albatross_0001", "Albatross_0002"]
    assert stems(test) == ["Finch_0001", "Jay_0001"]
    assert [one.captions for one in train + test] == list(BIRDS.values())
    assert [one.box for one in train + test] == [(1.0, 2.0, n + 0.5, 4.0) for n in range(1, 5)]
    assert "train: 2 pictures, 4 different captions" in capsys.readouterr().out
    for one in train + test:
        assert os.path.samefile(
            one.path, next((birds / "CUB_200_2011/images").glob(f"*/{one.path.name}"))
        )
    assert sorted(path.name for path in (tmp_path / "data").rglob("*")) == [
        *("captions.jsonl", "captions.jsonl", "test", "train")
    ]


def test_birds_are_split_by_the_classes_of_reed(data, birds, tmp_path):
    write(birds / "trainvalclasses.txt", "002.Finch\n003.Jay\n")
    write(birds / "testclasses.txt", "001.Albatross\n")
    assert data("cub", birds / "CUB_200_2011", "--captions", birds) == 0
    assert [stems(part) for part in read(tmp_path)] == [
        ["Finch_0001", "Jay_0001"],
        ["Albatross_0001", "Albatross_0002"],
    ]


def names_of(folder, train, test):
    for part, names in (("train", train), ("test", test)):
        (folder / part).mkdir(parents=True)
        content = b"(lp0\n" + b"".join(b"V%s\np1\na" % name.encode() for name in names) + b"."
        (folder / part / "filenames.pickle").write_bytes(content)


def test_birds_are_split_by_the_names_of_stackgan(data, birds, tmp_path):
    names = list(BIRDS)
    names_of(tmp_path / "lists", [names[3], names[0]], [names[2]])
    assert data("cub", birds, "--split", tmp_path / "lists") == 0
    train, test = read(tmp_path)
    assert stems(train) == ["Jay_0001", "Albatross_0001"] and stems(test) == ["Finch_0001"]


@pytest.fixture
def flowers(tmp_path):
    """Return a corpus in the layout of Oxford-102, of ten flowers."""
    root = tmp_path / "flowers"
    for number in range(1, 11):
        picture(root / f"jpg/image_{number:05}.jpg", number)
        place = root / f"text_c10/class_{number % 3:05}/image_{number:05}.txt"
        write(place, f"flower {number}\npetals of flower {number}")
    return root


def test_flowers_without_a_split_are_held_out_by_a_seed(data, flowers, tmp_path, capsys):
    parts = []
    for words in ((), (), ("--seed", 1), ("--test-share", "0.3")):
        assert data("flowers", flowers, *words) == 0
        train, test = read(tmp_path)
        assert sorted(stems(train) + stems(test)) == [f"image_{n:05}" for n in range(1, 11)]
        for one in train + test:
            number = int(one.path.stem[-5:])
            assert one.captions == [f"flower {number}", f"petals of flower {number}"]
        parts.append(stems(test))
    assert parts[0] == parts[1] != parts[2]
    assert [len(part) for part in parts] == [1, 1, 1, 3]
    assert "no split is told, so 3 of 10 pictures held out" in capsys.readouterr().out


def test_flowers_have_the_sets_of_the_corpus(data, flowers, tmp_path):
    from scipy.io import savemat

    sets = {"trnid": [[1, 4, 5]], "valid": [[2, 3]], "tstid": [[6, 7, 8, 9, 10]]}
    savemat(flowers / "setid.mat", sets)
    assert data("flowers", flowers) == 0
    train, test = read(tmp_path)
    assert [int(stem[-5:]) for stem in stems(train) + stems(test)] == list(range(1, 11))
    assert len(train) == 5


@pytest.fixture(params=["2014", "2017"])
def coco(request, tmp_path):
    """Return a corpus in the layout of COCO."""
    root = tmp_path / "coco"
    for part, numbers in (("train", (9, 25)), ("val", (42,))):
        content = {
            "images": [{"id": n, "file_name": f"COCO_{part}_{n:012}.jpg"} for n in numbers],
            "annotations": [
                {"image_id": n, "id": 10 * n + k, "caption": f"A picture\n{n} , said {k}. "}
                for k in range(2)
                for n in numbers
            ],
        }
        write(root / f"annotations/captions_{part}{request.param}.json", json.dumps(content))
        for one in content["images"]:
            picture(root / f"{part}{request.param}" / one["file_name"])
    return root


def test_coco_is_tested_on_val(data, coco, tmp_path):
    assert data("coco", coco) == 0
    train, test = read(tmp_path)
    assert stems(train) == ["COCO_train_000000000009", "COCO_train_000000000025"]
    assert stems(test) == ["COCO_val_000000000042"]
    assert test[0].captions == ["A picture 42 , said 0.", "A picture 42 , said 1."]


@pytest.fixture
def listed(tmp_path):
    """Return a function that writes a captions.jsonl of lines, its pictures beside it."""

    def make(*lines):
        root = tmp_path / "listed"
        for number, one in enumerate(lines):
            if isinstance(one, dict) and not Path(one["image"]).is_absolute():
                picture(root / one["image"], number)
        rows = [one if isinstance(one, str) else json.dumps(one) for one in lines]
        write(root / "captions.jsonl", "\n".join(rows) + "\n")
        return root

    return make


def said(number, *texts, **more):
    return {"image": f"images/{number}.png", "captions": list(texts) or [f"text {number}"], **more}


def test_lines_keep_what_training_reads_and_their_split(data, listed, tmp_path):
    corpus = listed(
        said(1, split="train", source="a web site", box=[1, 2, 3, 4]),
        said(2, split="dev", attributes={"hair": "red"}),
        said(3, split="test", caption_level="image"),
    )
    assert data("jsonl", corpus) == 0
    train, test = read(tmp_path)
    assert stems(train) == ["1", "2"] and stems(test) == ["3"]
    assert train[0].box == (1, 2, 3, 4) and train[1].attributes == {"hair": "red"}
    for part in ("train", "test"):
        text = (tmp_path / f"data/{part}/captions.jsonl").read_text(encoding="utf-8")
        assert "split" not in text and "source" not in text and "caption_level" not in text


def test_dev_is_for_the_test_where_nothing_else_is(data, listed, tmp_path):
    assert data("jsonl", listed(said(1, split="dev"), said(2, split="train"))) == 0
    assert [stems(part) for part in read(tmp_path)] == [["2"], ["1"]]


def test_a_picture_with_several_lines_is_in_one_part(data, listed, tmp_path):
    corpus = listed(*(said(number % 5, f"text {number}") for number in range(40)))
    assert data("jsonl", corpus, "--test-share", "0.4") == 0
    train, test = read(tmp_path)
    assert len(set(stems(test))) == 2 and len(test) == 16
    assert not set(stems(train)) & set(stems(test))


def test_data_can_be_moved_with_their_corpus_and_is_found_through_links(data, listed, tmp_path):
    corpus = listed(said(1), said(2))
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "deep/er")
    assert data("jsonl", corpus) == 0
    lines = (tmp_path / "deep/er/train/captions.jsonl").read_text(encoding="utf-8")
    assert json.loads(lines)["image"].startswith("../../../listed/images/")
    assert len(read(tmp_path)[0]) == 1


def test_places_on_another_drive_are_absolute(data, listed, tmp_path, monkeypatch):
    corpus = listed(said(1), said(2))
    monkeypatch.setattr("os.path.relpath", lambda *_: (_ for _ in ()).throw(ValueError("drives")))
    assert data("jsonl", corpus) == 0
    (one,) = (tmp_path / "data/test/captions.jsonl").read_text(encoding="utf-8").splitlines()
    assert Path(json.loads(one)["image"]).is_absolute()


# Attributes


def test_attributes_are_what_the_captions_tell(data, listed, tmp_path, capsys):
    corpus = listed(
        said(1, "Aqua hair red eyes", split="train"),
        said(2, "a girl", "blonde hair blue eyes", "red hair red eyes", split="test"),
    )
    pattern = r"(?P<hair>\w+) hair (?P<eyes>\w+) eyes"
    assert data("jsonl", corpus, "--attributes", pattern) == 0
    train, test = read(tmp_path)
    assert train[0].attributes == {"hair": "Aqua", "eyes": "red"}
    assert test[0].attributes == {"hair": "blonde", "eyes": "blue"}
    assert "1 pictures, 3 different captions, 1 of hair, 1 of eyes" in capsys.readouterr().out


@pytest.mark.parametrize("share", ["0", "1", "-1", "nan", "half"])
def test_a_share_is_between_0_and_1(data, listed, capsys, share):
    with pytest.raises(SystemExit):
        data("jsonl", listed(said(1), said(2)), f"--test-share={share}")
    assert f"--test-share: {share}: a number between 0 and 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"(?P<hair>\w+) hair", "1 of 2 pictures don't tell all of hair, as "),
        (r"(?P<hair>\w+", "no regular expression: missing )"),
        (r"(\w+) hair", "names no attribute, as (?P<hair>.+) does"),
    ],
)
def test_a_pattern_that_will_not_do_is_refused(data, listed, tmp_path, capsys, pattern, says):
    corpus = listed(said(1, "red hair"), said(2, "a girl"))
    try:
        code = data("jsonl", corpus, "--attributes", pattern)
    except SystemExit as end:
        code = end.code
    assert code == 2 and says in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


# Embeddings


def embeddings_of(folder, rows):
    """Write embeddings beside filenames.pickle, as Python 2 would have; return their place."""
    path = folder / "char-CNN-RNN-embeddings.pickle"
    path.write_bytes(pickle.dumps(rows, 2))
    return path


@pytest.fixture
def embedded(birds, tmp_path):
    """Return the places of StackGAN's pickles for the birds, and what is in them by name."""
    names, lists = list(BIRDS), tmp_path / "lists"
    rng = np.random.default_rng(0)
    rows = {name: rng.normal(size=(2, 5)).astype(np.float32) for name in names}
    names_of(lists, [names[3], names[0]], [names[2]])
    places = [
        embeddings_of(lists / "train", [rows[names[3]], rows[names[0]]]),
        embeddings_of(lists / "test", [rows[names[2]]]),
    ]
    return places, rows


def test_embeddings_are_those_of_the_captions(data, birds, embedded, tmp_path):
    places, rows = embedded
    assert data("cub", birds, "--split", tmp_path / "lists", "--embeddings", *places) == 0
    for part in ("train", "test"):
        found = np.load(tmp_path / f"data/{part}/embeddings.npy")
        entries = captions.read(tmp_path / "data" / part)
        assert len(found) == 2 * len(entries)
        for one in entries:
            own = rows[f"{one.path.parent.name}/{one.path.stem}"]
            assert np.array_equal(found[one.embedding : one.embedding + 2], own)
    own = {"channels": 3, "size": 4, "resize": 4, "mirror": False}
    item = captions.Captioned(tmp_path / "data/train", embeddings=True, **own)[0]
    assert any(np.array_equal(item["embedding"], row) for row in rows["003.Jay/Jay_0001"])


def test_embeddings_of_one_part_alone_are_taken_for_it(data, birds, embedded, tmp_path):
    places, _ = embedded
    assert data("cub", birds, "--split", tmp_path / "lists", "--embeddings", places[0]) == 0
    assert (tmp_path / "data/train/embeddings.npy").exists()
    assert not (tmp_path / "data/test/embeddings.npy").exists()
    assert read(tmp_path)[1][0].embedding is None


def too_many_rows(place):
    embeddings_of(place.parent, [np.zeros((3, 5), "f4"), np.zeros((2, 5), "f4")])
    return "003.Jay/Jay_0001: 3 rows, but 2 captions"


def too_few_arrays(place):
    embeddings_of(place.parent, [np.zeros((2, 5), "f4")])
    return "1 arrays, but 2 names in filenames.pickle"


def of_several_sizes(place):
    embeddings_of(place.parent, [np.zeros((2, 5), "f4"), np.zeros((2, 6), "f4")])
    return "003.Jay/Jay_0001: float32 (2, 5), not (captions, size) as all"


def not_finite(place):
    embeddings_of(place.parent, [np.zeros((2, 5), "f4"), np.full((2, 5), np.nan, "f4")])
    return "001.Albatross/Albatross_0001: not all of its numbers are finite"


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


def one_that_runs_code(place):
    place.write_bytes(pickle.dumps([Evil()], 2))
    return "system'; only numbers, texts and arrays of numbers are read, and nothing was run"


def no_names(place):
    place.with_name("filenames.pickle").unlink()
    return "filenames.pickle"


WRONG = [too_many_rows, too_few_arrays, of_several_sizes, not_finite, one_that_runs_code, no_names]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_embeddings_that_do_not_fit_are_refused(data, birds, embedded, tmp_path, capsys, wrong):
    (place, _), _ = embedded
    says = wrong(place)
    assert data("cub", birds, "--embeddings", place) == 2
    text = capsys.readouterr().err
    assert says in text and text.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_pictures_without_embeddings_are_named(data, birds, embedded, tmp_path, capsys):
    places, _ = embedded
    assert data("cub", birds, "--embeddings", *places) == 2
    assert "none of 001.Albatross/Albatross_0002, which is for train" in capsys.readouterr().err
    assert not list((tmp_path / "data").rglob("*.*"))


# Faults


def no_picture(birds):
    (birds / "CUB_200_2011/images/002.Finch/Finch_0001.jpg").unlink()
    return "Finch_0001.jpg: no such picture"


def no_captions(birds):
    (birds / "text_c10/002.Finch/Finch_0001.txt").unlink()
    return "the captions of Finch_0001.jpg should be there"


def empty_captions(birds):
    write(birds / "text_c10/002.Finch/Finch_0001.txt", "\n \n")
    return "Finch_0001.txt: no captions in it"


def an_empty_line(birds):
    write(birds / "text_c10/002.Finch/Finch_0001.txt", "a bird\n\na beak\n")
    return "Finch_0001.txt: line 2: empty"


def another_encoding(birds):
    (birds / "text_c10/002.Finch/Finch_0001.txt").write_bytes(b"a bird\na caf\xe9\n")
    return "Finch_0001.txt: line 2: no UTF-8"


def no_texts(birds):
    (birds / "text_c10").rename(birds / "elsewhere")
    return "no folder text_c10; say where with --captions DIR"


def no_box(birds):
    write(birds / "CUB_200_2011/bounding_boxes.txt", "1 1 2 3 4\n2 1 2 3 4\n4 1 2 3 4\n")
    return "bounding_boxes.txt: no picture 3, which is 002.Finch/Finch_0001"


def a_torn_table(birds):
    write(birds / "CUB_200_2011/bounding_boxes.txt", "1 1 2 3 4\n2 1 2 3\n")
    return "bounding_boxes.txt: line 2: not a number and 4 more: '2 1 2 3'"


def another_layout(birds):
    (birds / "CUB_200_2011/images.txt").unlink()
    return "images.txt: no such file; the layout cub is that of CUB_200_2011"


def a_class_unknown(birds):
    write(birds / "trainvalclasses.txt", "002.Finch\n")
    write(birds / "testclasses.txt", "001.Albatross\n")
    return "has no class 003.Jay, nor has testclasses.txt"


FAULTS = [
    *(no_picture, no_captions, empty_captions, an_empty_line, another_encoding, no_texts),
    *(no_box, a_torn_table, another_layout, a_class_unknown),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_named_in_one_line_and_nothing_is_written(fault, data, birds, tmp_path, capsys):
    says = fault(birds)
    assert data("cub", birds) == 2
    text = capsys.readouterr().err
    assert text.startswith("caption_data: ") and says in text and text.count("\n") == 1
    assert not list((tmp_path / "data").rglob("*"))


def test_all_faults_are_named_at_once_and_old_data_stays(data, birds, tmp_path, capsys):
    assert data("cub", birds) == 0
    before = read(tmp_path)
    for name in BIRDS:
        (birds / f"text_c10/{name}.txt").unlink()
    assert data("cub", birds) == 2
    assert capsys.readouterr().err.count("no such file") == 4
    assert read(tmp_path) == before


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        ("jsonl", "captions.jsonl: no such file"),
        ("flowers", "jpg: no pictures; the layout flowers has jpg/image_00001.jpg"),
        ("coco", "no captions_train2014.json and captions_val2014.json in it"),
    ],
)
def test_another_layout_is_said_to_be(data, birds, capsys, layout, says):
    assert data(layout, birds) == 2
    text = capsys.readouterr().err
    assert says in text and text.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"image": "2.png", "captions": []}, 'line 2: has no "captions"'),
        ({"image": "2.png", "captions": [" "]}, 'line 2: has no "captions"'),
        ('{"image": "none.png", "captions": ["a"]}', "none.png is not there"),
        ("{", "line 2: is no JSON"),
        (said(2, split="test"), 'some lines have a "split", others have none'),
    ],
)
def test_a_line_that_will_not_do_is_named(data, listed, capsys, line, says):
    assert data("jsonl", listed(said(1), line)) == 2
    text = capsys.readouterr().err
    assert says in text and text.count("\n") == 1


def test_a_picture_in_both_parts_is_refused(data, listed, capsys):
    corpus = listed(said(1, split="train"), said(1, split="test"))
    assert data("jsonl", corpus) == 2
    assert "1.png: both in train and in test" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content.pop("annotations"), "not COCO's captions (KeyError"),
        (lambda content: content["annotations"][0].update(caption=" "), "an empty caption"),
        (lambda content: content["annotations"].clear(), "no caption"),
        (lambda content: content["images"][0].update(file_name="b.jpg"), "b.jpg: no such picture"),
    ],
)
@pytest.mark.parametrize("coco", ["2014"], indirect=True)
def test_annotations_that_will_not_do_are_named(data, coco, capsys, change, says):
    path = coco / "annotations/captions_val2014.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    write(path, json.dumps(content))
    assert data("coco", coco) == 2
    text = capsys.readouterr().err
    assert says in text and text.count("\n") == 1


# Pictures as squares


@pytest.fixture
def squares(script, monkeypatch):
    """Return a function that runs recipes/local/caption_pictures.py with given words."""
    module = script("local/caption_pictures.py")

    def run(*words):
        monkeypatch.setattr("sys.argv", ["caption_pictures.py", *map(str, words)])
        return module.main()

    return run


def test_real_pictures_are_cut_out_as_training_does(squares, listed, tmp_path):
    corpus = listed(said(1, attributes={"hair": "red"}), said(2, box=[6, 2, 2, 2]))
    gradient = np.zeros((38, 76, 3), np.uint8)
    gradient[..., 1] = np.arange(76) * 3
    for number in (1, 2):
        Image.fromarray(gradient).save(corpus / f"images/{number}.png")
    assert squares(corpus, tmp_path / "real", "--size", 32, "--crop") == 0
    first, second = captions.read(tmp_path / "real")
    assert first.attributes == {"hair": "red"} and second.captions == ["text 2"]
    levels = np.array(Image.open(first.path))[..., 1].astype(int)
    assert levels.shape == (32, 32)
    inner = 76 * 3 * (np.arange(32) + 3.5) / 38  # of 38 pixels, the middle 32
    assert abs(levels - inner + 1.5).max() < 2
    levels = np.array(Image.open(second.path))[..., 1]
    assert levels.min() >= 3 * 5 and levels.max() <= 3 * 9  # around the box


def test_pictures_made_smaller_keep_their_names_but_for_twins(squares, listed, tmp_path):
    for lines, names in (
        ((said("a.1"), said("b.2")), ["a.1.png", "b.2.png"]),
        ((said("x/a"), said("y/a")), ["000001-a.png", "000002-a.png"]),
    ):
        assert squares(listed(*lines), tmp_path / "small", "--size", 4) == 0
        entries = captions.read(tmp_path / "small")
        assert [one.path.name for one in entries] == names
        assert {Image.open(one.path).size for one in entries} == {(4, 4)}


def test_a_broken_picture_is_named_and_nothing_is_written(squares, listed, tmp_path, capsys):
    corpus = listed(said(1), said(2))
    (corpus / "images/2.png").write_bytes(b"no picture")
    assert squares(corpus, tmp_path / "small") == 2
    assert "2.png: can't be read as a picture" in capsys.readouterr().err
    assert not list(tmp_path.glob("small*"))
