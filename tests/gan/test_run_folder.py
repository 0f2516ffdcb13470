"""The folder of a run: what is kept, what is used when something is damaged, who may write."""

import os

import pytest
import torch

from gan import checkpoint, run_folder
from gan.run_folder import RunFolder


def state(step):
    return {"step": step, "weights": torch.full((50, 50), float(step))}


@pytest.fixture
def saved(tmp_path):
    """Return the folder of a run that has saved at 1, 2, ... 5 and keeps three."""
    folder = RunFolder(tmp_path, keep=3)
    for step in range(1, 6):
        folder.save(state(step))
    return folder


def names(folder):
    return sorted(path.name for path in folder.glob("*.pt"))


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((3,), 5.0).numpy().tobytes())] ^= 1
    path.write_bytes(content)


def make_run_code(path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(path.parent / "owned"),)

    torch.save({"step": 9, "weights": Evil()}, path)


DAMAGE = pytest.mark.parametrize("damage", [cut_in_half, flip, make_run_code, os.truncate])


def spoil(damage, path):
    damage(path, 0) if damage is os.truncate else damage(path)


def test_the_last_ones_are_kept(saved):
    assert names(saved.path) == ["last.pt", "step-00000003.pt", "step-00000004.pt"]
    for name, step in [("last.pt", 5), ("step-00000003.pt", 3), ("step-00000004.pt", 4)]:
        loaded = checkpoint.load(saved.path / name)
        assert loaded["step"] == step
        assert torch.equal(loaded["weights"], state(step)["weights"])


def test_by_default_one_is_kept(tmp_path):
    folder = RunFolder(tmp_path)
    folder.save(state(1))
    folder.save(state(2))
    assert names(tmp_path) == ["last.pt"]
    assert folder.latest()[1]["step"] == 2


def test_a_run_that_goes_on_keeps_what_was_there(saved):
    again = RunFolder(saved.path, keep=2)
    assert again.latest()[1]["step"] == 5
    again.save(state(6))
    assert names(saved.path) == ["last.pt", "step-00000005.pt"]


def test_saving_twice_at_one_step_pushes_nothing_out(saved):
    saved.save(state(5))
    assert names(saved.path) == ["last.pt", "step-00000003.pt", "step-00000004.pt"]


def test_other_files_stay(saved):
    for name in ("best.pt", "step-final.pt"):
        (saved.path / name).write_bytes(b"mine")
    saved.save(state(6))
    assert {"best.pt", "step-final.pt"} <= set(names(saved.path))


def test_best_is_beside_the_last(saved):
    saved.save_best(state(2))
    assert checkpoint.load(saved.path / "best.pt")["step"] == 2
    assert saved.latest()[1]["step"] == 5


@pytest.mark.parametrize("name", ["", "not/there/yet"])
def test_an_empty_folder_has_no_latest(tmp_path, name):
    assert RunFolder(tmp_path / name, keep=3).latest() is None


def test_latest_is_the_last_and_says_nothing(saved, capsys):
    path, loaded = RunFolder(saved.path).latest()
    assert (path.name, loaded["step"]) == ("last.pt", 5)
    assert capsys.readouterr() == ("", "")


@DAMAGE
def test_where_the_last_is_damaged_the_one_before_is_used(saved, damage, capsys):
    spoil(damage, saved.path / "last.pt")
    folder = RunFolder(saved.path, keep=3)
    path, loaded = folder.latest()
    assert (path.name, loaded["step"]) == ("step-00000004.pt", 4)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith(f"{saved.last}: no checkpoint, or a damaged one (")
    assert told.endswith(f"Going on from {path}\n")
    assert not (saved.path / "owned").exists()


def test_what_is_damaged_is_replaced_and_never_kept(saved):
    cut_in_half(saved.last)
    folder = RunFolder(saved.path, keep=3)
    folder.latest()
    folder.save(state(5))
    assert names(saved.path) == ["last.pt", "step-00000003.pt", "step-00000004.pt"]
    assert {checkpoint.load(path)["step"] for path in saved.path.glob("*.pt")} == {3, 4, 5}


def test_steps_to_come_are_cleared_once_an_older_one_was_gone_on_from(saved):
    cut_in_half(saved.last)
    cut_in_half(saved.path / "step-00000004.pt")
    folder = RunFolder(saved.path, keep=2)
    assert folder.latest()[1]["step"] == 3
    folder.save(state(4))
    assert names(saved.path) == ["last.pt", "step-00000003.pt"]


def test_without_a_last_the_newest_is_used(saved, capsys):
    saved.last.unlink()
    assert RunFolder(saved.path).latest()[1]["step"] == 4
    assert "last.pt: is missing" in capsys.readouterr().err


def test_where_all_are_damaged_each_is_named(saved):
    for path in saved.path.glob("*.pt"):
        cut_in_half(path)
    with pytest.raises(ValueError, match="no checkpoint") as error:
        saved.latest()
    assert "\n" not in str(error.value)
    for path in saved.path.glob("*.pt"):
        assert f"{path}: no checkpoint" in str(error.value)


def test_where_the_only_one_is_damaged_nothing_begins_anew(tmp_path):
    (tmp_path / "last.pt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"last.pt: no checkpoint.*remove it"):
        RunFolder(tmp_path).latest()


def test_at_least_one_must_be_kept(tmp_path):
    with pytest.raises(ValueError, match="keep is 0: keep at least 1"):
        RunFolder(tmp_path, keep=0)


def test_a_folder_in_use_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "PATIENCE", 0.0)
    folder = tmp_path / "run"
    with RunFolder(folder).lock():
        refused = pytest.raises(ValueError, match=r"run: another training runs.*choose another")
        with refused, RunFolder(folder).lock():
            raise AssertionError("two trainings in one folder")
    with RunFolder(folder).lock():  # free again
        pass


def test_half_written_files_are_cleared_away_and_no_others(tmp_path, monkeypatch):
    ours = [".last.pt.a1b2c3d4.part", ".step-00000004.pt.________.part"]
    ours += [".generator.safetensors.abcdefgh.part"]
    theirs = ["last.pt", "notes.part", ".last.pt.part", ".picture.png.a1b2c3d4.part"]
    for name in ours + theirs:
        (tmp_path / name).write_bytes(b"half")
    folder = RunFolder(tmp_path)
    with folder.lock():
        assert {path.name for path in tmp_path.iterdir()} == {*theirs, ".lock"}
        (tmp_path / ours[0]).write_bytes(b"half")  # as if just being written
        monkeypatch.setattr(run_folder, "PATIENCE", 0.0)
        with pytest.raises(ValueError, match="another training"), RunFolder(tmp_path).lock():
            pass
        assert (tmp_path / ours[0]).exists()


def test_a_failed_save_leaves_all_as_it_was(saved, monkeypatch):
    before = {path.name: path.read_bytes() for path in saved.path.iterdir()}

    def full(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"last.pt: can't be written \(No space left on device\)"):
        saved.save(state(6))
    assert {path.name: path.read_bytes() for path in saved.path.iterdir()} == before
