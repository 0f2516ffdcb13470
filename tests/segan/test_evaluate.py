import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from segan import evaluate, metrics, parallel

RATE = 16000
ROOT = Path(__file__).parents[2]


def tone(seconds=1.0, rate=RATE, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * f * time) / f for f in (200, 450, 900, 2100)) * 30
    return wave * np.sin(2 * np.pi * 1.5 * time) ** 2 * 0.3 + 1e-3 * rng.standard_normal(len(time))


def noise(wave, level, seed=1):
    return level * np.random.default_rng(seed).standard_normal(len(wave))


def save(path, wave, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, subtype="FLOAT" if path.suffix == ".wav" else None)


@pytest.fixture
def corpus(tmp_path):
    """Three utterances, one in a subfolder, in three folders; noisy is noisier than enhanced."""
    for seed, name in enumerate(("a", "b", "deep/c")):
        clean = tone(seed=seed)
        save(tmp_path / f"clean/{name}.flac", clean)
        save(tmp_path / f"noisy/{name}.wav", clean + noise(clean, 0.1))
        save(tmp_path / f"enhanced/{name}.wav", clean + noise(clean, 0.01))
    return tmp_path


def run(corpus, *more, clean="clean", enhanced="enhanced", jobs=1):
    """Return the exit code of the program on the corpus."""
    arguments = [corpus / clean, corpus / enhanced, "--jobs", jobs, *more]
    return evaluate.main([str(argument) for argument in arguments])


def rows(text):
    """Return the printed table as {system: {heading: text}}."""
    head, *lines = [line for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if line.startswith(("noisy", "enhanced", "  over"))]
    return {
        line.split()[0]: dict(zip(head.split(), line.split()[1:], strict=True)) for line in lines
    }


def tsv(folder):
    lines = (folder / "scores.tsv").read_text(encoding="utf-8").splitlines()
    head = lines[0].split("\t")
    return [dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:]]


