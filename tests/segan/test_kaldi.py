"""Kaldi data directories: reading, writing, cutting, and every rule of theirs."""

import re
import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segan import audio, kaldi
from segan.kaldi_checks import check

RATE = 16000

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ids = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\"), min_size=1, max_size=8
)
values = st.lists(ids, min_size=1, max_size=3).map(" ".join)


def corpus(speakers, per_speaker=3):
    """Return the tables of a directory that Kaldi takes, without sound."""
    utt2spk = {f"{name}-{number}": name for name in speakers for number in range(per_speaker)}
    return {
        "wav.scp": {key: f"/sound/{key}.wav" for key in utt2spk},
        "utt2spk": utt2spk,
        "utt2dur": {key: "1.5" for key in utt2spk},
        "spk2gender": {name: "f" for name in speakers},
    }


@pytest.fixture
def good(tmp_path):
    """Return a directory of two speakers, three utterances each, that is as it should be."""
    kaldi.write_directory(tmp_path / "good", corpus(["ann", "bob"]))
    assert check(tmp_path / "good", sound=False) == []
    return tmp_path / "good"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Maps


@quick
@given(table=st.dictionaries(ids, values, max_size=6))
def test_what_is_written_is_read_sorted_by_bytes(tmp_path, table):
    kaldi.write_map(tmp_path / "map", table)
    again = kaldi.read_map(tmp_path / "map")
    assert again == table
    assert [key.encode() for key in again] == sorted(key.encode() for key in table)
    assert [path.name for path in tmp_path.iterdir()] == ["map"]


def test_the_order_is_that_of_sort_in_the_c_locale(tmp_path):
    keys = ["a-1", "a1", "a_1", "A-1", "ä-1", "z", "é", "名-1", "a.1", "a", "🎤", "\uffee"]
    kaldi.write_map(tmp_path / "map", dict.fromkeys(keys, "x"))
    try:
        command = ["sort", str(tmp_path / "map")]
        done = subprocess.run(
            command, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, capture_output=True
        )
    except OSError:
        pytest.skip("no sort here")
    assert done.stdout == (tmp_path / "map").read_bytes() and done.stdout.count(b"\n") == len(keys)


def test_tabs_and_spaces_separate_and_other_spaces_do_not(tmp_path):
    (tmp_path / "map").write_bytes("a\t x  y \nb\u2028c z\n".encode())
    assert kaldi.read_map(tmp_path / "map") == {"a": "x  y", "b\u2028c": "z"}


def test_a_map_that_is_no_utf8_is_named(tmp_path):
    (tmp_path / "utt2spk").write_bytes(b"a \xff\n")
    with pytest.raises(ValueError, match=r"utt2spk: is not valid UTF-8"):
        kaldi.read_map(tmp_path / "utt2spk")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("a b", "x"),
        ("a\u00a0b", "x"),
        ("", "x"),
        ("a\n", "x"),
        ("a", ""),
        ("a", "x\ny"),
        ("a", "x\ry"),
        ("a", " x"),
        ("a", "x\u2028y"),
        ("a", "x\udc80"),
    ],
)
def test_entries_that_no_line_holds_are_refused(tmp_path, key, value):
    kaldi.write_map(tmp_path / "map", {"old": "line"})
    with pytest.raises(ValueError, match="map: "):
        kaldi.write_map(tmp_path / "map", {"z": "fine", key: value})
    assert contents(tmp_path) == {"map": b"old line\n"}


# Writing directories


@quick
@given(utt2spk=st.dictionaries(ids, ids, min_size=1, max_size=6))
def test_every_directory_is_written_as_kaldi_takes_it_or_refused(tmp_path, utt2spk):
    """Sorted by utterance, the speakers must be sorted; nothing else can be wrong here."""
    folder = tmp_path / "data"
    tables = {"wav.scp": {key: "/x.wav" for key in utt2spk}, "utt2spk": utt2spk}
    speakers = [utt2spk[key].encode() for key in sorted(utt2spk, key=str.encode)]
    if speakers != sorted(speakers):
        with pytest.raises(ValueError, match="begin each utterance's id with its speaker's"):
            kaldi.write_directory(folder, tables)
        return
    kaldi.write_directory(folder, tables)
    assert [one for one in check(folder, sound=False) if one.level == "error"] == []
    inverse = kaldi.read_map(folder / "spk2utt")
    assert {key: name for name, own in inverse.items() for key in own.split()} == utt2spk


