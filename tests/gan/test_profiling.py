"""``gan-train profile=true``: where the time goes, told without a trace in the run."""

import gzip
import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from hydra.core.global_hydra import GlobalHydra
from torch.autograd import DeviceType

from gan import train
from gan.profiling import short, table

WORDS = ["system=segan_plus", "data=pairs", "data.folder=pairs", "trainer.batch_size=2"]
WORDS += [
    "trainer.workers=0",
    "trainer.device=cpu",
    "trainer.steps=2",
    "trainer.epochs=null",
    "trainer.accumulate=1",
]
WORDS += ["+game.generator.channels=[2,3]", "+game.discriminator.channels=[2,3]"]
PARTS = {"data", "play", "discriminator", "generator"}


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A data directory of two pairs in the current folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for listing in ("wav", "spk1"):
        (tmp_path / "pairs" / listing).mkdir(parents=True)
        paths = [tmp_path / "pairs" / listing / f"{name}.wav" for name in "ab"]
        for path in paths:
            soundfile.write(path, 0.1 * rng.standard_normal(17000), 16000)
        entries = [f"{path.stem} {path}\n" for path in paths]
        (tmp_path / "pairs" / f"{listing}.scp").write_text("".join(entries))
    return tmp_path / "exp" / "segan_plus"


def run(monkeypatch, *words):
    GlobalHydra.instance().clear()
    monkeypatch.setattr("sys.argv", ["gan-train", *WORDS, *words])
    train.main()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_profile_names_the_parts_and_leaves_the_run_alone(corpus, monkeypatch, capsys):
    run(monkeypatch)
    before = contents(corpus)
    capsys.readouterr()
    run(monkeypatch, "profile=true")
    assert contents(corpus) == before and before.keys() >= {"last.pt", "log.jsonl", "config.yaml"}
    assert {path.name for path in (corpus / "profile").iterdir()} == {"table.txt", "trace.json.gz"}

    printed = capsys.readouterr().out
    assert printed == (corpus / "profile" / "table.txt").read_text(encoding="utf-8")
    head, parts, operators, _ = printed.rstrip().split("\n\n")
    assert "ms a step on cpu" in head
    assert {line.split()[0] for line in parts.splitlines()} >= PARTS and "device" not in parts
    assert "aten::convolution_backward" in operators

    with gzip.open(corpus / "profile" / "trace.json.gz", "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    ranges = [event["name"] for event in events if event.get("cat") == "user_annotation"]
    assert {part: ranges.count(part) for part in PARTS} == dict.fromkeys(PARTS, 3)  # steps


def event(key, device, time, calls=1, note=False, memory=0):
    on_gpu = device == DeviceType.CUDA
    return SimpleNamespace(
        key=key,
        device_type=device,
        is_user_annotation=note,
        count=calls,
        self_cpu_time_total=0 if on_gpu else time,
        self_device_time_total=time if on_gpu else 0,
        self_cpu_memory_usage=0,
        self_device_memory_usage=memory,
    )


def test_a_gpu_is_told_by_its_kernels_and_how_long_they_keep_it_busy():
    cpu, cuda = DeviceType.CPU, DeviceType.CUDA
    events = [
        event("aten::conv1d", cpu, 3000, calls=4, memory=8 * 2**20),
        event("play", cpu, 1000, note=True),
        event("winograd", cuda, 6000, calls=2),
        event("copy", cuda, 9000, calls=6),
        event("play", cuda, 99999, note=True),  # the range of a part, no kernel
    ]
    numbers = {"step_seconds": 0.01, "samples_per_second": 100.0}
    numbers |= {"time/play": 0.001, "time/generator": 0.009, "device/play": 0.004}
    text = table(numbers, events, 2, torch.device("cuda"))
    _, parts, cpu_lines, gpu_lines, busy, _ = text.rstrip().split("\n\n")
    assert parts.splitlines()[1].split() == ["generator", "9.00", "90.0%"]
    assert parts.splitlines()[2].split() == ["play", "1.00", "10.0%", "4.00"]
    assert cpu_lines.splitlines()[1].split() == ["aten::conv1d", "1.500", "75.0%", "2.0", "4.0"]
    assert "play (outside operators)" in cpu_lines
    assert [line.split()[0] for line in gpu_lines.splitlines()[1:]] == ["copy", "winograd"]
    assert gpu_lines.splitlines()[1].split()[1:4] == ["4.500", "60.0%", "3.0"]
    assert busy == "The device is busy for 75% of a step."


def test_long_names_keep_to_their_column():
    assert short("aten::mul") == "aten::mul"
    assert len(short("void " + "x" * 200)) == len(short("y" * 54)) == 54
