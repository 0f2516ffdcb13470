"""The parts of a report on speech: tables, sounds, pictures, and text."""

import base64
import io
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segan.report import examples, page, pictures, tables
from segan.report.content import listed
from segan.report.scores import Data, System, read_quotations, read_scores

RATE = 16000


def system(name, **scores):
    return System(name, Path(name), scores, {}, {}, "", {})


def data(utterances, **known):
    empty = {table: {} for table in ("clean", "speaker", "noise", "snr")}
    return Data("test", dict.fromkeys(utterances, ""), **empty | known, seconds=None)


# Tables


def test_means_leave_out_undefined_scores_and_mark_the_best():
    systems = [
        system("c", u={"stoi": 0.5}),
        system("a", u={"pesq": 1.0, "llr": 1.0}, v={"pesq": 3.0}),
        system("b", u={"pesq": 2.0, "llr": 2.0}),
    ]
    rows = tables.means(systems, ["pesq", "llr"], ["u", "v", "w"])
    assert [(row.means["pesq"].mean, row.means["pesq"].n) for row in rows[1:]] == [(2, 2), (2, 1)]
    assert [row.best for row in rows] == [set(), {"pesq", "llr"}, {"pesq"}]
    assert rows[0].means["pesq"].n == 0


def test_nothing_is_the_best_of_one():
    assert tables.means([system("a", u={"pesq": 1.0})], ["pesq"], ["u"])[0].best == set()


def test_levels_of_snr_are_groups_in_order():
    snr = {"a": 12.5, "b": 2.5, "c": 12.5, "stranger": 2.5}
    groups = tables.conditions(data(["a", "b", "c"], snr=snr))
    assert groups == {"SNR": {"2.5 dB": ["b"], "12.5 dB": ["a", "c"]}}


def test_many_snrs_are_put_into_ranges_that_hold_each_once():
    snr = {f"u{i}": value for i, value in enumerate(np.linspace(-7.5, 14.9, 40))}
    groups = tables.by_snr(snr)
    assert list(groups) == ["-10 to -5 dB", "-5 to 0 dB", "0 to 5 dB", "5 to 10 dB", "10 to 15 dB"]
    assert sorted(itertools.chain(*groups.values())) == sorted(snr)
    for label, own in groups.items():
        low, high = (float(text) for text in label.removesuffix(" dB").split(" to "))
        assert all(low <= snr[utterance] < high for utterance in own)


def test_utterances_that_are_their_own_speakers_have_none():
    assert tables.conditions(data("ab", speaker={"a": "a", "b": "b"})) == {}
    assert tables.conditions(data("ab", speaker={"a": "s", "b": "s"})) == {
        "Speaker": {"s": ["a", "b"]}
    }


def test_numbers_have_their_metrics_decimals():
    assert tables.decimal("pesq", 2.0934) == "2.093" and tables.decimal("si_sdr", -1.2) == "-1.20"
    assert tables.decimal("pesq", 0.5, "+") == "+0.500" and tables.decimal("pesq", math.nan) == "–"
    assert tables.margin("stoi", 0.01) == "± 0.010" and tables.margin("stoi", math.nan) == ""


# Files


def test_scores_that_are_undefined_are_absent(tmp_path):
    path = tmp_path / "scores.tsv"
    path.write_text(
        "system\tutterance\tpesq\tsnr\n"
        "noisy\ta\t1\t1\nenhanced\ta\tnan\tinf\nenhanced\tb\tnan\tnan\n"
        'enhanced\t"c ""d"""\t2\t3\n',
        encoding="utf-8",
    )
    assert read_scores(path) == {"a": {"snr": math.inf}, 'c "d"': {"pesq": 2, "snr": 3}}


def test_quoted_scores_stay_as_they_were_printed(tmp_path):
    path = tmp_path / "quoted.tsv"
    path.write_text(
        "\ufeffsystem\tstoi\tssnr\tsource\nx\t.940\t-.5\ty\nz\t\t7\ty\n", encoding="utf-8"
    )
    first, second = read_quotations(path)
    assert first == ("x", {"stoi": "0.940", "ssnr": "-0.5"}, "y")
    assert second.scores == {"ssnr": "7"}


# Sounds


