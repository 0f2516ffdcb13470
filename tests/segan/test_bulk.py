"""Many files: lists, Kaldi, going on where a batch stopped, jobs handed out one by one."""

import io
import os
import random
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from segan import audio, batch, cli, journal, kaldi, lists
from segan.batch import Job, Options, Outcome


def sound(path, seed=0, length=1600):
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(seed).uniform(-0.5, 0.5, (1, length))
    audio.write(path, wave.astype(np.float32), 16000)
    return path


def names(folder):
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != journal.NAME)
    return sorted(p.relative_to(folder).as_posix() for p in files)


def rows(table):
    """Return the lines of a table, each by its columns; the header is checked."""
    header, *lines = table.read_text("utf-8").splitlines()
    assert header == "\t".join(journal.COLUMNS)
    return [dict(zip(journal.COLUMNS, line.split("\t"), strict=True)) for line in lines]


def statuses(table, name=None):
    found = [(Path(row["source"]).name, row["status"]) for row in rows(table)]
    return [status for source, status in found if source == name] if name else found


# Lists


@pytest.mark.parametrize(
    ("newline", "encoding"),
    [("\n", "utf-8"), ("\r\n", "utf-8-sig"), ("\r", "utf-8"), ("\r\n", "utf-16")],
)
def test_a_list_names_files_whatever_editor_wrote_it(run, tmp_path, newline, encoding):
    for name in ("in/a.wav", "in/ü/a.wav", "b c.wav"):
        sound(tmp_path / name)
    lines = ["in/a.wav", "in/ü/a.wav", "", "b c.wav", "in/a.wav", ""]
    (tmp_path / "list.txt").write_bytes(newline.join(lines).encode(encoding))
    status, printed = run("--list", "list.txt", "-o", "out")
    assert status == 0 and printed[-1].startswith("3 files, 0 failed")
    assert names(tmp_path / "out") == ["b c.wav", "in/a.wav", "in/ü/a.wav"]


def test_a_list_may_say_where_each_goes(run, tmp_path):
    sound(tmp_path / "a.wav"), sound(tmp_path / "b.wav")
    absolute = tmp_path / "elsewhere/b.flac"
    (tmp_path / "list.tsv").write_text(f"a.wav\tx/one.flac\nb.wav\t{absolute}\n")
    assert run("--list", "list.tsv", "-o", "out")[0] == 0
    assert names(tmp_path / "out") == ["x/one.flac"] and absolute.exists()
    assert run("--list", "list.tsv")[0] == 2  # the absolute one is there
    assert (tmp_path / "x/one.flac").exists()


def test_a_list_without_a_folder_writes_beside(run, tmp_path):
    sound(tmp_path / "in/a.wav")
    (tmp_path / "list.txt").write_text("in/a.wav\n")
    assert run("--list", "list.txt")[0] == 0
    assert names(tmp_path / "in") == ["a.enhanced.wav", "a.wav"]


def test_a_list_comes_through_a_pipe(run, tmp_path, monkeypatch):
    sound(tmp_path / "a.wav")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a.wav\n")))
    assert run("--list", "-", "-o", "out")[0] == 0
    assert names(tmp_path / "out") == ["a.wav"]


def test_a_file_of_a_list_that_is_gone_is_named_and_the_rest_goes_on(run, tmp_path):
    sound(tmp_path / "a.wav")
    (tmp_path / "list.txt").write_text("gone.wav\na.wav\n")
    status, lines = run("--list", "list.txt", "-o", "out")
    assert status == 2 and lines[0].startswith("gone.wav: no such file")
    assert names(tmp_path / "out") == ["a.wav"]
    assert statuses(tmp_path / "out" / journal.NAME, "gone.wav") == ["begun", "failed"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "lists no files"),
        (b"a\tb\tc\n", "list:1: 'a\\tb\\tc' is neither a path nor source<TAB>target"),
        (b"a.wav\n\tb\n", "list:2: "),
        (b"RIFF\0\0\0", "is no list"),
    ],
)
def test_what_is_no_list_is_one_line(run, tmp_path, content, line):
    (tmp_path / "list").write_bytes(content)
    status, lines = run("--list", "list", "-o", "out")
    assert status == 2 and len(lines) == 1 and line in lines[0]
    assert names(tmp_path) == ["list"]


@pytest.mark.parametrize(
    "arguments", [["a.wav", "--list", "list"], ["--list", "l", "--wav-scp", "s"], []]
)
def test_one_kind_of_input_is_given(run, arguments):
    status, lines = run(*arguments)
    assert status == 2 and lines == [
        "one kind of input is needed: INPUT, --list FILE or --wav-scp FILE"
    ]


