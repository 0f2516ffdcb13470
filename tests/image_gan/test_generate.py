"""``image-gan-generate``: files in, files out, whatever happens."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gan.checkpoint import export
from image_gan import generate, images, translate
from image_gan.resnet import ResNet
from image_gan.sheet import sheet
from image_gan.translate import PictureTranslator


class Negative(nn.Module):
    def forward(self, pictures):
        return -pictures


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command in ``tmp_path`` with a negative; give its status and its lines."""

    def load(path, device, tile, overlap):
        return PictureTranslator(Negative(), "cpu", tile, overlap)

    monkeypatch.setattr(translate, "load", load)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = generate.main(["--model", "G", *map(str, arguments)])
        captured = capsys.readouterr()
        assert captured.out == "" and "Traceback" not in captured.err
        return status, captured.err.replace("image-gan-generate: ", "").splitlines()

    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Give the file of a real, tiny network."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    config = {"channels": 2, "blocks": 1}
    export(path, ResNet(**config), {"_target_": "image_gan.resnet.ResNet"} | config)
    return path


def command(*arguments):
    return [sys.executable, "-m", "image_gan.generate", *map(str, arguments)]


def values(*shape, dtype="u1", seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape, np.float32).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def save(path, array=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, images.from_array(values(20, 30, 3) if array is None else array))
    return path


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


# What comes out


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("x.png", values(33, 51, 3)),
        ("x.png", values(33, 51, 1, dtype="u2")),
        ("x.png", values(33, 51, 3, dtype="u2")),
        ("x.png", values(333, 517, 3)),
        ("x.tif", values(33, 51, 4, dtype="f4")),
        ("x.tif", values(33, 51, 1, dtype="f8")),
        ("x.tiff", values(33, 51, 3, dtype="u2")),
        ("x.npy", values(33, 51, 7, dtype="u2")),
        ("x.webp", values(33, 51, 3)),
    ],
)
def test_size_mode_and_depth_stay(run, tmp_path, name, array):
    before = images.read(save(tmp_path / name, array))
    status, lines = run(name, "--tile", "64", "--overlap", "16")
    assert status == 0 and len(lines) == 1
    after = images.read((tmp_path / name).with_stem("x.generated"))
    assert after.form[:2] == before.form[:2]
    assert after.values.dtype == before.values.dtype
    top = 1 if array.dtype.kind == "f" else np.iinfo(array.dtype).max
    np.testing.assert_allclose(after.values, top - array, atol=1e-6 if top == 1 else 0)


def test_opacity_palette_and_bits_stay(run, tmp_path):
    color = Image.fromarray(values(20, 30, 4))
    color.save(tmp_path / "rgba.png")
    color.convert("RGB").quantize(9).save(tmp_path / "p.png")
    color.convert("1").save(tmp_path / "1.png")
    assert run(".")[0] == 0
    for name in ("rgba", "p", "1"):
        with Image.open(f"{name}.png") as before, Image.open(f"{name}.generated.png") as after:
            assert after.mode == before.mode
            pairs = [np.asarray(x.convert("RGBA")).astype(int) for x in (before, after)]
        assert np.array_equal(pairs[1][..., :3], 255 - pairs[0][..., :3])
        assert np.array_equal(pairs[1][..., 3], pairs[0][..., 3])


def test_the_range_is_taken_or_said_once(run, tmp_path):
    array = 10 * values(8, 9, dtype="f4")
    save(tmp_path / "a.npy", array), save(tmp_path / "b.npy", array)
    status, lines = run("a.npy", "b.npy")
    assert status == 0 and len(lines) == 2
    assert lines[0].startswith("a.npy: its values, 0.0") and "--range LOW HIGH" in lines[0]
    status, lines = run("a.npy", "-f", "--range", "0", "20")
    assert status == 0 and len(lines) == 1
    np.testing.assert_allclose(np.load("a.generated.npy"), 20 - array, atol=1e-5)
    assert run("a.npy", "-f", "--range", "2", "1")[0] == 2


def test_another_suffix_is_another_format(run, tmp_path):
    save(tmp_path / "x.png")
    assert run("x.png", "-o", "y.tif")[0] == 0
    assert images.read("y.tif").form.container == "TIFF"
    save(tmp_path / "deep.tif", values(9, 9, 3, dtype="f4"))
    status, lines = run("deep.tif", "-o", "z.jpg")
    assert status == 2 and "z.jpg: JPEG can't hold 3 channels of float32; TIFF can" in lines[0]
    assert not Path("z.jpg").exists()


