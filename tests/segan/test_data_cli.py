"""The command ``segan-data``: what it prints, writes and refuses."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segan import audio, augment, data_cli, importing, kaldi, mixing
from segan.kaldi_checks import check

RATE = 16000
ROOT = Path(__file__).parents[2]


def speech(seconds=0.6, seed=0, rate=RATE):
    """Return loud and soft syllables, ``(T,)``."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * f * time + seed) / 4 for f in (180, 700, 1900))
    return 0.4 * tone * np.sin(2 * np.pi * 2 * time) ** 2 + 1e-4 * rng.standard_normal(len(time))


def hiss(seconds=0.6, seed=0, rate=RATE):
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))


def save(path, wave, rate=RATE, encoding=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, np.asarray(wave, np.float32), rate, encoding)
    return path


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def directory(folder, waves, utt2spk=None):
    """Write a data directory of waves, with its sound in ``folder/wav``."""
    paths = {key: save(folder / f"wav/{key}.wav", wave) for key, wave in waves.items()}
    tables = {"wav.scp": paths} | ({"utt2spk": utt2spk} if utt2spk else {})
    kaldi.write_directory(folder, tables)
    return folder


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command in ``tmp_path`` in one process; give its status and the lines it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data_cli.signals, "exit_on_terminate", lambda: None)

    def run(*arguments):
        arguments = [str(argument) for argument in arguments]
        if arguments[0] in ("validate", "import", "mix") and "--jobs" not in arguments:
            arguments += ["--jobs", "1"]
        status = data_cli.main(arguments)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return status, (captured.out + captured.err.replace("segan-data: ", "")).splitlines()

    return run


def command(*arguments):
    return [sys.executable, "-m", "segan.data_cli", *map(str, arguments)]


# Help


@pytest.mark.parametrize("name", [None, *data_cli.COMMANDS])
def test_help_teaches_by_examples(capsys, name):
    with pytest.raises(SystemExit) as end:
        data_cli.main([*([name] if name else []), "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert f"segan-data {name or 'import'} " in text.partition("example")[2] or not name
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", data_cli.COMMANDS)
def test_the_examples_of_the_help_are_understood(name):
    import shlex

    lines = [line for line in data_cli.COMMANDS[name][1].splitlines() if "segan-data " in line]
    for line in (line.strip() for line in lines if line.startswith("  segan-data")):
        words = shlex.split(line.split("    ")[0])
        assert data_cli.parser().parse_args(words[1:]).command == name
    assert lines


def test_nothing_heavy_is_imported_for_help():
    code = (
        "import sys; from segan import data_cli; data_cli.parser().format_help(); "
        "print({'torch', 'numpy', 'scipy', 'soundfile', 'tqdm'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["mix", "o", "--speech", "a", "--noise", "b", "--snr", "loud"],
            "is not a list as 2.5,7.5",
        ),
        (["mix", "o", "--speech", "a", "--noise", "b", "--snr", "inf"], "no finite number"),
        (["mix", "o", "--speech", "a", "--noise", "b", "--seed", "-1"], "from 0 up"),
        (["import", "a", "b", "--jobs", "0"], "from 1 up"),
        (["tidy", "a"], "invalid choice"),
    ],
)
def test_odd_arguments_are_refused(capsys, arguments, words):
    with pytest.raises(SystemExit) as end:
        data_cli.main(arguments)
    assert end.value.code == 2 and words in capsys.readouterr().err


# validate


def test_what_is_fine_is_said_in_a_line(run, tmp_path):
    directory(tmp_path / "d", {"a-1": speech(), "b-1": speech()}, {"a-1": "a", "b-1": "b"})
    expected = "d: 2 utterances, 2 speakers, 1.2 seconds; 0 errors, 0 warnings"
    assert run("validate", "d") == (0, [expected])


def test_hours_are_those_of_utt2dur(run, tmp_path):
    tables = {"wav.scp": {"a": "/a.wav", "b": "/b.wav"}, "utt2dur": {"a": 3600, "b": 1800}}
    kaldi.write_directory(tmp_path / "d", tables)
    status, lines = run("validate", "--no-sound", "d")
    assert status == 0 and lines == [
        "d: 2 utterances, 2 speakers, 1.50 hours; 0 errors, 0 warnings"
    ]