def summary(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


# The outcome


def test_the_table_holds_the_means_of_noisy_and_enhanced(corpus, capsys):
    assert run(corpus, "--noisy", corpus / "noisy") == 0
    out = capsys.readouterr().out
    table = rows(out)
    assert list(table) == ["noisy", "enhanced"]
    assert " ".join(table["noisy"]) == "PESQ STOI ESTOI CSIG CBAK COVL SSNR SI-SDR SNR"
    for system, files in table.items():
        means = {name: [] for name in ("stoi", "snr", "pesq")}
        for name in ("a", "b", "deep/c"):
            clean = soundfile.read(corpus / f"clean/{name}.flac")[0]
            estimate = soundfile.read(corpus / f"{system}/{name}.wav")[0]
            for metric, score in metrics.evaluate(clean, estimate, RATE, means).items():
                means[metric].append(score)
        expected = {name: np.mean(scores) for name, scores in means.items()}
        printed = [float(files[heading]) for heading in ("STOI", "SNR", "PESQ")]
        assert printed == pytest.approx([*expected.values()], abs=6e-3)
    assert "3 utterances" in out


def test_scores_and_summary_are_written(corpus, capsys):
    out = corpus / "new/scores"
    options = ["--noisy", corpus / "noisy", "-m", "snr,stoi", "-o", out]
    assert run(corpus, *options) == 0
    scores = tsv(out)
    pairs = [(row["system"], row["utterance"]) for row in scores]
    assert pairs == [(s, u) for s in ("noisy", "enhanced") for u in ("a", "b", "deep/c")]
    content = summary(out)
    own = [float(row["snr"]) for row in scores if row["system"] == "noisy"]
    entry = content["systems"]["noisy"]["snr"]
    assert entry["mean"] == pytest.approx(np.mean(own), rel=1e-5)
    assert entry["n"] == 3 and entry["undefined"] == {}
    assert content["command"][0] == "segan-evaluate" and "snr,stoi" in content["command"]
    assert content["versions"]["pesq"]
    assert sorted(path.name for path in out.iterdir()) == ["scores.tsv", "summary.json"]


def test_processes_give_what_one_process_gives(corpus, capsys):
    run(corpus, "-o", corpus / "one", "-m", "pesq,snr,wss")
    run(corpus, "-o", corpus / "two", "-m", "pesq,snr,wss", jobs=2)
    assert tsv(corpus / "one") == tsv(corpus / "two")


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_a_name_that_is_not_utf8_is_written_as_an_escape(corpus, capsys):
    for folder, suffix in (("clean", ".flac"), ("enhanced", ".wav")):
        path = corpus / folder / f"a{suffix}"
        path.rename(os.fsdecode(os.fsencode(path.parent) + b"/\xfc" + suffix.encode()))
    assert run(corpus, "-m", "snr", "-o", corpus / "out") == 0
    assert [row["utterance"] for row in tsv(corpus / "out")] == ["b", "deep/c", r"\udcfc"]
    assert summary(corpus / "out")["systems"]["enhanced"]["snr"]["n"] == 3


def test_two_files_need_no_common_name(corpus, capsys):
    assert run(corpus, "-m", "snr", clean="clean/a.flac", enhanced="enhanced/b.wav") == 0
    assert float(rows(capsys.readouterr().out)["enhanced"]["SNR"]) < 10


def test_kaldi_data_directories_are_read(corpus, capsys):
    data = corpus / "data"
    data.mkdir()
    for scp, folder in (("wav.scp", "noisy"), ("spk1.scp", "clean")):
        suffix = ".wav" if folder == "noisy" else ".flac"
        lines = [f"{name} {corpus / folder / name}{suffix}\n" for name in ("a", "b", "deep/c")]
        (data / scp).write_text("".join(lines), encoding="utf-8")
    assert run(corpus, "--noisy", data, "-m", "snr", clean="data") == 0
    direct = rows(capsys.readouterr().out)
    assert run(corpus, "--noisy", corpus / "noisy", "-m", "snr") == 0
    assert rows(capsys.readouterr().out) == direct


def test_a_copy_scores_without_limit_and_json_stays_json(corpus, capsys):
    assert run(corpus, "-m", "snr,ssnr", "-o", corpus / "out", enhanced="clean") == 0
    assert rows(capsys.readouterr().out)["enhanced"] == {"SNR": "inf", "SSNR": "35.00"}
    assert summary(corpus / "out")["systems"]["enhanced"]["snr"]["mean"] is None


def test_rate_resamples_before_scoring(tmp_path, capsys):
    wave = tone(rate=48000)
    save(tmp_path / "clean.wav", wave, 48000)
    save(tmp_path / "enhanced.wav", wave + noise(wave, 0.01), 48000)
    files = {"clean": "clean.wav", "enhanced": "enhanced.wav"}
    assert run(tmp_path, "-m", "snr", **files) == 0
    told = capsys.readouterr()
    assert "scored at 48000 Hz, published tables are at 16000 Hz" in told.err
    assert run(tmp_path, "-m", "snr", "--rate", 16000, **files) == 0
    resampled = capsys.readouterr()
    assert "scored at" not in resampled.err
    # Two thirds of the white noise lie above 8 kHz, and a little below is in the filter's slope.
    gain = float(rows(resampled.out)["enhanced"]["SNR"]) - float(rows(told.out)["enhanced"]["SNR"])
    assert gain == pytest.approx(10 * np.log10(3), abs=0.5)


# What is said of single files


def test_an_undefined_score_is_named_and_left_out_of_its_mean_alone(corpus, capsys):
    save(corpus / "enhanced/b.wav", np.zeros(RATE))
    assert run(corpus, "-m", "pesq,stoi,si_sdr", "-o", corpus / "out") == 0
    told = capsys.readouterr()
    assert (
        "enhanced b: no PESQ (the estimate is silent), SI-SDR (the estimate is silent)" in told.err
    )
    assert rows(told.out)["over"] == {"PESQ": "2", "STOI": "3", "SI-SDR": "2"}
    entry = summary(corpus / "out")["systems"]["enhanced"]["pesq"]
    assert entry["n"] == 2 and entry["undefined"] == {"b": "the estimate is silent"}
    own = [row["pesq"] for row in tsv(corpus / "out")]
    assert own[1] == "nan"
    assert entry["mean"] == pytest.approx((float(own[0]) + float(own[2])) / 2, rel=1e-5)


def test_a_silent_reference_leaves_every_mean_to_the_others(corpus, capsys):
    save(corpus / "clean/b.flac", np.zeros(RATE))
    assert run(corpus, "-m", ",".join(metrics.ALL)) == 0
    assert set(rows(capsys.readouterr().out)["over"].values()) == {"2"}


def test_a_late_estimate_is_mentioned(corpus, capsys):
    clean = soundfile.read(corpus / "clean/a.flac")[0]
    save(corpus / "enhanced/a.wav", np.concatenate([np.zeros(640), clean[:-640]]))
    assert run(corpus, "-m", "snr", "-o", corpus / "out") == 0
    told = capsys.readouterr().err
    assert "enhanced a: the estimate is 40.0 ms late against its reference" in told
    assert "40.0 ms" in summary(corpus / "out")["cautions"]["enhanced"]["a"][0]


def broken(folder):
    (folder / "a.wav").write_text("no sound", encoding="utf-8")


def stereo(folder):
    save(folder / "a.wav", np.zeros((RATE, 2)))


def short(folder):
    save(folder / "a.wav", np.zeros(RATE - 1))


def slow(folder):
    save(folder / "a.wav", np.zeros(RATE), 8000)


def poisoned(folder):
    save(folder / "a.wav", np.full(RATE, np.nan))


@pytest.mark.parametrize(
    ("harm", "match"),
    [
        (broken, "a.wav: format not recognised"),
        (stereo, "a.wav has 2 channels"),
        (short, "a.wav has 15999 samples"),
        (slow, "a.wav is at 8000 Hz"),
        (poisoned, "a.wav: nan at sample 0"),
    ],
)
def test_a_file_that_cannot_be_scored_is_named_and_the_rest_scored(corpus, capsys, harm, match):
    harm(corpus / "enhanced")
    options = ["--noisy", corpus / "noisy", "-m", "snr", "-o", corpus / "out"]
    assert run(corpus, *options) == 2
    told = capsys.readouterr()
    assert "not scored:" in told.err and match in told.err
    assert "3 utterances, 1 not scored" in told.out
    content = summary(corpus / "out")
    assert content["systems"]["enhanced"]["snr"]["n"] == 2
    assert content["systems"]["noisy"]["snr"]["n"] == 3
    assert list(content["not_scored"]["enhanced"]) == ["a"]


class Mortal(ThreadPoolExecutor):
    """Threads that stand for processes: where one dies, all that the pool has is lost."""

    dead = False

    def __init__(self, jobs, *_, **__):
        super().__init__(jobs)

    def submit(self, function, item):
        return super().submit(self.work, function, item)

    def work(self, function, item):
        if not self.dead:
            with contextlib.suppress(ZeroDivisionError):
                return function(item)
        self.dead = True
        raise BrokenExecutor


def test_what_kills_its_process_is_lost_and_nothing_else(monkeypatch):
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Mortal)
    once, told = [5], []

    def work(number):
        if number in once:
            once.remove(number)
            number = 0  # as killed by somebody else
        return 84 // (number if number not in (3, 11) else 0)

    def progress(results, total):
        assert total == 20
        return map(lambda result: told.append(result) or result, results)

    found = parallel.each(work, range(1, 21), 2, progress, lost=lambda number: f"lost {number}")
    expected = [f"lost {n}" if n in (3, 11) else 84 // n for n in range(1, 21)]
    assert found == expected and len(told) == 20
    with pytest.raises(RuntimeError, match="a process died twice"):
        parallel.each(work, range(1, 21), 2)


def test_a_pair_whose_process_died_is_named():
    pair = evaluate.Pair("enhanced", "a", Path("c"), Path("e"))
    assert evaluate.notes([evaluate.lost(pair)])[1].startswith("  enhanced a: its process died")


# What is refused


def refused(capsys):
    """Return what was said, having seen that nothing was scored."""
    told = capsys.readouterr()
    assert told.out == ""
    return told.err


def test_unmatched_names_are_listed_and_nothing_scored(corpus, capsys):
    (corpus / "enhanced/a.wav").rename(corpus / "enhanced/z.wav")
    assert run(corpus, "-o", corpus / "out") == 2
    told = refused(capsys)
    assert f"a: in {corpus / 'clean'}, not in {corpus / 'enhanced'}" in told
    assert f"z: in {corpus / 'enhanced'}, not in {corpus / 'clean'}" in told
    assert not (corpus / "out").exists()


def test_many_unmatched_names_are_counted(corpus, capsys):
    for index in range(25):
        save(corpus / f"enhanced/more{index:02}.wav", np.zeros(10))
    assert run(corpus) == 2
    told = refused(capsys)
    assert "more09" in told and "more10" not in told and "and 15 more" in told


def test_a_name_in_two_formats_is_refused(corpus, capsys):
    save(corpus / "clean/a.wav", tone())
    assert run(corpus) == 2
    assert "share a name" in refused(capsys)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"x some.wav\na sph2pipe -f wav a.sph |\n", "wav.scp: a: a command"),
        (b"x some.wav\na\n", "wav.scp:2: expected 'key value'"),
        (b"x some.wav\nx elsewhere.wav\n", "wav.scp:2: 'x' stands twice"),
        (b"\xfc some.wav\n", "wav.scp: is not valid UTF-8"),
        (b"\xef\xbb\xbfa some.wav\n", "wav.scp: begins with a byte order mark"),
        (b"", "wav.scp: empty"),
    ],
)
def test_script_files_that_cannot_be_used_are_refused(corpus, capsys, content, match):
    data = corpus / "data"
    data.mkdir()
    (data / "wav.scp").write_bytes(content)
    assert run(corpus, enhanced="data") == 2
    assert match in refused(capsys)


