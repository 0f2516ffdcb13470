"""The batch on Ray; on a real one where the environment has ``SEGAN_TEST_RAY=1``."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gan.checkpoint import export
from segan import audio, cli, cluster, journal
from segan.batch import Job, Options, Outcome
from segan.generator import MaskGenerator

real = pytest.mark.skipif("SEGAN_TEST_RAY" not in os.environ, reason="takes a minute; see above")


# How jobs are handed out, on a Ray that is made up


class ActorDied(Exception):
    pass


class Ref:
    def __init__(self, actor, job=None):
        self.actor, self.job = actor, job


class MadeUpActor:
    """An actor that never starts (``asleep``), or that dies of some jobs."""

    def __init__(self, deadly=(), asleep=False):
        self.deadly, self.asleep, self.alive, self.seen = deadly, asleep, True, []
        self.ready = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda: Ref(self)))
        self.work = SimpleNamespace(remote=lambda job: Ref(self, job))


class MadeUpRay:
    exceptions = SimpleNamespace(RayActorError=ActorDied)

    def __init__(self):
        self.draw = random.Random(0)

    def wait(self, refs, num_returns):
        awake = [ref for ref in refs if not ref.actor.asleep]
        assert awake, "it would wait for ever"
        return [self.draw.choice(awake)], []

    def get(self, ref):
        actor, job = ref.actor, ref.job
        if job is None:
            actor.alive = True
            return None
        assert actor.alive, "a job was given to an actor that had died"
        actor.seen.append(job)
        if job.source.name in actor.deadly:
            actor.alive = False
            raise ActorDied
        return Outcome(job.target, 1.0, [f"{job.source}: a note"], None, 16000, 1, 0.1, job)


def done(actors, jobs):
    flying, most = {cluster._start(actor): (actor, None) for actor in actors}, []

    def handed():
        for job in jobs:
            most.append(sum(one is not None for _, one in flying.values()))
            yield job

    heard = []
    found = list(cluster._done(MadeUpRay(), flying, handed(), heard.append))
    assert max(most, default=0) < len(actors) and len(heard) == len(found)
    return found


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return [Job(Path(f"in/{n}.wav"), Path(f"out/{n}.wav"), key=str(n)) for n in range(30)]


def test_each_job_is_done_once_and_goes_by_the_name_it_was_given(jobs):
    actors = [MadeUpActor() for _ in range(3)]
    found = done(actors, jobs)
    assert sorted(int(one.job.key) for one in found) == list(range(30))
    assert all(one.job in jobs and one.target == one.job.target for one in found)
    assert all(one.notes == [f"{one.job.name}: a note"] for one in found)
    assert all(job.source.is_absolute() for actor in actors for job in actor.seen)


def test_an_actor_that_dies_goes_on_and_its_job_has_failed(jobs):
    found = done([MadeUpActor(deadly=["3.wav", "17.wav"]) for _ in range(2)], jobs)
    failed = {one.job.key: one.error for one in found if one.error}
    assert len(found) == 30 and failed.keys() == {"3", "17"}
    assert all("its process was killed" in line for line in failed.values())


def test_actors_that_the_cluster_has_no_room_for_get_no_jobs(jobs):
    asleep = MadeUpActor(asleep=True)
    assert len(done([asleep, MadeUpActor()], jobs)) == 30 and not asleep.seen
    assert len(done([MadeUpActor(), MadeUpActor()], jobs[:1])) == 1


class BusyRay:
    """A Ray of which nothing comes: its start fails, or what is made of it later."""

    exceptions = SimpleNamespace(RayError=ActorDied)

    def __init__(self, at_start):
        self.at_start, self.ended = at_start, 0

    def init(self, **_):
        if self.at_start:
            raise Exception("Some words.\nThe node timed out.")

    def shutdown(self):
        self.ended += 1


@pytest.mark.parametrize("at_start", [True, False])
def test_what_ray_cannot_do_is_one_line(at_start):
    ray = BusyRay(at_start)
    line = r"--ray local: (no cluster there \()?The node timed out\.\)?; see `ray (status|logs)`"
    with pytest.raises(OSError, match=line), cluster._connected(ray, "local", 1):
        raise ActorDied("A traceback.\nThe node timed out.")
    assert ray.ended == (not at_start)


def test_what_an_actor_takes_of_a_machine():
    assert cluster.needs(Options()) == {"num_cpus": 1, "num_gpus": 0}
    assert cluster.needs(Options(threads=4, device="cuda")) == {"num_cpus": 4, "num_gpus": 1}


@pytest.mark.parametrize(
    "text", ["auto", "local", "10.0.0.7:6379", "head:10001", "ray://head:10001"]
)
def test_addresses(text):
    assert cluster.address(text) == text


@pytest.mark.parametrize("text", ["in", "a.wav", "recordings/", "C:\\in", ""])
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match="put --ray behind the inputs"):
        cluster.address(text)


@pytest.mark.parametrize("place", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "127.0.0.1:{}00000"])
def test_a_cluster_that_is_not_there_is_one_line(tmp_path, monkeypatch, capsys, place):
    monkeypatch.setattr("segan.enhance.load", lambda *_: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    audio.write(tmp_path / "a.wav", np.zeros((1, 1600), np.float32), 16000)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        place = place.format(nobody.getsockname()[1])
        assert cli.main([str(tmp_path / "a.wav"), "--ray", place]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"segan-enhance: --ray {place}: no cluster there")
    assert error.count("\n") == 1 and os.listdir(tmp_path) == ["a.wav"]


def test_an_actor_stops_where_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("segan.enhance.load", lambda *_: SlowEnhancer())
    audio.write(tmp_path / "a.wav", np.zeros((1, 1600), np.float32), 16000)
    actor = cluster.Actor(Options(threads=1))
    actor.stop()
    assert actor.work(Job(tmp_path / "a.wav", tmp_path / "b.wav")) is None
    assert os.listdir(tmp_path) == ["a.wav"]


@pytest.mark.parametrize(("threads", "each"), [(None, 1), (3, 3)])
@pytest.mark.parametrize("model", ["default", "mine.onnx"])
def test_an_actor_takes_the_threads_that_it_asked_for(monkeypatch, model, threads, each):
    asked, torchs = [], []
    monkeypatch.setattr("segan.enhance.load", lambda *given: asked.append(given[-1]))
    monkeypatch.setattr("torch.set_num_threads", torchs.append)
    monkeypatch.setattr(cluster, "attempt", lambda *_: None)
    cluster.Actor(Options(model=model, threads=threads)).work(Job(Path("a.wav"), Path("b.wav")))
    assert asked == [each] and set(torchs) == ({each} if model == "default" else set())


class SlowEnhancer:
    def stream(self, blocks, rate, keep):
        yield from blocks


# A real one


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    config = {"channels": 4, "dilations": [1], "level": 0.25}
    export(path, MaskGenerator(**config), {"_target_": "segan.generator.MaskGenerator"} | config)
    return path


def command(*arguments):
    return [sys.executable, "-m", "segan.cli", *map(str, arguments)]


def wholes(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != journal.NAME)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@real
def test_two_workers_of_ray_give_the_bytes_of_one_process(tmp_path, model):
    for number in range(8):
        wave = np.random.default_rng(number).uniform(-0.5, 0.5, (2, 30000)).astype(np.float32)
        (tmp_path / "in").mkdir(exist_ok=True)
        audio.write(tmp_path / f"in/{number}.wav", wave, 44100)
    (tmp_path / "in/bad.wav").write_text("no sound")
    for name, far in (("far", ["--ray", "-j", "2"]), ("near", ["--threads", "1"])):
        given = command("in", "-o", name, "--model", model, *far)
        result = subprocess.run(given, cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 2, result.stderr
        first, last = result.stderr.splitlines()[-2:]
        assert first.startswith(f"segan-enhance: {Path('in/bad.wav')}: format not recognised")
        assert last.startswith("segan-enhance: 9 files, 1 failed")
    assert len(wholes(tmp_path / "far")) == 8
    assert wholes(tmp_path / "far") == wholes(tmp_path / "near")


@real
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_half_written_on_ray(tmp_path, model, number, status):
    form = audio.Format("FLAC", "PCM_16", "FILE", 16000, 1)
    (tmp_path / "in").mkdir()
    for name in "ab":
        with audio.Writer(tmp_path / f"in/{name}.flac", form) as file:
            for _ in range(40):
                file.write(np.zeros((1, 30 * 16000), np.float32))
    out = tmp_path / "out"
    given = command(tmp_path / "in", "-o", out, "--model", model, "--ray", "-j", 2)
    process = subprocess.Popen(given, stderr=subprocess.PIPE)
    while process.poll() is None and not list(out.glob(".segan-*")):
        time.sleep(0.05)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert process.returncode == status and wholes(out) == {}, error.decode()
