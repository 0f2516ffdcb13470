"""What the recipe of the embedded weights does to networks and recordings."""

import numpy as np
import pytest
import soundfile
import torch

from gan.checkpoint import export, load_network
from segan.generator import KINDS, BandGenerator
from segan.kaldi import read_map

TINY = {"channels": 8, "narrow": 2, "hidden": 6, "dilations": [1, 2]}


@pytest.fixture
def grown(script):
    return script("default/local/grow.py").grown


@pytest.fixture
def small():
    """A network that changes what it is given."""
    torch.manual_seed(0)
    network = BandGenerator(**TINY)
    for parameter in network.leave.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


def test_a_wider_and_deeper_network_begins_as_the_one_it_grew_from(grown, small):
    large = grown(small, {**TINY, "channels": 16, "narrow": 4, "dilations": [1, 2, 1]})
    wave = torch.randn(2, 1, 4000)
    with torch.no_grad():
        torch.testing.assert_close(large(wave), small(wave), atol=1e-5, rtol=0)
        assert (small(wave) - wave).abs().max() > 0.1
    copies = large.blocks[0].mix.weight.detach()[:8].split(8, dim=1)
    assert not torch.allclose(*copies)  # or they would learn the same for ever


def test_a_causal_network_begins_with_what_does_not_lie_ahead(grown, small):
    causal = grown(small, {**TINY, "causal": True})
    taps = causal.blocks[0].mix.weight, small.blocks[0].mix.weight
    torch.testing.assert_close(taps[0][:, :, 1:], taps[1][:, :, :2])
    assert not taps[0][:, :, 0].any()
    torch.testing.assert_close(causal.blocks[1].mix.weight, small.blocks[1].mix.weight)


def test_a_network_between_two_has_its_share_of_both(script, small, tmp_path, monkeypatch):
    config = {"_target_": "segan.generator.BandGenerator", **TINY}
    other = BandGenerator(**TINY)
    for name, network in (("a", small), ("b", other)):
        export(tmp_path / f"{name}.safetensors", network, config)
    words = [str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors"), "0.25"]
    monkeypatch.setattr("sys.argv", ["average.py", *words, str(tmp_path / "c"), "shifts=2"])
    script("default/local/average.py").main()
    between = load_network(tmp_path / "c", KINDS)
    assert between.shifts == 2
    for name, weight in between.state_dict().items():
        expected = 0.75 * small.state_dict()[name] + 0.25 * other.state_dict()[name]
        torch.testing.assert_close(weight, expected)


@pytest.fixture
def prepared(script, tmp_path, monkeypatch):
    """Return a function that writes noises, prepares their folder and returns the maps."""
    prepare = script("default/local/prepare.py")

    def run(*names, kind="speech"):
        sound = np.random.default_rng(0).standard_normal(16000) * np.geomspace(1e-3, 0.1, 16000)
        for name in names:
            path = tmp_path / "from" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, sound, 16000)
        weights = tmp_path / "weights.tsv"
        weights.write_text("x\t3\n", encoding="utf-8")
        words = [kind, tmp_path / "from", tmp_path / "to", "--weights", weights]
        monkeypatch.setattr("sys.argv", ["prepare.py", *map(str, words)])
        prepare.main()
        files = ("wav.scp", "utt2spk", "utt2weight")
        return [read_map(tmp_path / "to" / file) for file in files]

    return run


def test_a_folder_for_each_corpus_becomes_a_data_directory(prepared):
    sounds, speakers, weights = prepared("x/p1_1.wav", "x/p10_1 (a).flac", "my corpus/p1_1.wav")
    assert speakers == {
        "x-p1_p1_1": "x-p1",
        "x-p10_p10_1_(a)": "x-p10",
        "my_corpus-p1_p1_1": "my_corpus-p1",
    }
    assert weights == {"x-p1_p1_1": "3", "x-p10_p10_1_(a)": "3", "my_corpus-p1_p1_1": "1"}
    assert set(sounds) == set(speakers)
    assert {soundfile.info(path).subtype for path in sounds.values()} == {"PCM_16"}


def test_folders_of_one_name_are_told_apart(prepared):
    sounds, speakers, weights = prepared("a/x/p1_1.wav", "b/x/p1_1.wav")
    assert speakers == {"a_x-p1_p1_1": "a_x-p1", "b_x-p1_p1_1": "b_x-p1"}
    assert len(set(sounds.values())) == 2 and set(weights.values()) == {"3"}


def test_what_cannot_be_used_is_named_and_passed_over(prepared, tmp_path, capsys):
    (tmp_path / "from/x").mkdir(parents=True)
    for name in ("broken.wav", "._p1_1.wav"):
        (tmp_path / "from/x" / name).write_bytes(b"no sound")
    sounds, *_ = prepared("x/p1_1.flac", "x/p1_1.wav", kind="noise")
    assert set(sounds) == {"x_p1_1"}
    broken, double = sorted(line for line in capsys.readouterr().err.split("\n") if "prep" in line)
    assert "x/broken.wav: " in broken
    assert "p1_1.wav: its id would be 'x_p1_1', as that of " in double


def test_nothing_that_can_be_used_is_an_error(prepared, tmp_path, capsys):
    (tmp_path / "from").mkdir()
    (tmp_path / "from/x.wav").write_bytes(b"no sound")
    with pytest.raises(SystemExit, match="2"):
        prepared()
    assert "from: no recording in it can be used" in capsys.readouterr().err
    assert not (tmp_path / "to/wav.scp").exists()
