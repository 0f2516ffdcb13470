"""Pictures to train on: pairs that stay pairs, draws that repeat."""

import csv
import re

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gan.feed import Draw, feed
from image_gan import images
from image_gan.data import FromCSV, PairedFolders, SideBySide, UnpairedFolders, View

SMALL = {"resize": 20, "size": 16}
WHOLE = {"resize": None, "size": None, "mirror": False}


def picture(seed, height=24, width=24, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, images.from_array(values))
    return path


def negative(values):
    return 255 - values


@pytest.fixture
def pairs(tmp_path):
    """Four sources and their negatives: side by side, in two folders, and in a table."""
    rows = []
    for index in range(4):
        source = picture(index)
        save(tmp_path / f"both/{index}.png", np.hstack([source, negative(source)]))
        save(tmp_path / f"source/deep/{index}.png", source)
        save(tmp_path / f"target/deep/{index}.tif", negative(source))
        rows.append((f"source/deep/{index}.png", f"target/deep/{index}.tif", "x"))
    with (tmp_path / "list.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([("source", "target", "note"), *rows])
    return tmp_path


KINDS = {
    "side by side": lambda at, **view: SideBySide(at / "both", **view),
    "folders": lambda at, **view: PairedFolders(at / "source", at / "target", **view),
    "table": lambda at, **view: FromCSV(at / "list.csv", **view),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


@every_kind
def test_a_pair_is_cut_and_mirrored_alike(pairs, make):
    data = make(pairs, **SMALL)
    assert len(data) == 4
    for index in range(12):
        item = data[Draw(index % 4, index)]
        assert item["source"].shape == (3, 16, 16)
        assert item["source"].dtype == item["target"].dtype == np.float32
        np.testing.assert_allclose(item["source"], -item["target"], atol=1e-5)


@every_kind
def test_whole_pictures_are_what_the_files_hold(pairs, make):
    item = make(pairs, **WHOLE)[2]
    expected = picture(2).transpose(2, 0, 1) / 127.5 - 1
    np.testing.assert_allclose(item["source"], expected, atol=1e-6)


def test_the_right_half_may_be_the_source(pairs):
    left, right = (
        SideBySide(pairs / "both", source=side, **SMALL)[1] for side in ("left", "right")
    )
    assert np.array_equal(left["source"], right["target"])
    assert np.array_equal(left["target"], right["source"])
    with pytest.raises(ValueError, match="source 'up': say left or right"):
        SideBySide(pairs / "both", source="up")


@pytest.mark.parametrize("kind", [*KINDS, "unpaired"])
def test_items_depend_on_seed_epoch_and_index_alone(pairs, kind):
    make = KINDS.get(kind, lambda at, **view: UnpairedFolders(at / "source", at / "target", **view))
    data, other = make(pairs, **SMALL), make(pairs, **SMALL)
    first = data[Draw(1, 3)]
    other[0], np.random.rand(3)
    again = other[Draw(1, 3)]
    assert all(np.array_equal(first[side], again[side]) for side in first)
    draws = [make(pairs, **SMALL, seed=seed)[Draw(1, e)] for seed, e in ((1, 3), (0, 2), (0, 1))]
    assert any(not np.array_equal(first["source"], drawn["source"]) for drawn in draws)


def test_workers_change_nothing(pairs):
    def batches(workers):
        found = feed(SideBySide(pairs / "both", **SMALL), 2, seed=1, workers=workers)
        return [next(found) for _ in range(5)]

    for alone, shared in zip(batches(0), batches(2), strict=True):
        assert all((alone[side] == shared[side]).all() for side in ("source", "target"))


def test_half_of_the_items_are_mirrored_and_every_cut_is_drawn(tmp_path):
    steps = np.arange(100, dtype=np.uint8).reshape(10, 10, 1)
    save(tmp_path / "x.png", np.hstack([steps, steps]))
    data = SideBySide(tmp_path, channels=1, resize=None, size=8)
    items = [data[Draw(0, epoch)]["source"][0] for epoch in range(200)]
    corners = {round(127.5 * (float(x.min()) + 1)) for x in items}
    mirrored = [x[0, 0] > x[0, -1] for x in items]
    assert 70 < sum(mirrored) < 130
    assert corners == {0, 1, 2, 10, 11, 12, 20, 21, 22}


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_all_sides_are_augmented_alike(seed, height, width):
    place = np.stack(np.meshgrid(np.arange(12), np.arange(12), indexing="ij")).astype(np.float32)
    view = View(resize=None, size=(height, width))
    first, second = view.augmented([place, 100 - place], np.random.default_rng(seed))
    assert first.shape == (2, height, width)
    assert np.array_equal(first, 100 - second)
    assert (np.diff(first[0], axis=0) == 1).all()
    assert abs(np.diff(first[1], axis=1)).max(initial=1) == 1


def test_pictures_are_resized_as_pillow_does_it():
    values = 80 + picture(0) // 3  # within 8 bits whatever the overshoot
    x = values.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
    (found,) = View(resize=[30, 41], size=None, mirror=False).augmented(
        [x], np.random.default_rng(0)
    )
    expected = np.asarray(Image.fromarray(values).resize((41, 30), Image.Resampling.BICUBIC))
    assert found.shape == (3, 30, 41)
    hard = np.sign(x)  # steps from end to end, which bicubic interpolation overshoots
    for y in View(resize=30, size=None).augmented([hard], np.random.default_rng(0)):
        assert abs(y).max() == 1
    assert abs(127.5 * (found.transpose(1, 2, 0) + 1) - expected).max() < 2


# Channels and types


def test_channels_are_those_asked_for(tmp_path):
    save(tmp_path / "a.png", picture(0, 16, 32))
    item = SideBySide(tmp_path, channels=[1, 3], **SMALL)[0]
    assert (item["source"].shape[0], item["target"].shape[0]) == (1, 3)
    with pytest.raises(ValueError, match=r"a\.png: 3 channels, where 5 are needed"):
        SideBySide(tmp_path, channels=5, **SMALL)[0]


def test_16_bits_floats_and_opacity_are_read_whole(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (16, 32, 1)).astype(np.uint16)
    save(tmp_path / "deep/a.png", deep)
    item = SideBySide(tmp_path / "deep", channels=1, **WHOLE)[0]
    np.testing.assert_allclose(item["target"][0], deep[:, 16:, 0] / 32767.5 - 1, atol=1e-6)
    (tmp_path / "rgba").mkdir()
    Image.fromarray(picture(0, 16, 32, 4)).save(tmp_path / "rgba/a.png")
    four, three = (SideBySide(tmp_path / "rgba", channels=n, **WHOLE)[0]["source"] for n in (4, 3))
    assert np.array_equal(four[:3], three)
    np.testing.assert_allclose(four[3], picture(0, 16, 32, 4)[:, :16, 3] / 127.5 - 1, atol=1e-6)


def test_values_without_a_range_need_one(tmp_path):
    save(tmp_path / "a.npy", 100 * np.random.default_rng(0).random((16, 32)))
    with pytest.raises(ValueError, match=r"a\.npy: values of type float64 from .* say range="):
        SideBySide(tmp_path, channels=1, **WHOLE)[0]
    item = SideBySide(tmp_path, channels=1, range=[0, 200], **WHOLE)[0]
    assert -1 <= item["source"].min() < -0.9 and item["source"].max() <= 0


# Two sides without pairs


def test_an_epoch_goes_once_through_the_larger_side(tmp_path):
    for side, number in (("few", 2), ("many", 5)):
        for index in range(number):
            save(tmp_path / side / f"{index}.png", np.full((8, 8, 3), 10 * index, np.uint8))

    def seen(data, side):
        return [round(127.5 * (data[i][side][0, 0, 0] + 1)) // 10 for i in range(len(data))]

    few, many = tmp_path / "few", tmp_path / "many"
    forth, back = UnpairedFolders(few, many, **WHOLE), UnpairedFolders(many, few, **WHOLE)
    assert len(forth) == len(back) == 5
    assert seen(forth, "target") == seen(back, "source") == [0, 1, 2, 3, 4]
    drawn = {tuple(np.round(forth[Draw(0, e)]["source"][0, 0, :1], 3)) for e in range(30)}
    assert len(drawn) == 2
    both = UnpairedFolders(many, many, **WHOLE)
    assert seen(both, "source") == [0, 1, 2, 3, 4] != seen(both, "target")


def test_unpaired_sides_are_augmented_each_by_itself(tmp_path):
    save(tmp_path / "a/x.png", picture(0))
    save(tmp_path / "b/x.png", picture(0))
    data = UnpairedFolders(tmp_path / "a", tmp_path / "b", **SMALL)
    items = [data[Draw(0, epoch)] for epoch in range(9)]
    assert any(not np.array_equal(item["source"], item["target"]) for item in items)


# What can't be used


def raises(error, message, make, *arguments, **view):
    with pytest.raises(error, match=message) as caught:
        make(*arguments, **view)
    assert "\n" not in str(caught.value)


def test_pairs_that_do_not_fit_are_named(tmp_path, pairs):
    save(pairs / "source/deep/1.png", picture(0, 24, 30))
    said = re.escape(str(pairs / "source/deep/1.png")) + ": 24 x 30 pixels, but its target"
    raises(ValueError, said, KINDS["folders"], pairs)
    raises(ValueError, said, KINDS["table"], pairs)


@pytest.mark.parametrize("side", ["source", "target"])
def test_missing_twins_are_named(pairs, side):
    suffix = {"source": "png", "target": "tif"}[side]
    save(pairs / side / f"deep/extra.{suffix}", picture(0))
    raises(ValueError, rf"extra\.{suffix}: has no twin deep/extra\.\*", KINDS["folders"], pairs)


def test_names_that_are_twice_there_are_named(pairs):
    save(pairs / "source/deep/1.bmp", picture(0))
    raises(ValueError, r"1\.png: 1\.bmp has the same name", KINDS["folders"], pairs)


def test_odd_widths_and_small_pictures_are_named(tmp_path):
    save(tmp_path / "odd/x.png", picture(0, 20, 41))
    raises(ValueError, r"x\.png: its width, 41 pixels, is odd", SideBySide, tmp_path / "odd")
    save(tmp_path / "small/x.png", picture(0, 20, 60))
    raises(
        ValueError,
        r"x\.png: 20 x 30 pixels, of which 32 x 32 can't be cut out",
        SideBySide,
        tmp_path / "small",
        resize=None,
        size=32,
    )
    message = "size 300 can't be cut out of pictures resized to 286"
    raises(ValueError, message, SideBySide, tmp_path / "small", size=300)


def test_broken_pictures_are_named_before_training_or_when_they_are_read(pairs):
    path = pairs / "both/2.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:300])
    data = SideBySide(pairs / "both", **SMALL)  # whose header is whole
    raises(ValueError, r"2\.png: can't be read as a picture", data.__getitem__, 2)
    path.write_bytes(b"no picture")
    raises(ValueError, r"2\.png: can't be read as a picture", SideBySide, pairs / "both")


def test_folders_without_pictures_are_named(tmp_path):
    raises(OSError, "gone: no such folder", SideBySide, tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    save(tmp_path / "empty/x.generated.png", picture(0))
    save(tmp_path / "empty/.hidden.png", picture(0))
    (tmp_path / "empty/notes.txt").write_text("no picture")
    raises(ValueError, "empty: no pictures in it", SideBySide, tmp_path / "empty")
    raises(ValueError, "empty: no pictures in it", UnpairedFolders, tmp_path / "empty", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source,other\na,b\n", r"list\.csv: has no column 'target'"),
        ("", r"list\.csv: has no column 'source'"),
        ("source,target\na.png\n", r"list\.csv: line 2 lacks a source or a target"),
        ("source,target\n", r"list\.csv: lists no pictures"),
        ("source,target\ngone.png,gone.png\n", r"gone\.png"),
    ],
)
def test_tables_that_will_not_do_are_named(tmp_path, text, message):
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    raises((ValueError, FileNotFoundError), message, FromCSV, tmp_path / "list.csv")


def test_tiffs_of_many_channels_are_pairs_too(tmp_path):
    values = np.random.default_rng(0).random((16, 32, 5)).astype(np.float32)
    tifffile.imwrite(tmp_path / "x.tif", values, photometric="minisblack", planarconfig="contig")
    item = SideBySide(tmp_path, channels=5, **WHOLE)[0]
    np.testing.assert_allclose(item["source"], 2 * values[:, :16].transpose(2, 0, 1) - 1, atol=1e-6)