def test_utterances_are_their_own_speakers_and_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kaldi.write_directory(
        "data", {"wav.scp": {"b": "b.wav", "a": "a.wav"}, "utt2snr": {"a": 5, "b": 2.5}}
    )
    tables = kaldi.read_directory("data")
    assert tables["utt2spk"] == tables["spk2utt"] == {"a": "a", "b": "b"}
    assert tables["wav.scp"] == {key: str(tmp_path / f"{key}.wav") for key in "ab"}
    assert tables["utt2snr"] == {"a": "5", "b": "2.5"}


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("wav.scp", {}, r"wav.scp: lists no utterances"),
        ("utt2dur", {"ann-0": "1"}, r"utt2dur: lacks 'ann-1' of wav.scp"),
        ("utt2spk", {f"ann-{i}": "ann" for i in range(4)}, r"utt2spk: 'ann-3' is not in wav.scp"),
        ("spk2gender", {"ann": "f", "eve": "f"}, r"spk2gender: 'eve' is not in spk2utt"),
        ("utt2spk", {f"ann-{i}": "the ann" for i in range(3)}, r"utt2spk: id 'the ann'.*put '_'"),
        ("utt2spk", {"ann-0": "z", "ann-1": "b", "ann-2": "z"}, r"'ann-1' of speaker 'b'.*b-ann-1"),
    ],
)
def test_tables_that_kaldi_would_refuse_are_refused_before_anything_is_written(
    tmp_path, name, table, message
):
    with pytest.raises(ValueError, match=message):
        kaldi.write_directory(tmp_path / "data", corpus(["ann"]) | {name: table})
    assert not (tmp_path / "data").exists()


def test_a_directory_that_is_written_again_loses_the_maps_it_had(good):
    (good / "notes.md").write_text("kept")
    kaldi.write_directory(good, {"wav.scp": {"c": "/c.wav"}})
    assert sorted(contents(good)) == ["notes.md", "spk2utt", "utt2spk", "wav.scp"]
    assert check(good, sound=False) == []


def test_cut_short_at_any_map_the_directory_is_not_complete(good, monkeypatch):
    replace = kaldi.os.replace
    for survivors in range(5):
        left = iter(range(survivors))

        def cut(*paths, left=left):
            next(left)  # StopIteration, as if killed
            replace(*paths)

        monkeypatch.setattr(kaldi.os, "replace", cut)
        with pytest.raises(StopIteration):
            kaldi.write_directory(good, corpus(["ann", "bob"]))
        assert not (good / "wav.scp").exists()
    monkeypatch.setattr(kaldi.os, "replace", replace)
    kaldi.write_directory(good, corpus(["ann", "bob"]))
    assert check(good, sound=False) == []


# Kaldi's rules, one broken at a time


def sub(pattern, text):
    return lambda data: re.sub(pattern.encode(), text.encode(), data, count=1)


def swap(first, second):
    def swapped(data):
        lines = data.splitlines(keepends=True)
        lines[first - 1], lines[second - 1] = lines[second - 1], lines[first - 1]
        return b"".join(lines)

    return swapped


