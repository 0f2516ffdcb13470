import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from gan.checkpoint import export
from image_gan import evaluate, images, metrics
from image_gan.classifier import Classifier
from image_gan.segmenter import Segmenter

pytest.importorskip("torchmetrics")

ROOT = Path(__file__).parents[2]
NAMES = ("a", "b", "deep/c")
COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, images.from_array(values))


def picture(seed, size=(16, 12), channels=3):
    return np.random.default_rng(seed).integers(0, 246, (*size, channels), dtype=np.uint8)


@pytest.fixture
def corpus(tmp_path):
    """Three targets, one in a subfolder, and what was generated: 10 of 255 lighter."""
    for seed, name in enumerate(NAMES):
        target = picture(seed)
        save(tmp_path / f"target/{name}.png", target)
        save(tmp_path / f"generated/{name}.png", target + np.uint8(10))
    return tmp_path


def run(corpus, *more, generated="generated"):
    """Return the exit code of the program on the corpus; what is no option is a path there."""
    arguments = [corpus / one if isinstance(one, str) and one[0] != "-" else one for one in more]
    return evaluate.main([str(corpus / generated), *map(str, arguments), "--device", "cpu"])


class Said:
    """An argument that is no path of the corpus."""

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


def tsv(folder):
    head, *lines = (folder / "scores.tsv").read_text(encoding="utf-8").splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]


