import functools
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pesq import pesq as library_pesq
from pystoi import stoi as library_stoi
from scipy.linalg import solve_toeplitz, toeplitz
from scipy.signal import fftconvolve, firwin2

from segan import metrics
from segan.metrics import composite, perceptual, spectral

RATE = 16000
GOLDEN = Path(__file__).with_name("golden_scores.json")
EPS = np.finfo(float).eps


def voice(seconds=2.0, rate=RATE, seed=0):
    """A wave that PESQ takes for speech: a buzz through two moving resonances, in syllables."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * time)) / rate
    wave = np.zeros_like(time)
    for harmonic in range(1, 30):
        formants = (500 + 200 * np.sin(4 * time), 1600 + 500 * np.sin(3 * time + 1))
        gain = sum(np.exp(-(((120 * harmonic - f) / 250) ** 2)) for f in formants)
        wave += gain * np.sin(harmonic * pitch + rng.uniform(0, 6))
    wave *= np.clip(np.sin(2 * np.pi * 2 * time), 0, None)
    return 0.1 * wave + 2e-3 * rng.standard_normal(len(time))


def hiss(clean, snr_db, seed=1):
    noise = np.random.default_rng(seed).standard_normal(len(clean))
    return noise * np.sqrt(np.mean(clean**2) / np.mean(noise**2) / 10 ** (snr_db / 10))


CLEAN = voice()
NOISY = CLEAN + hiss(CLEAN, 15)


# An independent implementation, a frame and a band at a time, from the definitions


def frames(signal, rate):
    length = int(30 * rate / 1000 + 0.5)
    skip = length // 4
    window = [0.5 * (1 - math.cos(2 * math.pi * n / (length + 1))) for n in range(1, length + 1)]
    count = int(len(signal) / skip - length / skip)
    for start in range(0, count * skip, skip):
        yield (signal[start : start + length] + EPS) * window


def best(distortions):
    distortions = sorted(distortions)
    return np.mean(distortions[: math.floor(0.95 * len(distortions) + 0.5)])


def predictor(frame, order):
    full = np.correlate(frame, frame, "full")
    r = full[len(frame) - 1 : len(frame) + order]
    return np.concatenate([[1], -solve_toeplitz(r[:-1], r[1:])]), toeplitz(r)


def slow_llr(clean, enhanced, rate):
    order = 10 if rate < 10000 else 16
    distortions = []
    for c, e in zip(frames(clean, rate), frames(enhanced, rate), strict=True):
        a, matrix = predictor(c, order)
        b, _ = predictor(e, order)
        distortions.append(math.log((b @ matrix @ b) / (a @ matrix @ a)))
    return best(distortions)


@functools.cache
def slow_filter(center, width, rate, half):
    """Return the filter's weights by bin."""
    middle = math.floor(center / (rate / 2) * half)
    spread = width / (rate / 2) * half
    weights = {k: 70 / width * math.exp(-11 * ((k - middle) / spread) ** 2) for k in range(half)}
    return {k: weight for k, weight in weights.items() if weight > math.exp(-30 / 4.606)}


