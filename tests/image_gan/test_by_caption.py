"""Scores of pictures made from text, by the program and against formulas written out by hand."""

import json
from itertools import combinations

import numpy as np
import pytest
import torch

from gan.checkpoint import export
from image_gan import by_caption, evaluate, images, metrics, scoring
from image_gan.attributes import AttributeClassifier
from image_gan.classifier import Classifier
from image_gan.encoders import BagOfWords
from image_gan.text import batch_of

pytest.importorskip("torchmetrics")

ATTRIBUTES = {"hair": ["blue", "red"], "eyes": ["green", "grey", "pink"]}
WORDS = ["blue", "red", "green", "grey", "pink", "hair", "eyes"]
LINES = [  # what is asked for with pictures 0 to 5
    ("blue", "green"),
    ("blue", "green"),
    ("red", "pink"),
    ("red", "pink"),
    ("red", "pink"),
    ("red", "grey"),
]


def picture(seed, size=(8, 8), channels=3):
    return np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype=np.uint8)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, images.from_array(values))


def line(name, hair, eyes):
    attributes = {"hair": hair, "eyes": eyes}
    return {"image": name, "captions": [f"{hair} hair {eyes} eyes"], "attributes": attributes}


def write_lines(path, lines):
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")


@pytest.fixture
def corpus(tmp_path):
    """Six pictures of three captions."""
    for seed in range(len(LINES)):
        save(tmp_path / f"generated/{seed}.png", picture(seed))
    lines = [line(f"{i}.png", *said) for i, said in enumerate(LINES)]
    write_lines(tmp_path / "generated/captions.jsonl", lines)
    return tmp_path


def exported(corpus, kind, name, change=None, **keywords):
    """Write a network, drawn by a seed and then changed, as gan-train would."""
    torch.manual_seed(0)
    built = kind(**keywords).eval()
    with torch.no_grad():
        if change:
            change(built)
    export(corpus / name, built, {"_target_": f"{kind.__module__}.{kind.__name__}", **keywords})
    return built


def classifier(corpus, change=None):
    keywords = {"attributes": ATTRIBUTES, "channels": 4}
    return exported(corpus, AttributeClassifier, "A.safetensors", change, **keywords)


def embedding(corpus, change=None, size=8, words=WORDS):
    encoder = exported(
        corpus, BagOfWords, "E.safetensors", change, vocabulary=list(words), size=size
    )
    return encoder, exported(corpus, Classifier, "P.safetensors", classes=8, channels=4)


EMBEDDING = ("--encoder", "E.safetensors", "--pictures", "P.safetensors")


def run(corpus, *more, generated="generated", metrics=None):
    """Return the exit code of the program; arguments that are no option are paths in the corpus."""
    arguments = [one if one[0] == "-" else str(corpus / one) for one in more]
    arguments += ["-m", metrics] if metrics else []
    arguments += ["-o", str(corpus / "scores"), "-f", "--device", "cpu"]
    return evaluate.main([str(corpus / generated), *arguments])


def summary(corpus):
    return json.loads((corpus / "scores/summary.json").read_text(encoding="utf-8"))


def found(corpus):
    return summary(corpus)["metrics"]


def column(corpus, name):
    head, *rows = (corpus / "scores/scores.tsv").read_text(encoding="utf-8").splitlines()
    place = head.split("\t").index(name)
    return [float(row.split("\t")[place]) for row in rows]


def batch(count=6, first=0):
    arrays = np.stack([picture(first + seed) for seed in range(count)])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 127.5 - 1


# Attributes


def always_red_and_pink(built):
    built.network.classify.weight.zero_()
    built.network.classify.bias.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0]))