def test_a_list_needs_a_folder(run, tmp_path):
    (tmp_path / "list").write_text("a.wav\n")
    assert run("--list", "list", "-o", "x.wav") == (
        2,
        ["-o x.wav: a folder is needed with --list"],
    )
    status, lines = run("--list", "gone.txt")
    assert status == 2 and lines[0].startswith("gone.txt: no such file")


def test_paths_of_windows_stay_as_they_are(tmp_path):
    (tmp_path / "list").write_bytes(
        b"C:\\in\\a b.wav\tD:\\out\\#1.flac\r\n\\\\host\\share\\c.wav\r\n"
    )
    found = [(str(a), b and str(b)) for a, b in lists.read(str(tmp_path / "list"))]
    assert found == [(r"C:\in\a b.wav", r"D:\out\#1.flac"), (r"\\host\share\c.wav", None)]


# Kaldi


def scp(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key} {value}\n" for key, value in table.items()), "utf-8")
    return path


def test_a_kaldi_list_gives_a_kaldi_list(run, tmp_path):
    for name in ("in/1.wav", "in/2.flac", "in/3.wav"):
        sound(tmp_path / name)
    (tmp_path / "in/bad.wav").write_text("no sound")
    table = {
        "ä/1": "in/1.wav",
        "b-2": f"{tmp_path}/in/2.flac",
        "B-3": "in/3.wav",
        "x": "in/bad.wav",
    }
    scp(tmp_path / "wav.scp", table)
    for before in ("", ", 3 done before"):
        status, lines = run("--wav-scp", "wav.scp", "-o", "out")
        assert status == 2 and lines[-1].startswith(f"4 files{before}, 1 failed")
        assert lines[-2] == f"{Path('out/wav.scp')}: lists 3 utterances, not those that failed"
        assert (tmp_path / "out/wav.scp").read_text("utf-8") == (
            f"B-3 {tmp_path}/out/wav/B-3.wav\n"
            f"b-2 {tmp_path}/out/wav/b-2.flac\n"
            f"ä/1 {tmp_path}/out/wav/ä%2F1.wav\n"
        )
    assert names(tmp_path / "out") == ["wav.scp", "wav/B-3.wav", "wav/b-2.flac", "wav/ä%2F1.wav"]
    for path in kaldi.read_map(tmp_path / "out/wav.scp").values():
        assert audio.read(path)[0].shape == (1, 1600)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a cat a.wav |\nb b.wav\n", "wav.scp: a: 'cat a.wav |' is a command"),
        ("a x.ark:17\n", "wav.scp: a: 'x.ark:17' is a place in an archive"),
        ("a a.wav\na b.wav\n", "wav.scp:2: 'a' stands twice"),
        ("a\n", "wav.scp:1: expected 'key value'"),
        ("", "lists no utterances"),
    ],
)
def test_a_kaldi_list_that_will_not_do_is_one_line(run, tmp_path, content, line):
    (tmp_path / "wav.scp").write_text(content)
    status, lines = run("--wav-scp", "wav.scp", "-o", "out")
    assert status == 2 and len(lines) == 1 and line in lines[0]
    assert names(tmp_path) == ["wav.scp"]


def test_a_kaldi_list_is_never_replaced_by_another(run, tmp_path):
    sound(tmp_path / "a.wav")
    scp(tmp_path / "data/wav.scp", {"a": tmp_path / "a.wav"})
    other = scp(tmp_path / "other/wav.scp", {"b": tmp_path / "b.wav"})
    status, lines = run("--wav-scp", "data/wav.scp", "-o", "data")
    assert status == 2 and "its wav.scp is the input" in lines[0]
    status, lines = run("--wav-scp", "data/wav.scp", "-o", "other")
    assert status == 2 and "exists, and names other sound; --force" in lines[0]
    assert kaldi.read_map(other) == {"b": f"{tmp_path}/b.wav"}
    assert run("--wav-scp", "data/wav.scp") == (
        2,
        ["--wav-scp: needs -o DIR, for the sound files and their wav.scp"],
    )


# Going on where it stopped


@pytest.fixture
def folder(tmp_path):
    """Give three good files and a broken one."""
    for number, name in enumerate(("a.wav", "b.wav", "deep/c.wav")):
        sound(tmp_path / "in" / name, number)
    (tmp_path / "in/bad.wav").write_text("no sound")
    return tmp_path