def test_errors_give_2_warnings_0_and_every_directory_its_line(run, tmp_path):
    directory(tmp_path / "soft", {"a": speech(0.05)})
    directory(tmp_path / "hard", {"a": 0 * speech(), "b": speech(0.05)})
    assert run("validate", "soft")[0] == 0
    status, lines = run("validate", "hard", "soft", "none")
    assert status == 2
    assert lines[0] == (
        "hard/wav.scp:1: error: a: silent, every sample is zero; record it anew, or leave it out"
    )
    assert lines[1].startswith("hard/wav.scp:2: warning: b: only 0.050 s long")
    assert lines[2].endswith("1 error, 1 warning") and lines[4].endswith("0 errors, 1 warning")
    assert lines[5].startswith("none: error: no such folder")
    assert lines[6] == "none: of unknown size; 1 error, 0 warnings"


def test_many_problems_are_cut_short_errors_first(run, tmp_path):
    keys = [f"k{number:02d}" for number in range(30)]
    kaldi.write_directory(tmp_path / "d", {"wav.scp": {key: f"/none/{key}" for key in keys}})
    kaldi.write_map(tmp_path / "d/utt2dur", dict.fromkeys(keys, "0"))
    status, lines = run("validate", "--no-sound", "d")
    assert status == 2 and len(lines) == 22 and lines[20] == "d: and 10 more; --all shows them"
    assert len(run("validate", "--no-sound", "d", "--all")[1]) == 31


def test_processes_find_what_one_process_finds(tmp_path):
    waves = {"a": speech(), "b": 0 * speech(), "c": np.stack([speech(), speech()])}
    directory(tmp_path / "d", waves)
    assert len(check(tmp_path / "d")) == 2
    assert check(tmp_path / "d", jobs=2) == check(tmp_path / "d")


# import


@pytest.fixture
def recordings(tmp_path):
    """Make a folder of odd recordings, all of them good."""
    folder = tmp_path / "in"
    save(folder / "ann/ann_1.wav", speech())
    save(folder / "ann/2.flac", np.stack([speech(seed=1, rate=44100)] * 2), 44100)
    save(folder / "bob b/Ünï 1.ogg", speech(rate=48000), 48000)
    save(folder / "bob b/deep/3.mp3", speech(rate=8000), 8000)
    save(folder / "alone.aiff", speech())
    save(folder / "ann/.hidden.wav", speech())
    (folder / "notes.txt").write_text("no sound")
    return folder


def test_recordings_of_any_kind_become_mono_wav_of_one_rate(run, recordings, tmp_path):
    status, lines = run("import", recordings, "out")
    assert status == 0 and lines[-1].startswith("out: 5 utterances, 4 speakers, 3.0 seconds")
    tables = kaldi.read_directory(tmp_path / "out")
    assert tables["utt2spk"] == {
        "alone": "alone",
        "ann-1": "ann",
        "ann-2": "ann",
        "bob_b-Ünï_1": "bob_b",
        "deep-3": "deep",
    }
    assert check(tmp_path / "out") == []
    for key, path in tables["wav.scp"].items():
        with audio.open_audio(path) as sound:
            assert audio.format_of(sound)[:2] == ("WAV", "PCM_16")
        assert Path(path) == tmp_path / f"out/wav/{key}.wav"
    wave, _ = audio.read(tables["wav.scp"]["ann-1"])
    assert abs(wave[0] - speech()).max() <= 2**-15
    wave, _ = audio.read(tables["wav.scp"]["ann-2"])
    assert np.corrcoef(wave[0], speech(seed=1))[0, 1] > 0.999


@pytest.mark.parametrize(
    ("rule", "path", "expected"),
    [
        ("folder", "ann/monday/1.wav", ("monday-1", "monday")),
        ("folder", "1.wav", ("1", "1")),
        ("prefix", "x/p226_001.wav", ("p226-001", "p226")),
        ("prefix", "x/p226-001.wav", ("p226-001", "p226")),
        ("prefix", "x/plain.wav", ("x_plain", "x_plain")),
        ("none", "x/p226-001.wav", ("x_p226_001", "x_p226_001")),
        ("^[^/]+", "ann/monday/1.wav", ("ann-1", "ann")),
        (r"/(\w+)-", "84/121/84-121-0.flac", ("84-121-0", "84")),
        ("folder", "a-b/a-b_1.wav", ("a_b-a-b_1", "a_b")),
        ("folder", "ann/ann.wav", ("ann-ann", "ann")),
        ("folder", "ann/annabel.wav", ("ann-annabel", "ann")),
        ("folder", "a\u0308/1.wav", ("ä-1", "ä")),
        ("folder", "!?/1 (2).wav", ("_-1_2_", "_")),
    ],
)
def test_ids_are_made_of_paths(rule, path, expected):
    assert importing.identify(PurePosixPath(path), importing.speaker_rule(rule)) == expected