def test_attributes_are_right_where_what_was_asked_for_is_seen(corpus, capsys):
    classifier(corpus, always_red_and_pink)
    assert run(corpus, "--attributes", "A.safetensors") == 0
    assert column(corpus, "attribute_accuracy") == [0, 0, 1, 1, 1, 0.5]
    assert column(corpus, "all_attributes") == [0, 0, 1, 1, 1, 0]
    mean, whole = (found(corpus)[name] for name in ("attribute_accuracy", "all_attributes"))
    assert mean["value"] == pytest.approx(3.5 / 6) and whole["value"] == pytest.approx(3 / 6)
    assert mean["chance"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert whole["chance"] == pytest.approx(1 / 6)
    assert mean["parts"] == {
        "hair": {"value": pytest.approx(4 / 6), "chance": pytest.approx(1 / 2)},
        "eyes": {"value": pytest.approx(3 / 6), "chance": pytest.approx(1 / 3)},
    }
    said = capsys.readouterr().out
    assert "hair 0.6667 by chance 0.5000" in " ".join(said.split())
    assert "neither resized nor cropped" in mean["protocol"] and "hair 1/2" in mean["protocol"]


def test_every_number_has_its_protocol_beside_it(corpus, capsys):
    classifier(corpus)
    embedding(corpus)
    assert run(corpus, "--attributes", "A.safetensors", *EMBEDDING) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert list(found(corpus)) == [
        *("attribute_accuracy", "all_attributes", "caption_precision", "diversity")
    ]
    for entry in found(corpus).values():
        assert entry["protocol"] in said and "{" not in entry["protocol"]


# R-precision


def test_r_precision_is_how_often_the_own_caption_is_the_nearest(corpus):
    encoder, pictures = embedding(corpus)
    assert run(corpus, *EMBEDDING) == 0
    captions = [" ".join((hair, "hair", eyes, "eyes")) for hair, eyes in LINES]
    pool = sorted(set(captions))
    with torch.no_grad():
        scores = pictures(batch()).numpy() @ encoder(batch_of(pool)).numpy().T
    nearest = [pool[i] for i in scores.argmax(axis=1)]
    own = [float(one == other) for one, other in zip(nearest, captions, strict=True)]
    assert column(corpus, "caption_precision") == own
    entry = found(corpus)["caption_precision"]
    assert entry["chance"] == pytest.approx(1 / 3) and "among 3; by chance" in entry["protocol"]


def test_an_encoder_that_tells_no_captions_apart_gives_chance(corpus):
    embedding(corpus, lambda built: built.vectors.weight.fill_(0.5))
    assert run(corpus, *EMBEDDING) == 0
    assert found(corpus)["caption_precision"]["value"] == pytest.approx(1 / 3)


def test_99_rivals_are_drawn_that_are_no_caption_of_the_picture():
    pool = sorted(f"caption {i}" for i in range(150))
    own = ["caption 7", "caption 8", "said of no other picture"]
    drawn = by_caption.against(own, pool).tolist()
    assert pool[drawn[0]] == "caption 7" and len(set(drawn)) == 100
    assert not {"caption 8", "caption 7"} & {pool[i] for i in drawn[1:]}
    assert drawn == by_caption.against(own, pool).tolist()
    assert drawn[1:] != by_caption.against(["caption 9"], pool).tolist()[1:]
    few = by_caption.against(["caption 1"], sorted(["caption 0", "caption 1", "caption 2"]))
    assert few.tolist() == [1, 0, 2]


def test_chance_is_one_in_a_hundred_where_there_are_as_many_captions(corpus):
    words = [f"w{i}" for i in range(120)]
    embedding(corpus, words=words)
    for i, word in enumerate(words):
        save(corpus / f"many/{i}.png", picture(i, (4, 4)))
        words[i] = {"image": f"{i}.png", "captions": [word, "w0 w1"]}
    write_lines(corpus / "many/captions.jsonl", words)
    assert run(corpus, *EMBEDDING, generated="many", metrics="caption_precision") == 0
    entry = found(corpus)["caption_precision"]
    assert entry["chance"] == pytest.approx(0.01) and "among 100; by" in entry["protocol"]


# Diversity


def by_pairs(arrays):
    return np.mean([np.abs(a - b).mean() for a, b in combinations(arrays, 2)]) / 255


def test_diversity_is_the_mean_distance_of_pictures_of_one_caption(corpus):
    assert run(corpus) == 0
    groups = [[picture(i).astype(float) for i in numbers] for numbers in ((0, 1), (2, 3, 4))]
    entry = found(corpus)["diversity"]
    assert entry["value"] == pytest.approx(np.mean([by_pairs(one) for one in groups]))
    assert entry["n"] == 5 and "chance" not in entry


def test_spread_is_the_mean_over_all_pairs():
    arrays = np.random.default_rng(0).integers(0, 256, (7, 3, 4, 5), dtype=np.uint8)
    expected = 255 * by_pairs(arrays.astype(float))
    assert metrics.spread(torch.from_numpy(arrays)) == pytest.approx(expected)
    assert metrics.spread(torch.from_numpy(arrays[:1]).expand(4, -1, -1, -1)) == 0


def test_pictures_that_differ_in_size_have_no_diversity_and_grey_ones_do(corpus, capsys):
    save(corpus / "generated/0.png", picture(0, (8, 9)))
    save(corpus / "generated/2.png", picture(2, channels=1))
    assert run(corpus) == 0
    entry = found(corpus)["diversity"]
    assert entry["n"] == 3
    assert entry["undefined"] == {"blue hair green eyes": "its pictures differ in size"}
    arrays = [np.repeat(picture(2, channels=1), 3, axis=2), picture(3), picture(4)]
    assert entry["value"] == pytest.approx(by_pairs([one.astype(float) for one in arrays]))


def test_without_two_pictures_of_a_caption_there_is_no_diversity(corpus, capsys):
    lines = [{"image": f"{i}.png", "captions": [f"number {i}"]} for i in range(len(LINES))]
    write_lines(corpus / "generated/captions.jsonl", lines)
    assert run(corpus) == 0
    entry = found(corpus)["diversity"]
    assert entry["value"] is None and entry["undefined"] == {"all": "no caption has two pictures"}
    assert "nan" not in capsys.readouterr().out


# Inception score, FID and KID of such classifiers


def score_by_hand(p):
    """Return equation exp(E KL(p(y|x) || p(y))) of Salimans et al. 2016."""
    return np.exp(np.mean((p * (np.log(p) - np.log(p.mean(axis=0)))).sum(axis=1)))


def softmax(logits):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("count", [30, 250])
def test_the_inception_score_is_the_mean_of_its_parts(count):
    logits = np.random.default_rng(count).normal(0, 2, (count, 5))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).numpy()
    parts = np.array_split(softmax(logits)[order], metrics.splits(count))
    expected = np.mean([score_by_hand(part) for part in parts])
    assert metrics.inception_score(torch.from_numpy(logits)) == pytest.approx(expected)