def test_empty_and_missing_places_are_refused(corpus, capsys):
    (corpus / "empty").mkdir()
    assert run(corpus, enhanced="empty") == 2
    assert "no audio files" in refused(capsys)
    assert run(corpus, enhanced="nowhere") == 2
    assert "no such file or folder" in refused(capsys)


def test_results_are_overwritten_only_by_force(corpus, capsys):
    out = corpus / "out"
    assert run(corpus, "-m", "snr", "-o", out) == 0
    before = (out / "scores.tsv").read_bytes()
    capsys.readouterr()
    assert run(corpus, "-m", "ssnr", "-o", out) == 2
    assert "scores.tsv exists: give --force" in refused(capsys)
    assert (out / "scores.tsv").read_bytes() == before
    assert run(corpus, "-m", "ssnr", "-o", out, "--force") == 0
    assert (out / "scores.tsv").read_bytes() != before


def test_a_file_in_place_of_the_output_folder_is_refused(corpus, capsys):
    (corpus / "out").write_text("", encoding="utf-8")
    assert run(corpus, "-o", corpus / "out") == 2
    assert "cannot write" in refused(capsys)


@pytest.mark.parametrize("options", [["-m", "pesk"], ["-j", "0"], ["--rate", "x"]])
def test_bad_options_are_refused(corpus, capsys, options):
    with pytest.raises(SystemExit, match="2"):
        evaluate.main([str(corpus / "clean"), str(corpus / "enhanced"), *options])


