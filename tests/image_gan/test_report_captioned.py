"""The report on pictures made from text: the grid, the notes, and what is said of collapse."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from image_gan.report import captioned, cli, content

CAPTIONS = ("blue hair", "green hair", "<red> hair")
COLORS = {"blue hair": (0, 0, 200), "green hair": (0, 200, 0), "<red> hair": (200, 0, 0)}


def write_pictures(folder, captions, each, spread=40, seed=0):
    """Write so many pictures of each caption and a captions.jsonl; return their names."""
    folder.mkdir(parents=True)
    rng, lines = np.random.default_rng(seed), []
    for caption in captions:
        for _ in range(each):
            noise = rng.integers(-spread, spread + 1, (16, 16, 3))
            values = (np.array(COLORS[caption]) + noise).clip(0, 255).astype(np.uint8)
            name = f"{len(lines):03}.png"
            Image.fromarray(values).save(folder / name)
            lines.append({"image": name, "captions": [caption]})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "captions.jsonl").write_text(text, encoding="utf-8")
    return [line["image"][:-4] for line in lines]


def write_scores(folder, names, accuracy, diversity):
    place = folder / "scores"
    place.mkdir(parents=True)
    rows = [f"{name}\t{accuracy + 0.1 * (i % 2)}" for i, name in enumerate(names)]
    text = "\n".join(["picture\tattribute_accuracy", *rows]) + "\n"
    (place / "scores.tsv").write_text(text, encoding="utf-8")
    entry = {"n": len(names), "protocol": "by chance 0.1"}
    metrics = {"attribute_accuracy": {"value": accuracy, **entry}}
    metrics["diversity"] = {"value": diversity, **entry}
    (place / "summary.json").write_text(json.dumps({"metrics": metrics}), encoding="utf-8")


@pytest.fixture
def root(tmp_path):
    """Two systems, one collapsed and lacking a caption, and the real pictures with their scores."""
    names = write_pictures(tmp_path / "exp/stackgan/generated", CAPTIONS, 5, seed=1)
    write_scores(tmp_path / "exp/stackgan", names, 0.5, 0.04)
    names = write_pictures(tmp_path / "exp/cgan/generated", CAPTIONS[:2], 3, spread=0)
    write_scores(tmp_path / "exp/cgan", names, 0.7, 0.001)
    names = write_pictures(tmp_path / "data/test", CAPTIONS, 2, seed=3)
    write_scores(tmp_path / "exp/real", names, 0.9, 0.05)
    return tmp_path


def run(root, *more, chosen=("stackgan", "cgan", "real")):
    folders = [root / "exp" / name for name in chosen]
    return cli.main([str(word) for word in [*folders, "--data", root / "data/test", *more]])


def page(root):
    return (root / "exp/report.html").read_text(encoding="utf-8")


def shown(text):
    """Return the pictures of the grid by what they are called."""
    found = re.findall(r'<img[^>]*src="data:image/\w+;base64,([^"]+)"[^>]*alt="([^"]*)"', text)
    return {alt: Image.open(io.BytesIO(base64.b64decode(data))) for data, alt in found}


def test_the_same_captions_are_shown_of_all_systems_and_real_ones(root):
    assert run(root) == 0
    pictures = shown(page(root))
    assert list(pictures) == [
        f"{caption}, {name}" for caption in CAPTIONS[:2] for name in ("stackgan", "cgan", "real")
    ]
    assert pictures["blue hair, stackgan"].size == (34, 34)  # four of 16, two by two
    assert pictures["blue hair, real"].size == (34, 16)  # two
    for alt, image in pictures.items():
        mean = np.asarray(image.convert("RGB"), float)[:16, :16].mean(axis=(0, 1))
        assert np.abs(mean - COLORS[alt.partition(",")[0]]).max() < 25


def test_captions_of_one_system_are_all_shown_and_escaped(root):
    assert run(root, "--examples", 9, chosen=["stackgan"]) == 0
    text = page(root)
    assert len(shown(text)) == 6 and "&lt;red&gt; hair" in text and "<red>" not in text


def test_captions_are_evenly_spread_and_known_to_all():
    made = [{c: [] for c in "abcdef"}, {c: [] for c in "bcdefg"}]
    assert captioned.choose(made, {}, 3) == ["b", "d", "f"]
    assert captioned.choose(made, {"c": []}, 3) == ["c"]
    assert captioned.choose([{"a": []}, {"b": []}], {}, 3) == ["a"]
    assert captioned.choose([], {"a": [], "b": []}, 9) == ["a", "b"]


def test_scores_stand_beside_those_of_real_pictures_which_are_never_best(root):
    assert run(root) == 0
    text = (root / "exp/RESULTS.md").read_text(encoding="utf-8")
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line[:1] == "|"}
    assert "**0.75" in lines["cgan"] and "**0.0400**" in lines["stackgan"]
    assert "0.9500" in lines["real"] and "*" not in lines["real"] and "n =" not in text
    assert text.startswith("# Pictures from text: test\n")
    assert "15 pictures made from 3 captions. 6 real pictures to compare with." in text
    assert "- attributes: by chance 0.1" in text


def test_collapse_shows_among_pictures_of_one_caption(root):
    assert run(root) == 0
    text = (root / "exp/RESULTS.md").read_text(encoding="utf-8")
    assert "- cgan, diversity: varied." in text  # the captions differ
    said = "Two of its pictures of one caption differ by"
    assert f"- cgan, diversity: collapsed. {said} 0.001 on average" in text
    assert f"- stackgan, diversity: varied. {said} 0.04 on average" in text
    assert "collapsed" not in page(root).partition("<tbody>")[0]


def test_what_is_lacking_is_named(root, capsys):
    (root / "exp/stackgan/generated/001.png").write_bytes(b"no picture")
    scores = root / "exp/stackgan/scores/scores.tsv"
    lines = [x for x in scores.read_text(encoding="utf-8").splitlines() if x[:3] != "001"]
    scores.write_text("\n".join([*lines, "odd\t1\n"]), encoding="utf-8")
    assert run(root) == 0
    told = capsys.readouterr().err
    assert "stackgan: not scored:\n  001" in told
    assert "stackgan: scores not of this test set, left out:\n  odd" in told
    assert "cgan: nothing generated of:\n  <red> hair" in told
    assert "of all of" not in told and "real:" not in told
    assert shown(page(root))["blue hair, stackgan"].size == (34, 34)  # in three places of four


def test_differences_are_paired_where_names_mean_the_same_captions(root):
    names = write_pictures(root / "exp/other/generated", CAPTIONS, 5, seed=9)
    write_scores(root / "exp/other", names, 0.6, 0.04)
    assert run(root, chosen=["stackgan", "cgan", "other", "real"]) == 0
    rows = re.findall(r"<small>minus (\w+)</small>", page(root))
    assert rows == ["stackgan"]  # other minus stackgan; cgan has other captions
    assert re.search(r"<small>p (=|&lt;|<) ", page(root))


def test_curves_and_health_of_such_a_game(root):
    lines = [
        {
            "step": i,
            "kind": "train",
            "discriminator/adversarial": 0.95,
            "generator/adversarial": 0.6,
            "generator/kl": 1 / i,
            "generator/realism": 0.7,
        }
        for i in range(1, 11)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (root / "exp/cgan/log.jsonl").write_text(text, encoding="utf-8")
    game = "game:\n  objective:\n    _target_: gan.objectives.NonSaturating\n"
    game += "  discriminator:\n    realism: true\n  matching_aware: true\n"
    (root / "exp/cgan/config.yaml").write_text(game, encoding="utf-8")
    assert run(root) == 0
    results = (root / "exp/RESULTS.md").read_text(encoding="utf-8")
    assert "- cgan, adversarial: in balance. Discriminator 0.95, 69 % of the 1.39" in results
    assert "not generated samples from real ones, its loss is 1.12." in results
    for name in ("discriminator: adversarial", "generator: kl", "generator: realism"):
        assert name in page(root)


def test_without_captions_of_the_test_set_there_is_no_report(root, capsys):
    (root / "data/test/captions.jsonl").unlink()
    assert run(root) == 2
    err = capsys.readouterr().err
    assert "captions.jsonl: no such file; --data is a folder of pictures and captions" in err
    assert err.count("\n") == 1 and not (root / "exp/report.html").exists()


def test_captions_that_do_not_fit_their_pictures_are_refused(root, capsys):
    (root / "exp/stackgan/generated/002.png").unlink()
    assert run(root) == 2
    err = capsys.readouterr().err
    assert "line 3" in err and "002.png is not there" in err and err.count("\n") == 1


def test_scores_alone_are_enough(root):
    for name in ("stackgan", "cgan"):
        for path in (root / "exp" / name / "generated").iterdir():
            path.unlink()
    assert run(root) == 0
    assert "Pictures made from text. 6 real pictures" in page(root)
    assert content.COLUMNS["diversity"].heading in page(root)