def test_the_same_command_again_does_what_is_left(run, folder):
    assert run("-r", "in", "-o", "out")[0] == 2
    before = {name: (folder / "out" / name).stat().st_mtime_ns for name in names(folder / "out")}
    (folder / "out/b.wav").unlink()
    status, lines = run("-r", "in", "-o", "out")
    assert status == 2 and lines[0].startswith(f"{Path('in/bad.wav')}: ")  # tried again
    assert lines[-1].startswith("4 files, 2 done before, 1 failed")
    after = {name: (folder / "out" / name).stat().st_mtime_ns for name in names(folder / "out")}
    assert [name for name in after if after[name] != before[name]] == ["b.wav"]
    table = folder / "out" / journal.NAME
    assert statuses(table, "a.wav") == ["begun", "done"]
    assert statuses(table, "bad.wav") == ["begun", "failed"] * 2
    (folder / "in/bad.wav").unlink()
    assert run("-r", "in", "-o", "out")[0] == 0


def test_the_table_says_what_was_done(run, folder):
    run("in", "-o", "out", "--log", "what.tsv")
    assert names(folder / "out") == ["a.wav", "b.wav"]
    assert not (folder / "out" / journal.NAME).exists()
    ended = {
        row["status"]: row for row in rows(folder / "what.tsv") if "b.wav" not in row["source"]
    }
    good, bad = ended["done"], ended["failed"]
    assert good["source"] == f"{folder}/in/a.wav" and good["target"] == f"{folder}/out/a.wav"
    assert (good["seconds"], good["rate"], good["channels"]) == ("0.100", "16000", "1")
    assert float(good["elapsed"]) > 0 and good["source_stamp"].startswith("3244@")
    assert re.fullmatch(r"model=default:[0-9a-f]{12} keep=0\.0 raw=no", good["settings"])
    assert bad["message"].startswith(f"{Path('in/bad.wav')}: format not recognised")
    assert (bad["seconds"], bad["target_stamp"], good["message"]) == ("", "", "")


@pytest.mark.parametrize("log", [[], ["--log", "what.tsv"]])
def test_beside_the_input_a_table_is_kept_where_it_is_asked_for(run, folder, log):
    assert run("in/a.wav", *log)[0] == 0
    assert run("in/a.wav", *log)[0] == (0 if log else 2)
    assert len(list(folder.rglob("*.tsv"))) == len(log) / 2


def test_a_changed_input_is_noticed_and_done_with_force(run, folder):
    run("in/a.wav", "in/b.wav", "-o", "out")
    sound(folder / "in/a.wav", seed=9)
    other = (folder / "out/b.wav").stat().st_mtime_ns
    status, lines = run("in/a.wav", "in/b.wav", "-o", "out")
    assert status == 2 and lines[0] == (
        f"{Path('in/a.wav')}: it changed since it was enhanced into {Path('out/a.wav')}; "
        "--force does it again"
    )
    assert lines[1].startswith("2 files, 1 done before, 1 failed")
    assert run("in/a.wav", "in/b.wav", "-o", "out", "--force")[0] == 0
    np.testing.assert_allclose(
        audio.read(folder / "out/a.wav")[0], audio.read(folder / "in/a.wav")[0] / 2, atol=2**-15
    )
    assert (folder / "out/b.wav").stat().st_mtime_ns == other


def test_changed_settings_are_noticed(run, folder):
    run("in/a.wav", "-o", "out")
    status, lines = run("in/a.wav", "-o", "out", "--keep", "0.5")
    assert status == 2 and "settings changed (keep=0.0 then, keep=0.5 now)" in lines[0]
    assert run("in/a.wav", "-o", "out")[0] == 0


def test_another_model_is_another_setting(tmp_path):
    (tmp_path / "m.safetensors").write_bytes(b"1")
    first = journal.settings(Options(model=str(tmp_path / "m.safetensors")))
    (tmp_path / "m.safetensors").write_bytes(b"2")
    assert first != journal.settings(Options(model=str(tmp_path / "m.safetensors")))
    assert journal.settings(Options(threads=2, device="cpu")) == journal.settings(Options())


def test_a_result_that_somebody_changed_is_not_touched(run, folder):
    run("in/a.wav", "-o", "out")
    (folder / "out/a.wav").write_text("precious")
    status, lines = run("in/a.wav", "-o", "out")
    assert status == 2 and "the result changed since" in lines[0]
    assert (folder / "out/a.wav").read_text() == "precious"


def test_another_format_than_planned_is_found_again(run, tmp_path, monkeypatch):
    writes = audio._writes
    monkeypatch.setattr(audio, "_writes", lambda form: form.container != "MP3" and writes(form))
    sound(tmp_path / "in/x.mp3")
    assert run("in", "-o", "out")[0] == 0 and names(tmp_path / "out") == ["x.wav"]
    assert statuses(tmp_path / "out" / journal.NAME) == [("x.mp3", "begun"), ("x.mp3", "converted")]
    status, lines = run("in", "-o", "out")
    assert status == 0 and lines[-1].startswith("1 file, 1 done before, 0 failed")


