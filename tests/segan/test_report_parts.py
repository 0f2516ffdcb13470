"""The parts of a report: statistics, tables, sounds, curves, and text in Markdown and HTML."""

import base64
import io
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from segan.report import examples, markdown, page, pictures, tables
from segan.report.content import command_line, listed, without_place
from segan.report.scores import Data, System, read_quotations, read_scores
from segan.report.statistics import holm, interval, signed_rank
from segan.report.training import Curve, read_training, smoothed

RATE = 16000
numbers = st.floats(-100, 100).map(lambda value: round(value, 3))


def system(name, **scores):
    return System(name, Path(name), scores, {}, {}, "", {})


def data(utterances, **known):
    empty = {table: {} for table in ("clean", "speaker", "noise", "snr")}
    return Data("test", dict.fromkeys(utterances, ""), **empty | known, seconds=None)


# Statistics


@given(st.lists(numbers, min_size=2, max_size=30))
@settings(max_examples=50, deadline=None)
def test_intervals_are_scipys(values):
    mean, half, n = interval(values)
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert n == len(values) and mean == pytest.approx(np.mean(values), abs=1e-9)
    if error > 1e-9:
        low, high = scipy.stats.t.interval(0.95, n - 1, np.mean(values), error)
        assert (mean - half, mean + half) == pytest.approx((low, high), rel=1e-9)


def test_an_interval_holds_the_true_mean_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    held = [
        abs(found.mean - 3) <= found.half
        for found in (interval(rng.normal(3, 2, 6)) for _ in range(2000))
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)  # three standard errors


@pytest.mark.parametrize(
    ("values", "mean", "n"),
    [
        ([], math.nan, 0),
        ([2.5], 2.5, 1),
        ([math.inf, 1], math.inf, 2),
        ([math.inf, -math.inf], math.nan, 2),
    ],
)
def test_an_interval_that_is_undefined_is_nan(values, mean, n):
    found = interval(values)
    np.testing.assert_array_equal(found, [mean, math.nan, n])


def test_holm_agrees_with_an_example_worked_by_hand():
    # Sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04; none may fall below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_was_not_tested():
    np.testing.assert_allclose(holm([0.01, math.nan, 0.03]), [0.02, math.nan, 0.03])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_holm_is_between_the_plain_and_bonferronis_and_keeps_the_order(p_values):
    corrected = holm(p_values)
    for p, own in zip(p_values, corrected, strict=True):
        assert p <= own <= min(1, p * len(p_values)) + 1e-12
    assert [corrected[i] for i in np.argsort(p_values)] == sorted(corrected)


def test_the_signed_rank_test_is_wilcoxons():
    # All six of one sign: 2 of the 2^6 patterns of signs are as extreme.
    assert signed_rank([1, 2, 3, 4, 5, 6.5]) == pytest.approx(2 / 64)
    assert signed_rank([1, 2, 0, 3, 4, 0, 5, 6.5]) == pytest.approx(2 / 64)  # zeros are dropped
    assert signed_rank([0, 0, 0]) == 1
    assert math.isnan(signed_rank([]))


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


def test_gains_are_over_what_both_have():
    first = system("a", u={"snr": 1.0}, v={"snr": 2.0}, w={"snr": math.inf}, x={"stoi": 1.0})
    second = system("b", v={"snr": 5.0}, u={"snr": 2.0}, w={"snr": math.inf}, x={"snr": 1.0})
    assert tables.gains(first, second, "snr") == {"u": 1, "v": 3}
    assert tables.gains(second, first, "snr") == {"u": -1, "v": -3}


def test_few_systems_are_compared_each_with_each_and_many_with_the_baseline_and_neighbors():
    def pairs(names, baseline):
        chosen = tables.pairs_of([system(name) for name in names], baseline)
        return ["".join(one.name for one in pair) for pair in chosen]

    assert pairs("abc", "a") == ["ab", "ac", "bc"]
    assert pairs("abc", "b") == ["ba", "bc", "ac"]
    assert len(pairs("abcde", "a")) == 10
    assert pairs("abcdef", "a") == ["ab", "ac", "ad", "ae", "af", "bc", "cd", "de", "ef"]


def test_p_values_are_corrected_over_pairs_and_metrics():
    rng = np.random.default_rng(0)
    systems = [
        system(
            name,
            **{
                f"u{i}": dict(zip(("pesq", "stoi"), rng.random(2) + shift, strict=True))
                for i in range(9)
            },
        )
        for name, shift in (("a", 0), ("b", 0.5), ("c", 0.1))
    ]
    found = tables.comparisons(systems, ["pesq", "stoi"], "a")
    plain = [
        signed_rank(list(tables.gains(*pair, metric).values()))
        for pair in tables.pairs_of(systems, "a")
        for metric in ("pesq", "stoi")
    ]
    corrected = [pair.differences[metric].p for pair in found for metric in ("pesq", "stoi")]
    assert corrected == holm(plain) and min(corrected) == pytest.approx(6 * min(plain))


