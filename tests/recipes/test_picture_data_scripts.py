"""What recipes/local makes of pictures, and of archives of which little is known."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_gan.imresize import imresize


@pytest.fixture
def data(script, monkeypatch):
    """Return a function that runs recipes/local/picture_data.py with given words."""
    module = script("local/picture_data.py")

    def run(*words):
        monkeypatch.setattr("sys.argv", ["picture_data.py", *map(str, words)])
        return module.main()

    return run


@pytest.fixture
def palette(recipes):
    return recipes / "facades/conf/palette.tsv"


@pytest.fixture
def miniature_of(script, monkeypatch, tmp_path):
    """Return a function that makes the miniature of a recipe."""

    def make(name, *words):
        target = tmp_path / "corpus"
        module = script(f"{name}/local/miniature.py")
        monkeypatch.setattr("sys.argv", ["miniature.py", str(target), "--size", "32", *words])
        assert module.main() == 0
        return target

    return make


def pixels(path):
    return np.array(Image.open(path)).astype(int)


def stems(folder):
    return sorted(path.stem for path in folder.iterdir())


FEW = {
    "facades": "--size 32 --train 1 --val 1",
    "horse2zebra": "--size 32 --train 1 --test 1",
    "super_resolution": "--size 32 --train 1 --test 1",
    "text_to_image": "--size 8 --pictures 2",
    "voicebank": "--rate 16000 --utterances 1",
}


@pytest.mark.parametrize("name", FEW)
def test_a_miniature_that_was_killed_is_made_again(script, monkeypatch, tmp_path, name):
    def killed(*_):
        raise KeyboardInterrupt

    module = script(f"{name}/local/miniature.py")
    monkeypatch.setattr("sys.argv", ["miniature.py", str(tmp_path / "corpus"), *FEW[name].split()])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            module.main()
    assert module.main() == 0
    assert stems(tmp_path) == ["corpus"] and stems(tmp_path / "corpus")


# Pairs


def test_halves_become_sources_and_targets(miniature_of, data, palette, tmp_path):
    corpus = miniature_of("facades", "--train", "3", "--val", "2")
    assert data("pairs", corpus, tmp_path / "data", "--size", 16, "--palette", palette) == 0
    for name in stems(corpus / "train"):
        whole = pixels(corpus / f"train/{name}.jpg")
        photo, labels = (
            pixels(tmp_path / f"data/train/{side}/{name}.png") for side in ("target", "source")
        )
        assert (np.hstack([photo, labels]) == whole).all()
    for name in stems(corpus / "val"):
        target = Image.open(corpus / f"val/{name}.jpg").crop((0, 0, 32, 32))
        expected = np.array(target.resize((16, 16), Image.Resampling.BICUBIC)).astype(int)
        assert abs(pixels(tmp_path / f"data/test/target/{name}.png") - expected).max() <= 1
    assert not (tmp_path / "data/part").exists()


def test_labels_of_the_test_are_those_that_were_drawn(miniature_of, data, palette, tmp_path):
    corpus = miniature_of("facades", "--train", "1", "--val", "2")
    assert data("pairs", corpus, tmp_path / "data", "--size", 32, "--palette", palette) == 0
    lines = palette.read_text(encoding="utf-8").splitlines()[1:]
    colors = np.array([line.split("\t")[1:4] for line in lines]).astype(int)
    for path in (tmp_path / "data/test/labels").iterdir():
        labels = pixels(path)
        assert (labels[:, :, None] == colors).all(-1).any(-1).all()
        source = pixels(tmp_path / "data/test/source" / path.name)
        far = ((source[:, :, None] - colors) ** 2).sum(-1)
        assert (colors[far.argmin(-1)] == labels).all()


def test_the_test_set_is_val_or_else_test(miniature_of, data, palette, tmp_path, capsys):
    corpus = miniature_of("facades", "--train", "2", "--val", "1")
    (corpus / "val").rename(corpus / "test")
    assert data("pairs", corpus, tmp_path / "data", "--palette", palette) == 0
    (corpus / "test").rename(corpus / "other")
    assert data("pairs", corpus, tmp_path / "data", "--palette", palette) == 2
    assert "has neither a folder val nor a folder test" in capsys.readouterr().err


def broken(corpus):
    path = corpus / "train/1.jpg"
    path.write_bytes(path.read_bytes()[:400])
    return "1.jpg: can't be read as a picture"


def odd(corpus):
    Image.new("RGB", (63, 32)).save(corpus / "val/odd.png")
    return "odd.png: its width, 63 pixels, is odd"


def empty(corpus):
    (corpus / "train/none.png").touch()
    return "none.png: empty (0 bytes)"


def no_pictures(corpus):
    for path in (corpus / "train").iterdir():
        path.unlink()
    return "train: no pictures in it"


def no_folder(corpus):
    (corpus / "train").rename(corpus / "trains")
    return "train: no such folder"


def twice(corpus):
    Image.new("RGB", (64, 32)).save(corpus / "train/1.png")
    return "1.png: 1.jpg has the same name"


FAULTS = [broken, odd, empty, no_pictures, no_folder, twice]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_named_and_nothing_is_written(
    fault, miniature_of, data, palette, tmp_path, capsys
):
    corpus = miniature_of("facades", "--train", "2", "--val", "1")
    said = fault(corpus)
    assert data("pairs", corpus, tmp_path / "data", "--palette", palette) == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "data").rglob("*.*"))


def test_all_faults_are_named_at_once_and_old_data_stays(
    miniature_of, data, palette, tmp_path, capsys
):
    corpus = miniature_of("facades", "--train", "2", "--val", "1")
    words = ["pairs", corpus, tmp_path / "data", "--palette", palette]
    assert data(*words) == 0
    before = sorted((tmp_path / "data").rglob("*"))
    said = [fault(corpus) for fault in (broken, odd, empty)]
    assert data(*words) == 2
    text = capsys.readouterr().err
    assert all(line in text for line in said) and text.count("\n") == 3
    assert sorted((tmp_path / "data").rglob("*")) == before


# Domains


def test_domains_keep_their_own_test_or_hold_out_the_last_tenth(miniature_of, data, tmp_path):
    corpus = miniature_of("horse2zebra", "--train", "21", "--test", "2")
    assert data("domains", corpus, tmp_path / "a", "--size", 16) == 0
    assert stems(tmp_path / "a/test/source") == stems(corpus / "testA")
    assert stems(tmp_path / "a/train/target") == stems(corpus / "trainB")
    for path in (corpus / "testA").iterdir():
        path.unlink()
    (corpus / "testA").rmdir()
    assert data("domains", corpus, tmp_path / "b", "--size", 16) == 0
    names = stems(corpus / "trainA")
    assert stems(tmp_path / "b/test/source") == names[-2:]
    assert stems(tmp_path / "b/train/source") == names[:-2]
    assert stems(tmp_path / "b/test/target") == stems(corpus / "testB")
    for path in (tmp_path / "b/train/source").iterdir():
        assert path.read_bytes() == (corpus / "trainA" / path.name).read_bytes()
    assert {pixels(path).shape for path in (tmp_path / "b/test").rglob("*.png")} == {(16, 16, 3)}


def test_a_broken_picture_of_a_domain_is_named(miniature_of, data, tmp_path, capsys):
    corpus = miniature_of("horse2zebra", "--train", "2", "--test", "0")
    path = next((corpus / "trainB").iterdir())
    path.write_bytes(path.read_bytes()[:300])
    assert data("domains", corpus, tmp_path / "data") == 2
    assert f"{path.name}: can't be read as a picture" in capsys.readouterr().err
    assert not list((tmp_path / "data").rglob("*.*"))


def test_one_picture_cannot_be_held_out(miniature_of, data, tmp_path, capsys):
    corpus = miniature_of("horse2zebra", "--train", "1", "--test", "0")
    assert data("domains", corpus, tmp_path / "data") == 2
    assert "one picture, of which none can be held out" in capsys.readouterr().err


# The mean


def test_the_mean_is_that_of_all_pictures_under_every_name(data, tmp_path):
    for folder, names in (("photos", "ab"), ("test", "xyz")):
        (tmp_path / folder).mkdir()
        for number, name in enumerate(names):
            image = Image.new("RGB", (8, 8), (100 * number, 200, 7))
            image.save(tmp_path / folder / f"{name}.png")
    words = [tmp_path / name for name in ("photos", "test", "mean")]
    assert data("mean", *words, "--size", 4) == 0
    assert stems(tmp_path / "mean") == ["x", "y", "z"]
    for path in (tmp_path / "mean").iterdir():
        assert pixels(path).shape == (4, 4, 3)
        assert (pixels(path) == (50, 200, 7)).all()


# Archives


@pytest.fixture
def download(script, monkeypatch, tmp_path):
    """Return a function that fetches an archive of this machine with recipes/local/download.py."""
    module = script("local/download.py")

    def run(path: Path, size="", sha256=""):
        listing = tmp_path / "archives.tsv"
        row = [path.name, size, sha256, path.as_uri()]
        lines = ["archive\tbytes\tsha256\turl", "\t".join(map(str, row))]
        listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
        words = [listing, tmp_path / "corpus", "--unpack", "--page", "its page"]
        monkeypatch.setattr("sys.argv", ["download.py", *map(str, words)])
        return module.main()

    return run


@pytest.fixture(params=["pictures.zip", "pictures.tar.gz"])
def archive(request, tmp_path):
    """Return an archive that holds pictures/train/1.jpg, noise of 20 kB."""
    noise = tmp_path / "1.jpg"
    noise.write_bytes(np.random.default_rng(0).bytes(20000))
    path = tmp_path / request.param
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            file.write(noise, "pictures/train/1.jpg")
    else:
        with tarfile.open(path, "w:gz") as file:
            file.add(noise, "pictures/train/1.jpg")
    return path


def test_an_archive_without_check_sum_is_unpacked_and_that_is_said(
    archive, download, tmp_path, capsys
):
    assert download(archive, archive.stat().st_size) == 0
    assert "no check sum is known, so only its size was checked" in capsys.readouterr().out
    found = tmp_path / "corpus/pictures/train/1.jpg"
    assert found.read_bytes() == (tmp_path / "1.jpg").read_bytes()


def test_another_check_sum_or_size_is_refused(archive, download, tmp_path, capsys):
    assert download(archive, sha256="0" * 64) == 2
    assert f"download: {archive.name}: SHA-256" in capsys.readouterr().err
    assert download(archive, size=5) == 2
    text = capsys.readouterr().err
    assert "should be 5; it was removed: run again" in text
    assert "fetch what is missing from its page and give --corpus DIR" in text
    assert list((tmp_path / "corpus").iterdir()) == []


def test_a_damaged_archive_is_removed(archive, download, tmp_path, capsys):
    archive.write_bytes(archive.read_bytes()[:-9000])
    assert download(archive) == 2
    assert f"{archive.name}: damaged" in capsys.readouterr().err
    assert not (tmp_path / "corpus" / archive.name).exists()


@pytest.mark.parametrize("name", ["facades", "horse2zebra"])
def test_the_lists_of_the_recipes_are_complete(script, recipes, name):
    (one,) = script("local/download.py").read_list(recipes / name / "conf/archives.tsv")
    assert one.name.startswith(name) and int(one.bytes) > 10**7
    assert len(one.sha256) in (0, 64) and one.url.endswith(f"datasets/{one.name}")


# Large pictures, and small ones made of them


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_pictures_for_the_test_end_at_a_multiple_of_the_scale(data, tmp_path):
    color, grey = noise(43, 30, 3), noise(21, 33)
    save(tmp_path / "corpus/train/a.png", color)
    save(tmp_path / "corpus/set5/color.png", color), save(tmp_path / "corpus/set5/grey.png", grey)
    assert data("enlarging", tmp_path / "corpus", tmp_path / "data", "--test", "set5") == 0
    folder = tmp_path / "data/test"
    for name, whole in (("color", color[:40, :28]), ("grey", grey[:20, :32])):
        small = imresize(whole, 1 / 4, axes=(0, 1))
        assert np.array_equal(np.array(Image.open(folder / f"target/{name}.png")), whole)
        assert np.array_equal(np.array(Image.open(folder / f"source/{name}.png")), small)
    assert np.array_equal(pixels(tmp_path / "data/train/target/a.png"), color)
    assert not (tmp_path / "data/train/source").exists()
    assert data("bicubic", folder / "source", tmp_path / "large") == 0
    small = np.array(Image.open(folder / "source/grey.png"))
    large = np.array(Image.open(tmp_path / "large/grey.png"))
    assert np.array_equal(large, imresize(small, 4))


def test_large_pictures_to_learn_from_are_cut_in_parts(data, tmp_path):
    large, small = noise(500, 1000, 3), noise(40, 959, 3)
    (
        save(tmp_path / "corpus/train/large.png", large),
        save(tmp_path / "corpus/train/small.png", small),
    )
    save(tmp_path / "corpus/test/a.png", small)
    assert data("enlarging", tmp_path / "corpus", tmp_path / "data") == 0
    folder = tmp_path / "data/train/target"
    assert stems(folder) == ["large_0_0", "large_0_1", "small"]
    halves = [pixels(folder / f"large_0_{number}.png") for number in range(2)]
    assert np.array_equal(np.hstack(halves), large)


@pytest.mark.parametrize(
    ("shape", "words", "said"),
    [
        ((3, 40), (), "a.png: 3 x 40 pixels, too few for scale 4"),
        ((40, 40), ("--test", "set5"), "set5: no such folder"),
    ],
)
def test_pictures_to_enlarge_that_will_not_do_are_named(data, tmp_path, capsys, shape, words, said):
    (
        save(tmp_path / "corpus/train/a.png", noise(40, 40)),
        save(tmp_path / "corpus/test/a.png", noise(*shape)),
    )
    assert data("enlarging", tmp_path / "corpus", tmp_path / "data", *words) == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "data").rglob("*.png"))
