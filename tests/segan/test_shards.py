"""Shards: what is packed is what is read, from here or from afar."""

import json
import os
import pickle
import tarfile
import threading
from itertools import islice

import numpy as np
import pytest
import soundfile

from gan.feed import Draw, feed
from segan import data_cli, packing
from segan.corpus import Directory, recordings
from segan.data import Mixtures, Pairs

RATE = 16000


def directory(folder, count=12, seed=0, twins=False, rate=RATE, **files):
    """Write a data directory of 16-bit noise."""
    rng = np.random.default_rng(seed)
    sides = {"wav.scp": "noisy"} | ({"spk1.scp": "clean"} if twins else {})
    lengths = rng.integers(2000, 6000, count)
    for listing, side in sides.items():
        lines = []
        for number, length in enumerate(lengths):
            path = folder / side / f"u{number:02d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            wave = rng.integers(-9999, 9999, length).astype(np.int16)
            soundfile.write(path, wave, rate)
            lines.append(f"u{number:02d} {path}\n")
        (folder / listing).write_text("".join(lines))
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def small(tmp_path):
    """Give a function that packs a directory into shards of some recordings each."""

    def build(name="speech", size=12_000, **options):
        folder = directory(tmp_path / name, **options)
        packing.pack(folder, tmp_path / f"{name}-shards", size)
        return folder, tmp_path / f"{name}-shards"

    return build


@pytest.fixture
def afar(monkeypatch, tmp_path):
    """Give a function that makes an address of a folder, and keep copies in ``cache``."""
    monkeypatch.setenv("SEGAN_CACHE", str(tmp_path / "cache"))
    return lambda folder: folder.as_uri()


def waves(parts):
    """Return every recording of a corpus, by its bytes."""
    return sorted(
        corpus.read(index, 0, int(frames)).tobytes()
        for corpus in (parts[number] for number in range(len(parts.frames)))
        for index, frames in enumerate(corpus.frames)
    )


def test_what_is_packed_is_read(small):
    folder, packed = small(utt2spk="u00 ann\nu01 ann\n", utt2weight="u03 2.5\n")
    whole, parts = Directory(folder, RATE), recordings(packed, RATE)
    assert len(parts.frames) > 2
    assert waves(parts) == waves(whole)
    assert sum(parts.masses) == pytest.approx(whole.masses[0])
    assert sum(parts.frames) == whole.frames[0]
    for number in range(len(parts.frames)):
        assert np.array_equal(parts.lengths(number), parts[number].frames)


def test_others_can_read_the_tar_files(small):
    folder, packed = small(twins=True)
    found = {}
    for path in packed.glob("*.tar"):
        with tarfile.open(path) as archive:
            for member in archive:
                found[member.name] = soundfile.read(archive.extractfile(member), dtype="int16")[0]
    assert len(found) == 24
    for side, suffix in (("noisy", "flac"), ("clean", "clean.flac")):
        original = soundfile.read(folder / side / "u07.wav", dtype="int16")[0]
        assert np.array_equal(found[f"u07.{suffix}"], original)


def test_pairs_are_those_of_the_directory(small):
    folder, packed = small(twins=True)
    plain, parts = Pairs(folder, 1000), Pairs(packed, 1000)
    assert len(plain) == len(parts) == sum(parts.chunks)
    slices = [
        sorted(
            item["source"].tobytes() + item["target"].tobytes()
            for item in map(one.__getitem__, range(len(one)))
        )
        for one in (plain, parts)
    ]
    assert slices[0] == slices[1]


def test_an_item_is_drawn_from_its_part_wherever_the_run_begins(small):
    mixtures = Mixtures(small()[1], small("noise", count=5, seed=1)[1], seconds=0.1)
    assert len(mixtures.chunks) > 2
    first = [batch["source"].numpy() for batch in islice(feed(mixtures, 4, seed=3), 12)]
    for start in (5, 11):
        (later,) = islice(feed(mixtures, 4, seed=3, start=start), 1)
        assert np.array_equal(later["source"].numpy(), first[start])


def test_a_part_of_the_speech_meets_one_part_of_the_noise_an_epoch(small):
    mixtures = Mixtures(small()[1], small("noise", count=9, seed=1)[1], seconds=0.1)
    met = {
        (part, epoch): mixtures.noise_for(part, epoch) for part in range(3) for epoch in range(9)
    }
    assert {mixtures.noise_for(*key) for key in met for _ in range(3)} == set(met.values())
    assert len(set(met.values())) > 2
    for part in range(3):
        assert len({met[part, epoch] for epoch in range(9)}) > 1


def test_from_afar_shards_are_fetched_when_they_are_drawn(small, afar, tmp_path):
    folder, packed = small()
    parts = recordings(afar(packed), RATE)
    assert not list((tmp_path / "cache").rglob("*.tar"))
    parts[1].draw(np.random.default_rng(0), 500)
    (copy,) = (tmp_path / "cache").rglob("*.tar")
    assert copy.name == f"{parts.shards[1]['name']}.tar"
    assert waves(parts) == waves(Directory(folder, RATE))
    for path in packed.glob("*.tar"):
        path.unlink()
    assert waves(recordings(afar(packed), RATE)) == waves(Directory(folder, RATE))  # of the cache


