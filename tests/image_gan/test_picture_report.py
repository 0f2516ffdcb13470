"""The program: what stands on the page and in the table, and what is refused."""

import base64
import io
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from image_gan.report import cli, content, diversity, examples, systems

ROOT = Path(__file__).parents[2]
ODD = "o_<b>&'$y$é"  # a picture that wants escaping
NAMES = ("a", "b", "c", "d", "e", ODD)
VOID = {"meta", "img", "br", "link", "input"}


def picture(seed, size=(8, 8)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def scores_of(seed, names=NAMES, metrics=("l1", "psnr")):
    """Return scores, better with ``seed``."""
    rng = np.random.default_rng(seed)
    signs = {"l1": -1, "psnr": 1, "cycle_l1": -1}
    return {n: {m: rng.uniform(1, 2) + signs[m] * seed / 4 for m in metrics} for n in names}


def write_scores(folder, scores, totals=(), not_scored=()):
    """Write what image-gan-evaluate would of these scores."""
    metrics = list(next(iter(scores.values()), {}))
    lines = [["picture", *metrics]]
    lines += [[name, *(f"{own[m]:.6g}" for m in metrics)] for name, own in scores.items()]
    place = folder / "scores"
    place.mkdir(parents=True, exist_ok=True)
    text = "".join("\t".join(line) + "\n" for line in lines)
    (place / "scores.tsv").write_text(text, encoding="utf-8")
    entry = {"n": len(scores), "undefined": {}}
    whole = {m: {"value": 1.0, "protocol": f"how {m} is", **entry} for m in metrics}
    whole |= {m: {"value": v, "protocol": how, **entry} for m, v, how in totals}
    summary = {
        "command": ["image-gan-evaluate", "generated"],
        "versions": {"torch": "2.0"},
        "metrics": whole,
        "not_scored": dict(not_scored),
    }
    (place / "summary.json").write_text(json.dumps(summary), encoding="utf-8")


def write_training(folder, judge=0.6, reports=10):
    lines = [
        {"step": i, "kind": "train", "discriminator/adversarial": judge, "generator/l1": 1 / i}
        for i in range(1, reports + 1)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "log.jsonl").write_text(text, encoding="utf-8")
    named = "game:\n  objective:\n    _target_: gan.objectives.NonSaturating\n"
    (folder / "config.yaml").write_text(named, encoding="utf-8")
    (folder / "versions.json").write_text('{"torch": "2.0 (built by x)"}', encoding="utf-8")


def write_data(root, names=NAMES):
    for i, name in enumerate(names):
        save(root / f"data/test/source/{name}.png", picture(i))
        save(root / f"data/test/target/{name}.png", picture(100 + i))


def build(root):
    """Write a paired test set and systems: copy, l1, pix2pix with everything, real."""
    write_data(root)
    for seed, name in enumerate(("copy", "l1", "pix2pix")):
        fid = ("fid", 90.0 - seed, "of features" if seed else "of other features")
        write_scores(root / f"exp/{name}", scores_of(seed), [fid])
    targets = {name: {"l1": 0.0, "psnr": math.nan} for name in NAMES}
    write_scores(root / "exp/real", targets, [("fid", 0.0, "of features")])
    for i, name in enumerate(NAMES):
        save(root / f"exp/copy/generated/{name}.png", picture(i))
        save(root / f"exp/l1/generated/{name}.png", picture(7))  # all the same
        if name != "b":
            save(root / f"exp/pix2pix/generated/{name}.png", picture(200 + i))
    write_training(root / "exp/pix2pix")
    save(root / "exp/pix2pix/samples/0000005.png", picture(5, (20, 30)))
    save(root / "exp/pix2pix/samples/0000010.png", picture(6, (40, 60)))
    quoted = "system\tpsnr\tsource\nTheirs <x>\t.92\tA et al., https://example.org/a?b=1&c.\n"
    (root / "quoted.tsv").write_text(quoted, encoding="utf-8")
    return root


@pytest.fixture
def root(tmp_path):
    return build(tmp_path)


def run(root, *more, chosen=("copy", "l1", "pix2pix", "real")):
    folders = [root / "exp" / name for name in chosen]
    return cli.main([str(word) for word in [*folders, "--data", root / "data/test", *more]])


def quick(root, *more, **options):
    return run(root, "--examples", 0, *more, **options)


class Page(HTMLParser):
    """A page as its texts by tag, its tables as rows of cells, and its elements' attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.tables, self.texts = [], [], {}, {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in VOID:
            return
        self.open.append(tag)
        self.texts.setdefault(tag, []).append("")
        if tag == "table":
            self.rows = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} closes what is not open"

    def handle_data(self, data):
        for tag in set(self.open):
            self.texts[tag][-1] += data
        if "caption" in self.open:
            self.tables[data] = self.rows
        if {"td", "th"} & set(self.open) and data.strip():
            mark = "*" if "strong" in self.open else ""
            self.rows[-1][-1] += f"{mark}{data.strip()}{mark} "

    def all(self, tag, attribute):
        return [own[attribute] for name, own in self.elements if name == tag and attribute in own]


def page(root):
    return Page((root / "exp/report.html").read_text(encoding="utf-8"))


def results(root):
    return (root / "exp/RESULTS.md").read_text(encoding="utf-8")


def opened(uri):
    head, _, body = uri.partition(",")
    assert re.fullmatch(r"data:image/(png|jpeg);base64", head)
    return Image.open(io.BytesIO(base64.b64decode(body, validate=True)))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """One whole report, which many tests look at."""
    root = build(tmp_path_factory.mktemp("report"))
    assert run(root, "--quoted", root / "quoted.tsv", "--title", "A <title> & more") == 0
    return root, page(root)


# The page


def test_the_page_is_whole_html_and_fetches_nothing(report):
    _, shown = report
    assert shown.open == []
    assert shown.texts["title"] == shown.texts["h1"] == ["A <title> & more"]
    found = [
        value
        for _, attributes in shown.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "data")
    ]
    assert [a for a in found if not a.startswith(("data:", "#"))] == ["https://example.org/a?b=1&c"]
    style = "".join(shown.texts["style"])
    assert "@import" not in style and "url(http" not in style


def test_the_table_has_means_with_intervals_and_the_best_that_is_no_target(report):
    _, shown = report
    head, *rows = shown.tables["Scores"]
    assert [cell.strip() for cell in head] == ["System", "L1 ↓ a", "PSNR ↑ b", "FID ↓ c"]
    table = {row[0].strip(): row[1:] for row in rows}
    for seed, name in enumerate(("copy", "l1", "pix2pix")):
        own = [scores["psnr"] for scores in scores_of(seed).values()]
        low, high = scipy.stats.t.interval(0.95, 5, np.mean(own), scipy.stats.sem(own))
        mean, half = table[name][1].split("±")
        assert float(mean.strip(" *")) == pytest.approx(np.mean(own), abs=5.1e-3)
        assert float(half) == pytest.approx((high - low) / 2, abs=5.1e-3)
        assert table[name][2].strip(" *") == f"{90 - seed}.00"
    best = {name for name, cells in table.items() if "*" in "".join(cells)}
    assert best == {"pix2pix"} and "".join(table["pix2pix"]).count("*") == 6
    assert table["real"][0].startswith("0.0000")


def test_protocols_are_footnotes_and_ways_that_differ_are_named(report):
    root, shown = report
    notes = [text for text in shown.texts["li"] if "how l1 is" in text or "features" in text]
    assert notes[0] == "L1: how l1 is"
    assert notes[1] == "FID: copy: of other features; l1, pix2pix, real: of features"
    assert any("FID: not computed alike" in text for text in shown.texts["p"])
    assert "- FID: copy: of other features" in results(root)


def test_quoted_rows_are_marked_and_never_bold(report):
    root, shown = report
    rows = shown.tables["Scores"]
    assert "not measured here" in rows[-2][0]
    assert [cell.strip() for cell in rows[-1]] == ["Theirs <x> 1", "", "0.92", ""]
    assert "A et al., https://example.org/a?b=1&c." in shown.texts["li"]
    assert "| *Theirs \\<x\\>* (quoted, 1) |  | 0.92 |  |" in results(root)


def test_differences_are_paired_and_without_the_targets(report):
    _, shown = report
    _, *rows = shown.tables["Differences between systems"]
    pairs = [" ".join(row[0].split()) for row in rows]
    assert pairs == ["l1 minus copy", "pix2pix minus copy", "pix2pix minus l1"]
    gains = [scores_of(1)[n]["psnr"] - scores_of(0)[n]["psnr"] for n in NAMES]
    cell = rows[0][2].replace("−", "-")
    assert float(cell.split()[0]) == pytest.approx(np.mean(gains), abs=5.1e-3)
    assert "p = " in cell


def test_pictures_are_the_files_beside_one_another(report):
    root, shown = report
    text = (root / "exp/report.html").read_text(encoding="utf-8")
    heads = [" ".join(re.sub("<[^>]*>", "", one).split()) for one in
             re.findall(r'<div class="head">(.*?)</div>', text, re.DOTALL)]  # fmt: skip
    assert heads == ["source", "l1", "pix2pix", "target"]
    alts = dict(zip(shown.all("img", "alt"), shown.all("img", "src"), strict=True))
    assert len(alts) == 6 * 4 - 1 + 1  # one is missing; the contact sheet
    for i, name in enumerate(NAMES):
        assert opened(alts[f"{name}, source"]).size == (8, 8)
        exact = opened(alts[f"{name}, target"])
        if exact.format == "PNG":
            np.testing.assert_array_equal(np.asarray(exact.convert("RGB")), picture(100 + i))
    assert "b, pix2pix" not in alts and "no picture of this name" in "".join(shown.texts["div"])
    assert opened(alts["Contact sheet of pix2pix"]).size == (60, 40)


def test_the_best_and_the_worst_come_first(report):
    _, shown = report
    own = {name: scores["l1"] for name, scores in scores_of(2).items()}
    why = [text for text in shown.texts["span"] if "L1 of pix2pix" in text]
    assert why == [
        f"· best L1 of pix2pix: {min(own.values()):.4f}",
        f"· worst L1 of pix2pix: {max(own.values()):.4f}",
    ]
    captions = [alt.rpartition(", ")[0] for alt in shown.all("img", "alt") if "source" in alt]
    assert captions[:2] == [min(own, key=own.get), max(own, key=own.get)]
    assert sorted(captions) == sorted(NAMES)


def test_health_is_told_in_words_with_its_thresholds(report):
    root, shown = report
    rows = {row[0].strip(): row for row in shown.tables["Losses"][1:2]}
    assert rows["pix2pix"][2].strip() == "in balance" and "of the 1.39" in rows["pix2pix"][3]
    said = {row[0].strip(): row[2].strip() for row in shown.tables["Diversity"][1:]}
    assert said == {"l1": "collapsed", "pix2pix": "varied"}
    assert "- l1, diversity: collapsed." in results(root)
    paragraphs = " ".join(shown.texts["p"])
    assert "Below 5 %" in paragraphs and "Below 10 % of that of the targets" in paragraphs


def test_training_commands_and_versions_are_shown(report):
    root, shown = report
    assert "generator: l1" in " ".join(shown.texts["text"])
    assert "image-gan-evaluate generated" in "".join(shown.texts["pre"])
    versions = {row[0].strip(): row[1].strip() for row in shown.tables["Versions"]}
    assert versions["training of pix2pix"] == "10 steps; torch 2.0"
    assert versions["scores of copy, l1, pix2pix, real"] == "torch 2.0"
    text = results(root)
    assert str(root) not in text and "image-gan-report exp/copy exp/l1 exp/pix2pix" in text


def test_ids_are_unique_on_the_page(report):
    _, shown = report
    ids = [own["id"] for _, own in shown.elements if "id" in own]
    assert len(ids) == len(set(ids))


# What is not there, or there in part


def test_unpaired_systems_are_shown_there_and_back(tmp_path):
    for i in range(3):
        save(tmp_path / f"data/test/source/{i}.png", picture(i))
        save(tmp_path / f"data/test/target/{i}.png", picture(10 + i))  # names mean nothing here
        save(tmp_path / f"exp/cyclegan/generated/{i}.png", picture(20 + i))
        save(tmp_path / f"exp/cyclegan/cycled/{i}.png", picture(30 + i))
    names = [str(i) for i in range(3)]
    write_scores(tmp_path / "exp/cyclegan", scores_of(1, names, ["cycle_l1"]))
    assert run(tmp_path, chosen=["cyclegan"]) == 0
    shown = page(tmp_path)
    kinds = [alt.partition(", ")[2] for alt in shown.all("img", "alt")]
    assert kinds == ["source", "cyclegan", "cyclegan, back"] * 3
    assert "without pairs" in "".join(shown.texts["p"])
    assert "Losses" not in shown.tables and "Diversity" in shown.tables
    assert "*" not in "".join(shown.tables["Scores"][1])  # nothing is the best of one


def test_scores_alone_are_enough(root, capsys):
    write_scores(root / "exp/alone", {}, [("fid", 3.0, "")])
    assert run(root, chosen=["alone"]) == 0
    shown = page(root)
    assert shown.tables["Scores"][1] == ["alone ", "3.00 "]
    assert "No system has pictures" in "".join(shown.texts["p"])
    assert {"Losses", "Diversity", "Differences between systems"}.isdisjoint(shown.tables)


def test_what_a_system_lacks_is_named_counted_and_left_out(root, capsys):
    scores = {**scores_of(2, NAMES[1:]), "stranger": scores_of(3)["a"]}
    scores["c"]["psnr"] = math.inf
    write_scores(root / "exp/pix2pix", scores, not_scored={"a": "it is broken"})
    (root / "exp/pix2pix/generated/d.png").write_text("no picture", encoding="utf-8")
    assert run(root) == 0
    told = capsys.readouterr().err
    assert "pix2pix: not scored:\n  a (it is broken)" in told
    assert "pix2pix: scores not of this test set, left out:\n  stranger" in told
    assert "pix2pix: no finite PSNR, left out of that mean alone:\n  c" in told
    assert "pix2pix: nothing generated of:\n  b" in told
    shown = page(root)
    table = {row[0].strip(): row[1:] for row in shown.tables["Scores"]}
    kept = [own["psnr"] for name, own in scores.items() if name not in ("c", "stranger")]
    mean, _, rest = table["pix2pix"][1].partition("±")
    assert float(mean.strip(" *")) == pytest.approx(np.mean(kept), abs=5.1e-3)
    assert "n = 4" in rest
    assert "the file cannot be read" in "".join(shown.texts["div"])
    assert "- pix2pix: not scored: 1 picture" in results(root)


def test_the_same_input_gives_the_same_bytes(root, monkeypatch):
    monkeypatch.setattr(cli, "today", lambda: "2000-01-01")
    written = []
    for _ in range(2):
        assert run(root, "--examples", 1, "--force") == 0
        written.append([(root / "exp" / name).read_bytes() for name in cli.OUTPUTS])
    assert written[0] == written[1]


# Diversity, thumbnails


def test_diversity_is_the_mean_distance_of_pairs(tmp_path):
    for name, grey in (("a", 0), ("b", 51), ("c", 255)):
        save(tmp_path / f"{name}.png", np.full((40, 40, 3), grey, np.uint8))
    pictures = systems.pictures(tmp_path)
    assert diversity.diversity(pictures) == pytest.approx((0.2 + 1 + 0.8) / 3)
    assert math.isnan(diversity.diversity({"a": pictures["a"]}))


@pytest.mark.parametrize(
    ("own", "verdict"), [(0.019, "collapsed"), (0.09, "less varied"), (0.11, "varied")]
)
def test_collapse_is_told_beside_the_targets(own, verdict):
    found = diversity.variety("x", own, 0.2)
    assert found.verdict == verdict and found.worry == (verdict == "collapsed")


def test_without_targets_that_differ_nothing_is_said_of_collapse():
    for own, target in ((0.1, 0.0), (0.1, math.nan), (math.nan, 0.1)):
        assert diversity.variety("x", own, target).verdict == "not measured"


def test_pictures_are_small_and_the_shorter_of_two_encodings(tmp_path):
    flat = np.zeros((700, 300, 3), np.uint8)
    save(tmp_path / "flat.png", flat)
    y, x = np.mgrid[:256, :256]
    noise = np.random.default_rng(0).normal(0, 4, (256, 256, 3))
    photo = (np.stack([x, y, 255 - x], -1) + noise).clip(0, 255).astype(np.uint8)
    save(tmp_path / "photo.png", photo)
    pictures = systems.pictures(tmp_path)
    shown = {name: examples.show(pictures, name) for name in pictures}
    assert max(shown["flat"].size) == 256 and opened(shown["flat"].uri).format == "PNG"
    assert opened(shown["photo"].uri).format == "JPEG"
    difference = np.abs(np.asarray(opened(shown["photo"].uri), float) - photo)
    assert difference.mean() < 8


def test_baselines_are_known_by_their_names():
    assert systems.is_called("copy_back", "copy") and systems.is_called("real", "real")
    assert not systems.is_called("realistic", "real")


def test_scores_without_pictures_have_no_interval():
    total = systems.Total(3.5, 10, "")
    own = systems.System("x", Path(), {}, {"fid": total}, {}, {}, "", {}, {}, None)
    found = content.score(own, "fid")
    assert found.mean == 3.5 and math.isnan(found.half) and found.n == 10
    assert content.score(own, "kid").n == 0


# What is refused


def refused(capsys):
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("image-gan-report: ") and told.err.count("\n") == 1
    return told.err


def test_a_report_is_overwritten_only_by_force(root, capsys):
    assert quick(root) == 0
    before = results(root)
    capsys.readouterr()
    assert quick(root, "--title", "other") == 2
    assert "report.html exists: give --force" in refused(capsys)
    assert results(root) == before
    assert quick(root, "--title", "other", "--force") == 0
    assert page(root).texts["h1"] == ["other"]


def put(name, text):
    def harm(root):
        (root / name).write_text(text, encoding="utf-8")

    return harm


def remove_scores(root):
    (root / "exp/l1/scores/scores.tsv").unlink()


def remove_sources(root):
    for path in (root / "data/test/source").iterdir():
        path.unlink()


def twins(root):
    save(root / "data/test/source/a.jpg", picture(0))


TSV = "exp/l1/scores/scores.tsv"
SUMMARY = "exp/l1/scores/summary.json"


@pytest.mark.parametrize(
    ("harm", "match"),
    [
        (remove_scores, r"scores.tsv: no such file; image-gan-evaluate .* writes it"),
        (put(TSV, "name\tl1\n"), r"scores.tsv:1: no column 'picture'"),
        (put(TSV, "picture\tl2\n"), r"scores.tsv:1: column 'l2' unknown"),
        (put(TSV, "picture\tl1\na\tx\n"), r"scores.tsv:2: l1 is 'x', not a number"),
        (put(TSV, "picture\tl1\na\t1\na\t1\n"), r"scores.tsv:3: 'a' is scored twice"),
        (put(TSV, "picture\tl1\nz\t1\n"), None),
        (put(SUMMARY, "{\n]"), r"summary.json:2: not JSON"),
        (put(SUMMARY, '{"metrics": {"fid": {"value": "x"}}}'), r"summary.json: fid is 'x'"),
        (put("exp/pix2pix/log.jsonl", "{}\n{}\n"), r"log.jsonl:1: not a report of gan-train"),
        (put("quoted.tsv", "system\tl1\tsource\nx\t1\t\n"), r"quoted.tsv:2: .* a source"),
        (remove_sources, r"source: no pictures; --data is a folder"),
        (twins, r"has the same name; keep one of them"),
    ],
)
def test_malformed_files_are_named_with_the_line(root, capsys, harm, match):
    harm(root)
    status = quick(root, "--quoted", root / "quoted.tsv")
    if match is None:
        assert status == 0  # other pictures of the system are of the test set
        return
    assert status == 2 and re.search(match, refused(capsys))
    assert not (root / "exp/report.html").exists() and not (root / "exp/RESULTS.md").exists()


def test_a_system_of_another_test_set_is_refused(root, capsys):
    write_scores(root / "exp/other", scores_of(0, ["x", "y"]))
    assert quick(root, chosen=["copy", "other"]) == 2
    assert "other: no picture of test is in it; is --data its test set?" in refused(capsys)


def test_wrong_folders_are_explained(root, capsys):
    assert quick(root, chosen=["copy", "none"]) == 2
    assert "none: no such folder; a system is a folder such as exp/pix2pix" in refused(capsys)
    assert quick(root, chosen=["copy", "copy"]) == 2
    assert "two systems called copy; rename a folder" in refused(capsys)
    (root / "file").write_text("", encoding="utf-8")
    assert quick(root, "-o", root / "file/below") == 2
    assert "cannot write in" in refused(capsys)


@pytest.mark.parametrize("extra", ["report", "images"])
def test_a_missing_library_is_named(root, capsys, monkeypatch, extra):
    monkeypatch.setattr(cli, "LIBRARIES", {extra: ("no_such_library",)})
    assert quick(root) == 2
    assert f"pip install 'segan[{extra}]'" in refused(capsys)


@pytest.mark.parametrize(("owner", "name"), [(examples, "show"), (Path, "replace")])
def test_an_interrupt_leaves_nothing_behind(root, capsys, monkeypatch, owner, name):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, interrupted)
    assert run(root, "--examples", 1, "-o", root / "new") == 130
    told = capsys.readouterr()
    assert told.err.endswith("image-gan-report: interrupted, nothing written\n")
    assert not (root / "new").exists() or not list((root / "new").iterdir())


def test_help_starts_without_the_heavy_libraries():
    code = "import sys; from image_gan.report import cli; cli.parser().format_help(); "
    code += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    heavy = {"numpy", "scipy", "torch", "PIL", "tifffile", "matplotlib", "jinja2"}
    assert not heavy & set(done.stdout.split())