def slow_levels(frame, rate):
    size = 2 ** math.ceil(math.log2(2 * len(frame)))
    power = np.abs(np.fft.fft(frame, size)) ** 2
    levels = []
    for band in zip(spectral.CENTERS, spectral.WIDTHS, strict=True):
        weights = slow_filter(*band, rate, size // 2)
        energy = sum(weight * power[k] for k, weight in weights.items())
        levels.append(10 * math.log10(max(energy, 1e-10)))
    return levels


def slow_weights(levels):
    slopes = np.diff(levels)
    weights = []
    for i, slope in enumerate(slopes):
        n = i
        if slope > 0:
            while n < 24 and slopes[n] > 0:
                n += 1
            peak = levels[n - 1]
        else:
            while n >= 0 and slopes[n] <= 0:
                n -= 1
            peak = levels[n + 1]
        far = 20 / (20 + max(levels) - levels[i])
        weights.append(far * 1 / (1 + peak - levels[i]))
    return np.array(weights)


def slow_wss(clean, enhanced, rate):
    distortions = []
    for c, e in zip(frames(clean, rate), frames(enhanced, rate), strict=True):
        c, e = slow_levels(c, rate), slow_levels(e, rate)
        weights = (slow_weights(c) + slow_weights(e)) / 2
        difference = np.diff(c) - np.diff(e)
        distortions.append(sum(weights * difference**2) / sum(weights))
    return best(distortions)


def slow_ssnr(clean, enhanced, rate):
    ratios = []
    for c, e in zip(frames(clean, rate), frames(enhanced, rate), strict=True):
        ratio = sum(c**2) / (sum((c - e) ** 2) + EPS) + EPS
        ratios.append(min(max(10 * math.log10(ratio), -10), 35))
    return np.mean(ratios)


@pytest.mark.parametrize("rate", [8000, 11025, 16000])
@pytest.mark.parametrize(
    ("fast", "slow"),
    [
        (metrics.llr, slow_llr),
        (metrics.wss, slow_wss),
        (metrics.segmental_snr, slow_ssnr),
    ],
    ids=["llr", "wss", "ssnr"],
)
def test_frame_metrics_equal_a_frame_by_frame_computation(fast, slow, rate):
    clean = voice(0.4, rate)
    enhanced = clean + hiss(clean, 8)
    assert fast(clean, enhanced, rate) == pytest.approx(slow(clean, enhanced, rate), rel=1e-9)


def test_frames_in_blocks_equal_frames_at_once(monkeypatch):
    whole = metrics.wss(CLEAN, NOISY, RATE)
    monkeypatch.setattr("segan.metrics.frames.BLOCK", 7)
    assert metrics.wss(CLEAN, NOISY, RATE) == pytest.approx(whole, rel=1e-12)


# Against the libraries and published values


@pytest.mark.parametrize(("rate", "mode"), [(16000, "wb"), (16000, "nb"), (8000, "nb")])
def test_pesq_equals_the_library(rate, mode):
    clean = voice(rate=rate)
    noisy = clean + hiss(clean, 10)
    assert metrics.pesq(clean, noisy, rate, mode) == library_pesq(rate, clean, noisy, mode)


def test_pesq_is_wide_band_except_at_8_khz():
    assert metrics.pesq(CLEAN, NOISY, RATE) == library_pesq(RATE, CLEAN, NOISY, "wb")
    clean = voice(rate=8000)
    noisy = clean + hiss(clean, 5)
    assert metrics.pesq(clean, noisy, 8000) == library_pesq(8000, clean, noisy, "nb")


def test_pesq_resamples_other_rates():
    clean = voice(rate=48000)
    assert metrics.pesq(clean, clean, 48000) > 4.6
    noisy = clean + np.repeat(hiss(clean[::3], 5), 3)
    assert 1 < metrics.pesq(clean, noisy, 48000) < 4


def test_stoi_and_estoi_equal_the_library():
    assert metrics.stoi(CLEAN, NOISY, RATE) == library_stoi(CLEAN, NOISY, RATE)
    extended = library_stoi(CLEAN, NOISY, RATE, extended=True)
    assert metrics.estoi(CLEAN, NOISY, RATE) == pytest.approx(extended, abs=1e-9)


def test_estoi_leaves_the_global_random_state_alone():
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    metrics.estoi(CLEAN, NOISY, RATE)
    assert np.random.random() == expected


def test_ratings_equal_the_example_published_with_composite_m():
    measures = {"llr": 0.681368, "ssnr": 3.991727, "wss": 49.671978, "pesq": 2.255732}
    ratings = [composite.rating(name, measures, RATE) for name in ("csig", "cbak", "covl")]
    assert ratings == pytest.approx([3.3050, 2.6160, 2.7133], abs=5e-5)


def test_ratings_at_8_khz_rest_on_the_raw_pesq_score():
    raw = 2.255732
    mos_lqo = 0.999 + 4 / (1 + math.exp(-1.4945 * raw + 4.6607))  # P.862.1
    measures = {"llr": 0.681368, "ssnr": 3.991727, "wss": 49.671978, "pesq": mos_lqo}
    assert composite.rating("covl", measures, 8000) == pytest.approx(2.7133, abs=5e-5)


@pytest.mark.parametrize("name", ["csig", "cbak", "covl"])
def test_ratings_stay_between_1_and_5(name):
    worst = {"pesq": 1.0, "llr": 9.0, "wss": 300.0, "ssnr": -10.0}
    best = {"pesq": 4.64, "llr": 0.0, "wss": 0.0, "ssnr": 35.0}
    assert composite.rating(name, worst, RATE) == 1
    assert composite.rating(name, best, RATE) == 5


@pytest.mark.parametrize("name", ["csig", "cbak", "covl"])
def test_ratings_alone_equal_those_of_evaluate(name):
    alone = getattr(metrics, name)(CLEAN, NOISY, RATE)
    assert alone == metrics.evaluate(CLEAN, NOISY, RATE, [name])[name]


def test_scores_are_those_on_record():
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    scores = metrics.evaluate(CLEAN, NOISY, RATE)
    assert scores.keys() == golden.keys()
    for name, score in golden.items():
        single_precision = name in ("pesq", "csig", "cbak", "covl")
        assert scores[name] == pytest.approx(score, abs=2e-3 if single_precision else 1e-6), name


# Properties


MAXIMA = {
    "pesq": 4.643888,
    "stoi": 1,
    "estoi": 1,
    "csig": 5,
    "cbak": 5,
    "covl": 5,
    "ssnr": 35,
    "si_sdr": math.inf,
    "snr": math.inf,
    "llr": 0,
    "wss": 0,
}


def test_a_copy_reaches_every_maximum():
    assert metrics.evaluate(CLEAN, CLEAN.copy(), RATE) == pytest.approx(MAXIMA, abs=1e-6)


def test_more_noise_scores_worse_everywhere():
    noise = hiss(CLEAN, 0)
    good = metrics.evaluate(CLEAN, CLEAN + 0.1 * noise, RATE)
    bad = metrics.evaluate(CLEAN, CLEAN + noise, RATE)
    for name in metrics.ALL:
        assert (good[name] < bad[name]) if name in ("llr", "wss") else (good[name] > bad[name]), (
            name
        )


@given(st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_si_sdr_ignores_scale(gain):
    scaled = metrics.si_sdr(CLEAN, gain * NOISY, RATE)
    assert scaled == pytest.approx(metrics.si_sdr(CLEAN, NOISY, RATE), abs=1e-6)


def test_snr_and_segmental_snr_do_not_ignore_scale():
    assert metrics.snr(CLEAN, 0.5 * CLEAN) == pytest.approx(20 * math.log10(2))
    assert metrics.segmental_snr(CLEAN, 0.5 * CLEAN, RATE) == pytest.approx(6.02, abs=0.01)
    assert metrics.si_sdr(CLEAN, 0.5 * CLEAN) > 100


def test_si_sdr_of_orthogonal_noise_is_its_level():
    clean, noise = np.sin(np.arange(800) * np.pi / 4), np.sin(np.arange(800) * np.pi / 2)
    assert metrics.si_sdr(clean, clean + 0.1 * noise) == pytest.approx(20)
    assert metrics.si_sdr(clean, 3 * (clean + 0.1 * noise) + 0.7) == pytest.approx(20)
    assert metrics.snr(clean, clean + 0.1 * noise) == pytest.approx(20)


def test_levinson_solves_the_normal_equations():
    r = spectral.autocorrelation(CLEAN.reshape(-1, 400), 16)
    expected = [-solve_toeplitz(row[:-1], row[1:]) for row in r]
    np.testing.assert_allclose(spectral.levinson(r)[:, 1:], expected, rtol=1e-6, atol=1e-9)


# Input without an answer


def undefined(score, *arguments):
    """Return the reason that ``score`` warns with where it returns NaN."""
    with pytest.warns(metrics.MetricUndefined) as caught:
        assert math.isnan(score(*arguments))
    return caught[0].message.reason


EACH = [getattr(metrics, name if name != "ssnr" else "segmental_snr") for name in metrics.ALL]


@pytest.mark.parametrize("score", EACH, ids=metrics.ALL)
def test_a_silent_reference_has_no_score(score):
    assert undefined(score, np.zeros(RATE), CLEAN[:RATE], RATE) == "the reference is silent"


def test_a_silent_reference_has_no_score_under_any_name():
    with pytest.warns(metrics.MetricUndefined) as caught:
        scores = metrics.evaluate(np.zeros(RATE), CLEAN[:RATE], RATE)
    assert {one.message.metric for one in caught} == set(metrics.ALL)
    assert all(math.isnan(score) for score in scores.values())


def test_a_silent_estimate_has_the_scores_that_are_defined():
    with pytest.warns(metrics.MetricUndefined) as caught:
        scores = metrics.evaluate(CLEAN, np.zeros_like(CLEAN), RATE)
    reasons = {one.message.metric: one.message.reason for one in caught}
    assert {name for name, score in scores.items() if math.isnan(score)} == reasons.keys()
    assert reasons == {
        "pesq": "the estimate is silent",
        "si_sdr": "the estimate is silent",
        **dict.fromkeys(("csig", "cbak", "covl"), "it needs pesq"),
    }
    assert scores["stoi"] == scores["estoi"] == scores["snr"] == 0
    assert scores["ssnr"] == pytest.approx(0, abs=1e-6)


def test_too_little_speech_has_no_score():
    assert "1/4 of a second" in undefined(metrics.pesq, *[CLEAN[5000:8999]] * 2, RATE)
    assert undefined(metrics.stoi, *[CLEAN[:6000]] * 2, RATE) == "less than 0.4 s of speech"
    click = np.zeros(RATE)
    click[5000:5500] = CLEAN[1000:1500]
    assert undefined(metrics.stoi, click, click, RATE) == "less than 0.4 s of speech"
    assert "37.5 ms" in undefined(metrics.llr, *[CLEAN[:599]] * 2, RATE)
    assert metrics.llr(CLEAN[:600], CLEAN[:600], RATE) == 0


def test_one_sample_has_an_answer_everywhere():
    with pytest.warns(metrics.MetricUndefined):
        scores = metrics.evaluate(np.array([0.5]), np.array([0.25]), RATE)
    assert scores.pop("snr") == pytest.approx(20 * math.log10(2))
    assert all(math.isnan(score) for score in scores.values())


def test_long_recordings_are_scored_by_pesq_in_parts(monkeypatch):
    monkeypatch.setattr(perceptual, "LONGEST_PESQ", 1)
    clean, noisy = (
        np.tile(CLEAN[:RATE], 3),
        np.concatenate([NOISY[:RATE], CLEAN[:RATE], NOISY[:RATE]]),
    )
    halves = [library_pesq(RATE, CLEAN[:RATE], wave[:RATE], "wb") for wave in (NOISY, CLEAN)]
    expected = (2 * halves[0] + halves[1]) / 3
    assert metrics.pesq(clean, noisy, RATE) == pytest.approx(expected)
    clean[:RATE] = 0  # a part without speech is left out
    assert metrics.pesq(clean, noisy, RATE) == pytest.approx(sum(halves) / 2)


def test_long_recordings_muted_in_part_have_no_pesq_as_short_ones_have_none(monkeypatch):
    monkeypatch.setattr(perceptual, "LONGEST_PESQ", 1)
    clean, muted = np.tile(CLEAN[:RATE], 6), np.tile(NOISY[:RATE], 6)
    clean[:RATE] = muted[:RATE] = 0  # no speech is missed there
    assert metrics.pesq(clean, muted, RATE) > 1
    muted[2 * RATE : 4 * RATE] = muted[5 * RATE :] = 0
    reason = "the estimate is silent at 2.0-4.0, 5.0-6.0 s"
    assert undefined(metrics.pesq, clean, muted, RATE) == reason
    assert undefined(metrics.pesq, clean, 0 * muted, RATE) == "the estimate is silent"


def test_a_recording_of_many_words_does_not_crash_pesq():
    words = np.tile(np.concatenate([CLEAN[1000:5000], np.zeros(4000)]), 120)  # 60 s, 120 words
    assert metrics.pesq(words, words, RATE) > 4.6


def test_digital_silence_in_the_reference_is_mentioned():
    clean = np.concatenate([CLEAN, np.zeros(RATE // 2)])
    with pytest.warns(metrics.Caution, match="19% of the reference is digital silence"):
        metrics.llr(clean, clean + hiss(clean, 10), RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.llr(CLEAN, NOISY, RATE)


# Input that is refused


@pytest.mark.parametrize(
    ("clean", "enhanced", "rate", "match"),
    [
        (CLEAN, CLEAN[:-1], RATE, "clean has 32000 samples, enhanced 31999"),
        (CLEAN[None], CLEAN[None], RATE, r"clean has shape \(1, 32000\)"),
        (CLEAN[:0], CLEAN[:0], RATE, r"clean has shape \(0,\)"),
        (CLEAN, (CLEAN * 32767).astype(np.int16), RATE, "enhanced is int16"),
        (CLEAN, np.where(np.arange(32000) == 7, np.nan, CLEAN), RATE, "enhanced .* sample 7"),
        (np.where(np.arange(32000) == 9, np.inf, CLEAN), CLEAN, RATE, "clean .* sample 9"),
        (CLEAN, CLEAN, 0, "rate is 0"),
        (CLEAN, CLEAN, 16000.0, r"rate is 16000\.0"),
        (CLEAN, CLEAN, True, "rate is True"),
    ],
)
def test_bad_input_is_named(clean, enhanced, rate, match):
    with pytest.raises(ValueError, match=match):
        metrics.evaluate(clean, enhanced, rate)


def test_unknown_metrics_and_modes_are_named():
    with pytest.raises(ValueError, match="'psq': choose from pesq, stoi"):
        metrics.evaluate(CLEAN, NOISY, RATE, ["psq"])
    with pytest.raises(ValueError, match="mode is 'swb'"):
        metrics.pesq(CLEAN, NOISY, RATE, "swb")
    with pytest.raises(ValueError, match="no meaning at 8000"):
        metrics.pesq(CLEAN, NOISY, 8000, mode="wb")
    with pytest.raises(TypeError, match="rate"):
        metrics.pesq(CLEAN, NOISY)


# Evaluate and delay


def test_evaluate_gives_what_was_asked_for_in_that_order():
    assert list(metrics.evaluate(CLEAN, NOISY, RATE, ["snr", "covl"])) == ["snr", "covl"]
    assert list(metrics.evaluate(CLEAN, NOISY, RATE)) == list(metrics.ALL)
    assert metrics.evaluate(CLEAN, NOISY, RATE, []) == {}


def test_evaluate_measures_once(monkeypatch):
    calls = []
    for name, score in metrics.MEASURES.items():
        counted = lambda *a, name=name, score=score: (calls.append(name), score(*a))[1]  # noqa: E731
        monkeypatch.setitem(metrics.MEASURES, name, counted)
    metrics.evaluate(CLEAN, NOISY, RATE)
    assert sorted(calls) == sorted(metrics.MEASURES)


@given(st.integers(-3000, 3000))
@settings(max_examples=20, deadline=None)
def test_delay_finds_the_shift(shift):
    late = np.roll(CLEAN, shift)
    late[: max(shift, 0)] = 0
    late[len(late) + min(shift, 0) :] = 0
    assert metrics.delay(CLEAN, late) == shift
    assert metrics.delay(CLEAN, -0.3 * late + 0.5 * hiss(CLEAN, 0)) == shift


def test_delay_finds_the_shift_over_many_blocks(monkeypatch):
    monkeypatch.setattr("segan.metrics.alignment.LONGEST", 500)
    assert metrics.delay(CLEAN, np.concatenate([np.zeros(321), NOISY[:-321]])) == 321


def test_delay_is_0_where_nothing_is_common():
    assert metrics.delay(CLEAN, hiss(CLEAN, 0)) == 0
    assert metrics.delay(CLEAN, np.zeros_like(CLEAN)) == 0


@given(st.floats(-5, 20), st.floats(0.01, 100), st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_noise_and_level_do_not_color(snr, scale, seed):
    noisy = CLEAN + hiss(CLEAN, snr, seed)
    assert 0 <= metrics.coloration(CLEAN, scale * noisy, RATE) < 2


@pytest.mark.parametrize("decibels", [-12, 0, 3, 12])
def test_coloration_is_how_much_a_filter_raises_a_band(decibels):
    white, gain = np.random.default_rng(0).standard_normal(RATE * 4), 10 ** (decibels / 20)
    taps = firwin2(513, [0, 1000, 1001, 8000], [1, 1, gain, gain], fs=RATE)
    whole = 20 * np.log10(1 / 8 + 7 / 8 * gain)  # 7/8 of the energy lie above 1 kHz
    raised = metrics.coloration(white, fftconvolve(white, taps, "same"), RATE)
    assert raised == pytest.approx(max(decibels, 0) - whole, abs=0.3)


@given(st.integers(-400, 400), st.sampled_from([1, -1]))
@settings(max_examples=20, deadline=None)
def test_delay_and_polarity_do_not_color(shift, sign):
    late = sign * np.roll(CLEAN, shift)
    assert metrics.coloration(CLEAN, late, RATE) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("rate", [1000, 8000, 48000])
def test_coloration_of_little_or_nothing_is_0(rate):
    for wave in (np.zeros(100), np.ones(1), np.zeros(rate)):
        assert metrics.coloration(wave, wave, rate) == 0


def test_evaluate_says_that_a_filter_flatters_pesq():
    taps = firwin2(1025, [0, 400, 430, 570, 600, 8000], [1, 1, 6, 6, 1, 1], fs=RATE)
    colored = fftconvolve(NOISY, taps, "same")
    with pytest.warns(metrics.Caution, match=r"raised by over 6 dB .* PESQ hardly minds"):
        flattered = metrics.evaluate(CLEAN, colored, RATE, ["pesq"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = metrics.evaluate(CLEAN, NOISY, RATE, ["pesq", "si_sdr"])
        after = metrics.evaluate(CLEAN, colored, RATE, ["si_sdr"])
    assert flattered["pesq"] > before["pesq"] + 0.3  # for the same speech in the same noise
    assert after["si_sdr"] < before["si_sdr"] - 10


def test_evaluate_says_that_an_estimate_is_late():
    late = np.concatenate([np.zeros(640), NOISY[:-640]])
    with pytest.warns(metrics.Caution, match=r"estimate is 40\.0 ms late"):
        metrics.evaluate(CLEAN, late, RATE, ["snr"])
    with pytest.warns(metrics.Caution, match=r"estimate is 40\.0 ms early"):
        metrics.evaluate(late, NOISY, RATE, ["snr"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.evaluate(CLEAN, np.roll(NOISY, 16), RATE, ["snr"])
