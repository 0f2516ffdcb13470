"""Training slices: what is read, drawn and mixed."""

import numpy as np
import pytest
import soundfile
import torch

from gan.feed import Draw
from segan import audio, augment
from segan.corpus import Corpus, Directory, Strings, cut, length, opened
from segan.data import Mixtures, Pairs
from segan.kaldi import read_map

RATE = 16000


def write(folder, name, wave, rate=RATE):
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{name}.wav", wave, rate, subtype="FLOAT")
    return folder / f"{name}.wav"


def directory(folder, waves, listing="wav.scp", **files):
    lines = [
        f"{name} {write(folder / (listing + '.d'), name, wave)}\n" for name, wave in waves.items()
    ]
    (folder / listing).write_text("".join(lines))
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def ramp(start, length):
    return (start + np.arange(length)) / 1e6


@pytest.fixture
def corpora(tmp_path):
    rng = np.random.default_rng(0)
    speech = {f"s{i}": 0.1 * rng.standard_normal(6000) for i in range(4)}
    noise = {f"n{i}": 0.1 * rng.standard_normal(3000) for i in range(2)}
    return directory(tmp_path / "speech", speech), directory(tmp_path / "noise", noise)


def test_items_depend_on_seed_epoch_and_index_alone(corpora):
    one, other = (Mixtures(*corpora, seconds=0.25, seed=s) for s in (0, 0))
    drawn = one[Draw(2, 1)]
    one[0], torch.rand(3), np.random.rand(3)
    again, later = other[Draw(2, 1)], other[Draw(2, 2)]
    assert np.array_equal(drawn["source"], again["source"])
    assert not np.array_equal(drawn["source"], later["source"])
    reseeded = Mixtures(*corpora, seconds=0.25, seed=1)[Draw(2, 1)]
    assert not np.array_equal(drawn["source"], reseeded["source"])


def test_a_mixture_has_the_shape_the_level_and_the_ratio_asked_for(corpora):
    plain = augment.Recipe(0, 0, 0, 0, 0, 0)
    mixtures = Mixtures(*corpora, seconds=0.25, snr=(6, 6), peak=(0.5, 0.5), recipe=plain)
    for index in range(4):
        item = mixtures[index]
        source, target = item["source"], item["target"]
        assert source.shape == target.shape == (1, 4000)
        assert source.dtype == target.dtype == np.float32
        assert max(abs(source).max(), abs(target).max()) == pytest.approx(0.5, rel=1e-5)
        ratio = 10 * np.log10(np.mean(target**2) / np.mean((source - target) ** 2))
        assert ratio == pytest.approx(6, abs=0.5)  # the whole of white noise is active


def test_mix_is_exact_over_active_speech():
    rng = np.random.default_rng(1)
    clean, noise = rng.standard_normal(16000), rng.standard_normal(16000)
    clean[8000:] = 0  # a pause does not count
    noisy = augment.mix(clean, noise, 10, RATE)
    added = noisy - clean
    ratio = 20 * np.log10(augment.active_level(clean, RATE) / np.sqrt(np.mean(added**2)))
    assert ratio == pytest.approx(10)
    assert augment.active_level(clean, RATE) == pytest.approx(clean[:8000].std(), rel=0.05)


def test_silence_mixes_without_a_nan():
    assert np.isfinite(augment.mix(np.zeros(800), np.ones(800), 0, RATE)).all()
    assert np.array_equal(augment.mix(np.ones(800), np.zeros(800), 0, RATE), np.ones(800))


@pytest.mark.parametrize("slope", [0, 3, 6])
def test_colored_noise_falls_by_its_slope(slope):
    wave = augment.colored(np.random.default_rng(0), 2**17, slope)
    power = np.abs(np.fft.rfft(wave)) ** 2
    low, high = power[2000:4000].mean(), power[16000:32000].mean()  # three octaves apart
    assert 10 * np.log10(low / high) == pytest.approx(3 * slope, abs=0.5)


