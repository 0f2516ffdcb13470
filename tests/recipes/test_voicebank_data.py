"""Stages 0 and 1 of recipes/voicebank: what is downloaded, what becomes of it, what is refused."""

import hashlib
import os
import shutil
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest
import soundfile

from segan import kaldi
from segan.audio import resample
from segan.kaldi_checks import check

ARCHIVES = (
    "clean_trainset_28spk_wav",
    "noisy_trainset_28spk_wav",
    "clean_testset_wav",
    "noisy_testset_wav",
    "logfiles",
)


@pytest.fixture
def unpacked(miniature, tmp_path):
    """Return a copy of the miniature with folders in place of archives."""
    corpus = tmp_path / "corpus"
    for name in ARCHIVES:
        zipfile.ZipFile(miniature / f"{name}.zip").extractall(corpus)
    return corpus


@pytest.fixture
def prepare(script, monkeypatch):
    """Return a function that runs local/prepare.py with given words."""
    module = script("voicebank/local/prepare.py")

    def run(*words):
        monkeypatch.setattr("sys.argv", ["prepare.py", *map(str, words), "--jobs", "2"])
        return module.main()

    return run


def test_archives_and_folders_give_the_same_directories(miniature, unpacked, prepare, tmp_path):
    assert prepare(miniature, tmp_path / "a") == 0
    assert prepare(unpacked, tmp_path / "b") == 0
    for part in ("train", "dev", "test"):
        one, two = (kaldi.read_directory(tmp_path / name / part) for name in "ab")
        assert {k: v for k, v in one.items() if not k.endswith(".scp")} == {
            k: v for k, v in two.items() if not k.endswith(".scp")
        }
        for key, path in one["wav.scp"].items():
            assert (soundfile.read(path)[0] == soundfile.read(two["wav.scp"][key])[0]).all()


def test_directories_hold_every_utterance_once_at_16_khz(unpacked, prepare, tmp_path):
    assert prepare(unpacked, tmp_path / "data") == 0
    tables = {part: kaldi.read_directory(tmp_path / "data" / part) for part in kaldi_parts()}
    speakers = {part: set(own["utt2spk"].values()) for part, own in tables.items()}
    assert speakers == {
        "train": {"p227", "p228"},
        "dev": {"p226", "p287"},
        "test": {"p232", "p257"},
    }
    for part, own in tables.items():
        folder = "testset" if part == "test" else "trainset_28spk"
        for side, listing in (("noisy", "wav.scp"), ("clean", "spk1.scp")):
            for key, path in own[listing].items():
                wave, rate = soundfile.read(path)
                original, own_rate = soundfile.read(
                    unpacked / f"{side}_{folder}_wav" / f"{key}.wav"
                )
                assert (rate, own_rate) == (16000, 48000)
                assert np.abs(wave - resample(original, 48000, 16000)).max() < 1e-4
                assert float(own["utt2dur"][key]) == pytest.approx(len(wave) / 16000, abs=1e-4)
    assert {float(snr) for snr in tables["test"]["utt2snr"].values()} <= {2.5, 7.5, 12.5, 17.5}
    assert set(tables["test"]["utt2noise"].values()) <= {
        "bus",
        "cafe",
        "living",
        "office",
        "psquare",
    }


def test_directories_are_valid(miniature, prepare, tmp_path):
    assert prepare(miniature, tmp_path / "data") == 0
    for part in kaldi_parts():
        assert kaldi_errors(tmp_path / "data" / part) == []


def kaldi_parts():
    return ("train", "dev", "test")


def kaldi_errors(folder):
    return [problem for problem in check(folder) if problem.level == "error"]


def zeros(corpus):
    path = corpus / "noisy_trainset_28spk_wav" / "p227_001.wav"
    soundfile.write(path, np.zeros(48000), 48000)
    return "p227_001.wav: holds nothing but zeros"


def other_rate(corpus):
    path = corpus / "clean_testset_wav" / "p232_002.wav"
    soundfile.write(path, soundfile.read(path)[0], 44100)
    return "p232_002.wav: is at 44100 Hz"


def no_twin(corpus):
    (corpus / "clean_trainset_28spk_wav" / "p226_003.wav").unlink()
    return "p226_003 has no clean twin"


def missing(corpus):
    shutil.rmtree(corpus / "noisy_testset_wav")
    return "has neither noisy_testset_wav.zip nor a folder noisy_testset_wav"


def shorter(corpus):
    path = corpus / "clean_trainset_28spk_wav" / "p228_001.wav"
    soundfile.write(path, soundfile.read(path)[0][:-3000], 48000)
    return "p228_001: noisy has"