def test_the_inception_score_lies_between_1_and_the_number_of_classes():
    sure = 1000 * torch.eye(6).repeat(3, 1)
    assert metrics.inception_score(sure) == pytest.approx(6)
    assert metrics.inception_score(sure[:1].expand(18, -1)) == pytest.approx(1)


def test_attributes_are_scored_together_and_their_features_are_features(corpus, capsys):
    for seed in range(4):
        save(corpus / f"real/{seed}.png", picture(50 + seed))
    network = classifier(corpus, lambda built: built.network.classify.weight.mul_(2000))
    assert run(corpus, "--features", "A.safetensors", "--real", "real") == 0
    assert {"inception_score", "fid", "kid", "diversity"} == set(found(corpus))
    with torch.no_grad():
        hair, eyes = (softmax(x.numpy()) for x in network(batch()).double().split([2, 3], dim=1))
        sets = network.features(batch(4, 50)), network.features(batch())
    joint = (hair[:, :, None] * eyes[:, None]).reshape(len(LINES), 6)
    entries = found(corpus)
    assert entries["inception_score"]["value"] == pytest.approx(score_by_hand(joint), rel=1e-4)
    assert entries["inception_score"]["value"] > 1.01
    assert entries["fid"]["value"] == pytest.approx(metrics.frechet_distance(*sets), rel=1e-4)
    said = capsys.readouterr()
    assert "IS of few pictures (6)" in said.err and "IS of A.safetensors" in said.out


def test_inception_is_asked_for_its_logits(corpus, monkeypatch):
    pytest.importorskip("torch_fidelity")

    class Colors:
        def __init__(self, weights, device):
            assert weights == corpus / "weights.pth"

        def both(self, picture):
            return picture.mean(dim=(1, 2)), 50 * picture.mean(dim=(1, 2))

    monkeypatch.setattr(scoring, "Inception", Colors)
    assert run(corpus, "--inception-weights", "weights.pth", metrics="inception_score") == 0
    means = np.stack([picture(i).mean(axis=(0, 1)) / 255 for i in range(6)])
    entry = found(corpus)["inception_score"]
    assert entry["value"] == pytest.approx(score_by_hand(softmax(50 * means)), rel=1e-4)
    assert "1008 classes, without biases, of InceptionV3" in entry["protocol"]


def test_any_pictures_have_an_inception_score_where_it_is_asked_for(corpus, capsys):
    embedding(corpus)
    (corpus / "generated/captions.jsonl").unlink()
    assert run(corpus, "--features", "P.safetensors") == 2
    assert "nothing to score by" in capsys.readouterr().err
    assert run(corpus, "--features", "P.safetensors", metrics="inception_score") == 0
    assert "6 pictures, at once" in found(corpus)["inception_score"]["protocol"]


# Which pictures


def test_real_pictures_are_scored_where_their_captions_list_them(corpus):
    classifier(corpus, always_red_and_pink)
    lines = [line(f"../generated/{i}.png", *said) for i, said in enumerate(LINES[:3])]
    (corpus / "test").mkdir()
    write_lines(corpus / "test/captions.jsonl", lines)
    arguments = "--attributes", "A.safetensors"
    assert run(corpus, *arguments, generated="test/captions.jsonl") == 0
    assert column(corpus, "all_attributes") == [0, 0, 1]


def test_captions_may_lie_elsewhere(corpus):
    (corpus / "generated/captions.jsonl").unlink()
    lines = [line(f"generated/{i}.png", *said) for i, said in enumerate(LINES)]
    write_lines(corpus / "said.jsonl", lines)
    assert run(corpus, "--captions", "said.jsonl") == 0
    assert found(corpus)["diversity"]["n"] == 5