BROKEN = [  # map, what is done to it, where it is found, what is said
    ("wav.scp", None, "wav.scp: error: no such file", "wav.scp"),
    ("utt2spk", None, "utt2spk: error: no such file", "combine"),
    ("spk2utt", None, "spk2utt: error: no such file", "writes it anew"),
    ("utt2spk", lambda data: b"", "utt2spk: error: empty", "fill it"),
    ("wav.scp", swap(2, 3), "wav.scp:3: ", "not sorted: 'ann-1' comes after 'ann-2'"),
    ("utt2spk", swap(1, 6), "utt2spk:2: ", "not sorted"),
    ("spk2utt", swap(1, 2), "spk2utt:2: ", "not sorted: 'ann'"),
    ("utt2dur", swap(1, 2), "utt2dur:2: ", "not sorted"),
    ("wav.scp", sub("ann-1", "ann-0"), "wav.scp:2: ", "'ann-0' stands twice, first in line 1"),
    ("utt2spk", lambda data: data + b"bob-2 bob\n", "utt2spk:7: ", "stands twice"),
    ("utt2spk", sub("bob-1 bob\n", ""), "utt2spk: ", "lacks 'bob-1' of wav.scp"),
    ("wav.scp", sub("bob-1 .*\n", ""), "utt2spk:5: ", "'bob-1' not in wav.scp"),
    ("utt2dur", sub("bob-1", "bob-1x"), "utt2dur:5: ", "'bob-1x' not in wav.scp"),
    ("spk2utt", sub(" ann-1", ""), "spk2utt:1: ", "lacks 'ann-1' of utt2spk"),
    ("spk2utt", sub(" ann-1", " bob-1"), "spk2utt:1: ", "'bob-1' not theirs in utt2spk"),
    ("spk2utt", sub("ann-0 ann-1", "ann-1 ann-0"), "spk2utt:1: ", "not in the order"),
    ("spk2utt", sub("bob .*\n", ""), "spk2utt: ", "lacks 'bob' of utt2spk"),
    ("spk2gender", sub("bob", "eve"), "spk2gender:2: ", "'eve' not in utt2spk"),
    ("utt2spk", sub("ann-1 ann", "ann-1 bob"), "utt2spk:3: ", "'ann' of 'ann-2' comes after 'bob'"),
    ("utt2spk", sub("ann-1 ann", "ann-1 ann x"), "utt2spk:2: ", "'ann x' is not one id"),
    ("utt2spk", sub("ann-1 ann", "ann-1  ann"), "utt2spk:2: ", "single space"),
    ("utt2spk", sub("ann-1 ann", "ann-1"), "utt2spk:2: ", "expected 'key value'"),
    ("wav.scp", sub("ann-1 .*\n", "\n"), "wav.scp:2: ", "expected 'key value'"),
    ("wav.scp", lambda data: data[:-1], "wav.scp:6: ", "the last line has no end"),
    ("wav.scp", lambda data: data.replace(b"\n", b"\r\n"), "wav.scp:1: ", "CR LF"),
    ("wav.scp", sub("/sound/ann-2", "/sou\rnd"), "wav.scp:3: ", "control character"),
    ("utt2spk", sub("ann-2", "ann-\x012"), "utt2spk:3: ", "control character"),
    ("utt2spk", sub("ann-2", "ann\u00a02"), "utt2spk:3: ", "no plain space"),
    ("wav.scp", lambda data: data.replace(b"ann-2.", b"ann\xff."), "wav.scp:3: ", "valid UTF-8"),
    ("wav.scp", lambda data: b"\xef\xbb\xbf" + data, "wav.scp:1: ", "byte order mark"),
    ("wav.scp", sub("/sound/bob-0", "~/bob-0"), "wav.scp:4: ", "not run); correct it"),
    (
        "wav.scp",
        sub("bob-0.wav", "bob-0.sph |"),
        "wav.scp:4: ",
        "not run); run it and name the file it makes",
    ),
    ("utt2dur", sub("bob-0 1.5", "bob-0 0"), "utt2dur:4: ", "'0' is not a positive number"),
    ("utt2dur", sub("bob-0 1.5", "bob-0 -1"), "utt2dur:4: ", "positive"),
    ("utt2dur", sub("bob-0 1.5", "bob-0 nan"), "utt2dur:4: ", "positive"),
    ("utt2dur", sub("bob-0 1.5", "bob-0 1.5 s"), "utt2dur:4: ", "positive"),
    ("spk2gender", sub("ann f", "ann w"), "spk2gender:1: ", "'w' is not m or f"),
]


@pytest.mark.parametrize(("name", "breaks", "place", "words"), BROKEN)
def test_a_broken_rule_is_found_at_its_place(good, name, breaks, place, words):
    path = good / name
    if breaks is None:
        path.unlink()
    else:
        before = path.read_bytes()
        path.write_bytes(breaks(before))
        assert path.read_bytes() != before
    found = [str(one) for one in check(good, sound=False) if one.level == "error"]
    assert any(line.startswith(str(good / place)) and words in line for line in found), found