def no_sound(corpus):
    (corpus / "noisy_testset_wav" / "p257_001.wav").write_bytes(b"RIFF nothing")
    return "p257_001.wav: can't be read"


def stereo(corpus):
    path = corpus / "noisy_testset_wav" / "p257_001.wav"
    soundfile.write(path, np.ones((48000, 2)) / 2, 48000)
    return "p257_001.wav: has 2 channels"


def bad_log(corpus):
    (corpus / "logfiles" / "log_testset.txt").write_text("p232_001 bus\n")
    return "log_testset.txt: line 1: not 'utterance noise SNR'"


FAULTS = [zeros, other_rate, no_twin, missing, shorter, no_sound, stereo, bad_log]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_named_and_nothing_is_half_written(fault, unpacked, prepare, tmp_path, capsys):
    said = fault(unpacked)
    assert prepare(unpacked, tmp_path / "data") == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "data").rglob("wav.scp"))
    assert not list((tmp_path / "data").rglob("*.part*"))


def test_a_mended_corpus_goes_through(unpacked, prepare, tmp_path):
    path = unpacked / "noisy_trainset_28spk_wav" / "p227_001.wav"
    sound = path.read_bytes()
    zeros(unpacked)
    assert prepare(unpacked, tmp_path / "data") == 2
    path.write_bytes(sound)
    assert prepare(unpacked, tmp_path / "data") == 0


def test_what_a_kill_cuts_short_is_no_recording(script, unpacked, monkeypatch, tmp_path):
    def killed(*_):
        raise KeyboardInterrupt

    module = script("voicebank/local/prepare.py")
    job = module.jobs_of(unpacked, tmp_path / "data")[0]
    with monkeypatch.context() as patch:
        patch.setattr("segan.kaldi.os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            module.convert(job)
    (left,) = job.target("noisy").parent.iterdir()
    assert left.name.startswith(".")  # no program looks at hidden files
    module.convert(job)
    assert list(job.target("noisy").parent.iterdir()) == [job.target("noisy")]


@pytest.mark.parametrize("kind", ["unpacked", "miniature"])
@pytest.mark.parametrize("left", ["a broken file", "an older sound"])
def test_what_is_broken_or_older_than_its_source_is_done_again(
    script, request, tmp_path, kind, left
):
    corpus = shutil.copytree(request.getfixturevalue(kind), tmp_path / "copy")
    module = script("voicebank/local/prepare.py")
    job = module.jobs_of(corpus, tmp_path / "data")[0]
    module.convert(job)
    target = job.target("clean")
    right = target.read_bytes()
    if left == "a broken file":
        target.write_bytes(b"")
    else:
        soundfile.write(target, np.ones(soundfile.info(target).frames) / 2, 16000)
        assert module.convert(job)[0] and target.read_bytes() != right  # taken for done
        place, name = job.clean
        later = target.stat().st_mtime + 1
        os.utime(place / name if kind == "unpacked" else place, (later, later))
    assert module.convert(job) == (soundfile.info(target).duration, "")
    assert target.read_bytes() == right


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("data", "data: file exists"),
        ("data/test", "data/test/wav/noisy: not a directory"),
        ("", "a process died"),
    ],
)
def test_what_can_not_be_written_is_a_line(
    script, monkeypatch, miniature, tmp_path, capsys, place, said
):
    def each(function, items, *_):
        if not place:
            raise RuntimeError("a process died")
        return [function(one) for one in items if one.set == "test"]

    if place:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("")
    module = script("voicebank/local/prepare.py")
    monkeypatch.setattr(module, "each", each)
    monkeypatch.setattr("sys.argv", ["prepare.py", str(miniature), str(tmp_path / "data")])
    assert module.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("prepare: ") and line.endswith(said)


def test_a_truncated_archive_is_named(miniature, prepare, tmp_path, capsys):
    corpus = tmp_path / "corpus"
    shutil.copytree(miniature, corpus)
    path = corpus / "noisy_trainset_28spk_wav.zip"
    path.write_bytes(path.read_bytes()[:-5000])
    assert prepare(corpus, tmp_path / "data") == 2
    assert "noisy_trainset_28spk_wav.zip: truncated or no zip archive" in capsys.readouterr().err


def test_a_damaged_member_is_named(miniature, prepare, tmp_path, capsys):
    corpus = tmp_path / "corpus"
    shutil.copytree(miniature, corpus)
    path = corpus / "noisy_testset_wav.zip"
    data = bytearray(path.read_bytes())
    data[20000] ^= 255
    path.write_bytes(data)
    assert prepare(corpus, tmp_path / "data") == 2
    assert "noisy_testset_wav.zip: noisy_testset_wav/p232_001.wav: can't be read" in (
        capsys.readouterr().err
    )


