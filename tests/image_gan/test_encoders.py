"""Text as codes, and what encoders make of it."""

import sys
import types

import numpy as np
import pytest
import torch
from torch.nn.functional import max_pool1d, relu

from gan import checkpoint
from image_gan import encoders
from image_gan.encoders import ALPHABET, GRU, BagOfWords, CharCNNRNN, MultiHot, SentenceEncoder
from image_gan.kinds import PAINTERS
from image_gan.text import LENGTH, batch_of, codes, texts, vocabulary, words

WORDS = ["red", "blue", "bird", "vögel", "青い"]


def test_texts_survive_as_codes():
    said = ["A red bird.", "vögel 青い 🐦", "x" * LENGTH]
    assert texts(batch_of(said)) == said


def test_codes_are_of_one_length_and_of_one_spelling():
    assert codes("a\n  b\t").tolist()[:4] == [97, 32, 98, 0]
    assert codes("y" * (LENGTH + 5)).shape == (LENGTH,)
    assert np.array_equal(codes("e\u0301"), codes("\u00e9"))


def test_words_of_captions():
    assert words("A dog's ball, tri-colored; 青い鳥 99.") == [
        *("a", "dog's", "ball", "tri", "colored", "青い鳥", "99"),
    ]


def test_a_vocabulary_begins_with_what_is_frequent():
    assert vocabulary(["b a b", "c b", "a"], most=2) == ["b", "a"]


def test_multi_hot_says_which_words_occur():
    hot = MultiHot(WORDS)(batch_of(["a red red bird", "BLUE", "nothing", "青い"]))
    assert hot.tolist() == [[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0] * 5, [0, 0, 0, 0, 1]]


def test_a_bag_is_the_mean_of_its_words():
    encoder = BagOfWords(WORDS, size=4)
    found = encoder(batch_of(["a blue bird", "bird blue bird", "nothing"]))
    blue, bird = encoder.vectors.weight[2], encoder.vectors.weight[3]
    torch.testing.assert_close(found[0], (blue + bird) / 2)
    torch.testing.assert_close(found[1], (blue + 2 * bird) / 3)
    assert not found[2].any()


def test_a_gru_reads_each_text_as_if_it_were_alone():
    torch.manual_seed(0)
    encoder = GRU(WORDS, size=4, channels=3).eval()
    said = ["red", "blue bird red", "bird vögel", "nothing"]
    found = encoder(batch_of(said))
    for row, text in zip(found, said, strict=True):
        torch.testing.assert_close(row, encoder(batch_of([text]))[0])
    states, _ = encoder.states(encoder.vectors(torch.tensor([[2, 3, 1]])))
    torch.testing.assert_close(found[1], encoder.embed(states.mean(dim=1))[0])
    assert not torch.allclose(*encoder(batch_of(["red blue", "blue red"])))  # order counts


def test_the_alphabet_is_that_of_the_paper():
    assert len(ALPHABET) == 70


def test_the_char_cnn_rnn_step_by_step():
    torch.manual_seed(0)
    encoder = CharCNNRNN(size=5, channels=6).eval()
    text = "A small Bird, blue!"
    hot = torch.zeros(1, 70, 201)
    for place, letter in enumerate(text.lower()):
        for number, own in enumerate(ALPHABET):
            hot[0, number, place] = float(own == letter)
    x = hot
    for number, stride in ((0, 3), (3, 3), (6, 2)):
        x = max_pool1d(relu(encoder.convolutions[number](x)), 3, stride)
    assert x.shape == (1, 6, 8)
    state, total = torch.zeros(1, 6), 0
    for step in range(8):
        before = encoder.go_on(state) if step else 0  # the first has not even its bias
        state = relu(encoder.enter(x[:, :, step]) + before)
        total = total + state
    wanted = encoder.embed[1](total / 8)
    torch.testing.assert_close(encoder(batch_of([text])), wanted)