def killed_at(folder, name, finished):
    """Leave what SIGKILL leaves: a file begun and, if ``finished``, moved to its place unnoted."""
    target = folder / "out" / name
    with journal.Journal(folder / "out" / journal.NAME, journal.settings(Options())) as table:
        list(table.handed_out([Job(Path("in", name), Path("out", name))]))
    part = target.with_name(f"{batch._part_stem(target)}-0123456789ab.part")
    target.write_text("unnoted") if finished else part.write_text("half")


@pytest.mark.parametrize("finished", [False, True])
def test_what_a_kill_left_is_done_again_and_tidied_up(run, folder, finished):
    killed_at(folder, "a.wav", finished)
    assert run("in/a.wav", "in/b.wav", "-o", "out")[0] == 0
    assert names(folder / "out") == ["a.wav", "b.wav"]
    np.testing.assert_allclose(
        audio.read(folder / "out/a.wav")[0], audio.read(folder / "in/a.wav")[0] / 2, atol=2**-15
    )


def test_what_a_kill_left_of_another_is_left_to_it(run, folder):
    killed_at(folder, "a.wav", False), killed_at(folder, "a.flac", False)
    batch.remove_parts(Job(Path("in/a.wav"), Path("out/a.wav"), mine=True))
    (left,) = (folder / "out").glob("*.part")
    assert left.name.startswith(f"{batch._part_stem(Path('out/a.flac'))}-")


@pytest.mark.parametrize("suffix", [".wav", ".mp3"])  # as planned, and converted
def test_what_is_being_written_is_named_after_what_was_planned(tmp_path, suffix):
    planned = tmp_path / f"a{suffix}"
    with batch._replacing(tmp_path / "a.wav", planned) as part:
        batch.remove_parts(Job(Path("in/a.flac"), tmp_path / "a.flac"))
        assert part.exists()
        batch.remove_parts(Job(Path("in") / planned.name, planned))
        assert not part.exists()
        part.touch()
    assert names(tmp_path) == ["a.wav"]


def test_what_was_there_before_a_kill_is_not_replaced(run, folder):
    (folder / "out").mkdir()
    (folder / "out/a.wav").write_text("precious")
    with journal.Journal(folder / "out" / journal.NAME, journal.settings(Options())) as table:
        list(table.handed_out([Job(Path("in/a.wav"), Path("out/a.wav"))]))  # and killed
    status, lines = run("in/a.wav", "-o", "out")
    assert status == 2 and "exists; --force overwrites it" in lines[0]
    assert (folder / "out/a.wav").read_text() == "precious"


def test_a_line_torn_anywhere_costs_one_file_at_most(run, folder):
    run("in/a.wav", "in/b.wav", "-o", "out")
    table = folder / "out" / journal.NAME
    whole = table.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for cut in random.Random(0).sample(range(last, len(whole)), 12):
        table.write_bytes(whole[:cut])
        status, lines = run("in/a.wav", "in/b.wav", "-o", "out")
        assert status == 0 and re.match(r"2 files, [12] done before, 0 failed", lines[-1]), cut
        assert statuses_whole(table)[-1] in (("b.wav", "done"), ("b.wav", "begun"))
        assert run("in/a.wav", "in/b.wav", "-o", "out")[1][0].startswith("2 files, 2 done before")


def statuses_whole(table):
    """Return the statuses in the lines of a table that are whole."""
    cells = [line.split("\t") for line in table.read_text("utf-8").splitlines()[1:]]
    return [(Path(one[0]).name, one[2]) for one in cells if len(one) == len(journal.COLUMNS)]


def test_a_table_killed_in_its_header_is_begun_anew(run, folder):
    (folder / "out").mkdir()
    (folder / "out" / journal.NAME).write_text(journal.HEADER[:20])
    assert run("in/a.wav", "-o", "out")[0] == 0
    assert statuses(folder / "out" / journal.NAME) == [("a.wav", "begun"), ("a.wav", "done")]