def test_a_broken_picture_is_named_and_the_others_are_scored(corpus, capsys):
    classifier(corpus, always_red_and_pink)
    embedding(corpus)
    (corpus / "generated/2.png").write_bytes(b"\x89PNG nothing more")
    assert run(corpus, "--attributes", "A.safetensors", *EMBEDDING) == 2
    said = capsys.readouterr()
    assert "not scored:" in said.err and "2.png" in said.err
    assert list(summary(corpus)["not_scored"]) == ["2"]
    entries = found(corpus)
    assert {entries[n]["n"] for n in ("attribute_accuracy", "caption_precision")} == {5}
    assert entries["diversity"]["n"] == 4
    assert entries["attribute_accuracy"]["parts"]["hair"]["value"] == pytest.approx(3 / 5)


def test_where_nothing_can_be_read_there_is_no_score(corpus, capsys):
    classifier(corpus)
    for path in (corpus / "generated").glob("*.png"):
        path.write_bytes(b"no picture")
    assert run(corpus, "--attributes", "A.safetensors", "--features", "A.safetensors") == 2
    assert {entry["value"] for entry in found(corpus).values()} == {None}
    assert "nan" not in capsys.readouterr().out


# What is refused


def change_lines(change):
    def harm(corpus):
        path = corpus / "generated/captions.jsonl"
        lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
        write_lines(path, change(lines))

    return harm


def put(name, content):
    return lambda corpus: (corpus / name).write_bytes(content)


def remove(name):
    return lambda corpus: (corpus / name).unlink()


LISTED = "generated/captions.jsonl"
ATTRIBUTED = ("--attributes", "A.safetensors")


@pytest.mark.parametrize(
    "harm, options, message",
    [
        (remove(LISTED), ATTRIBUTED, "needs --captions (GENERATED has no captions.jsonl)"),
        (remove(LISTED), ("--captions", "no.jsonl"), "no.jsonl: no such file"),
        (put(LISTED, b"\xff\xfe\x00"), (), "captions.jsonl: "),
        (put(LISTED, b"{"), (), "captions.jsonl: line 1: is no JSON"),
        (put(LISTED, b""), (), "captions.jsonl: lists no pictures"),
        (remove("generated/3.png"), (), "3.png is not there; take the line out"),
        (change_lines(lambda x: x[1:]), (), "0.png: no line in "),
        (change_lines(lambda x: [*x, x[0]]), (), "0.png has two lines"),
        (change_lines(lambda x: [*x, {**x[0], "image": "../A.safetensors"}]), (), "isn't among"),
        (
            change_lines(lambda x: [{**x[0], "attributes": {"hair": "red"}}, *x[1:]]),
            ATTRIBUTED,
            "0.png: was asked for with eyes not told",
        ),
        (
            change_lines(lambda x: [{**x[0], "attributes": {"hair": "teal"}}, *x[1:]]),
            ("--attributes", "H.safetensors"),
            "with hair teal, and",
        ),
        (None, ("--attributes", "P.safetensors"), "a Classifier, where a AttributeClassifier"),
        (None, ("--attributes", "no.safetensors"), "no.safetensors: no such file"),
        (None, EMBEDDING[:2], "caption_precision needs --pictures"),
        (None, ("--encoder", "P.safetensors", *EMBEDDING[2:]), "where a text encoder is due"),
        (None, (*EMBEDDING[:2], "--pictures", "A.safetensors"), "where a Classifier is due"),
        (None, (*EMBEDDING[:2], "--pictures", "small.safetensors"), "give both of one training"),
        (
            change_lines(lambda x: [{**x[0], "captions": ["zzz"]}, *x[1:]]),
            EMBEDDING,
            "E.safetensors: 'zzz': the model knows nothing of it",
        ),
        (
            change_lines(lambda x: [{**one, "captions": ["red"]} for one in x]),
            EMBEDDING,
            "all pictures have one caption",
        ),
        (None, ("--features", "many.safetensors"), "combinations of values are too many"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(corpus, capsys, harm, options, message):
    classifier(corpus)
    embedding(corpus)
    exported(corpus, Classifier, "small.safetensors", classes=4, channels=4)
    hair = {"attributes": {"hair": ["blue", "red"]}, "channels": 4}
    exported(corpus, AttributeClassifier, "H.safetensors", **hair)
    many = {"attributes": {f"a{i}": ["no", "yes"] for i in range(14)}, "channels": 4}
    exported(corpus, AttributeClassifier, "many.safetensors", **many)
    if harm:
        harm(corpus)
    assert run(corpus, *options) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1
    assert not (corpus / "scores").exists()


def test_several_faults_are_listed(corpus, capsys):
    change_lines(lambda lines: lines[2:])(corpus)
    assert run(corpus) == 2
    err = capsys.readouterr().err
    assert "captions and pictures differ, nothing scored:" in err
    assert "0.png" in err and "1.png" in err