def test_as_many_weights_as_in_the_paper():
    with torch.device("meta"):
        encoder = CharCNNRNN()
    convolutions = (4 * 70 + 1) * 384 + (4 * 384 + 1) * 512 + (4 * 512 + 1) * 512
    wanted = convolutions + 2 * 513 * 512 + 513 * 1024
    assert sum(p.numel() for p in encoder.parameters()) == wanted == 2_994_560


def test_only_the_first_201_characters_count():
    torch.manual_seed(0)
    encoder = CharCNNRNN(size=2, channels=8).eval()
    one, other, third = "a" * 201 + "b", "a" * 201 + "c", "a" * 150 + "c" * 51
    found = encoder(batch_of([one, other, third]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    ("encoder", "keywords"),
    [
        (MultiHot(WORDS), {"vocabulary": WORDS}),
        (BagOfWords(WORDS, 3), {"vocabulary": WORDS, "size": 3}),
        (GRU(WORDS, 3, 2), {"vocabulary": WORDS, "size": 3, "channels": 2}),
        (CharCNNRNN(3, 2), {"size": 3, "channels": 2}),
    ],
    ids=lambda x: type(x).__name__,
)
def test_an_encoder_travels_in_a_file(tmp_path, encoder, keywords):
    kind = f"{type(encoder).__module__}.{type(encoder).__name__}"
    checkpoint.export(tmp_path / "e.safetensors", encoder, {"_target_": kind, **keywords})
    loaded = checkpoint.load_network(tmp_path / "e.safetensors", PAINTERS)
    said = batch_of(["a red bird", "青い vögel"])
    assert torch.equal(loaded(said), encoder.eval()(said))
    assert loaded.size == encoder(said).shape[1]


def test_unknown_words_are_named():
    encoder = MultiHot(WORDS)
    assert encoders.check("red bird", encoder) is None
    assert encoders.check("a red dragon, a dragon", encoder).endswith("'a', 'dragon'")
    with pytest.raises(ValueError, match="knows nothing of it; it knows 5 words: red, blue"):
        encoders.check("dragon", encoder)
    with pytest.raises(ValueError, match="empty text"):
        encoders.check(" \n", encoder)


def test_unknown_characters_are_named():
    encoder = CharCNNRNN(size=2, channels=2)
    assert encoders.check("Grün!", encoder).endswith("'ü'")
    with pytest.raises(ValueError, match="knows nothing of it; it knows the characters abc"):
        encoders.check("青い 鳥", encoder)


def test_a_vocabulary_has_words_once():
    for wrong in ([], ["a", "a"]):
        with pytest.raises(ValueError, match="words are needed, each once"):
            MultiHot(wrong)


class Model:
    """What the library gives: embeddings that tell how long a text is."""

    def __init__(self, name, device, trust_remote_code, local_files_only):
        if name == "missing":
            raise RuntimeError("no such model\nand a traceback")
        assert local_files_only
        assert not trust_remote_code

    def encode(self, said, convert_to_tensor):
        return torch.tensor([[len(text), 1.0] for text in said])


def test_a_sentence_model_is_loaded_when_it_is_used(monkeypatch):
    library = types.ModuleType("sentence_transformers")
    library.SentenceTransformer = Model
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    encoder = SentenceEncoder("some-model", size=2)
    assert encoder(batch_of(["red", "a bird"])).tolist() == [[3, 1], [6, 1]]
    assert not encoder.state_dict()
    with pytest.raises(ValueError, match="embeddings of 2, not 384"):
        SentenceEncoder("some-model")(batch_of(["red"]))
    with pytest.raises(
        OSError, match=r"missing: can't be loaded \(no such model\); fetch it first"
    ):
        SentenceEncoder("missing")(batch_of(["red"]))


def test_a_sentence_model_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(OSError, match="pip install 'segan\\[text\\]'"):
        SentenceEncoder("some-model")(batch_of(["red"]))