def test_the_cache_keeps_its_limit_and_what_was_used_last(small, afar, tmp_path, monkeypatch):
    folder, packed = small()
    sizes = [path.stat().st_size + 2000 for path in packed.glob("*.tar")]
    monkeypatch.setenv("SEGAN_CACHE_GB", str(2 * max(sizes) / 1e9))
    parts = recordings(afar(packed), RATE)
    assert waves(parts) == waves(Directory(folder, RATE))
    left = list((tmp_path / "cache").rglob("*.tar"))
    assert 0 < len(left) < len(parts.frames)
    assert f"{parts.shards[-1]['name']}.tar" in {path.name for path in left}
    taken = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.t??"))
    assert taken <= 2 * max(sizes)


def test_readers_at_once_fetch_and_evict_without_harm(small, afar, monkeypatch):
    folder, packed = small()
    monkeypatch.setenv("SEGAN_CACHE_GB", "0.0001")  # about two shards
    expected, found = waves(Directory(folder, RATE)), []
    readers = [
        threading.Thread(target=lambda: found.append(waves(recordings(afar(packed), RATE))))
        for _ in range(3)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert found == [expected] * 3


def test_what_arrives_damaged_is_refused(small, afar, tmp_path):
    _, packed = small()
    victim = next(packed.glob("*.tar"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with pytest.raises(OSError, match=rf"{victim.name}: arrived damaged"):
        waves(recordings(afar(packed), RATE))
    assert not list((tmp_path / "cache").rglob(".*.part"))


def test_what_shards_cannot_give_is_said(small, afar, tmp_path):
    _, packed = small()
    with pytest.raises(ValueError, match="holds no clean twins"):
        Pairs(packed)
    with pytest.raises(ValueError, match="16000 Hz; pack it anew with --rate 48000"):
        recordings(packed, 48000)
    with pytest.raises(OSError, match=r"nowhere/index.json: can't be fetched \(FileNotFoundError"):
        recordings((tmp_path / "nowhere").as_uri(), RATE)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 2, "shards": []}', '{"format": 2}'])
def test_an_index_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(ValueError, match=r"index.json: is no index of segan shards 1"):
        recordings(tmp_path, RATE)


def test_a_lower_rate_is_resampled(small):
    _, packed = small()
    parts = recordings(packed, 8000)
    assert sum(parts.frames) == pytest.approx(sum(recordings(packed, RATE).frames) / 2, abs=12)
    corpus = parts[0]
    assert len(corpus.read(0, 0, 10**6)) == corpus.frames[0] == parts.lengths(0)[0]


# The command


def run(*words):
    return data_cli.main(["pack", *map(str, words), "--jobs", "1"])


def test_the_command_packs_resamples_and_tells(tmp_path, capsys):
    folder = directory(tmp_path / "data", count=3, rate=48000)
    assert run(folder, tmp_path / "out") == 0
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert index["rate"] == RATE
    assert "1 shard, 3 utterances, 0.00 hours" in capsys.readouterr().out
    assert run(folder, tmp_path / "out") == 2
    assert "is there and complete" in capsys.readouterr().err
    assert run(folder, tmp_path / "out", "--force", "--shard-size", "0.5kB") == 0
    assert len(list((tmp_path / "out").glob("*.tar"))) == 3  # those of before are gone


def test_bad_recordings_are_named_and_left_out(tmp_path, capsys):
    folder = directory(tmp_path / "data", count=4)
    (folder / "noisy/u01.wav").write_bytes(b"no sound")
    soundfile.write(folder / "noisy/u02.wav", np.zeros(100), 8000)
    assert run(folder, tmp_path / "out") == 2
    out, err = capsys.readouterr()
    assert "2 utterances" in out
    assert "2 left out" in out
    assert "u01: " in err
    assert "u02.wav: 8000 Hz" in err
    assert len(waves(recordings(tmp_path / "out", RATE))) == 2


def test_nothing_to_pack_leaves_nothing(tmp_path, capsys):
    folder = directory(tmp_path / "data", count=2)
    for path in (folder / "noisy").iterdir():
        path.write_bytes(b"")
    assert run(folder, tmp_path / "out") == 2
    assert "nothing could be packed" in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("size", ["0MB", "big", "-1GB", "1XB"])
def test_sizes_that_are_none_are_refused(tmp_path, size):
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path, tmp_path / "out", "--shard-size", size)


def test_loud_sound_is_scaled_with_its_twin(tmp_path):
    folder = directory(tmp_path / "data", count=1, twins=True)
    for side, peak in (("noisy", 2.0), ("clean", 0.5)):
        wave = np.linspace(-peak, peak, 4000)
        soundfile.write(folder / side / "u00.wav", wave, RATE, subtype="FLOAT")
    assert packing.pack(folder, tmp_path / "out") == []
    noisy, clean = recordings(tmp_path / "out", RATE, paired=True)[0].read_pair(0, 0, 4000)
    assert np.abs(noisy).max() == pytest.approx(1, abs=1e-4)
    assert np.abs(clean).max() == pytest.approx(0.25, abs=1e-4)


def test_items_depend_on_nothing_but_their_numbers(small):
    folders = small()[1], small("noise", count=5, seed=1)[1]
    one = Mixtures(*folders, seconds=0.1)
    other = pickle.loads(pickle.dumps(one))  # as a process that is spawned gets it
    for index in (9, 2, 20):
        other[Draw(index + 1, 0)]
        assert np.array_equal(one[Draw(index, 2)]["source"], other[Draw(index, 2)]["source"])
