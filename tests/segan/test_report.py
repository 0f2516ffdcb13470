"""The program: what stands on the page and in the table, and what is refused."""

import base64
import io
import itertools
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import soundfile

from gan.outputs import Refusal
from segan import evaluate
from segan.report import cli, examples, scores

RATE = 16000
ROOT = Path(__file__).parents[2]
ODD = "p2_<b>&\"x'$y$é語"  # an utterance that wants escaping
UTTERANCES = ("p1_a", "p1_b", "p1_c", "p1_d", "p2_e", "p2_f", "p2_g", ODD)
METRICS = ("pesq", "stoi", "csig", "si_sdr", "llr")


def sound(seconds=0.3, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE))


def save(path, wave, subtype="PCM_16"):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, RATE, subtype=subtype)
    return path


def write_map(path, table):
    lines = [f"{key} {value}\n" for key, value in table.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")


def write_data(folder, utterances=UTTERANCES, conditions=True):
    """Write a test set, its files named by number so that any system can hold them."""
    files = {
        name: {
            u: save(folder / f"wav/{name}{i}.wav", sound(seed=i)) for i, u in enumerate(utterances)
        }
        for name in ("noisy", "clean")
    }
    write_map(folder / "wav.scp", files["noisy"])
    write_map(folder / "spk1.scp", files["clean"])
    write_map(folder / "utt2spk", {u: u[:2] for u in utterances})
    if conditions:
        numbered = list(enumerate(utterances))
        write_map(folder / "utt2snr", {u: [2.5, 7.5][i % 2] for i, u in numbered})
        write_map(folder / "utt2noise", {u: ["bus", "<cafe> $x$"][i // 4] for i, u in numbered})
    return folder


def scores_of(seed, utterances=UTTERANCES):
    """Return scores that rise with ``seed``, the odd utterance's PESQ most."""
    rng = np.random.default_rng(seed)
    rows = {u: dict(zip(METRICS, rng.uniform(1, 2, 5) + seed / 4, strict=True)) for u in utterances}
    if ODD in rows:
        rows[ODD]["pesq"] += seed
    return rows


def write_system(folder, scores, failures=(), command=("segan-evaluate", "data", "enhanced")):
    """Write what segan-evaluate would write of these scores, by its own functions."""
    results = [
        evaluate.Result(evaluate.Pair("enhanced", u, Path(), Path()), own, {}, [])
        for u, own in scores.items()
    ]
    results += [
        evaluate.failed(evaluate.Pair("enhanced", u, Path(), Path()), "it is broken")
        for u in failures
    ]
    texts = [evaluate.tsv(results, METRICS), evaluate.summary(results, METRICS, list(command))]
    evaluate.write(folder / "scores", dict(zip(evaluate.OUTPUTS, texts, strict=True)))
    return folder


def write_training(folder):
    reports = [
        {"step": 10 * i, "kind": "train", "generator/l1": 1 / i, "seconds": i} for i in range(1, 99)
    ]
    reports += [{"step": 990, "kind": "validation", "pesq": 2.5}]
    text = "".join(json.dumps(report) + "\n" for report in reports)
    (folder / "log.jsonl").write_text(text + '{"step": 9', encoding="utf-8")
    (folder / "config.yaml").write_text("name: <segan>\n", encoding="utf-8")
    (folder / "versions.json").write_text('{"torch": "2.0 (built by x)"}', encoding="utf-8")


def build(root):
    """Write a test set and three systems: noisy, wiener without sound, segan with everything."""
    write_data(root / "data/test")
    for seed, name in enumerate(("noisy", "wiener", "segan")):
        write_system(root / f"exp/{name}", scores_of(seed))
    for i, u in enumerate(UTTERANCES[:-1]):
        save(root / f"exp/segan/enhanced/{u}.flac", sound(seed=100 + i))
        (root / f"exp/segan/enhanced/{u}.txt").write_text("no sound", encoding="utf-8")
    for name in ("wiener", "segan"):  # alike, so that their pictures could share ids
        write_training(root / f"exp/{name}")
    quoted = (
        "system\tpesq\tsi_sdr\tsource\nSEGAN <x>\t.92\t\tA et al., https://example.org/a?b=1&c.\n"
    )
    (root / "quoted.tsv").write_text(quoted, encoding="utf-8")
    return root


@pytest.fixture
def root(tmp_path):
    return build(tmp_path)


def run(root, *more, systems=("noisy", "wiener", "segan"), data="data/test"):
    """Return the exit code of the program on the systems."""
    folders = [root / "exp" / name for name in systems]
    return cli.main([str(word) for word in [*folders, "--data", root / data, *more]])


def quick(root, *more, **options):
    """Run without examples."""
    return run(root, "--examples", 0, *more, **options)


VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """A page as its texts by tag, its tables as rows of cells, and its elements' attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.tables, self.texts = [], [], [], {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in VOID:
            return
        self.open.append(tag)
        self.texts.setdefault(tag, []).append("")
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} closes what is not open"

    def handle_data(self, data):
        for tag in set(self.open):
            self.texts[tag][-1] += data
        if {"td", "th"} & set(self.open):
            mark = "*" if "strong" in self.open else ""
            self.tables[-1][-1][-1] += mark + data.strip() + mark + " " if data.strip() else ""

    def all(self, tag, attribute):
        return [
            found[attribute] for name, found in self.elements if name == tag and attribute in found
        ]


def page(root):
    return Page((root / "exp/report.html").read_text(encoding="utf-8"))


def results(root):
    return (root / "exp/RESULTS.md").read_text(encoding="utf-8")


def decoded(uri, kind):
    head, _, content = uri.partition(",")
    assert head == f"data:{kind};base64"
    return base64.b64decode(content, validate=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """One whole report, which many tests look at."""
    root = build(tmp_path_factory.mktemp("report"))
    assert run(root, "--quoted", root / "quoted.tsv", "--title", "A <title> & more") == 0
    return root, page(root)


# The page


def test_the_page_is_whole_html_and_fetches_nothing(report):
    _, shown = report
    assert shown.open == []
    assert shown.texts["title"] == shown.texts["h1"] == ["A <title> & more"]
    addresses = [
        value
        for _, attributes in shown.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "poster", "data")
    ]
    outside = [a for a in addresses if not a.startswith(("data:", "#"))]
    assert outside == ["https://example.org/a?b=1&c"]
    style = "".join(shown.texts["style"])
    assert "@import" not in style and "url(http" not in style
    assert "link" not in dict(shown.elements)


def test_enhanced_sound_is_also_found_by_a_wav_scp(tmp_path):
    (tmp_path / "wav").mkdir()
    (tmp_path / "stale.wav").touch()
    (tmp_path / "wav.scp").write_text(f"a/1 {tmp_path}/wav/a%2F1.wav\n", encoding="utf-8")
    assert scores.audio_files(tmp_path) == {"a/1": tmp_path / "wav/a%2F1.wav"}
    (tmp_path / "wav.scp").write_text("a/1\n", encoding="utf-8")
    with pytest.raises(Refusal, match=r"wav\.scp"):
        scores.audio_files(tmp_path)


def test_players_hold_the_files_samples(report):
    root, shown = report
    chosen = shown.texts["h4"]
    assert len(chosen) == len(set(chosen)) == 6
    sources = dict(zip(shown.all("audio", "aria-label"), shown.all("audio", "src"), strict=True))
    for u in chosen:
        files = {
            name: root / f"data/test/wav/{name}{UTTERANCES.index(u)}.wav"
            for name in ("clean", "noisy")
        }
        if u != ODD:
            files["segan"] = root / f"exp/segan/enhanced/{u}.flac"
        for name, file in files.items():
            heard, rate = soundfile.read(
                io.BytesIO(decoded(sources.pop(f"{u}, {name}"), "audio/flac")), dtype="int16"
            )
            assert rate == RATE
            np.testing.assert_array_equal(heard, soundfile.read(file, dtype="int16")[0])
    assert not sources


def test_spectrograms_are_pictures_of_one_size(report):
    from PIL import Image

    _, shown = report
    pictures = [
        Image.open(io.BytesIO(decoded(uri, "image/png"))) for uri in shown.all("img", "src")
    ]
    assert len(pictures) == len(shown.all("audio", "src")) > 12
    assert len({picture.size for picture in pictures}) == 1
    assert all(shown.all("img", "alt"))


def test_markup_in_names_is_text(report):
    _, shown = report
    assert shown.texts["h4"][0] == ODD  # it has gained most
    assert f"Spectrogram of {ODD}, clean" in shown.all("img", "alt")
    assert any("no file of this utterance" in text for text in shown.texts["div"])
    assert "<cafe> $x$" in "".join(shown.texts["text"])
    assert not {"b", "cafe", "x"} & {tag for tag, _ in shown.elements}


def test_the_table_has_means_with_intervals_and_the_best_in_bold(report):
    _, shown = report
    head, *rows = shown.tables[0]
    assert [cell.split()[0] for cell in head] == ["System", "PESQ", "STOI", "CSIG", "SI-SDR", "LLR"]
    table = {row[0].strip(): row[1:] for row in rows if len(row) > 1}
    means = {}
    for seed, name in enumerate(("noisy", "wiener", "segan")):
        for i, metric in enumerate(METRICS):
            own = [scores[metric] for scores in scores_of(seed).values()]
            low, high = scipy.stats.t.interval(0.95, 7, np.mean(own), scipy.stats.sem(own))
            mean, margin = table[name][i].split("±")
            assert float(mean.strip(" *")) == pytest.approx(np.mean(own), abs=5.1e-3)
            assert float(margin) == pytest.approx((high - low) / 2, abs=5.1e-3)
            means[name, metric] = np.mean(own)
    for i, metric in enumerate(METRICS):
        bold = [name for name, cells in table.items() if "*" in cells[i]]
        choose = min if metric == "llr" else max
        assert bold == [choose(("noisy", "wiener", "segan"), key=lambda name: means[name, metric])]


def test_quoted_rows_are_marked_as_printed_and_never_bold(report):
    _, shown = report
    quoted = shown.tables[0][-1]
    assert [cell.strip() for cell in quoted] == [
        "SEGAN <x>  1".replace("  ", " "),
        "0.92",
        "",
        "",
        "",
        "",
    ]
    assert "not measured here" in shown.tables[0][-2][0]
    assert "A et al., https://example.org/a?b=1&c." in shown.texts["li"]


def test_differences_are_paired_and_corrected(report):
    _, shown = report
    _, *rows = shown.tables[1]
    pairs = [tuple(re.split(r" minus ", row[0].strip())) for row in rows]
    assert pairs == [("wiener", "noisy"), ("segan", "noisy"), ("segan", "wiener")]
    seeds = {"noisy": 0, "wiener": 1, "segan": 2}
    metrics = [m for m in METRICS if m != "llr"]
    p_values = {}
    for pair, metric in itertools.product(pairs, metrics):
        second, first = (scores_of(seeds[name]) for name in pair)
        gains = [second[u][metric] - first[u][metric] for u in UTTERANCES]
        cell = rows[pairs.index(pair)][1 + metrics.index(metric)].replace("−", "-")
        assert float(cell.split()[0]) == pytest.approx(np.mean(gains), abs=5.1e-3)
        p_values[cell] = scipy.stats.wilcoxon(gains).pvalue
    smallest = min(p_values.values())
    for cell in (cell for cell, p in p_values.items() if p == smallest):
        assert f"p = {min(1, 12 * smallest):.3f}"[:8] in cell


def test_breakdowns_hold_the_means_of_their_utterances(report):
    _, shown = report
    by_snr = next(table for table in shown.tables if table[0][0].strip() == "SNR")
    first = by_snr[1]
    assert [first[0].split(), first[1].strip()] == [["2.5", "dB", "n", "=", "4"], "noisy"]
    expected = np.mean([scores_of(0)[u]["pesq"] for u in UTTERANCES[::2]])
    assert float(first[2].strip(" *")) == pytest.approx(expected, abs=5e-4)
    headings = [table[0][0].strip() for table in shown.tables[2:5]]
    assert headings == ["SNR", "Noise", "Speaker"]


def test_a_system_has_one_color_everywhere(report):
    root, _ = report
    text = (root / "exp/report.html").read_text(encoding="utf-8")
    chips = re.findall(r'class="chip" style="--c: var\((--[\w-]+)\)"></span>\s*(\w+)', text)
    assert dict((name, color) for color, name in chips) == {
        "noisy": "--noisy", "wiener": "--system-1", "segan": "--system-2", "clean": "--ink"
    }  # fmt: skip
    assert len(set(chips)) == 4
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert all("var(--noisy)" in svg and "var(--system-2)" in svg for svg in pictures[:2])
    assert not re.search(r"#(?!0{6}|f{6})[0-9a-f]{6}\b(?!')", "".join(pictures)), (
        "a color of its own"
    )


def test_ids_inside_pictures_are_unique_on_the_page(report):
    _, shown = report
    ids = [found["id"] for _, found in shown.elements if "id" in found]
    assert len(ids) == len(set(ids))
    used = {
        a[1:] for tag in ("use", "a") for n in ("xlink:href", "href") for a in shown.all(tag, n)
    }
    assert {name for name in used if not name.startswith("ttps:")} <= set(ids)


def test_training_configuration_and_commands_are_shown(report):
    _, shown = report
    drawn = " ".join(shown.texts["text"])
    assert "generator: l1" in drawn and "validation: PESQ" in drawn and "seconds" not in drawn
    assert "name: <segan>\n" in shown.texts["code"]
    assert "segan-evaluate data enhanced" in "".join(shown.texts["pre"])
    versions = {row[0].strip(): row[1].strip() for row in shown.tables[-1]}
    assert versions["training of segan"] == "990 steps; torch 2.0"
    pesq = evaluate.version("pesq") or "unknown"
    assert f"pesq {pesq}" in versions["scores of noisy, wiener, segan"]


# The table to keep


def test_results_hold_the_same_table_without_a_machines_folders(report):
    root, shown = report
    text = results(root)
    assert str(root) not in text and root.name not in text
    assert (
        "segan-report exp/noisy exp/wiener exp/segan --data data/test --quoted quoted.tsv" in text
    )
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for cells in (line.split(" | ") for line in text.replace("|", " | ").splitlines())
        if len(cells) == 8
    }
    for row in shown.tables[0][1:4]:
        on_page = [" ".join(cell.replace("*", " ").split()) for cell in row[1:]]
        kept = [" ".join(cell.replace("*", "").split()) for cell in rows[row[0].strip()]]
        assert kept == on_page
    assert rows["*SEGAN \\<x\\>* (quoted, 1)"] == ["0.92", "", "", "", ""]
    assert "1. A et al., https://example.org/a?b=1&c." in text
    assert "## PESQ by SNR" in text and "\\<cafe\\> $x$" in text


def test_the_same_input_gives_the_same_bytes(root, monkeypatch):
    monkeypatch.setattr(cli, "today", lambda: "2000-01-01")
    written = []
    for _ in range(2):
        assert run(root, "--examples", 1, "--force") == 0
        written.append([(root / "exp" / name).read_bytes() for name in cli.OUTPUTS])
    assert written[0] == written[1]
    assert b"2000-01-01" in written[0][0] and b"2000-01-01" in written[0][1]


# What is not there, or there in part


def test_without_conditions_sounds_and_training_the_rest_is_shown(tmp_path, capsys):
    data = write_data(tmp_path / "data/test", UTTERANCES[:3], conditions=False)
    (data / "spk1.scp").unlink()
    (data / "utt2spk").unlink()
    (data / "wav/noisy1.wav").write_text("no sound", encoding="utf-8")
    write_system(tmp_path / "exp/alone", scores_of(1, UTTERANCES[:3]))
    (tmp_path / "exp/alone/scores/summary.json").unlink()
    assert run(tmp_path, systems=["alone"]) == 0
    shown = page(tmp_path)
    assert "SNR" not in "".join(shown.texts["main"]) and "Training" not in shown.texts["h2"]
    assert len(shown.tables[0]) == 2 and "*" not in "".join(shown.tables[0][1])
    said = " ".join(shown.texts["small"])
    assert "no file of this utterance" in said and "the file cannot be read" in said
    assert len(shown.all("audio", "src")) == 2


def test_a_single_utterance_has_a_mean_and_no_interval(tmp_path):
    write_data(tmp_path / "data/test", UTTERANCES[:1])
    for seed, name in enumerate(("noisy", "segan")):
        write_system(tmp_path / f"exp/{name}", scores_of(seed, UTTERANCES[:1]))
    assert run(tmp_path, systems=["noisy", "segan"]) == 0
    shown = page(tmp_path)
    assert float(shown.tables[0][1][1].strip(" *")) == pytest.approx(
        scores_of(0)["p1_a"]["pesq"], abs=5e-4
    )
    assert "±" not in "".join(itertools.chain(*shown.tables[0], *shown.tables[1]))
    assert "nan" not in "".join(shown.texts["main"])
    assert shown.texts["h4"] == ["p1_a"]


def test_what_a_system_lacks_is_named_counted_and_left_out(root, capsys):
    scores = scores_of(2, UTTERANCES[2:])
    scores["p1_c"]["stoi"] = float("nan")
    scores["stranger"] = scores["p1_d"]
    write_system(root / "exp/segan", scores, failures=["p1_b"])
    write_system(root / "exp/noisy", scores_of(0, (*UTTERANCES, "stranger")))
    capsys.readouterr()
    assert quick(root, "--force") == 0
    told = capsys.readouterr().err
    assert "segan: scores not of this test set, left out:\n  stranger" in told
    assert "segan: not scored:\n  p1_a\n  p1_b (it is broken)" in told
    assert "segan: no STOI, left out of that mean alone:\n  p1_c" in told
    table = {row[0].strip(): row[1:] for row in page(root).tables[0]}
    assert "n = 6" in table["segan"][0] and "n = 5" in table["segan"][1]
    assert "n =" not in "".join(table["noisy"])
    mean = np.mean([scores[u]["pesq"] for u in UTTERANCES[2:]])
    assert float(table["segan"][0].split("±")[0].strip(" *")) == pytest.approx(mean, abs=5e-4)
    shared = [scores[u]["pesq"] - scores_of(0)[u]["pesq"] for u in UTTERANCES[2:]]
    cell = page(root).tables[1][2][1]
    assert float(cell.split()[0]) == pytest.approx(np.mean(shared), abs=5e-4) and "n = 6" in cell
    assert "- segan: not scored: 2 utterances" in results(root)


def test_long_sounds_are_cut_and_the_page_says_so(root, monkeypatch):
    monkeypatch.setattr(examples, "LONGEST", 2)
    save(root / "data/test/wav/noisy0.wav", sound(2.5))
    write_system(root / "exp/only", scores_of(0, UTTERANCES[:1]))
    assert run(root, systems=["only"]) == 0
    shown = page(root)
    lengths = [
        soundfile.info(io.BytesIO(decoded(uri, "audio/flac"))).duration
        for uri in shown.all("audio", "src")
    ]
    assert lengths == [0.3, 2.0]
    assert "2.5 s, the first 15 s shown" in "".join(shown.texts["p"])


# What is refused


def refused(capsys):
    """Return the one line that was said, having seen that nothing was written."""
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("segan-report: ") and told.err.count("\n") == 1
    return told.err


def test_a_report_is_overwritten_only_by_force(root, capsys):
    assert quick(root) == 0
    before = [(root / "exp" / name).read_bytes() for name in cli.OUTPUTS]
    capsys.readouterr()
    assert quick(root, "--title", "other") == 2
    assert "report.html exists: give --force" in refused(capsys)
    assert before == [(root / "exp" / name).read_bytes() for name in cli.OUTPUTS]
    assert quick(root, "--title", "other", "--force") == 0
    assert page(root).texts["h1"] == ["other"]


def remove_scores(root):
    (root / "exp/wiener/scores/scores.tsv").unlink()


def put(name, text):
    def harm(root):
        (root / name).write_text(text, encoding="utf-8")

    return harm


TSV = "exp/wiener/scores/scores.tsv"
GOOD = "system\tutterance\tpesq\nenhanced\tp1_a\t1\n"


@pytest.mark.parametrize(
    ("harm", "match"),
    [
        (remove_scores, r"scores.tsv: no such file; segan-evaluate .* writes it"),
        (put(TSV, ""), r"scores.tsv:1: no column 'system'"),
        (put(TSV, "system utterance pesq\n"), r"scores.tsv:1: no column 'system'"),
        (put(TSV, "system\tutterance\tpesk\n"), r"scores.tsv:1: column 'pesk' unknown"),
        (put(TSV, "system\tutterance\tpesq\tpesq\n"), r"scores.tsv:1: column 'pesq' twice"),
        (put(TSV, GOOD + "enhanced\tp1_b\tx\n"), r"scores.tsv:3: pesq is 'x', not a number"),
        (put(TSV, GOOD + "enhanced\tp1_b\n"), r"scores.tsv:3: 2 cells under 3 headings"),
        (put(TSV, GOOD + "enhanced\tp1_a\t2\n"), r"scores.tsv:3: 'p1_a' is scored twice"),
        (put(TSV, GOOD + 'enhanced\t"p1\t2\n'), r"scores.tsv:3: unexpected end"),
        (put(TSV, GOOD.replace("enhanced", "ours")), r"scores.tsv: no score of .* 'enhanced'"),
        (put(TSV, GOOD.replace("p1_a", "z")), r"scores.tsv: scores no utterance of test"),
        (put("exp/wiener/scores/summary.json", "{\n]"), r"summary.json:2: not JSON"),
        (put("exp/segan/versions.json", "[]"), r"versions.json: not a JSON object"),
        (put("exp/segan/log.jsonl", "{}\n{}\n"), r"log.jsonl:1: not a report of gan-train"),
        (put("data/test/utt2snr", "p1_a\n"), r"utt2snr:1: expected 'key value'"),
        (put("data/test/utt2snr", "p1_a loud\n"), r"utt2snr: p1_a has 'loud' where a number"),
        (put("data/test/wav.scp", ""), r"wav.scp: empty"),
        (put("quoted.tsv", "system\tpesq\tsource\nx\t1\t\n"), r"quoted.tsv:2: .* a source"),
        (put("quoted.tsv", "system\tpesq\tsource\nx\ty\tz\n"), r"quoted.tsv:2: pesq is 'y'"),
    ],
)
def test_malformed_files_are_named_with_the_line(root, capsys, harm, match):
    harm(root)
    assert quick(root, "--quoted", root / "quoted.tsv") == 2
    assert re.search(match, refused(capsys))
    assert not (root / "exp/report.html").exists() and not (root / "exp/RESULTS.md").exists()


def test_text_in_another_encoding_is_refused(root, capsys):
    (root / TSV).write_bytes(GOOD.replace("p1_a", "é").encode("latin-1"))
    assert quick(root) == 2
    assert "scores.tsv: not UTF-8 text" in refused(capsys)


@pytest.mark.parametrize(
    ("systems", "options", "match"),
    [
        (["noisy", "none"], [], "none: no such folder; a system is a folder"),
        (["noisy", "noisy"], [], "two systems called noisy; rename a folder"),
        (["noisy"], ["--baseline", "segan"], "--baseline segan: no such system; there are noisy"),
        (["noisy"], ["--quoted", "none.tsv"], "none.tsv: no such file of quoted scores"),
    ],
)
def test_wrong_arguments_are_explained(root, capsys, systems, options, match):
    assert quick(root, *options, systems=systems) == 2
    assert match in refused(capsys)


def test_a_place_that_cannot_be_written_to_is_refused(root, capsys):
    (root / "file").write_text("", encoding="utf-8")
    assert quick(root, "-o", root / "file/below") == 2
    assert "cannot write in" in refused(capsys)


def test_a_missing_library_is_named(root, capsys, monkeypatch):
    monkeypatch.setattr(cli, "LIBRARIES", ("no_such_jinja",))
    assert quick(root) == 2
    assert "pip install 'segan[report]'" in refused(capsys)


# The program


@pytest.mark.parametrize(
    ("owner", "name"), [(examples, "example"), (Path, "replace")], ids=["drawing", "writing"]
)
def test_an_interrupt_leaves_nothing_behind(root, capsys, monkeypatch, owner, name):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, interrupted)
    assert run(root, "--examples", 1, "-o", root / "new") == 130
    assert refused(capsys) == "segan-report: interrupted, nothing written\n"
    assert not (root / "new").exists() or not list((root / "new").iterdir())


def test_the_baseline_is_what_others_are_compared_with(root):
    assert quick(root, "--baseline", "wiener") == 0
    pairs = [" ".join(row[0].split()) for row in page(root).tables[1][1:]]
    assert pairs == ["noisy minus wiener", "segan minus wiener", "segan minus noisy"]


def test_the_report_goes_where_all_systems_are(root):
    write_system(root / "exp/more/deep", scores_of(1))
    assert quick(root, systems=["noisy", "more/deep"]) == 0
    assert (root / "exp/report.html").exists()
    assert quick(root, systems=["more/deep"]) == 0
    assert (root / "exp/more/report.html").exists()


def test_help_starts_without_the_heavy_libraries():
    code = (
        "import sys; from segan.report import cli; cli.parser().format_help(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    heavy = {"numpy", "scipy", "torch", "soundfile", "matplotlib", "jinja2", "tqdm"}
    assert not heavy & set(done.stdout.split())