def tone(hertz, start=0.0, stop=1.0, seconds=1.0, rate=RATE):
    time = np.arange(round(seconds * rate)) / rate
    samples = 0.5 * np.sin(2 * np.pi * hertz * time) * (time >= start) * (time < stop)
    return examples.Wave(np.rint(samples * 2**15).astype(np.int16)[:, None], rate, seconds)


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("hertz", [500, 3000])
def test_a_tone_is_a_line_at_its_frequency_and_level(hertz, rate):
    levels = examples.spectrogram(tone(hertz, rate=rate), 1.0, rate / 2)
    row, _ = np.unravel_index(levels.argmax(), levels.shape)
    assert row == round(hertz * examples.WINDOW)
    assert levels.max() == pytest.approx(20 * np.log10(0.5), abs=0.1)
    assert len(levels) == round(rate / 2 * examples.WINDOW) + 1


def test_the_time_axis_is_that_of_the_longest_sound():
    levels = examples.spectrogram(tone(1000, 0.25, 0.5), 2.0, 8000)
    loud = np.flatnonzero(levels.max(axis=0) > -20) / levels.shape[1] * 2.0
    assert (loud.min(), loud.max()) == pytest.approx((0.25, 0.5), abs=0.02)
    assert levels.shape[1] == 250  # every 8 ms
    assert examples.spectrogram(tone(1000), 30.0, 8000).shape[1] == examples.WIDTH


def test_pictures_have_low_notes_below_and_the_loudest_brightest():
    from PIL import Image

    levels = np.full((10, 4), -200.0)
    levels[1] = -10.0
    uri = examples.png(levels, loudest=-10.0)
    picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L")
    shades = np.asarray(picture, int)
    assert shades.shape == levels.shape
    assert np.flatnonzero(shades[:, 0] > 200).tolist() == [8]


def test_samples_that_are_not_16_bit_are_rounded_and_clipped(tmp_path):
    import soundfile

    path = tmp_path / "x.wav"
    soundfile.write(path, [0.5, -2.0, 2.0, 0.6 / 2**15], RATE, subtype="FLOAT")
    assert examples.load(path).samples.ravel().tolist() == [2**14, -(2**15), 2**15 - 1, 1]


def test_sounds_that_cannot_be_shown_say_why(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    assert examples.load(None) == "no file of this utterance"
    assert examples.load(tmp_path / "none.wav") == "the file cannot be read"
    assert examples.load("sph2pipe x.sph |") == "the file cannot be read"
    assert examples.load(tmp_path / "empty.wav") == "the file holds no samples"


def test_silence_is_dark(tmp_path):
    import soundfile
    from PIL import Image

    soundfile.write(tmp_path / "x.wav", np.zeros(RATE), RATE)
    files = {"noisy": {"x": tmp_path / "x.wav"}}
    shown = examples.example(examples.Chosen("x", 0.0), [], data("x")._replace(**files))
    content = base64.b64decode(shown.sounds[1].picture.partition(",")[2])
    assert np.asarray(Image.open(io.BytesIO(content)).convert("L")).max() < 5


def test_best_and_worst_are_of_the_last_systems_gain_and_never_the_same():
    first = system("a", **{u: {"pesq": 1.0} for u in "uvwxy"})
    gains = dict(zip("uvwxy", (0.1, 0.5, -0.3, 0.0, 0.2), strict=True))
    last = system("b", **{u: {"pesq": 1.0 + gain} for u, gain in gains.items()})

    def names(number, systems=(first, last), baseline=first):
        chosen = examples.choose(systems, baseline, "pesq", number)
        return ["".join(one.utterance for one in chosen[title]) for title in ("Best", "Worst")]

    assert names(2) == ["vy", "wx"]
    assert names(4) == ["vyux", "w"]
    assert names(0) == ["", ""]
    assert names(1, [last], last) == ["v", "w"]


# Pictures


def test_the_users_own_style_changes_no_picture():
    import matplotlib

    systems = [system("a", u={"pesq": 1.0}, v={"pesq": 2.0})]
    plain = pictures.histograms(systems, ["pesq"])
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30}):
        assert pictures.histograms(systems, ["pesq"]) == plain
        assert matplotlib.rcParams["font.size"] == 30


# Text


def test_lists_are_sentences():
    assert listed(["a"]) == "a" and listed(["1 dB", "2 dB"]) == "1 and 2 dB"


@given(st.floats(0.01, 15))
@settings(max_examples=50, deadline=None)
def test_a_time_axis_has_a_few_round_marks_inside(seconds):
    marks = page.ticks(seconds)
    assert 1 <= len(marks) <= page.TICKS + 1
    for percent, text in marks:
        assert 0 <= percent <= 100 and percent * seconds / 100 == pytest.approx(
            float(text), abs=1e-6
        )