def test_a_corpus_joins_recordings_of_one_speaker(tmp_path):
    waves = {"a1": ramp(100, 50), "a2": ramp(200, 50), "b1": ramp(500, 50)}
    corpus = Directory(directory(tmp_path, waves, utt2spk="a1 a\na2 a\nb1 b\n"), RATE)[0]
    for seed in range(20):
        drawn = corpus.draw(np.random.default_rng(seed), 120) * 1e6
        assert drawn.shape == (120,)
        assert (drawn < 300).all() or (drawn > 400).all()


def test_weights_and_durations_say_how_often(tmp_path):
    waves = {"a": np.full(100, 0.1), "b": np.full(100, 0.2), "c": np.full(300, 0.3)}
    corpus = Directory(directory(tmp_path, waves, utt2weight="a 4\n"), RATE)[0]
    rng = np.random.default_rng(0)
    drawn = [round(float(corpus.draw(rng, 10)[0]), 1) for _ in range(2000)]
    shares = [drawn.count(value) / 2000 for value in (0.1, 0.2, 0.3)]
    np.testing.assert_allclose(shares, [0.5, 0.125, 0.375], atol=0.04)


def test_what_utt2dur_says_is_believed_until_it_is_read(tmp_path):
    folder = directory(tmp_path, {"a": ramp(0, 1000)}, utt2dur="a 0.0625\n")
    (tmp_path / "wav.scp.d" / "a.wav").rename(tmp_path / "b.wav")
    corpus = Directory(folder, RATE)[0]
    assert corpus.frames.tolist() == [1000]
    with pytest.raises(ValueError, match=r"a.wav: can't be read as sound"):
        corpus.draw(np.random.default_rng(0), 10)
    write(tmp_path / "wav.scp.d", "a", ramp(0, 300))
    for seed in range(9):
        drawn = corpus.draw(np.random.default_rng(seed), 250) * 1e6
        assert np.allclose(
            np.diff(drawn), 1, atol=1e-3
        )  # a shorter one is cut where it has samples
    assert len(corpus.draw(np.random.default_rng(0), 2000)) == 2000


