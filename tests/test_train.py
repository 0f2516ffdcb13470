"""``gan-train``: every configuration runs, resumes and explains itself."""

import json

import numpy as np
import pytest
import soundfile
import torch
import yaml
from hydra.core.global_hydra import GlobalHydra

from gan import checkpoint, train
from gan.feed import feed
from segan.generator import KINDS

TINY = {
    "segan": [
        "+game.generator.channels=[2,3]",
        "+game.discriminator.channels=[2,3]",
        "+game.discriminator.references=3",
    ],
    "segan_plus": ["+game.generator.channels=[2,3]", "+game.discriminator.channels=[2,3]"],
    "default_start": ["+game.generator.channels=8", "+game.generator.dilations=[1,2]"],
    "default": [
        "+game.generator.channels=8",
        "+game.generator.dilations=[1,2]",
        "+game.discriminator.channels=[2,3]",
    ],
    "default_metric": [
        "+game.generator.channels=8",
        "+game.generator.dilations=[1,2]",
        "+game.discriminator.channels=[2,3]",
    ],
    "quality_start": ["game.generator.channels=8", "game.generator.dilations=[1,2]"],
    "streaming": ["+game.generator.channels=8", "+game.generator.dilations=[1,2]"],
}
SHORT = ["trainer.steps=2", "trainer.epochs=null", "trainer.batch_size=2", "trainer.device=cpu"]


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Two data directories in the current folder: pairs, which also serve as speech, and noise."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder, listing in [("pairs", "wav.scp"), ("pairs", "spk1.scp"), ("noise", "wav.scp")]:
        sounds = tmp_path / folder / listing.split(".")[0]
        sounds.mkdir(parents=True)
        lines = []
        for name in ("a", "b"):
            path = sounds / f"{name}.wav"
            soundfile.write(path, 0.1 * rng.standard_normal(17000), 16000)
            lines.append(f"{name} {path}\n")
        (tmp_path / folder / listing).write_text("".join(lines))
    return tmp_path


def run(monkeypatch, *words):
    GlobalHydra.instance().clear()
    monkeypatch.setattr("sys.argv", ["gan-train", *words, "trainer.workers=0"])
    train.main()


def data(kind):
    if kind == "pairs":
        return ["data=pairs", "data.folder=pairs"]
    return ["data=mixtures", "data.speech=pairs", "data.noise=noise", "data.seconds=1.024"]


@pytest.mark.parametrize("kind", ["pairs", "mixtures"])
@pytest.mark.parametrize("system", TINY)
def test_every_configuration_runs_and_exports(corpus, monkeypatch, system, kind):
    run(monkeypatch, f"system={system}", *data(kind), *SHORT, *TINY[system])
    folder = corpus / "exp" / system
    assert checkpoint.load(folder / "last.pt")["step"] == 2
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["steps"] == 2
    assert set(json.loads((folder / "versions.json").read_text())) == {"segan", "torch", "python"}
    network = checkpoint.load_network(folder / "generator.safetensors", KINDS)
    assert network(torch.randn(1, 1, 1000)).shape == (1, 1, 1000)


def test_every_system_is_tried_here():
    folder = train.Path(__file__).parents[1] / "segan" / "conf" / "system"
    assert {path.stem for path in folder.glob("*.yaml")} == set(TINY)


def test_validation_scores_and_keeps_samples(corpus, monkeypatch):
    words = ["validation=speech", "validation.folder=pairs", "validation.metrics=[si_sdr]"]
    words += ["trainer.best=[si_sdr,max]", "trainer.every.validate=1"]
    words += ["+validation.examples=1", "system=default_start", *data("mixtures")]
    words[2] = "+validation.metrics=[si_sdr]"
    run(monkeypatch, *words, *SHORT, *TINY["default_start"])
    folder = corpus / "exp" / "default_start"
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "validation"] == [1, 2]
    assert len(list((folder / "samples").glob("a.*.wav"))) == 2
    assert (folder / "best.pt").exists()