MORE = [  # a map that is there in addition, with a fault in its second line
    ("reco2dur", "{} 2", "{} x", "positive number of seconds"),
    ("utt2num_frames", "{} 150", "{} 1.5", "positive whole number"),
    ("utt2warp", "{} 1.1", "{} 1.5", "between 0.5 and 1.5"),
    ("utt2uniq", "{} a", "{} a b", "one id"),
    ("utt2snr", "{} -2.5", "{} loud", "number of dB"),
    ("utt2weight", "{} 0", "{} -1", "from 0 up"),
    ("reco2file_and_channel", "{} f A", "{} f C", "a channel, A or B"),
    ("text", "{} good day", "{} <s> good day </s>", "free of <s>"),
    ("spk1.scp", "{} /x.wav", "{} ~/x.wav", "~ is not expanded"),
]


@pytest.mark.parametrize(("name", "fine", "faulty", "words"), MORE)
def test_the_values_of_further_maps_are_checked(good, name, fine, faulty, words):
    keys = list(kaldi.read_map(good / "wav.scp"))
    lines = [fine.format(key) for key in keys]
    (good / name).write_text("\n".join([*lines, ""]))
    assert check(good, sound=False) == []
    lines[1] = faulty.format(keys[1])
    (good / name).write_text("\n".join([*lines, ""]))
    (problem,) = check(good, sound=False)
    assert str(problem).startswith(f"{good / name}:2: error: ") and words in str(problem)


def test_unsorted_utterances_are_not_blamed_on_the_speakers(good):
    (good / "utt2spk").write_bytes(swap(1, 6)((good / "utt2spk").read_bytes()))
    (problem,) = check(good, sound=False)
    assert "not sorted: " in problem.what


def test_segments_are_refused(good):
    (good / "segments").write_text("ann-0 ann 0 1\n")
    (problem,) = check(good, sound=False)
    assert problem.level == "error" and "segments are not supported" in problem.what


def test_what_kaldi_only_advises_is_a_warning(tmp_path):
    utt2spk = {"x1": "a", "x2": "b", "x3": "b"}
    tables = {"wav.scp": {key: "/x.wav" for key in utt2spk}, "utt2spk": utt2spk}
    kaldi.write_directory(tmp_path, tables)
    (problem,) = check(tmp_path, sound=False)
    assert problem.level == "warning" and problem.line == 1 and "'x1' and 2 more" in problem.what
    kaldi.write_directory(tmp_path, corpus(["ann"]))
    (problem,) = check(tmp_path, sound=False)
    assert problem.level == "warning" and "one speaker, 'ann'" in problem.what


def test_a_folder_that_is_none_is_named(tmp_path):
    (problem,) = check(tmp_path / "nowhere")
    assert str(problem).startswith(f"{tmp_path / 'nowhere'}: error: no such folder")


def test_what_is_broken_in_two_places_is_told_of_both(good):
    (good / "utt2dur").write_text((good / "utt2dur").read_text().replace("1.5", "0"))
    assert [problem.line for problem in check(good, sound=False)] == [1, 2, 3, 4, 5, 6]


# Sound


def wave(seconds=0.5, seed=0):
    return np.random.default_rng(seed).uniform(-0.4, 0.4, round(seconds * RATE)).astype(np.float32)


@pytest.fixture
def heard(tmp_path):
    """Return a directory of two pairs; their sound is in ``sound``."""
    (tmp_path / "sound").mkdir()
    sides = {"wav.scp": "noisy", "spk1.scp": "clean"}
    tables = {name: {} for name in sides}
    for seed, key in enumerate(("a-1", "b-1")):
        for name, side in sides.items():
            path = tmp_path / "sound" / f"{side}-{key}.wav"
            audio.write(path, wave(seed=seed), RATE)
            tables[name][key] = path
    tables |= {"utt2spk": {"a-1": "a", "b-1": "b"}, "utt2dur": {"a-1": 0.5, "b-1": 0.5}}
    kaldi.write_directory(tmp_path / "data", tables)
    assert check(tmp_path / "data") == []
    return tmp_path