@pytest.mark.parametrize("suffix", ["flac", "ogg", "wav"])
def test_recordings_cut_short_are_named_not_waited_for(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(64000), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    corpus = Corpus([str(path)], np.array([64000]), ["a"], np.ones(1), RATE)
    drawn = 0
    for seed in range(5):
        try:
            drawn += len(corpus.draw(np.random.default_rng(seed), 9000))
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
    assert drawn % 9000 == 0


@pytest.mark.parametrize("name", ["utt2dur", "utt2weight"])
@pytest.mark.parametrize("text", ["long", "-1", "nan"])
def test_bad_numbers_are_named(tmp_path, name, text):
    folder = directory(tmp_path, {"a": ramp(0, 100)}, **{name: f"a {text}\n"})
    with pytest.raises(ValueError, match=rf"{name}: a: '{text}' is not a number from 0 up"):
        Directory(folder, RATE)


def test_weights_that_leave_nothing_are_refused(tmp_path):
    folder = directory(tmp_path, {"a": ramp(0, 100)}, utt2weight="a 0\n")
    with pytest.raises(ValueError, match="of no weight"):
        Directory(folder, RATE)


def test_a_drawn_recording_has_some_weight():
    corpus = Corpus(list("abcd"), np.full(4, 9), list("abcd"), np.array([0, 1, 0, 1]), RATE)
    corpus.read = lambda index, start, frames: np.full(frames, index)
    rng = np.random.default_rng(0)
    assert {int(corpus.draw(rng, 3)[0]) for _ in range(200)} == {1, 3}


def test_strings_are_what_they_were():
    strings = ["a", "", "noise/\N{SNOWMAN}.wav", "x" * 300]
    packed = Strings(strings)
    assert list(packed) == strings
    assert len(packed) == 4


@pytest.mark.parametrize("rate", [44100, 48000, 22050, 17640])
@pytest.mark.parametrize("encoding", ["PCM_16", "VORBIS"])
def test_a_slice_at_another_rate_is_that_of_the_whole(tmp_path, rate, encoding):
    rng = np.random.default_rng(0)
    wave = 0.1 * rng.standard_normal((2 * rate, 2))
    path = str(tmp_path / f"a.{'ogg' if encoding == 'VORBIS' else 'flac'}")
    soundfile.write(path, wave, rate, subtype=encoding)
    whole = audio.resample(soundfile.read(path, dtype="float32")[0].mean(1), rate, RATE)
    frames = length(path, RATE)
    assert frames == 2 * RATE
    for start, count in [(0, 1000), (1, 999), (7777, 4000), (frames - 500, 500), (frames - 9, 20)]:
        with opened(path, RATE) as sound:
            found = cut(sound, start, count, RATE)
        expected = whole[start : min(start + count, frames)]
        np.testing.assert_allclose(found, expected, atol=3e-6)


def test_pairs_cover_every_sample_half_overlapping(tmp_path):
    waves = {"u": ramp(0, 1000), "short": ramp(5000, 300)}
    folder = directory(tmp_path, waves)
    directory(tmp_path, {k: -v for k, v in waves.items()}, "spk1.scp")
    pairs = Pairs(folder, frames=400)
    starts = [
        round(float(item["source"][0, 0]) * 1e6) for item in (pairs[i] for i in range(len(pairs)))
    ]
    assert starts == [0, 200, 400, 600, 5000]
    for index in range(len(pairs)):
        assert np.array_equal(pairs[index]["source"], -pairs[index]["target"])
    assert np.array_equal(pairs[4]["source"][0, 300:], np.zeros(100))


def test_bad_lists_are_named(tmp_path):
    waves = {"u": ramp(0, 1000)}
    folder = directory(tmp_path, waves)
    directory(tmp_path, {"v": ramp(0, 1000)}, "spk1.scp")
    with pytest.raises(ValueError, match="disagree on 'u'"):
        Pairs(folder)
    directory(tmp_path, {"u": ramp(0, 999)}, "spk1.scp")
    with pytest.raises(ValueError, match=r"u.wav: 1000 samples.*has 999"):
        Pairs(folder)
    write(tmp_path / "wav.scp.d", "x", ramp(0, 100), rate=8000)
    (folder / "wav.scp").write_text(f"x {tmp_path / 'wav.scp.d' / 'x.wav'}\n")
    with pytest.raises(ValueError, match="8000 Hz; resample it to 16000"):
        Directory(folder, RATE)


def test_twins_with_utt2dur_are_compared_when_they_are_read(tmp_path):
    folder = directory(tmp_path, {"u": ramp(0, 1000)}, utt2dur="u 0.0625\n")
    directory(tmp_path, {"u": ramp(0, 999)}, "spk1.scp")
    pairs = Pairs(folder, frames=400)
    assert len(pairs) == 4
    with pytest.raises(ValueError, match=r"u.wav: 1000 samples.*has 999"):
        pairs[1]


def test_pairs_at_another_rate_are_resampled_alike(tmp_path):
    wave = 0.1 * np.random.default_rng(0).standard_normal(48000)
    for listing, scale in (("wav.scp", 1), ("spk1.scp", -1)):
        path = write(tmp_path / listing[:3], "u", scale * wave, rate=48000)
        (tmp_path / listing).write_text(f"u {path}\n")
    pairs = Pairs(tmp_path, frames=4000)
    whole = audio.resample(wave.astype(np.float32), 48000, RATE)
    assert len(pairs) == 7
    for index in (0, 3, 6):
        item = pairs[index]
        assert np.array_equal(item["source"], -item["target"])
        start = 2000 * index
        np.testing.assert_allclose(item["source"][0], whole[start : start + 4000], atol=3e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a\n", r"wav.scp:1: expected 'key value'"), ("a x\na y\n", ":2: 'a' stands")],
)
def test_bad_lines_are_named(tmp_path, text, message):
    (tmp_path / "wav.scp").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_map(tmp_path / "wav.scp")


def test_missing_lists_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"wav.scp: no such file"):
        Directory(tmp_path, RATE)