def test_a_run_starts_from_exported_weights(corpus, monkeypatch):
    run(monkeypatch, "system=default_start", *data("mixtures"), *SHORT, *TINY["default_start"])
    start = corpus / "exp" / "default_start" / "generator.safetensors"
    words = ["system=default", *data("mixtures"), *SHORT, *TINY["default"]]
    words += [f"init.generator={start}", "players.generator.optimizer.lr=0"]
    words += ["+players.generator.optimizer.weight_decay=0"]
    run(monkeypatch, *words)
    first = checkpoint.load_network(start, KINDS).state_dict()
    last = checkpoint.load(corpus / "exp" / "default" / "last.pt")["averages"]["generator"]
    for name, tensor in first.items():  # a learning rate of 0: what it started from
        assert torch.equal(tensor, last[f"module.{name}"])


def test_another_configuration_does_not_resume_a_run(corpus, monkeypatch, capsys):
    words = ["system=default_start", *data("mixtures"), *SHORT]
    run(monkeypatch, *words, *TINY["default_start"])
    kept = (corpus / "exp" / "default_start" / "last.pt").read_bytes()
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, *words, "+game.generator.channels=4", "+game.generator.dilations=[1]")
    assert "last.pt: is of another configuration" in capsys.readouterr().err
    assert (corpus / "exp" / "default_start" / "last.pt").read_bytes() == kept


def test_dry_run_prints_and_writes_nothing(corpus, monkeypatch, capsys):
    run(monkeypatch, "system=segan", "data=pairs", "dry_run=true")
    printed = capsys.readouterr().out
    assert "generator: 73,096,048 parameters" in printed
    assert "lr: 0.0002" in printed
    assert not (corpus / "exp").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say system=NAME"),
        (["system=segan"], "say data=NAME"),
        (["system=nothing", "data=pairs"], "Could not find 'system/nothing'"),
        (["system=segan", "data=pairs", "data.folder=nowhere"], "wav.scp: no such file"),
        (["system=segan", "data=pairs"], "data.folder"),
        (["system=segan", "data=pairs", "trainer.stepz=3"], "trainer.stepz"),
        (["system=default", *data("pairs"), "init.generator=gone"], "gone"),
        (["system=segan", *data("pairs"), *TINY["segan"], "trainer.device=tpu9"], "device"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(corpus, monkeypatch, capsys, words, message):
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, *words)
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("gan-train: ")
    assert message in errors[0]
    assert not (corpus / "exp").exists()


@pytest.mark.parametrize("text", ["mé (x), a=b & ~c", "it's \\'s [1] {b:2}\\", "#;!", "a, b"])
@pytest.mark.parametrize("key", ["data.folder=", "+x=/", "++x=C:\\", "~x=./"])
def test_a_path_of_any_letters_is_read_as_it_stands(key, text):
    word = f"{key}{'/' * key.endswith('=')}{text}/x"
    read = train.parsed(train.legible(word))
    assert read.get_key_element() == key.partition("=")[0]
    assert read.value() == word.partition("=")[2]


def test_what_hydra_reads_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "12").mkdir()
    words = ["a=12", "a=null", "a=", "a=[1,2]", "a={b:1}", "a=${b},c", "a='é'", "a=/x y/z-1", "~a"]
    words += ["a=choice(/a,/b)", "a=range(1,3)", "a=1,2", "--cfg", "-m", "--config-dir=/é", "job"]
    words += ["a=[1,2", "a={b", "a='b", "ä=é"]  # and what it can't read is told by its message
    assert [train.legible(word) for word in words] == words


@pytest.mark.parametrize("name", ["[x]", "{b:1}", "a,b", "{b", "'x"])
def test_a_folder_that_is_there_is_one_though_its_name_looks_like_a_list(
    tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert train.parsed(train.legible(f"a={name}")).value() == name


def test_a_folder_of_any_name_is_trained_in(tmp_path, monkeypatch, capsys):
    place = tmp_path / "mé (x), a=b & ~c"
    words = ["system=default_start", *TINY["default_start"], "dry_run=true"]
    run(monkeypatch, *words, f"folder={place}")
    assert yaml.safe_load(capsys.readouterr().out)["folder"] == str(place)


class Broken(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise ValueError("a.png: truncated; remove it")


def test_what_a_worker_complains_of_is_one_line():
    with pytest.raises(ValueError, match=r"a\.png") as error:
        next(feed(Broken(), 2, workers=1))
    assert len(str(error.value).splitlines()) > 1
    assert train.explain(error.value) == "a.png: truncated; remove it"