names = st.text(st.characters(exclude_categories=["C"], exclude_characters="/"), min_size=1).filter(
    lambda name: name.strip(".")
)


@settings(max_examples=150, deadline=None)
@given(
    paths=st.sets(st.lists(names, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8),
    rule=st.sampled_from(["folder", "prefix", "none", "^[^/]"]),
)
def test_made_ids_are_always_in_the_order_that_kaldi_wants(paths, rule):
    found = [
        importing.identify(PurePosixPath(f"{path}.wav"), importing.speaker_rule(rule))
        for path in paths
    ]
    utt2spk = dict(found)
    tables = {"wav.scp": dict.fromkeys(utt2spk, "/x.wav"), "utt2spk": utt2spk}
    kaldi.completed(Path("d"), tables)  # raises where Kaldi would refuse
    assert all(key.startswith(speaker) for key, speaker in found)


def test_what_is_no_good_is_named_and_the_rest_is_done(run, recordings, tmp_path):
    save(recordings / "ann/still.wav", 0 * speech())
    save(recordings / "ann/against.wav", np.stack([speech(), -speech()]))
    save(recordings / "ann/nan.wav", np.full(800, np.nan), encoding="FLOAT")
    (recordings / "ann/text.wav").write_text("no sound")
    (recordings / "ann/empty.wav").write_bytes(b"")
    (recordings / "ann/film.m4a").write_bytes(b"\0\0\0 ftypM4A ")
    save(recordings / "ann/1.wav", speech())
    status, lines = run("import", recordings, "out")
    assert status == 2 and lines[0].startswith("out: 5 utterances") and "7 left out" in lines[0]
    said = "\n".join(lines)
    for name, words in {
        "still.wav": "silent",
        "against.wav": "silent",
        "nan.wav": "nan at sample 0",
        "text.wav": "format not recognised",
        "empty.wav": "empty (0 bytes)",
        "film.m4a": "`ffmpeg -i FILE out.wav`",
        "ann_1.wav": "its id would be 'ann-1', as that of",
    }.items():
        assert any(f"{name}: " in line and words in line for line in lines), said
    assert len(lines) == 8
    assert check(tmp_path / "out") == []


def test_a_recording_that_was_cut_off_is_imported_and_named(run, tmp_path):
    path = save(tmp_path / "in/a.wav", speech())
    path.write_bytes(path.read_bytes()[:9000])
    status, lines = run("import", "in", "out")
    assert status == 0 and "a.wav: ends after" in lines[1]


def test_ids_that_differ_in_capitals_alone_are_refused(run, tmp_path):
    for name in ("X/1.wav", "x/1.flac"):
        save(tmp_path / "in" / name, speech())
    status, lines = run("import", "in", "out")
    assert status == 2 and "its id would be 'x-1', as that of" in lines[1]


def test_sound_beyond_full_scale_is_scaled_not_clipped(run, tmp_path):
    loud, soft = 6 * speech(), speech(seed=1)
    save(tmp_path / "noisy/a.wav", loud, encoding="FLOAT")
    save(tmp_path / "clean/a.flac", soft)
    assert abs(loud).max() > 1
    assert run("import", "noisy", "out", "--clean", "clean")[0] == 0
    noisy, clean = (
        audio.read(tmp_path / f"out/wav/{side}/a.wav")[0][0] for side in ("noisy", "clean")
    )
    assert abs(noisy * abs(loud).max() - loud).max() < 1e-4
    assert abs(clean * abs(loud).max() - soft).max() < 1e-4


def test_pairs_are_matched_by_name(run, tmp_path):
    for side, suffix in (("noisy", "wav"), ("clean", "flac")):
        for name in ("p1_1", "p2_1"):
            save(tmp_path / side / f"{name}.{suffix}", speech() + hiss() * (side == "noisy"))
    save(tmp_path / "noisy/p3_1.wav", speech())
    save(tmp_path / "clean/p4_1.wav", speech())
    save(tmp_path / "noisy/p5_1.wav", speech())
    save(tmp_path / "clean/p5_1.wav", speech(0.5))
    status, lines = run("import", "noisy", "out", "--clean", "clean", "--speaker", "prefix")
    assert status == 2 and len(lines) == 4
    assert any("p3_1.wav: has no clean twin" in line for line in lines)
    assert any("p4_1.wav: has no noisy twin" in line for line in lines)
    assert any("p5_1.wav: 9600 samples" in line and "has 8000; align" in line for line in lines)
    tables = kaldi.read_directory(tmp_path / "out")
    assert list(tables["spk1.scp"]) == list(tables["wav.scp"]) == ["p1-1", "p2-1"]
    assert check(tmp_path / "out") == []
    noise = audio.read(tables["wav.scp"]["p1-1"])[0] - audio.read(tables["spk1.scp"]["p1-1"])[0]
    assert abs(noise[0] - hiss()).max() <= 2**-14


def test_two_clean_twins_of_one_name_are_refused(run, tmp_path):
    for path in ("noisy/a.wav", "clean/a.wav", "clean/a.flac"):
        save(tmp_path / path, speech())
    status, (line,) = run("import", "noisy", "out", "--clean", "clean")
    assert status == 2 and "share a name; keep one of them" in line


@pytest.mark.parametrize("what", ["nothing", "silence", "text", "missing"])
def test_a_folder_without_anything_good_makes_no_directory(run, tmp_path, what):
    if what != "missing":
        (tmp_path / "in").mkdir()
    if what == "silence":
        save(tmp_path / "in/a.wav", 0 * speech())
    if what == "text":
        (tmp_path / "in/a.txt").write_text("no sound")
    status, lines = run("import", "in", "out")
    assert status == 2 and lines[0].startswith(str(tmp_path / "in"))
    assert not (tmp_path / "out/wav.scp").exists()


def test_an_odd_rule_for_speakers_is_named(run, tmp_path):
    save(tmp_path / "in/a.wav", speech())
    status, (line,) = run("import", "in", "out", "--speaker", "(")
    assert status == 2 and line.startswith("--speaker (: ") and "folder, prefix, none" in line
    status, lines = run("import", "in", "out", "--speaker", "x+")
    assert status == 2 and "a.wav: --speaker x+ doesn't match it" in "".join(lines)


def test_what_is_done_is_not_done_again(run, recordings, tmp_path, monkeypatch):
    """Cut short after two of five, the import goes on with the third."""
    written, write = [], importing.write_wav

    def dies_after_two(path, *rest):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path.stem)
        write(path, *rest)

    monkeypatch.setattr(importing, "write_wav", dies_after_two)
    assert run("import", recordings, "out")[0] == 130
    assert not (tmp_path / "out/wav.scp").exists()
    monkeypatch.setattr(
        importing, "write_wav", lambda path, *rest: [written.append(path.stem), write(path, *rest)]
    )
    assert run("import", recordings, "out")[0] == 0
    assert len(written) == len(set(written)) == 5
    fresh = run("import", recordings, "fresh")
    ours, theirs = contents(tmp_path / "out"), contents(tmp_path / "fresh")
    assert fresh[0] == 0 and ours.keys() == theirs.keys()
    assert [ours[name] == theirs[name] for name in ours if name != "wav.scp"].count(False) == 0


