"""Names that every system takes, and places that are one file on some."""

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segan import batch, filenames
from segan.batch import Job

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
awkward = st.sampled_from(
    ["con", "AUX.wav", "lpt1", "com³", "a.", "b ", "..", "a/b", "C:x", "%63on"]
)


@given(texts | awkward)
def test_a_portable_name_is_one_name_on_windows(text):
    name = filenames.portable(text)
    assert filenames.fault(PureWindowsPath(name), windows=True) is None
    assert PureWindowsPath(name).name == PurePosixPath(name).name == name
    assert not name.startswith(".")


@given(texts | awkward, texts | awkward)
def test_other_texts_have_other_names(one, other):
    assert (filenames.portable(one) == filenames.portable(other)) == (one == other)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("D:/out/nul", "'nul' is the name of a device"),
        ("D:/out/Com1.tar.gz", "'Com1.tar.gz' is the name of a device"),
        ("out/con .wav", "'con .wav' is the name of a device"),
        ("aux/a.wav", "'aux' is the name of a device"),
        ("out/a:b.wav", "'a:b.wav' holds one of"),
        ("out/what?.wav", "'what?.wav' holds one of"),
        ("out/a.", "'a.' ends in a dot or a space"),
        ("C:/out/console.wav", None),
        ("../out/a.wav", None),
        ("//host/share/com10.wav", None),
    ],
)
def test_names_that_windows_refuses(path, what):
    found = filenames.fault(PureWindowsPath(path), windows=True)
    assert found is None if what is None else found.startswith(what)
    assert filenames.fault(PureWindowsPath(path), windows=False) is None


def test_a_name_that_windows_refuses_is_a_problem_there(monkeypatch):
    fault = filenames.fault
    monkeypatch.setattr(filenames, "fault", lambda path: fault(PureWindowsPath(path), True))
    problems = []
    jobs = [Job(Path(f"in/{name}"), Path("out", name)) for name in ("aux.wav", "a.wav")]
    assert batch.without_clashes(jobs, problems) == jobs[1:]
    assert "'aux.wav' is the name of a device; name it otherwise" in problems[0]


def test_long_paths_are_too_long_on_windows_alone():
    long = PurePosixPath("/", *["a" * 50] * 6)
    assert filenames.too_long(long, windows=True) and not filenames.too_long(long, windows=False)
    assert not filenames.too_long(PurePosixPath("/out/a.wav"), windows=True)


def test_a_folder_tells_whether_it_ignores_case(tmp_path):
    (tmp_path / "Folder").mkdir()
    (tmp_path / "Folder/probe").write_text("")
    same = (tmp_path / "Folder/PROBE").exists()
    filenames.ignores_case.cache_clear()
    assert filenames.ignores_case(str(tmp_path / "Folder" / "not yet" / "there")) == same
    if not same:
        (tmp_path / "fOLDER").symlink_to(tmp_path / "Folder")  # as if it were one
        filenames.ignores_case.cache_clear()
        assert filenames.ignores_case(str(tmp_path / "Folder"))
    filenames.ignores_case.cache_clear()


@pytest.mark.parametrize("ignores", [True, False])
def test_names_that_differ_in_case_clash_where_case_is_ignored(tmp_path, monkeypatch, ignores):
    monkeypatch.setattr(filenames, "ignores_case", lambda folder: ignores)
    pairs = [("1", "o/A.wav"), ("2", "o/a.wav"), ("3", "o/b.wav"), ("4", "o/a.wav"), ("5", "IN/6")]
    jobs = [Job(tmp_path / "in" / one, tmp_path / two) for one, two in [*pairs, ("6", "o/c.wav")]]
    problems: list[str] = []
    good = batch.without_clashes(jobs, problems)
    assert [job.source.name for job in good] == list("136" if ignores else "12356")
    assert len(problems) == len(jobs) - len(good)
    assert all("is also that of" in line or "is an input" in line for line in problems)


def test_composed_and_decomposed_letters_are_folded_together():
    assert filenames.folded("Ü.wav") == filenames.folded("u\u0308.WAV") != filenames.folded("u.wav")


def test_many_places_are_looked_up_as_one_would(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a").write_text("")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "b").symlink_to("real/a")
    real = batch._Real()
    for name in ("real/a", "link/a", "b", "link/..", "real/new", "none/new", "link/./a", "."):
        assert real(tmp_path / name) == os.path.realpath(tmp_path / name)