def test_the_sound_is_not_looked_at_where_that_is_not_wanted(heard):
    (heard / "sound/clean-a-1.wav").unlink()
    assert check(heard / "data", sound=False) == []


def spoiled(at, value):
    bad = wave()
    bad[at] = value
    return bad


SOUNDS = [  # what the clean twin of b-1 holds, its rate and encoding, level, what is said
    (wave(), 8000, None, "error", "8000 Hz, not 16000 Hz; `segan-data import` resamples"),
    (np.stack([wave(), wave()]), RATE, None, "error", "2 channels"),
    (0 * wave(), RATE, None, "error", "silent, every sample is zero"),
    (wave()[:-1], RATE, None, "error", "7999 samples, its noisy twin 8000; align"),
    (spoiled(100, np.nan), RATE, "FLOAT", "error", "nan at sample 100"),
    (spoiled(100, np.inf), RATE, "FLOAT", "error", "inf at sample 100"),
    (spoiled(slice(100, 104), 1), RATE, None, "warning", "clipped"),
    (spoiled(slice(100, 104), -1), RATE, None, "warning", "clipped"),
]


@pytest.mark.parametrize(("bad", "rate", "encoding", "level", "words"), SOUNDS)
def test_bad_sound_is_named(heard, bad, rate, encoding, level, words):
    audio.write(heard / "sound/clean-b-1.wav", bad, rate, encoding)
    problems = check(heard / "data")
    lines = [str(problem) for problem in problems if words in str(problem)]
    assert lines and lines[0].startswith(f"{heard / 'data/spk1.scp'}:2: {level}: b-1: ")
    assert len(problems) <= 2


def test_peaks_that_only_touch_full_scale_are_not_clipped(heard):
    audio.write(heard / "sound/clean-b-1.wav", spoiled([5, 6, 9, 10], 1), RATE)
    assert check(heard / "data") == []


def test_short_sound_is_a_warning(heard):
    for side in ("noisy", "clean"):
        audio.write(heard / f"sound/{side}-a-1.wav", wave(0.05), RATE)
    (heard / "data/utt2dur").write_text("a-1 0.05\nb-1 0.5\n")
    found = [(problem.level, problem.what) for problem in check(heard / "data")]
    assert found == 2 * [("warning", "a-1: only 0.050 s long")]


def test_files_that_are_missing_or_no_sound_are_named(heard):
    (heard / "sound/noisy-a-1.wav").unlink()
    (heard / "sound/clean-b-1.wav").write_text("no sound at all")
    missing, odd = sorted(check(heard / "data"), key=lambda one: one.line)
    assert (missing.file.name, missing.line) == ("wav.scp", 1)
    assert "noisy-a-1.wav: no such file" in missing.what
    assert (odd.file.name, odd.line) == ("spk1.scp", 2)
    assert "clean-b-1.wav: format not recognised" in odd.what


def test_a_file_that_was_cut_off_is_named(heard):
    path = heard / "sound/noisy-a-1.wav"
    path.write_bytes(path.read_bytes()[:9000])
    found = " ".join(map(str, check(heard / "data")))
    assert "of the 0.500 s that its header promises" in found
    assert "8000 samples, its noisy twin 4478" in found
    assert "utt2dur:1: error: a-1: 0.5 s, the recording lasts 0.27" in found


@pytest.mark.parametrize(("seconds", "good"), [(0.509, True), (0.491, True), (0.511, False)])
def test_durations_agree_to_ten_milliseconds(heard, seconds, good):
    (heard / "data/utt2dur").write_text(f"a-1 0.5\nb-1 {seconds}\n")
    found = [str(problem) for problem in check(heard / "data")]
    assert bool(found) != good
    assert good or f"utt2dur:2: error: b-1: {seconds} s, the recording lasts 0.5000 s" in found[0]


def test_any_rate_will_do_where_none_is_asked_for_but_twins_share_it(heard):
    for side in ("noisy", "clean"):
        audio.write(heard / f"sound/{side}-a-1.wav", wave(), 8000)
    (heard / "data/utt2dur").write_text("a-1 1.0\nb-1 0.5\n")
    assert check(heard / "data", rate=None) == []
    audio.write(heard / "sound/clean-a-1.wav", wave(), RATE)
    (problem,) = check(heard / "data", rate=None)
    assert "16000 Hz, its noisy twin 8000 Hz" in problem.what