def test_what_is_newer_or_otherwise_made_is_done_again(run, recordings, tmp_path, monkeypatch):
    assert run("import", recordings, "out")[0] == 0
    written, write = [], importing.write_wav
    monkeypatch.setattr(
        importing, "write_wav", lambda path, *rest: [written.append(path.stem), write(path, *rest)]
    )
    status, (line,) = run("import", recordings, "out")
    assert status == 2 and line == "out: is there and complete; --force overwrites it"
    assert run("import", recordings, "out", "--force")[0] == 0 and written == []
    os.utime(recordings / "alone.aiff", (time.time() + 10,) * 2)
    assert run("import", recordings, "out", "--force")[0] == 0 and written == ["alone"]
    assert run("import", recordings, "out", "--force", "--rate", "8000")[0] == 0
    assert len(written) == 6 and check(tmp_path / "out", rate=8000) == []


def test_a_recording_in_the_place_of_another_is_imported_though_it_is_older(run, tmp_path):
    for number, name in enumerate("abc"):
        path = save(tmp_path / f"in/{name}.wav", speech(0.2 + number / 10, number))
        os.utime(path, (number, number))
    assert run("import", "in", "out")[0] == 0
    kept = (tmp_path / "out/wav/c.wav").stat().st_mtime_ns
    (tmp_path / "in/b.wav").replace(tmp_path / "in/a.wav")
    assert run("import", "in", "out", "--force")[0] == 0
    assert audio.read(tmp_path / "out/wav/a.wav")[0].shape[1] == round(0.3 * RATE)
    assert (tmp_path / "out/wav/c.wav").stat().st_mtime_ns == kept