def summary(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def network(corpus, kind, name, change=None, **keywords):
    """Write a network, drawn by a seed and then changed, as gan-train would; return its name."""
    torch.manual_seed(0)
    built = kind(channels=4, **keywords)
    with torch.no_grad():
        if change:
            change(built)
    config = {"_target_": f"{kind.__module__}.{kind.__name__}", "channels": 4, **keywords}
    export(corpus / name, built, config)
    return name


# The outcome


def test_scores_of_a_constant_difference_are_those_worked_out_by_hand(corpus, capsys):
    assert run(corpus, "--target", "target", "-o", "new/scores") == 0
    out = capsys.readouterr().out
    content = summary(corpus / "new/scores")
    assert content["metrics"]["l1"]["value"] == pytest.approx(10 / 255, abs=1e-6)
    psnr = 20 * np.log10(255 / 10)
    assert content["metrics"]["psnr"]["value"] == pytest.approx(psnr, abs=1e-4)
    assert content["metrics"]["ssim"]["n"] == 3
    assert content["not_scored"] == {}
    assert content["command"][0] == "image-gan-evaluate"
    assert content["versions"]["torch"] == version("torch")
    rows = tsv(corpus / "new/scores")
    assert [row["picture"] for row in rows] == list(NAMES)
    assert [float(row["l1"]) for row in rows] == pytest.approx([10 / 255] * 3, abs=1e-6)
    ssim = np.mean([float(row["ssim"]) for row in rows])
    assert content["metrics"]["ssim"]["value"] == pytest.approx(ssim, rel=1e-5)
    assert f"{10 / 255:.4f}" in out and f"{psnr:.2f}" in out and "3 pictures" in out


def test_every_number_has_its_protocol_beside_it(corpus, capsys):
    features = network(corpus, Classifier, "C.safetensors")
    options = ["--target", "target", "--features", features, "--classifier", features]
    assert run(corpus, *options, "-o", "scores") == 0
    out = " ".join(capsys.readouterr().out.split())
    found = summary(corpus / "scores")["metrics"]
    assert set(found) == {"l1", "psnr", "ssim", "fid", "kid", "target_share"}
    for entry in found.values():
        assert entry["protocol"] in out and "{" not in entry["protocol"]
    assert "C.safetensors" in found["fid"]["protocol"]
    assert "against 3 real pictures" in found["fid"]["protocol"]
    assert "FID of C.safetensors" in out


def test_identical_pictures_have_no_psnr_and_the_others_keep_theirs(corpus, capsys):
    save(corpus / "generated/a.png", picture(0))
    assert run(corpus, "--target", "target", "-o", "scores") == 0
    found = summary(corpus / "scores")["metrics"]
    assert found["psnr"]["n"] == 2
    assert found["psnr"]["value"] == pytest.approx(20 * np.log10(255 / 10), abs=1e-4)
    assert list(found["psnr"]["undefined"]) == ["a"]
    assert found["ssim"]["n"] == 3
    assert tsv(corpus / "scores")[0]["psnr"] == "inf"
    assert "a: no PSNR (identical" in capsys.readouterr().err


def test_a_border_adds_the_scores_of_luma_and_every_protocol_says_it(corpus, capsys):
    for seed, name in enumerate(NAMES):
        save(corpus / f"target/{name}.png", picture(seed, (24, 20)))
        save(corpus / f"generated/{name}.png", picture(seed + 9, (24, 20)))
    assert run(corpus, "--target", "target", "--border", 2, "-o", "scores") == 0
    found = summary(corpus / "scores")["metrics"]
    assert list(found) == ["l1", "psnr", "ssim", "psnr_y", "ssim_y"]
    for entry in found.values():
        assert entry["protocol"].endswith("; without a border of 2 pixels")
    rows = {row["picture"]: row for row in tsv(corpus / "scores")}
    for name in NAMES:
        pair = [unit_of(corpus, side, name) for side in ("generated", "target")]
        cut = [metrics.inside(x, 2) for x in pair]
        assert float(rows[name]["psnr"]) == pytest.approx(metrics.psnr(*cut), rel=1e-5)
        assert float(rows[name]["psnr_y"]) == pytest.approx(metrics.psnr_y(*pair, 2), rel=1e-5)
        assert float(rows[name]["ssim_y"]) == pytest.approx(metrics.ssim_y(*pair, 2), rel=1e-5)
    assert "PSNR of Y" in capsys.readouterr().out


def test_luma_is_asked_for_by_its_border(corpus, capsys):
    assert run(corpus, "--target", "target", "--metrics", Said("psnr_y")) == 2
    assert "psnr_y needs --border" in capsys.readouterr().err
    assert run(corpus, "--target", "target", "--metrics", Said("psnr_y"), "--border", 0) == 0
    assert "border of" not in capsys.readouterr().out
    assert run(corpus, "--border", 4) == 2
    assert "psnr_y needs --target" in capsys.readouterr().err
    assert run(corpus, "--target", "target", "--border", 40) == 2
    assert "of which a border of 40 leaves nothing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(corpus, "--target", "target", "--border", -1)


def unit_of(corpus, side, name):
    (path,) = (corpus / side).glob(f"{name}.*")
    return torch.from_numpy(images.read(path).values.transpose(2, 0, 1) / 255)


def test_pictures_of_any_type_are_scored_from_0_to_1(corpus, tmp_path):
    target, estimate = picture(0, channels=1), picture(1, channels=1)
    expected = np.abs(target / 255 - estimate / 255).mean()
    kinds = {
        "eight.png": lambda x: x,
        "deep.png": lambda x: x.astype(np.uint16) * 257,
        "float.tif": lambda x: (x / 255).astype(np.float32),
        "rgb.png": lambda x: np.repeat(x, 3, axis=2),
        "array.npy": lambda x: x / 255,
    }
    for name, convert in kinds.items():
        save(tmp_path / "many" / name, convert(estimate))
        save(tmp_path / "eight" / name.replace(".tif", ".png").replace(".npy", ".png"), target)
    assert run(corpus, "--target", "eight", "-o", "scores", "-m", Said("l1"), generated="many") == 0
    scores = [float(row["l1"]) for row in tsv(corpus / "scores")]
    assert scores == pytest.approx([expected] * 5, abs=1e-5)


def test_a_range_says_what_is_black_and_white(corpus, capsys):
    for folder, value in (("wide", 1000.0), ("truth", 500.0)):
        save(corpus / folder / "x.tif", np.full((12, 12, 1), value, np.float32))
    options = ["--target", "truth", "-m", Said("l1"), "-o", "scores"]
    assert run(corpus, *options, generated="wide") == 2
    assert "x.tif: of its values" in capsys.readouterr().err
    more = ["-f", "--range", Said("0"), Said("2000")]
    assert run(corpus, *options, *more, generated="wide") == 0
    assert summary(corpus / "scores")["metrics"]["l1"]["value"] == pytest.approx(0.25)


# Sets, labels, domains, cycles


def test_distances_are_those_of_the_classifiers_features(corpus):
    for seed in range(6):
        save(corpus / f"real/{seed}.png", picture(10 + seed))
    features = network(corpus, Classifier, "C.safetensors")
    options = ["--real", "real", "--features", features, "-m", Said("fid,kid"), "-o", "scores"]
    assert run(corpus, *options) == 0
    torch.manual_seed(0)
    own = Classifier(channels=4).eval()

    def found(folder):
        x = [images.read(path).values for path in sorted((corpus / folder).rglob("*.png"))]
        x = torch.from_numpy(np.stack(x)).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            return own.features(x)

    sets = found("real"), found("generated")
    scores = summary(corpus / "scores")["metrics"]
    assert scores["fid"]["value"] == pytest.approx(metrics.frechet_distance(*sets), rel=1e-4)
    assert scores["kid"]["value"] == pytest.approx(metrics.kernel_distance(*sets), rel=1e-3)
    assert scores["fid"]["n"] == 3 and "6 real" in scores["fid"]["protocol"]


def test_distances_say_what_they_suffer_from(corpus, capsys):
    for seed in range(3):
        save(corpus / f"real/{seed}.png", picture(seed, (32, 32)))
    features = network(corpus, Classifier, "C.safetensors")
    assert run(corpus, "--real", "real", "--features", features, "-m", Said("fid,kid")) == 0
    err = capsys.readouterr().err
    assert "generated pictures are 16 x 12 pixels" in err and "32 x 32" in err
    assert "FID of 32 features and no more pictures (3)" in err


def palette(corpus, colors=COLORS):
    rows = ["class\tred\tgreen\tblue"]
    rows += ["\t".join(map(str, (f"c{n}", *color))) for n, color in enumerate(colors)]
    (corpus / "palette.tsv").write_text("\n".join(rows), encoding="utf-8")
    return "palette.tsv"


def always_second(built):
    built.classify.weight.zero_()
    built.classify.bias.copy_(torch.tensor([0.0, 1.0, 0.5][: len(built.classify.bias)]))


def test_labels_found_in_the_pictures_are_scored_against_the_true_ones(corpus):
    for name, share in zip(NAMES, (1, 2, 3), strict=True):  # rows of the second class, of 16
        classes = np.zeros((16, 12), int)
        classes[:share] = 1
        save(corpus / f"labels/{name}.png", COLORS[classes])
    segmenter = network(corpus, Segmenter, "S.safetensors", always_second, classes=3)
    options = ["--segmenter", segmenter, "--labels", "labels", "--palette", palette(corpus)]
    assert run(corpus, *options, "-o", "scores") == 0
    found = summary(corpus / "scores")["metrics"]
    right = (1 + 2 + 3) / 48
    assert found["pixel_accuracy"]["value"] == pytest.approx(right)
    assert found["class_accuracy"]["value"] == pytest.approx(1 / 2)
    assert found["iou"]["value"] == pytest.approx(right / 2)  # of two classes that occur
    assert "S.safetensors" in found["iou"]["protocol"]


def test_a_palette_of_other_classes_than_the_segmenters_is_refused(corpus, capsys):
    segmenter = network(corpus, Segmenter, "S.safetensors", classes=3)
    options = ["--segmenter", segmenter, "--labels", "target"]
    assert run(corpus, *options, "--palette", palette(corpus, COLORS[:2])) == 2
    assert "has 2 classes" in capsys.readouterr().err


def test_target_share_counts_what_is_taken_for_the_target_domain(corpus):
    save(corpus / "generated/a.png", np.zeros((16, 12, 3), np.uint8))

    def bright(built):  # the classes differ in the sum of the features alone
        built.classify.weight.copy_(torch.tensor([[0.0], [1.0]]).expand(2, 32))
        torch.nn.init.zeros_(built.classify.bias)
        black = built.eval().classify(built.features(-torch.ones(1, 3, 16, 12)))[0, 1]
        built.classify.bias[0] = black + 1e-4

    classifier = network(corpus, Classifier, "C.safetensors", bright)
    assert run(corpus, "--classifier", classifier, "-o", "scores") == 0
    shares = [float(row["target_share"]) for row in tsv(corpus / "scores")]
    assert shares[0] == 0 and set(shares) <= {0, 1}
    share = summary(corpus / "scores")["metrics"]["target_share"]["value"]
    assert share == pytest.approx(np.mean(shares))


def test_a_cycle_is_scored_against_its_sources(corpus):
    for seed, name in enumerate(NAMES):
        save(corpus / f"source/{name}.png", picture(30 + seed))
        save(corpus / f"cycled/{name}.png", picture(30 + seed) + np.uint8(seed))
    assert run(corpus, "--source", "source", "--cycled", "cycled", "-o", "scores") == 0
    values = [float(row["cycle_l1"]) for row in tsv(corpus / "scores")]
    assert values == pytest.approx([0, 1 / 255, 2 / 255], abs=1e-6)
    cycle = summary(corpus / "scores")["metrics"]["cycle_l1"]
    assert cycle["value"] == pytest.approx(1 / 255, abs=1e-6)


# What is wrong with the input


def test_broken_pictures_are_named_and_the_rest_is_scored(corpus, capsys):
    (corpus / "generated/b.png").write_bytes(b"\x89PNG nothing more")
    assert run(corpus, "--target", "target", "-o", "scores") == 2
    said = capsys.readouterr()
    assert "not scored:" in said.err and "b.png" in said.err
    assert "3 pictures, 1 not scored" in said.out
    content = summary(corpus / "scores")
    assert list(content["not_scored"]) == ["b"] and content["metrics"]["l1"]["n"] == 2
    assert content["metrics"]["l1"]["value"] == pytest.approx(10 / 255, abs=1e-6)
    assert [row["l1"] for row in tsv(corpus / "scores")][1] == "nan"


def test_a_broken_real_picture_is_named_by_its_path(corpus):
    for seed in range(3):
        save(corpus / f"real/{seed}.png", picture(seed))
    (corpus / "real/1.png").write_bytes(b"")
    features = network(corpus, Classifier, "C.safetensors")
    options = ["--real", "real", "--features", features, "-m", Said("fid"), "-o", "scores"]
    assert run(corpus, *options) == 2
    content = summary(corpus / "scores")
    assert list(content["not_scored"]) == [str(corpus / "real/1.png")]
    assert "against 2 real" in content["metrics"]["fid"]["protocol"]


def test_a_picture_of_another_size_is_named_with_both(corpus, capsys):
    save(corpus / "target/a.png", picture(0, (20, 12)))
    assert run(corpus, "--target", "target", "-m", Said("l1")) == 2
    err = capsys.readouterr().err
    assert "generated/a.png has 16 x 12 pixels (height x width)" in err.replace("\\", "/")
    assert "20 x 12" in err


def test_names_that_differ_are_listed_and_nothing_is_scored(corpus, capsys):
    (corpus / "generated/b.png").rename(corpus / "generated/z.png")
    assert run(corpus, "--target", "target", "-o", "scores") == 2
    err = capsys.readouterr().err
    assert "names differ, nothing scored" in err
    assert f"z: in {corpus / 'generated'}, not in {corpus / 'target'}" in err
    assert f"b: in {corpus / 'target'}, not in {corpus / 'generated'}" in err
    assert not (corpus / "scores").exists()


def test_nothing_that_can_be_scored_gives_null_and_no_warning(corpus, capsys):
    for name in NAMES:
        (corpus / f"generated/{name}.png").write_bytes(b"no picture")
    features = network(corpus, Classifier, "C.safetensors")
    assert run(corpus, "--target", "target", "--features", features, "-o", "scores") == 2
    found = summary(corpus / "scores")["metrics"]
    assert {entry["value"] for entry in found.values()} == {None}
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, message",
    [
        ([], "nothing to score by"),
        (["--source", "target"], "cycle_l1 needs --cycled"),
        (["--labels", "target"], "pixel_accuracy needs --segmenter and --palette"),
        (["-m", Said("ssim")], "ssim needs --target"),
        (["-m", Said("fid")], "fid needs --real"),
        (["--target", "nowhere"], "no such folder"),
        (["--classifier", "nowhere.safetensors"], "nowhere.safetensors: no such file"),
        (["--target", "target", "--range", Said("1"), Said("0")], "black comes first"),
        (
            ["--real", "target", "--features", "C", "--inception-weights", "W"],
            "one or the other",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(corpus, capsys, options, message):
    assert run(corpus, *options) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1


def test_a_network_of_another_kind_is_refused(corpus, capsys):
    network(corpus, Segmenter, "S.safetensors")
    assert run(corpus, "--classifier", "S.safetensors") == 2
    assert "holds a Segmenter, where a Classifier is due" in capsys.readouterr().err
    (corpus / "broken.safetensors").write_bytes(b"nothing")
    assert run(corpus, "--classifier", "broken.safetensors") == 2
    assert "no model file" in capsys.readouterr().err


def test_results_are_overwritten_only_when_forced(corpus, capsys):
    assert run(corpus, "--target", "target", "-m", Said("l1"), "-o", "scores") == 0
    before = (corpus / "scores/scores.tsv").read_bytes()
    assert run(corpus, "--target", "target", "-m", Said("ssim"), "-o", "scores") == 2
    assert "--force" in capsys.readouterr().err
    assert (corpus / "scores/scores.tsv").read_bytes() == before
    assert run(corpus, "--target", "target", "-m", Said("ssim"), "-o", "scores", "-f") == 0
    assert list(tsv(corpus / "scores")[0]) == ["picture", "ssim"]


# What needs a download


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Nothing was fetched yet, and nothing can be."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))

    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)


def test_by_default_nothing_is_fetched_and_that_is_Said(corpus, capsys, offline):
    assert run(corpus, "--target", "target", "-o", "scores") == 0
    assert set(summary(corpus / "scores")["metrics"]) == {"l1", "psnr", "ssim"}
    err = capsys.readouterr().err
    assert "fid, kid left out" in err and "weights-inception-2015-12-05-6726825d.pth" in err


@pytest.mark.parametrize(
    "metric, what", [("fid", "--inception-weights FILE takes https:"), ("lpips", "AlexNet")]
)
def test_what_cannot_be_fetched_is_said_in_one_line(corpus, capsys, offline, metric, what):
    library = {"fid": "torch_fidelity", "lpips": "torchvision"}[metric]
    pytest.importorskip(library)
    assert run(corpus, "--target", "target", "-m", Said(metric)) == 2
    err = capsys.readouterr().err
    assert what in err and "no network" in err and len(err.splitlines()) == 1


def test_weights_are_never_run(corpus, capsys):
    pytest.importorskip("torch_fidelity")

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(corpus / "trapped"),)

    torch.save({"weight": Trap()}, corpus / "weights.pth")
    options = ["--inception-weights", "weights.pth", "-m", Said("fid")]
    assert run(corpus, "--target", "target", *options) == 2
    assert "weights.pth" in capsys.readouterr().err
    assert not (corpus / "trapped").exists()


def test_inception_is_torch_fidelitys_with_the_weights_of_a_file(corpus):
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    kind = fidelity.FeatureExtractorInceptionV3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(kind, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        network = kind("inception", ["2048", "logits_unbiased"])
    torch.save(network.state_dict(), corpus / "weights.pth")
    values = torch.from_numpy(picture(0, (40, 30))).permute(2, 0, 1)
    extract = metrics.Inception(corpus / "weights.pth")
    features, logits = (output[0] for output in network(values[None]))
    assert torch.equal(extract(values / 255), features)
    assert torch.equal(extract.both(values / 255)[1], logits) and logits.shape == (1008,)
    torch.save({"conv": torch.zeros(2)}, corpus / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth: holds other weights"):
        metrics.Inception(corpus / "other.pth")


def test_a_library_that_is_missing_is_named_with_its_remedy(corpus, capsys, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    hidden = {"torchmetrics"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n in hidden else find(n))
    assert run(corpus, "--target", "target", "-m", Said("ssim")) == 2
    assert "torchmetrics is not installed: pip install 'segan[images]'" in capsys.readouterr().err
    assert run(corpus, "--target", "target", "-m", Said("l1")) == 0


def test_libraries_that_do_not_fit_together_are_one_line(corpus, capsys, monkeypatch):
    import torchmetrics.functional

    monkeypatch.delattr(torchmetrics.functional, "image")
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    assert run(corpus, "--target", "target", "-m", Said("ssim")) == 2
    err = capsys.readouterr().err
    assert "torchmetrics can't be imported" in err and len(err.splitlines()) == 1


# The program


def test_help_teaches_and_imports_nothing_heavy():
    code = (
        "import sys; from image_gan import evaluate\n"
        "try: evaluate.main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'numpy', 'PIL', 'torchmetrics'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for word in (*metrics.COLUMNS, "examples:", "exit status:"):
        assert word in done.stdout
    options = [a for own in evaluate.parser()._actions for a in own.option_strings if a[:2] == "--"]
    assert all(option in done.stdout for option in options)


def test_ctrl_c_ends_it_with_130_and_nothing_written(corpus, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(images, "read", interrupted)
    assert run(corpus, "--target", "target", "-m", Said("l1"), "-o", "scores") == 130
    assert "interrupted, nothing written" in capsys.readouterr().err
    assert not (corpus / "scores").exists()