def test_relative_paths_are_a_warning(heard, monkeypatch):
    monkeypatch.chdir(heard)
    scp = heard / "data/wav.scp"
    scp.write_text(scp.read_text().replace(str(heard / "sound"), "sound"))
    found = check(heard / "data")
    assert [problem.level for problem in found] == ["warning", "warning"]
    assert "sound/noisy-a-1.wav: found from this folder only" in found[0].what


# Parts and sums


@settings(quick, max_examples=15)
@given(data=st.data())
def test_a_part_and_what_it_excludes_make_the_whole(tmp_path, data):
    kaldi.write_directory(tmp_path / "all", corpus(["ann", "bob", "eve", "ömer"], 2))
    whole = kaldi.read_directory(tmp_path / "all")
    names = sorted(whole["wav.scp"])
    chosen = data.draw(st.sets(st.sampled_from(names), min_size=1, max_size=len(names) - 1))
    size = kaldi.subset(tmp_path / "all", tmp_path / "in", utterances=chosen)
    rest = kaldi.subset(tmp_path / "all", tmp_path / "out", utterances=chosen, exclude=True)
    part, others = (kaldi.read_directory(tmp_path / name) for name in ("in", "out"))
    assert set(part["wav.scp"]) == chosen and set(others["wav.scp"]) == set(names) - chosen
    assert (size, rest) == (len(chosen), len(names) - len(chosen))
    for name, table in whole.items():
        if name != "spk2utt":
            assert part[name] | others[name] == table
    for folder in ("in", "out"):
        errors = [one for one in check(tmp_path / folder, sound=False) if one.level == "error"]
        assert errors == []
    assert kaldi.combine([tmp_path / "out", tmp_path / "in"], tmp_path / "sum") == []
    assert contents(tmp_path / "sum") == contents(tmp_path / "all")


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({"speakers": ["bob"]}, "bob-0 bob-1 bob-2"),
        ({"speakers": ["bob"], "exclude": True}, "ann-0 ann-1 ann-2"),
        ({"first": 4}, "ann-0 ann-1 ann-2 bob-0"),
        ({"first": 4, "exclude": True}, "bob-1 bob-2"),
        ({"speakers": ["bob"], "first": 2}, "bob-0 bob-1"),
        ({"utterances": ["bob-2", "ann-1"], "first": 1}, "ann-1"),
        ({"first": 100}, "ann-0 ann-1 ann-2 bob-0 bob-1 bob-2"),
    ],
)
def test_criteria_narrow_what_is_left(good, tmp_path, criteria, expected):
    kaldi.subset(good, tmp_path / "part", **criteria)
    assert " ".join(kaldi.read_map(tmp_path / "part/wav.scp")) == expected


def drawn(good, tmp_path, **criteria):
    kaldi.subset(good, tmp_path / "part", **criteria)
    return list(kaldi.read_map(tmp_path / "part/utt2spk").items())


def test_draws_have_their_size_and_follow_the_seed(good, tmp_path):
    assert len(drawn(good, tmp_path, count=2)) == 2
    each = [speaker for _, speaker in drawn(good, tmp_path, per_speaker=2)]
    assert each == ["ann", "ann", "bob", "bob"]
    parts = [tuple(drawn(good, tmp_path, count=3, seed=seed)) for seed in (*range(8), 0)]
    assert parts[0] == parts[-1] and len(set(parts)) > 3


def test_draws_are_even():
    names = [f"u{number}" for number in range(6)]
    hits = dict.fromkeys(names, 0)
    for seed in range(600):
        for name in kaldi.drawn(names, 2, seed):
            hits[name] += 1
    assert all(150 < count < 250 for count in hits.values()), hits  # 200 each, give or take 4 sigma