def test_what_was_made_otherwise_is_not_taken_for_done(run, recordings, tmp_path, monkeypatch):
    """Cut short, an import with other settings leaves nothing that its repetition would trust."""
    assert run("import", recordings, "out")[0] == 0

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(importing, "write_wav", dies)
        assert run("import", recordings, "out", "--force", "--rate", "8000")[0] == 130
    assert run("import", recordings, "out", "--rate", "8000")[0] == 0
    assert check(tmp_path / "out", rate=8000) == []


def test_an_import_does_not_import_itself(run, recordings, tmp_path):
    for _ in range(2):
        assert run("import", recordings, recordings / "data", "--force")[0] == 0
    assert len(kaldi.read_map(recordings / "data/wav.scp")) == 5
    status, (line,) = run("import", recordings / "data/wav", recordings / "data", "--force")
    assert status == 2 and "no recordings in it" in line


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_killed_and_begun_again_an_import_ends_as_if_nothing_had_been(tmp_path, run):
    for number in range(40):
        save(tmp_path / f"in/{number:02d}.flac", speech(2, number, 44100), 44100)
    process = subprocess.Popen(
        command("import", tmp_path / "in", tmp_path / "out", "--jobs", 1), cwd=ROOT
    )
    while process.poll() is None and len(list((tmp_path / "out").glob("wav/??.wav"))) < 3:
        time.sleep(0.005)
    process.kill()
    process.wait()
    done = len(list((tmp_path / "out").glob("wav/??.wav")))
    assert done >= 3 and (done == 40 or not (tmp_path / "out/wav.scp").exists())
    assert run("import", "in", "out", "--force")[0] == 0
    assert check(tmp_path / "out") == []
    waves = [name for name in contents(tmp_path / "out") if name.endswith(".wav")]
    assert len([name for name in waves if "/." not in name]) == 40


@pytest.mark.skipif(os.name == "nt", reason="other signals there")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_ends_at_once_and_its_processes_too(tmp_path, number, status):
    for index in range(60):
        save(tmp_path / f"in/{index:02d}.flac", speech(2, index, 44100), 44100)
    process = subprocess.Popen(
        command("import", tmp_path / "in", tmp_path / "out", "--jobs", 2),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not list((tmp_path / "out").glob("wav/??.wav")):
        time.sleep(0.005)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)  # to the end: no process that inherited it lives
    assert process.returncode == status and "Traceback" not in said
    assert not (tmp_path / "out/wav.scp").exists()


# mix


@pytest.fixture
def sources(tmp_path):
    """Make speech of two speakers and noise of three kinds, one too short, one too long."""
    keys = [f"{name}-{number}" for name in ("ann", "bob") for number in range(6)]
    waves = {key: speech(0.5, seed) for seed, key in enumerate(keys)}
    directory(tmp_path / "speech", waves, {key: key[:3] for key in keys})
    noises = {
        "car-1": hiss(0.2, 1),
        "car-2": hiss(0.5, 2),
        "pub-1": hiss(1.5, 3),
        "sea-1": hiss(1, 4),
    }
    directory(tmp_path / "noise", noises, {key: key[:3] for key in noises})
    return tmp_path


def mixed(folder):
    """Return each utterance's noisy and clean wave, and the tables."""
    tables = kaldi.read_directory(folder)
    waves = {
        key: tuple(
            audio.read(tables[name][key])[0][0].astype(float) for name in ("wav.scp", "spk1.scp")
        )
        for key in tables["wav.scp"]
    }
    return waves, tables


def test_mixtures_have_the_ratios_that_are_asked_for(run, sources):
    assert run("mix", "--speech", "speech", "--noise", "noise", "out", "--snr=-5,0,20")[0] == 0
    waves, tables = mixed(sources / "out")
    assert check(sources / "out") == []
    assert set(tables["utt2snr"].values()) == {"-5", "0", "20"}
    for key, (noisy, clean) in waves.items():
        noise = noisy - clean
        level = 20 * np.log10(augment.active_level(clean, RATE) / np.sqrt(np.mean(noise**2)))
        assert level == pytest.approx(float(tables["utt2snr"][key]), abs=0.02)


