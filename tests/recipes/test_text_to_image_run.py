"""All of recipes/text_to_image on a miniature of shapes, also when it is killed on the way."""

import os
import shutil

import pytest
from PIL import Image

from image_gan import captions

BRIEF = ["--large", "0", "--score-options", "--metrics attribute_accuracy,caption_precision"]
ATTRIBUTES = "(?P<color>red|green|blue) (?P<shape>circle|square)"


@pytest.fixture
def recipe(picture_recipe):
    words = ["--size", "16", "--samples", "2", "--encoder-options", "trainer.workers=0"]
    return picture_recipe("text_to_image", *words, "--attributes", ATTRIBUTES)


def climbed(recipe, *words, systems):
    """Return the results of a whole run, once they are seen to make sense."""
    done = recipe.run(*words)
    assert done.returncode == 0, done.stderr
    scores, tables = recipe.results()
    assert set(scores) == set(systems)
    (table,) = tables.values()
    assert [row.split("|")[1].strip() for row in table[2 : 2 + len(systems)]] == list(systems)
    test = captions.read(recipe.folder / "data/test")
    wished = {caption for one in test for caption in one.captions}
    for one in set(systems) - {"real"}:
        painted = captions.read(recipe.folder / f"exp/{one}/generated")
        assert sorted(said.captions[0] for said in painted) == sorted(2 * list(wished))
        size = 32 if one == "stackgan_large" else 16
        assert {Image.open(said.path).size for said in painted} == {(size, size)}
        assert {*painted[0].attributes} == {"color", "shape"}
        assert (recipe.folder / f"exp/{one}/sheet.png").exists()
    assert len(captions.read(recipe.folder / "exp/real/generated")) == len(test)
    assert recipe.score("real", "attribute_accuracy") > 0.6  # 0.42 by chance
    return scores, tables


def done_before(recipe, *words):
    """Return how many stages there are, once a further run is seen to change nothing."""
    before = {path: path.stat().st_mtime_ns for path in recipe.folder.rglob("*")}
    last = recipe.run(*words)
    stages = [line for line in last.stdout.splitlines() if line.startswith("Stage")]
    assert all(line.endswith("done before") for line in stages)
    assert {path: path.stat().st_mtime_ns for path in recipe.folder.rglob("*")} == before
    return len(stages)


def test_from_captions_to_a_report(recipe):
    climbed(recipe, *BRIEF, systems=["stackgan", "real"])
    assert done_before(recipe, *BRIEF) == 9


@pytest.mark.slow
def test_all_systems_give_the_same_whether_they_were_killed_or_not(recipe):
    recipe.command += ["--system", "all", "--large", "32", "--encoder", "bag"]
    names = ["conditional_gan", "stackgan_unaware", "stackgan", "stackgan_large", "real"]
    found = climbed(recipe, systems=names)
    assert all(recipe.score(name, "fid") > 0 for name in names[:-1])
    for name in ("stackgan", "stackgan_large"):
        shutil.rmtree(recipe.folder / "exp" / name)
    recipe.kill("step 4", 0.0)
    again = recipe.run()
    assert again.returncode == 0, again.stderr
    assert recipe.results() == found
    assert done_before(recipe) == 18


# What programs are asked to do


@pytest.fixture
def stub(recipe, tmp_path):
    """Return a function that puts a program of a line of bash in the place of one of ours."""
    folder = tmp_path / "programs"
    folder.mkdir()
    recipe.environment["PATH"] = f"{folder}{os.pathsep}{recipe.environment['PATH']}"

    def put(name, line):
        (folder / name).write_text(f"#!/usr/bin/env bash\n{line}\n", encoding="utf-8")
        (folder / name).chmod(0o755)

    return put


def mark(recipe, **settings):
    """Leave data that tell attributes, and markers of stages: of a system, by its settings."""
    for part in ("train", "test"):
        path = recipe.folder / "data" / part / "captions.jsonl"
        path.parent.mkdir(parents=True)
        line = '{"image": "1.png", "captions": ["a"], "attributes": {"color": "red"}}\n'
        path.write_text(line, encoding="utf-8")
    (recipe.folder / "data/.done").touch()
    for name, text in settings.items():
        (recipe.folder / "exp" / name).mkdir(parents=True)
        (recipe.folder / "exp" / name / ".generated").write_text(f"{text}\n", encoding="utf-8")