def test_a_missing_library_is_named(corpus, capsys, monkeypatch):
    monkeypatch.setattr(evaluate, "LIBRARIES", {"no_such_pesq": {"pesq"}})
    assert run(corpus) == 2
    assert "pip install 'segan[metrics]'" in refused(capsys)


# The program


ANNOUNCING = """
import sys
from segan import evaluate
score = evaluate.score
def announced(*arguments):
    print("ready", flush=True)
    return score(*arguments)
evaluate.score = announced
sys.exit(evaluate.main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupt_ends_it_at_once_and_nothing_is_written(tmp_path, jobs):
    for index in range(4):  # long enough to be interrupted
        save(tmp_path / f"clean/{index}.wav", np.tile(tone(seed=index), 300))
    arguments = [tmp_path / "clean", tmp_path / "clean", "-o", tmp_path / "out", "-j", jobs]
    process = subprocess.Popen(
        [sys.executable, "-c", ANNOUNCING, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == "segan-evaluate: interrupted, nothing written\n"
    assert not (tmp_path / "out").exists()


def test_sigterm_ends_it_as_an_interrupt_does(corpus, monkeypatch):
    monkeypatch.setattr(evaluate, "score", lambda *_: signal.raise_signal(signal.SIGTERM))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit, match="143"):
            run(corpus)
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_processes_end_with_a_killed_parent():
    code = (
        "import functools, os, signal\n"
        "from segan import parallel\n"
        "parallel.each(functools.partial(os.kill, os.getpid()), [signal.SIGKILL, 0], 2)\n"
    )
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
    assert started.communicate(timeout=60) == (b"", None)  # the pipe closes when they end
    assert started.returncode == -signal.SIGKILL


def test_help_starts_without_the_heavy_libraries():
    code = (
        "import sys; from segan import evaluate as e; e.parser().format_help(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    heavy = {"numpy", "scipy", "torch", "soundfile", "pesq", "pystoi", "tqdm"}
    assert not heavy & set(done.stdout.split())