def test_a_table_that_fills_the_disk_ends_the_batch_with_one_line(run, folder, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file, self.lines = file, 0

        def write(self, content):
            self.lines += 1
            return self.file.write(content if self.lines <= 3 else content[:10])

        def close(self):
            self.file.close()

    with monkeypatch.context() as patch:
        opened = journal._open
        patch.setattr(journal, "_open", lambda path: Full(opened(path)))
        status, lines = run("in/a.wav", "in/b.wav", "-o", "out")
    assert status == 2 and len(lines) == 1
    assert "cannot be written to its end; is the disk full?" in lines[0]
    status, lines = run("in/a.wav", "in/b.wav", "-o", "out")
    assert status == 0 and lines[0].startswith("2 files, 1 done before, 0 failed")


def test_what_is_no_table_is_not_written_to(run, folder):
    before = (folder / "in/b.wav").read_bytes()
    status, lines = run("in/a.wav", "--log", "in/b.wav")
    assert status == 2 and lines[0].startswith(f"{Path('in/b.wav')}: is no table of segan-enhance")
    assert (folder / "in/b.wav").read_bytes() == before and len(lines) == 1


def test_a_folder_that_cannot_be_made_is_one_line(run, folder):
    (folder / "file").write_text("")
    status, lines = run("in", "-o", "file/out")
    assert status == 2 and len(lines) == 1 and "cannot write there" in lines[0]


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_names_of_any_bytes_have_one_line_each(run, tmp_path):
    source = sound(tmp_path / "in/x.wav").read_bytes()
    (tmp_path / "in/x.wav").unlink()
    for name in (b"a\tb.wav", b"a\nb.wav", b"\xff.wav", "雨 \u2028.wav".encode(), b"\\x09.wav"):
        Path(os.fsdecode(bytes(tmp_path / "in") + b"/" + name)).write_bytes(source)
    assert run("in", "-o", "out")[0] == 0
    assert len(rows(tmp_path / "out" / journal.NAME)) == 10
    assert run("in", "-o", "out")[1][-1].startswith("5 files, 5 done before")


def test_of_several_programs_one_makes_the_table(tmp_path):
    for number in range(50):
        path, together = tmp_path / str(number) / "t.tsv", threading.Barrier(4)

        def program(path=path, together=together):
            together.wait()
            with journal.Journal(path, "s"):
                pass

        threads = [threading.Thread(target=program) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert path.read_text() == journal.HEADER
        assert os.listdir(path.parent) == [path.name]


def test_several_programs_share_a_table(tmp_path):
    jobs = [Job(tmp_path / f"{n}.wav", tmp_path / "out" / f"{n}.wav") for n in range(200)]

    def program(own):
        with journal.Journal(tmp_path / "t.tsv", "s") as table:
            for job in table.handed_out(own):
                table.end(Outcome(job.target, 1.0, [], None, 8000, 1, 0.5, job))

    threads = [threading.Thread(target=program, args=[jobs[n::4]]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = sorted(
        (row["source"], row["status"]) for row in rows(tmp_path / "t.tsv") if row["rate"]
    )
    assert found == sorted((str(job.source), "done") for job in jobs)


# Processes


@pytest.fixture
def threads(monkeypatch):
    """Let threads stand for processes, and give what each job does."""
    monkeypatch.setattr(batch, "ProcessPoolExecutor", lambda count, *_: ThreadPoolExecutor(count))
    return lambda work: monkeypatch.setattr(batch, "_work", work)


def test_jobs_are_handed_out_as_they_are_needed(threads):
    threads(lambda job, options: Outcome(None, 1.0, [], job=job))
    taken, done = [], 0

    def jobs():
        for number in range(100):
            taken.append(number)
            yield Job(Path(str(number)), None)

    for _ in batch.in_processes(3, jobs(), Options(), lambda _: None):
        done += 1
        assert len(taken) <= done + 6
    assert done == 100


def test_a_job_that_kills_its_process_takes_no_other_along(threads, tmp_path):
    deadly, died = {"3", "7"}, []

    def work(job, options):
        if job.name in deadly:
            died.append(job.name)
            raise batch.BrokenProcessPool
        return Outcome(None, 1.0, [], job=job)

    threads(work)
    jobs = [Job(Path(str(number)), None) for number in range(20)]
    found = list(batch.in_processes(2, jobs, Options(), lambda _: None))
    assert sorted(int(one.job.name) for one in found) == list(range(20))
    assert {one.job.name for one in found if one.error} == deadly
    assert all("its process was killed" in one.error for one in found if one.error)
    assert sorted(died) == ["3", "3", "7", "7"]  # once among others, once by itself


# Far away


def test_without_ray_one_line_names_the_extra(run, tmp_path, monkeypatch):
    sound(tmp_path / "a.wav")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, lines = run("a.wav", "--ray")
    assert status == 2 and lines == ["ray is not installed: pip install 'segan[ray]'"]


def test_an_input_taken_for_an_address_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--ray", "a.wav"])
    assert stop.value.code == 2
    assert "'a.wav' is no address of a cluster" in capsys.readouterr().err