def test_each_system_is_trained_by_its_own_settings(recipe, stub, tmp_path):
    log, exp = tmp_path / "log", recipe.folder / "exp"
    stub("gan-train", f'echo "$@" >> {log}')
    mark(recipe)
    words = ["--system", "all", "--large", "32", "--steps", "7", "--large-steps", "8"]
    words += ["--encoder", "all-MiniLM-L6-v2", "--encoder-options", "trainer.steps=9"]
    done = recipe.run(*words, "--stage", "2", "--stop-stage", "2", "--tiny", "false")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    told = {one[1].removeprefix("name="): one for one in lines}
    assert list(told) == [
        *("encoder", "classifier", "stackgan", "stackgan_unaware", "conditional_gan"),
        "stackgan_large",
    ]
    assert "game.encoder._target_=image_gan.encoders.SentenceEncoder" in told["encoder"]
    assert "+game.encoder.name=all-MiniLM-L6-v2" in told["encoder"]
    assert told["encoder"][-1] == "trainer.steps=9"
    reads = f"encoder={exp}/encoder/encoder.safetensors"
    assert reads in told["stackgan"] and reads in told["stackgan_unaware"]
    assert not any(word.startswith("encoder=") for word in told["conditional_gan"])
    unaware = [name for name, one in told.items() if "game.matching_aware=false" in one]
    assert unaware == ["stackgan_unaware"]
    large = told.pop("stackgan_large")
    assert {"data.size=32", "game.generator.second.size=32", "trainer.steps=8"} <= {*large}
    assert f"stage_one={exp}/stackgan/generator.safetensors" in large
    assert all("data.size=16" in one for one in told.values())
    assert all("trainer.steps=7" in told[name] for name in [*told][2:])


def test_captions_that_cannot_be_read_are_left_out_but_not_all(recipe, stub):
    mark(recipe, real="16")
    words = ["--large", "0", "--stage", "3", "--stop-stage", "3"]
    stub("image-gan-generate", "exit 2")
    done = recipe.run(*words)
    assert done.returncode == 2 and "stage 3: stackgan made nothing" in done.stderr
    made = recipe.folder / "exp/stackgan/generated"
    stub("image-gan-generate", f"mkdir -p {made}; touch {made}/captions.jsonl; exit 2")
    done = recipe.run(*words)
    assert done.returncode == 0 and "stackgan can't read" in done.stderr
    assert (recipe.folder / "exp/stackgan/.generated").exists()


# What is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--system", "stackgan_large"],
            "--system stackgan_large: one of stackgan, stackgan_unaware, conditional_gan; or all",
        ),
        (["--layout", "birds"], "--layout birds: one of jsonl, cub, flowers, coco"),
        (["--size", "48"], "--size 48: one of 8, 16, 32, 64"),
        (["--large", "16"], "--large 16: not larger than --size 16; 0: no stage II"),
        (["--samples", "0"], "--samples 0: how many pictures"),
        (["--quote", "birds"], "--quote birds: one of cub, flowers, coco"),
        (["--captions", "nowhere"], "nowhere: no such folder"),
        (["--corpus", "nowhere"], "nowhere: no such folder"),
        (["--corpus", ""], "--corpus DIR is needed; or --layout flowers --captions DIR"),
        (["--corpus", "", "--layout", "flowers"], "--corpus DIR is needed; or --layout flowers"),
    ],
)
def test_a_wrong_option_dies_in_one_line(recipe, words, said):
    done = recipe.run(*words)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not (recipe.folder / "data").exists()


def test_what_goes_on_from_an_encoder_does_not_from_another(recipe):
    exp = recipe.folder / "exp"
    for number, path in enumerate(
        ["data/.done", "exp/stackgan/config.yaml", "exp/encoder/.trained"]
    ):
        (recipe.folder / path).parent.mkdir(parents=True)
        (recipe.folder / path).touch()
        os.utime(recipe.folder / path, (number, number))
    settings = "true game.encoder._target_=image_gan.encoders.GRU trainer.workers=0"
    (exp / "encoder/.trained").write_text(settings, encoding="utf-8")
    done = recipe.run("--stage", "2", "--stop-stage", "2")
    assert done.returncode == 2
    assert "exp/stackgan began before" in done.stderr and "encoder was trained" in done.stderr