def test_a_mixture_is_its_speech_and_a_cut_of_its_noise(run, sources):
    """The noise is found in the noise's recording, at one place; the speech is the speech's."""
    run("mix", "--speech", "speech", "--noise", "noise", "out", "--snr", "0,10")
    waves, tables = mixed(sources / "out")
    recordings = {
        key: audio.read(path)[0][0].astype(float)
        for key, path in kaldi.read_map(sources / "noise/wav.scp").items()
    }
    originals = kaldi.read_map(sources / "speech/wav.scp")
    for key, (noisy, clean) in waves.items():
        original = audio.read(originals[key])[0][0]
        assert np.corrcoef(original, clean)[0, 1] > 0.99999
        noise = noisy - clean
        best = 0
        for name, recording in recordings.items():
            if name.startswith(tables["utt2noise"][key]):
                looped = np.tile(recording, -(-2 * len(noise) // len(recording)) + 1)
                score = np.correlate(looped, noise, "valid").max()
                best = max(best, score / np.linalg.norm(noise) ** 2)
        place = best * np.linalg.norm(noise) / np.sqrt(len(noise))  # level of the recording there
        assert place == pytest.approx(0.1, rel=0.05)


def test_every_speaker_meets_every_ratio_and_noise_equally_often(run, sources):
    run("mix", "--speech", "speech", "--noise", "noise", "out", "--snr", "0,5,10", "--count", 36)
    tables = kaldi.read_directory(sources / "out")
    met = Counter(
        zip(
            tables["utt2spk"].values(),
            tables["utt2snr"].values(),
            tables["utt2noise"].values(),
            strict=True,
        )
    )
    assert len(met) == 2 * 3 * 3 and set(met.values()) == {2}
    assert tables["utt2spk"]["ann-0-3"] == "ann"


@pytest.mark.parametrize(("kinds", "ratios"), [(3, 4), (4, 4), (2, 6), (5, 1), (6, 4)])
def test_conditions_are_balanced_at_every_step(kinds, ratios):
    wheel = mixing._conditions(range(kinds), range(ratios))
    cells, seen = Counter(), (Counter(), Counter())
    for _ in range(kinds * ratios):
        cell = next(wheel)
        cells[cell] += 1
        for counter, value, size in zip(seen, cell, (kinds, ratios), strict=True):
            counter[value] += 1
            lowest = min(counter.values()) if len(counter) == size else 0
            assert max(counter.values()) - lowest <= 2
    assert set(cells.values()) == {1} and len(cells) == kinds * ratios


def test_a_seed_gives_the_same_bytes_whatever_the_processes(sources):
    for out, jobs, seed in (("one", 1, 0), ("two", 2, 0), ("other", 1, 1)):
        mixing.mix_directory(
            sources / "speech", sources / "noise", sources / out, seed=seed, jobs=jobs
        )
    one, two, other = (contents(sources / out) for out in ("one", "two", "other"))
    waves = [name for name in one if name.endswith(".wav")]
    assert len(waves) == 24 and one.keys() == two.keys()
    for name in one:
        if not name.endswith(".scp"):
            assert one[name] == two[name]
    noisy = [name for name in waves if "noisy" in name]
    assert all(one[name] != other[name] for name in noisy)


def test_fewer_mixtures_are_a_drawn_part(run, sources):
    assert run("mix", "--speech", "speech", "--noise", "noise", "out", "--count", 5)[0] == 0
    keys = set(kaldi.read_map(sources / "out/wav.scp"))
    assert len(keys) == 5 and keys < set(kaldi.read_map(sources / "speech/wav.scp"))


def test_loud_mixtures_stay_below_full_scale_and_twins_keep_their_ratio(run, tmp_path):
    directory(tmp_path / "speech", {"a": 2.2 * speech()})
    directory(tmp_path / "noise", {"n": hiss(2)})
    run("mix", "--speech", "speech", "--noise", "noise", "out", "--snr=-10")
    waves, _ = mixed(tmp_path / "out")
    noisy, clean = waves["a"]
    assert abs(noisy).max() == pytest.approx(0.99, abs=1e-4)
    level = 20 * np.log10(
        augment.active_level(clean, RATE) / np.sqrt(np.mean((noisy - clean) ** 2))
    )
    assert level == pytest.approx(-10, abs=0.02)


def test_of_pairs_the_clean_twins_are_mixed(run, sources):
    run("mix", "--speech", "speech", "--noise", "noise", "once", "--snr", "0")
    run("mix", "--speech", "once", "--noise", "noise", "twice", "--snr", "0")
    (once, _), (twice, _) = mixed(sources / "once"), mixed(sources / "twice")
    for key in once:
        assert np.corrcoef(once[key][1], twice[key][1])[0, 1] > 0.99999


def test_what_cannot_be_mixed_is_named_and_the_rest_is_done(run, sources):
    save(sources / "speech/wav/ann-3.wav", 0 * speech())
    (sources / "speech/wav/bob-2.wav").unlink()
    save(sources / "noise/wav/sea-1.wav", hiss(1, rate=8000), 8000)
    status, lines = run("mix", "--speech", "speech", "--noise", "noise", "out")
    assert status == 2
    assert any(line.startswith("ann-3: ") and "silent" in line for line in lines)
    assert any(line.startswith("bob-2: ") and "no such file" in line for line in lines)
    assert any("8000 Hz, the speech 16000 Hz; `segan-data import" in line for line in lines)
    assert check(sources / "out") == []
    tables = kaldi.read_directory(sources / "out")
    assert len(tables["wav.scp"]) + len(lines) - 1 == 12


def test_silent_noise_is_refused_and_a_silent_stretch_avoided(run, tmp_path):
    directory(tmp_path / "speech", {f"a{i}": speech() for i in range(4)})
    directory(tmp_path / "noise", {"n": np.concatenate([np.zeros(20000), hiss(1)])})
    assert run("mix", "--speech", "speech", "--noise", "noise", "out")[0] == 0
    for noisy, clean in mixed(tmp_path / "out")[0].values():
        assert abs(noisy - clean).max() > 0.001
    directory(tmp_path / "noise", {"n": np.zeros(20000)})
    status, lines = run("mix", "--speech", "speech", "--noise", "noise", "out", "--force")
    assert status == 2 and "no mixture could be made" in lines[0] and "n.wav: silent" in lines[1]
    assert not (tmp_path / "out/wav.scp").exists()


def test_no_output_is_overwritten_unasked_and_no_input_ever(run, sources):
    mix = ("mix", "--speech", "speech", "--noise", "noise")
    assert run(*mix, "out")[0] == 0
    before = contents(sources)
    assert run(*mix, "out")[1] == ["out: is there and complete; --force overwrites it"]
    assert run(*mix, "speech", "--force")[1] == ["speech: is an input too; name another place"]
    (sources / "file").write_text("kept")
    assert run(*mix, "file") == (2, ["file: a file, where a folder is to be; name another place"])
    assert contents(sources) == before | {"file": b"kept"}
    assert run(*mix, "out", "--force", "--seed", 1)[0] == 0
    assert contents(sources)["out/utt2snr"] != before["out/utt2snr"]


def test_maps_that_disagree_are_refused_before_anything_is_mixed(run, sources):
    (sources / "noise/utt2spk").write_text("car-1 car\n")
    status, (line,) = run("mix", "--speech", "speech", "--noise", "noise", "out")
    assert status == 2 and line == "noise/utt2spk: lacks 'car-2' of wav.scp; add it"
    assert not (sources / "out").exists()


def test_sound_that_is_being_mixed_is_not_overwritten(run, sources):
    run("mix", "--speech", "speech", "--noise", "noise", "out")
    run("subset", "out", "part", "--first", 3)
    before = contents(sources)
    status, (line,) = run("mix", "--speech", "part", "--noise", "noise", "out", "--force")
    assert status == 2 and "ann-0.wav: is to be mixed, and would be overwritten" in line
    assert contents(sources) == before


# subset, split, combine


def test_parts_and_sums_on_the_command_line(run, sources):
    assert run("subset", "speech", "ann", "--speakers", "ann")[1] == [
        "ann: 6 utterances, 1 speaker, 3.0 seconds"
    ]
    assert run("subset", "speech", "rest", "--speakers", "ann", "--exclude")[0] == 0
    (sources / "list.txt").write_text("bob-1 more words\n\nann-0\n")
    assert run("subset", "speech", "two", "--utterances", "list.txt")[0] == 0
    assert list(kaldi.read_map(sources / "two/wav.scp")) == ["ann-0", "bob-1"]
    assert run("subset", "speech", "four", "--per-speaker", 2, "--seed", 5)[1][0].startswith(
        "four: 4"
    )
    assert run("subset", "speech", "first", "--first", 1)[1][0].startswith("first: 1 utterance, ")
    assert run("subset", "speech", "drawn", "--random", 5)[1][0].startswith("drawn: 5")
    assert run("combine", "sum", "rest", "ann")[0] == 0
    for name in ("wav.scp", "utt2spk", "spk2utt"):
        assert (sources / "sum" / name).read_bytes() == (sources / "speech" / name).read_bytes()


def test_split_writes_two_directories(run, sources):
    status, lines = run("split", "speech", "train", "dev", "--speakers", 1, "--seed", 1)
    assert status == 0 and lines[0] in ("held out: ann", "held out: bob")
    speakers = [set(kaldi.read_map(sources / name / "spk2utt")) for name in ("train", "dev")]
    assert speakers[0] | speakers[1] == {"ann", "bob"} and not speakers[0] & speakers[1]


def test_cut_short_at_any_map_a_split_goes_on(run, sources, monkeypatch):
    split = "split speech {0}train {0}dev --speakers 1".format
    replace = kaldi.os.replace
    assert run(*split("whole/").split())[0] == 0
    for survivors in range(6):
        left = iter(range(survivors))

        def cut(*paths, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            replace(*paths)

        with monkeypatch.context() as patch:
            patch.setattr(kaldi.os, "replace", cut)
            assert run(*split(f"{survivors}/").split())[0] == 130
        assert run(*split(f"{survivors}/").split())[0] == 0
        assert contents(sources / f"{survivors}") == contents(sources / "whole")
        assert run(*split(f"{survivors}/").split())[0] == 2  # both are complete


def test_a_split_replaces_no_directory_of_another_command(run, sources):
    kaldi.begin(sources / "dev")
    status, (line,) = run("split", "noise", "speech", "dev", "--speakers", 1)
    assert status == 2 and line == "speech: is there and complete; --force overwrites it"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["subset", "speech", "out"], "of what? --speakers A,B"),
        (["subset", "speech", "out", "--speakers", "eve"], "has no speaker 'eve'"),
        (["subset", "nowhere", "out", "--first", "1"], "nowhere: no data directory"),
        (["subset", "speech", "speech", "--first", "1", "--force"], "is an input too"),
        (["subset", "speech", "out", "--utterances", "none.txt"], "none.txt: no such file"),
        (["combine", "out", "speech", "speech"], "both have 'ann-0'"),
        (["combine", "noise", "speech"], "noise: is there and complete"),
        (["combine", "speech", "speech", "--force"], "speech: is an input too"),
        (["split", "speech", "a", "a"], "a: is an input too"),
        (["split", "speech", "a", "b"], "has 2 speakers, 2 can't be held out"),
        (["split", "speech", "a", "noise", "--speakers", "1"], "noise: is there and complete"),
    ],
)
def test_what_cannot_be_done_is_a_line_and_changes_nothing(run, sources, arguments, words):
    before = contents(sources)
    status, (line,) = run(*arguments)
    assert status == 2 and words in line
    assert contents(sources) == before


@pytest.mark.parametrize(
    "arguments",
    [
        "subset speech keep --first 1",
        "combine keep speech",
        "split speech keep dev --speakers 1",
        "split speech train keep --speakers 1",
        "import speech/wav keep",
        "mix --speech speech --noise noise keep",
    ],
)
def test_files_of_others_that_are_named_as_maps_stay(run, sources, arguments):
    (sources / "keep").mkdir()
    (sources / "keep/text").write_text("notes")
    before = contents(sources)
    status, (line,) = run(*arguments.split())
    assert status == 2 and line.startswith("keep: no data directory, but has a file 'text'")
    assert contents(sources) == before
    assert run(*arguments.split(), "--force")[0] == 0
    assert not (sources / "keep/text").exists() and not (sources / "keep/.begun").exists()


def test_maps_that_were_cut_short_are_replaced(run, sources, monkeypatch):
    def killed(path, _):
        path.write_text("torn")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kaldi, "write_map", killed)
        assert run("subset", "speech", "part", "--first", 1)[0] == 130
    assert (sources / "part/spk2utt").read_text() == "torn"
    assert run("subset", "speech", "part", "--first", 1)[0] == 0