def test_a_note_of_tiles_is_said_once(monkeypatch, tmp_path, capsys, model):
    for name in ("a.png", "b.png"):
        save(tmp_path / name, values(70, 80, 3))
    words = [str(tmp_path), "--model", str(model), "--device", "cpu"]
    assert generate.main([*words, "--tile", "32"]) == 0
    said = capsys.readouterr().err
    assert said.count("normalizes each by itself") == 1 and "--tile 0" in said
    tiled = images.read(tmp_path / "a.generated.png").values
    assert generate.main([*words, "--tile", "0", "-f"]) == 0
    assert "tile" not in capsys.readouterr().err
    assert not np.array_equal(images.read(tmp_path / "a.generated.png").values, tiled)


def test_the_last_line_sums_up(run, tmp_path):
    save(tmp_path / "x.png")
    (line,) = run("x.png")[1]
    assert line.startswith("1 picture -> x.generated.png, 0 failed; ")
    assert run("x.png", "--quiet", "--force") == (0, [])


# Which files, to where


@pytest.fixture
def tree(tmp_path):
    for name in ("in/a.png", "in/b.TIF", "in/b.generated.tif", "in/.c.png", "in/deep/ü d.png"):
        save(tmp_path / name)
    (tmp_path / "in/notes.txt").write_text("no picture")
    return tmp_path


def test_a_folder_means_its_own_pictures(run, tree):
    assert run("in", "-o", "out")[0] == 0
    assert names(tree / "out") == ["a.png", "b.TIF"]


def test_a_tree_keeps_its_shape_and_is_not_translated_twice(run, tree):
    for _ in range(2):
        assert run("-r", "in", "-o", "in/out", "-f")[0] == 0
        assert names(tree / "in/out") == ["a.png", "b.TIF", "deep/ü d.png"]


def test_patterns_are_expanded_and_skip_outputs(run, tree):
    status, lines = run("in/**/*.png", "in/*.generated.*", "-o", "out")
    assert status == 2 and "only earlier outputs" in lines[0]
    assert names(tree / "out") == ["a.png", "ü d.png"]


def test_what_is_not_there_is_named_and_the_rest_goes_on(run, tree):
    (tree / "empty").mkdir()
    status, lines = run("gone.png", "in/a.png", "*.xyz", "empty")
    assert status == 2 and lines[0].startswith("gone.png: no such file")
    assert lines[1].startswith("*.xyz: no such file")
    assert "empty: no pictures in it" in lines[2] and "-r looks" in lines[2]
    assert lines[3].startswith("4 pictures, 3 failed")
    assert (tree / "in/a.generated.png").exists()


def test_two_inputs_do_not_share_an_output(run, tree):
    save(tree / "other/a.png")
    status, lines = run("in/a.png", "other/a.png", "-o", "out")
    assert status == 2 and "a.png is also that of" in lines[0]
    assert run("in", "-o", "one.png") == (2, ["-o one.png: one place for 2 inputs; name a folder"])


def test_another_input_is_never_overwritten(run, tree):
    before = save(tree / "out/a.png", values(5, 5, 3)).read_bytes()
    status, lines = run("in/a.png", "out/a.png", "-o", "out", "--force")
    assert status == 2 and "its output out/a.png is an input" in lines[0].replace("\\", "/")
    assert (tree / "out/a.png").read_bytes() == before


def test_nothing_is_overwritten_unasked(run, tmp_path):
    save(tmp_path / "x.png")
    (tmp_path / "x.generated.png").write_text("precious")
    status, lines = run("x.png")
    assert status == 2 and "x.generated.png: exists; --force overwrites it" in lines[0]
    assert (tmp_path / "x.generated.png").read_text() == "precious"
    assert run("x.png", "--force")[0] == 0
    assert images.read("x.generated.png").size == (20, 30)


@pytest.mark.parametrize("where", [["-o", "x.png"], ["-o", "."], ["-o", "link.png"]])
def test_an_input_is_never_overwritten(run, tmp_path, where):
    before = save(tmp_path / "x.png").read_bytes()
    os.link(tmp_path / "x.png", tmp_path / "link.png")
    status, lines = run("x.png", *where, "--force")
    assert status == 2 and lines[0].startswith("x.png: its output") and "-o" in lines[0]
    assert (tmp_path / "x.png").read_bytes() == before