def test_a_difference_of_nothing_is_zero_and_not_significant():
    same = {f"u{i}": {"pesq": float(i)} for i in range(5)}
    (pair,) = tables.comparisons([system("a", **same), system("b", **same)], ["pesq"], "a")
    assert pair.differences["pesq"].interval[:2] == (0, 0) and pair.differences["pesq"].p == 1


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


# Curves


def test_dense_curves_are_averaged_without_being_moved():
    line = Curve(list(range(400)), [3.0 * i for i in range(400)])
    smooth = smoothed(line)
    assert smooth.steps == line.steps
    np.testing.assert_allclose(smooth.values[20:-20], line.values[20:-20])
    rough = Curve(line.steps, [(-1) ** i + 5.0 for i in range(400)])
    assert np.ptp(smoothed(rough).values) < 0.25 and np.mean(
        smoothed(rough).values
    ) == pytest.approx(5, abs=0.01)
    sparse = Curve([1, 2, 3], [1.0, 5.0, 2.0])
    assert smoothed(sparse) == sparse


def test_a_log_gives_losses_scores_and_the_last_step(tmp_path):
    lines = [
        '{"step": 5, "kind": "train", "generator/l1": 2, "seconds": 9}',
        '{"step": 5, "kind": "validation", "pesq": NaN, "stoi": 0.5}',
        '{"step": 8, "kind": "train", "generator/l1": 1, "seconds": 12}',
        '{"step": 9, "ki',
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(lines), encoding="utf-8")
    training = read_training(tmp_path)
    assert training.losses == {"generator/l1": Curve([5, 8], [2, 1])}
    assert training.scores == {"stoi": Curve([5], [0.5])} and training.step == 8
    assert read_training(tmp_path / "nowhere") is None
    (tmp_path / "log.jsonl").write_text("", encoding="utf-8")
    assert read_training(tmp_path) is None


def test_the_users_own_style_changes_no_picture():
    import matplotlib

    systems = [system("a", u={"pesq": 1.0}, v={"pesq": 2.0})]
    plain = pictures.histograms(systems, ["pesq"])
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30}):
        assert pictures.histograms(systems, ["pesq"]) == plain
        assert matplotlib.rcParams["font.size"] == 30


# Text


@pytest.mark.parametrize(
    ("word", "short"),
    [
        ("exp/segan", "exp/segan"),
        ("/home/me/voicebank/exp/segan/scores", "exp/segan/scores"),
        ("/home/me/corpora/vctk/wav", "vctk/wav"),
        ("/data/test", "test"),
        ("/data", "data"),
        ("data.folder=/home/me/voicebank/data", "data.folder=data"),
        (r"C:\Users\me\corpora\vctk", "corpora/vctk"),
        ("--force", "--force"),
        ("a=b", "a=b"),
    ],
)
def test_arguments_lose_the_machines_folders(word, short):
    assert without_place(word, Path("/home/me/voicebank")) == short


def test_commands_are_quoted_for_the_shell():
    assert (
        command_line(["segan-report", "a b", "/home/me/x/y/z"])
        == "segan-report 'a b' /home/me/x/y/z"
    )
    assert (
        command_line(["segan-report", "/home/me/x/y/z"], Path("/elsewhere")) == "segan-report y/z"
    )


def test_lists_are_sentences():
    assert listed(["a"]) == "a" and listed(["1 dB", "2 dB"]) == "1 and 2 dB"


def test_markdown_shows_text_as_it_is():
    assert markdown.escaped("a|b <c> *d* [e] `f`\ng") == r"a\|b \<c\> \*d\* \[e\] \`f\` g"
    assert markdown.escaped("segan_plus _x_ R&D &lt;") == r"segan_plus \_x\_ R&D \&lt;"


def test_only_web_addresses_become_links():
    text = str(page.linked('<i> (https://a.org/b?c=1&d), "javascript:x" http://e.org.'))
    assert text == (
        '&lt;i&gt; (<a href="https://a.org/b?c=1&amp;d">https://a.org/b?c=1&amp;d</a>), '
        '&#34;javascript:x&#34; <a href="http://e.org">http://e.org</a>.'
    )


@given(st.floats(0.01, 15))
@settings(max_examples=50, deadline=None)
def test_a_time_axis_has_a_few_round_marks_inside(seconds):
    marks = page.ticks(seconds)
    assert 1 <= len(marks) <= page.TICKS + 1
    for percent, text in marks:
        assert 0 <= percent <= 100 and percent * seconds / 100 == pytest.approx(
            float(text), abs=1e-6
        )


def test_minus_signs_are_set_and_hyphens_left():
    assert page.signed("-0.5 ± 0.1, si-sdr -inf") == "−0.5 ± 0.1, si-sdr −inf"