def test_strangers_among_the_held_out_are_named(miniature, prepare, tmp_path, capsys):
    assert prepare(miniature, tmp_path / "data", "--dev", "p226,p999") == 2
    assert "--dev p999: not among the training speakers" in capsys.readouterr().err


# Download


class Server(BaseHTTPRequestHandler):
    """Serve files with ranges, and cut every answer off after ``limit`` bytes."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []
    limit = 1 << 30

    def do_GET(self):
        name = self.path.strip("/")
        if name not in self.files:
            self.send_error(404)
            return
        data = self.files[name]
        wanted = self.headers.get("Range", "bytes=0-")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : start + self.limit])

    def log_message(self, *_):
        pass


@pytest.fixture
def served(miniature, tmp_path):
    """Serve the miniature's archives; return the server's class, its URL and a list of them."""
    files = {path.name: path.read_bytes() for path in sorted(miniature.glob("*.zip"))}
    own = type("Own", (Server,), {"files": files, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), own)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    lines = ["archive\tbytes\tmd5\turl"]
    for number, (name, data) in enumerate(files.items()):
        size = len(data) if number else ""  # of one the length isn't known
        lines.append(f"{name}\t{size}\t{hashlib.md5(data).hexdigest()}\t{url}/{name}")
    listing = tmp_path / "archives.tsv"
    listing.write_text("\n".join(lines) + "\n")
    yield own, url, listing
    server.shutdown()
    server.server_close()


@pytest.fixture
def download(script, monkeypatch):
    """Return a function that runs recipes/local/download.py with given words."""
    module = script("local/download.py")

    def run(*words):
        monkeypatch.setattr("sys.argv", ["download.py", *map(str, words)])
        return module.main()

    return run


def same(folder, files):
    return {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_download_gets_everything_once(served, download, tmp_path):
    server, _, listing = served
    assert download(listing, tmp_path / "corpus") == 0
    assert same(tmp_path / "corpus", server.files)
    count = len(server.asked)
    assert download(listing, tmp_path / "corpus") == 0
    assert len(server.asked) == count


def test_download_goes_on_where_the_connection_broke(served, download, tmp_path, capsys):
    server, _, listing = served
    longest = max(map(len, server.files.values()))
    server.limit = longest // 3 + 1
    codes = [download(listing, tmp_path / "corpus") for _ in range(3)]
    assert codes == [2, 2, 0]
    assert same(tmp_path / "corpus", server.files)
    assert "the connection ended early; run again to go on" in capsys.readouterr().err
    assert f"bytes={2 * server.limit}-" in server.asked


@pytest.mark.parametrize("known", [True, False], ids=["check sum", "no check sum"])
def test_download_goes_on_after_the_last_byte(served, download, tmp_path, known):
    server, url, listing = served
    name, data = next(iter(server.files.items()))
    md5 = hashlib.md5(data).hexdigest() if known else ""
    listing.write_text(f"archive\tbytes\tmd5\turl\n{name}\t\t{md5}\t{url}/{name}\n")
    (tmp_path / "corpus").mkdir()
    (tmp_path / f"corpus/{name}.part").write_bytes(data)
    assert download(listing, tmp_path / "corpus") == 0
    assert same(tmp_path / "corpus", {name: data})
    assert server.asked == [f"bytes={len(data)}-", *([] if known else ["bytes=0-"])]


def test_download_refuses_what_is_not_the_archive(served, download, tmp_path, capsys):
    server, _, listing = served
    name = "noisy_testset_wav.zip"
    right = server.files[name]
    server.files[name] = right[:-1] + b"!"
    assert download(listing, tmp_path / "corpus") == 2
    assert f"{name}: MD5" in capsys.readouterr().err
    assert not list((tmp_path / "corpus").glob(f"{name}*"))
    server.files[name] = right
    assert download(listing, tmp_path / "corpus") == 0
    assert same(tmp_path / "corpus", server.files)


def test_download_says_what_a_server_lacks(served, download, tmp_path, capsys):
    server, url, listing = served
    del server.files["logfiles.zip"]
    assert download(listing, tmp_path / "corpus", "--url", url) == 2
    err = capsys.readouterr().err
    assert f"{url}/logfiles.zip: the server says 404" in err
    assert "--corpus DIR" in err
    assert same(tmp_path / "corpus", server.files)


def test_the_list_of_the_recipe_is_complete(script, recipes):
    archives = script("local/download.py").read_list(recipes / "voicebank/conf/archives.tsv")
    assert {one.name.removesuffix(".zip") for one in archives} == set(ARCHIVES)
    assert all(len(one.md5) == 32 and one.url.startswith("https://") for one in archives)