# The contact sheet


def test_a_sheet_is_captioned_in_many_scripts():
    captions = ["little bird", "маленькая птица", "маленький котик", "μικρό πουλί", "\ud800"]
    pages = {sheet([], [(caption, [])]).tobytes() for caption in captions}
    assert len(pages) == len(captions)


def test_the_sheet_shows_source_estimate_and_target(run, tmp_path):
    for name, level in (("a", 0), ("b", 51)):
        save(tmp_path / f"in/{name}.png", np.full((40, 50, 3), level, np.uint8))
        save(tmp_path / f"there/{name}.tif", np.full((40, 50, 3), level + 100, np.uint8))
    assert run("in", "-o", "out", "--grid", "sheet.png", "--target", "there")[0] == 0
    shown = images.read("sheet.png").values
    assert set(np.unique(shown.reshape(-1, 3), axis=0)[:, 0]) >= {0, 255, 100, 51, 204, 151}
    levels = [level for level in shown[shown.shape[0] - 20, :, 0] if level in (51, 204, 151)]
    assert list(dict.fromkeys(levels)) == [51, 204, 151]
    assert levels.count(51) == levels.count(204) == levels.count(151) == 50


def test_a_missing_target_is_named_and_the_picture_still_made(run, tmp_path):
    save(tmp_path / "in/a.png"), save(tmp_path / "in/b.png"), save(tmp_path / "there/a.png")
    status, lines = run("in", "-o", "out", "--grid", "sheet.png", "--target", "there")
    assert status == 2 and "b.png: has no target b.* in there" in lines[0]
    assert names(tmp_path / "out") == ["a.png", "b.png"] and Path("sheet.png").exists()


@pytest.mark.parametrize("half", ["left", "right"])
def test_halves_are_source_and_target(run, tmp_path, half):
    left, right = values(20, 30, 3), values(20, 30, 3, seed=1)
    save(tmp_path / "x.png", np.hstack([left, right]))
    assert run("x.png", "--side-by-side", half, "--grid", "sheet.png")[0] == 0
    source = left if half == "left" else right
    assert np.array_equal(images.read("x.generated.png").values, 255 - source)
    assert images.read("sheet.png").values.shape[1] == 3 * 36 + 6
    save(tmp_path / "odd.png", values(20, 31, 3))
    status, lines = run("odd.png", "--side-by-side", half)
    assert status == 2 and lines[0].startswith("odd.png: its width, 31 pixels, is odd")


def test_a_sheet_shows_any_picture_and_not_too_many(run, tmp_path):
    for index in range(30):
        save(tmp_path / f"in/{index:02}.png", np.full((5, 5, 3), 8 * index, np.uint8))
    save(tmp_path / "in/zz.npy", 9 * values(700, 900, 5, dtype="f4"))
    assert run("in", "-o", "out", "--grid", "sheet.png", "-q")[0] == 0
    height, width = images.read("sheet.png").size
    assert 23 * 19 < height < 24 * 25 + 256 and width == 2 * 262 + 6


def test_a_sheet_that_will_not_do_is_refused_before_anything_is_made(run, tmp_path, capsys):
    save(tmp_path / "in/a.png")
    for place, message in [
        ("sheet.doc", "its suffix names no container"),
        ("in/a.png", "is an input or an output"),
        ("out/a.png", "is an input or an output"),
    ]:
        status, lines = run("in", "-o", "out", "--grid", place)
        assert status == 2 and len(lines) == 1 and message in lines[0]
    save(tmp_path / "sheet.png")
    assert "sheet.png: exists; --force" in run("in", "-o", "out", "--grid", "sheet.png")[1][0]
    assert names(tmp_path) == ["in/a.png", "sheet.png"]
    for words in (
        ["--target", "in"],
        ["--target", "in", "--grid", "g.png", "--side-by-side", "left"],
    ):
        with pytest.raises(SystemExit, match="2"):
            run("in", *words)
        assert "--target" in capsys.readouterr().err


# What cannot be used