def test_unknown_names_and_empty_parts_are_refused(good, tmp_path):
    with pytest.raises(ValueError, match=r"good: has no speaker 'eve' and 1 more"):
        kaldi.subset(good, tmp_path / "part", speakers=["eve", "ann", "kim"])
    with pytest.raises(ValueError, match=r"good: has no utterance 'ann-9'; check"):
        kaldi.subset(good, tmp_path / "part", utterances=["ann-9"])
    with pytest.raises(ValueError, match=r"part: no utterance would be in it"):
        kaldi.subset(good, tmp_path / "part", speakers=["ann", "bob"], exclude=True)
    with pytest.raises(ValueError, match=r"good/sub: no data directory, it has no wav.scp"):
        kaldi.subset(good / "sub", tmp_path / "part", first=1)
    assert not (tmp_path / "part").exists()


def test_held_out_speakers_are_in_one_part_only(tmp_path):
    kaldi.write_directory(tmp_path / "all", corpus("abcde"))
    chosen = kaldi.hold_out(tmp_path / "all", tmp_path / "rest", tmp_path / "held", 2, seed=3)
    rest, held = (set(kaldi.read_map(tmp_path / p / "spk2utt")) for p in ("rest", "held"))
    assert held == set(chosen) and len(held) == 2 and rest == set("abcde") - held
    kaldi.combine([tmp_path / "rest", tmp_path / "held"], tmp_path / "sum")
    assert contents(tmp_path / "sum") == contents(tmp_path / "all")
    with pytest.raises(ValueError, match="has 5 speakers, 5 can't be held out"):
        kaldi.hold_out(tmp_path / "all", tmp_path / "rest", tmp_path / "held", 5)


def test_utterances_of_two_directories_are_refused_by_name(good, tmp_path):
    kaldi.subset(good, tmp_path / "part", speakers=["bob"])
    with pytest.raises(ValueError, match="both have 'bob-0'"):
        kaldi.combine([good, tmp_path / "part"], tmp_path / "sum")
    assert not (tmp_path / "sum").exists()


def test_maps_that_some_lack_are_left_out_but_twins_are_not(good, tmp_path):
    kaldi.write_directory(tmp_path / "plain", {"wav.scp": {"x": "/x.wav"}})
    left_out = kaldi.combine([good, tmp_path / "plain"], tmp_path / "sum")
    assert left_out == ["spk2gender", "utt2dur"]
    assert sorted(contents(tmp_path / "sum")) == ["spk2utt", "utt2spk", "wav.scp"]
    assert kaldi.read_map(tmp_path / "sum/utt2spk")["x"] == "x"
    pair = {"wav.scp": {"y": "/y.wav"}, "spk1.scp": {"y": "/z.wav"}}
    kaldi.write_directory(tmp_path / "pairs", pair)
    with pytest.raises(ValueError, match=r"good: has no spk1.scp, others have"):
        kaldi.combine([tmp_path / "pairs", good], tmp_path / "sum")


def test_a_speaker_may_be_in_two_directories_but_not_be_two(tmp_path):
    one = {"wav.scp": {"ann-1": "/1.wav"}, "utt2spk": {"ann-1": "ann"}, "spk2gender": {"ann": "f"}}
    other = {"wav.scp": {"ann-2": "/2.wav"}, "utt2spk": {"ann-2": "ann"}}
    kaldi.write_directory(tmp_path / "one", one)
    kaldi.write_directory(tmp_path / "other", other | {"spk2gender": {"ann": "f"}})
    kaldi.combine([tmp_path / "one", tmp_path / "other"], tmp_path / "sum")
    assert kaldi.read_map(tmp_path / "sum/spk2utt") == {"ann": "ann-1 ann-2"}
    kaldi.write_directory(tmp_path / "other", other | {"spk2gender": {"ann": "m"}})
    with pytest.raises(ValueError, match="both have 'ann'"):
        kaldi.combine([tmp_path / "one", tmp_path / "other"], tmp_path / "sum")


def test_combining_mends_what_is_unsorted(good, tmp_path):
    before = contents(good)
    for name in before:
        (good / name).write_bytes(b"".join(reversed(before[name].splitlines(keepends=True))))
    (good / "spk2utt").unlink()
    assert [one for one in check(good, sound=False) if "combine" in one.remedy]
    kaldi.combine([good], tmp_path / "mended")
    assert contents(tmp_path / "mended") == before