def test_a_batch_survives_its_bad_files(run, tmp_path):
    whole = save(tmp_path / "good.png").read_bytes()
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("this is no picture\n" * 9)
    (tmp_path / "cut.png").write_bytes(whole[:-200])
    save(tmp_path / "nan.npy", np.zeros((4, 4)))
    np.save(tmp_path / "nan.npy", np.full((4, 4), np.nan))
    before = names(tmp_path)
    status, lines = run(".")
    said = "\n".join(lines[:-1])
    assert status == 2 and len(lines) == 5
    for name, why in [("empty.png", "empty"), ("text.png", "damaged, or"), ("nan.npy", "nan at")]:
        assert f"{name}: " in said and why in said
    assert "cut.png: can't be read as a picture" in said
    assert lines[-1].startswith("5 pictures, 4 failed")
    assert names(tmp_path) == sorted([*before, "good.generated.png"])  # nothing half-written


def test_channels_that_do_not_fit_are_named(tmp_path, capsys, model):
    save(tmp_path / "x.npy", values(9, 9, 5))
    status = generate.main([str(tmp_path / "x.npy"), "--model", str(model), "--device", "cpu"])
    assert status == 2
    assert "x.npy: 5 channels, where 3 are needed" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(run, tmp_path):
    save(tmp_path / "x.png")
    (tmp_path / "file").write_text("no folder")
    status, lines = run("x.png", "-o", "file/below/x.png")
    assert status == 2 and "cannot write there" in lines[0] and "-o" in lines[0]
    assert names(tmp_path) == ["file", "x.png"]


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
def test_a_full_disk_is_one_line_and_leaves_nothing(run, tmp_path):
    import resource

    save(tmp_path / "x.png", values(300, 300, 3))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50000, limits[1]))
    try:
        status, lines = run("x.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 2 and "cannot write there" in lines[0] and names(tmp_path) == ["x.png"]


def test_a_model_or_device_that_will_not_do_is_one_line(tmp_path, capsys, model):
    given = str(save(tmp_path / "x.png"))
    torch.save({"evil": print}, tmp_path / "evil.safetensors")
    for place in (tmp_path / "evil.safetensors", tmp_path / "gone"):
        assert generate.main([given, "--model", str(place)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and str(place) in error
    assert generate.main([given, "--model", str(model), "--device", "toaster"]) == 2
    assert "toaster" in capsys.readouterr().err
    assert generate.main([given, "--model", str(model), "--overlap", "600"]) == 2
    assert "overlap 600" in capsys.readouterr().err
    assert names(tmp_path) == ["evil.safetensors", "x.png"]


@pytest.mark.parametrize(
    "option", [["--tile", "-1"], ["--range", "1"], ["--side-by-side", "up"], ["--bogus"]]
)
def test_options_that_make_no_sense_are_refused(capsys, option):
    with pytest.raises(SystemExit) as stop:
        generate.main(["x.png", "--model", "G", *option])
    assert stop.value.code == 2 and option[0] in capsys.readouterr().err


# The command as a process


def test_help_and_version_import_nothing_heavy():
    for flag, expected in (("--help", "examples:"), ("--version", "image-gan-generate ")):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "image_gan.generate", flag],
            capture_output=True,
            text=True,
            check=True,
        )
        assert expected in done.stdout
        imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
        assert "argparse" in imported
        assert imported.isdisjoint({"torch", "numpy", "PIL", "tifffile", "tqdm"})


def test_a_missing_library_is_one_line(tmp_path, model):
    code = "import sys; sys.modules['PIL'] = None\nfrom image_gan.generate import main\n"
    code += "raise SystemExit(main(['x.png', '--model', 'G']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "pip install 'segan[images]'" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(tmp_path, number):
    config = {"channels": 16, "blocks": 2}
    export(tmp_path / "G", ResNet(**config), {"_target_": "image_gan.resnet.ResNet"} | config)
    save(tmp_path / "in/a.png"), save(tmp_path / "in/b.png", np.zeros((6000, 6000, 3), np.uint8))
    words = command(tmp_path / "in", "-o", tmp_path / "out", "--model", tmp_path / "G")
    process = subprocess.Popen(
        [*words, "--tile", "256", "--device", "cpu"], stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "out/a.png").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert "Traceback" not in error
    assert names(tmp_path / "out") == ["a.png"]


def test_the_same_command_gives_the_same_bytes(tmp_path, model):
    given = save(tmp_path / "x.png", values(70, 90, 3))
    words = [given, "--model", model, "-q", "--device", "cpu", "--threads", "1", "-o"]
    done = subprocess.run(command(*words, tmp_path / "a.png"), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert generate.main([str(word) for word in (*words, tmp_path / "b.png")]) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
