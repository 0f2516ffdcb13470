"""The parts that reports share: statistics, tables, curves, health of losses, text."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan import objectives
from gan.report import health, markdown, page, tables
from gan.report.statistics import holm, interval, signed_rank
from gan.report.text import command_line, signed, without_place
from gan.report.training import Curve, Training, read_training, smoothed

numbers = st.floats(-100, 100).map(lambda value: round(value, 3))


class System(NamedTuple):
    """A name and scores, all that tables need."""

    name: str
    scores: dict


def system(name, **scores):
    return System(name, scores)


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
        '{"step": 8, "kind": "train", "generator/l1": Infinity}',
        '{"step": 9, "ki',
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(lines), encoding="utf-8")
    training = read_training(tmp_path)
    assert training.losses == {"generator/l1": Curve([5, 8], [2, 1])}
    assert training.scores == {"stoi": Curve([5], [0.5])} and training.step == 8
    assert training.not_finite == {"pesq": 5, "generator/l1": 8}
    assert read_training(tmp_path / "nowhere") is None
    (tmp_path / "log.jsonl").write_text("", encoding="utf-8")
    assert read_training(tmp_path) is None


# Health


def training(judge, fool=None, name="adversarial", **not_finite):
    losses = {"discriminator": judge, "generator": fool}
    curves = {
        f"{player}/{name}": Curve(list(range(len(values))), list(values))
        for player, values in losses.items()
        if values is not None
    }
    return Training(curves, {}, 100, not_finite)


def config(name, **fields):
    lines = [f"    {key}: {value}" for key, value in fields.items()]
    head = ["game:", "  generator:", "    real: 7", "  objective:"]
    named = f"    _target_: gan.objectives.{name}"
    return "\n".join([*head, named, *lines, "  pool: 50", "players: {}", ""])


def verdicts(judge, fool=None, objective="NonSaturating", **fields):
    found = health.assess(training(judge, fool), config(objective, **fields))
    return [one.verdict for one in found]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Minimax", {}),
        ("NonSaturating", {}),
        ("NonSaturating", {"real": 0.9}),
        ("LeastSquares", {}),
        ("LeastSquares", {"scale": 0.5}),
        ("LeastSquares", {"real": 1.0, "fake": -1.0, "wanted": 0.0}),
        ("Hinge", {}),
    ],
)
def test_levels_are_those_of_the_objectives_where_nobody_can_tell(name, fields):
    own = getattr(objectives, name)(**fields)
    scores = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    judged = torch.stack([own.judge(score, score) for score in scores])
    level = health.levels(config(name, **fields))
    assert level.judge == pytest.approx(float(judged.min()), abs=1e-6)
    if name != "Hinge":  # whose discriminator has no one best answer there
        assert level.fool == pytest.approx(float(own.fool(scores[judged.argmin()])), abs=1e-3)


@pytest.mark.parametrize(("realism", "shares"), [("false", (1, 2)), ("true", (2, 3))])
def test_a_discriminator_that_is_shown_wrong_pairs_has_another_level(realism, shares):
    own, surely = objectives.NonSaturating(), torch.tensor([-50.0], dtype=torch.float64)
    scores = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    heads, fakes = shares  # scores of a real sample; of generated ones and of a wrong pair
    judged = [
        own.judge(score.expand(heads), torch.cat([score.expand(fakes - 1), surely]))
        for score in scores
    ]
    text = config("NonSaturating") + f"    realism: {realism}\n  matching_aware: true\n"
    found, _ = health.assess(training([0.7] * 9, [1.0] * 9), text)
    assert f"its loss is {float(min(judged)):.3g}." in found.text
    plain, _ = health.assess(training([0.7] * 9, [1.0] * 9), config("NonSaturating"))
    assert found.text.startswith(plain.text) and plain.verdict == found.verdict
    (short,) = health.assess(training([0.7]), text)
    assert short.verdict == "too short"


def test_the_generator_is_found_out_where_the_discriminator_is_sure():
    sure = torch.tensor(math.log(0.01 / 0.99))  # D(G) = 0.01
    for name in ("Minimax", "NonSaturating"):
        fool = float(getattr(objectives, name)().fool(sure))
        assert health.levels(config(name)).ceiling == pytest.approx(fool, abs=1e-5)
    label = float(objectives.LeastSquares().fool(torch.tensor(0.0)))
    assert health.levels(config("LeastSquares")).ceiling == label


def test_the_objective_is_read_from_the_configuration():
    text = config("LeastSquares", scale=0.5, real="null")
    assert health.objective(text) == ("LeastSquares", {"scale": 0.5})
    assert health.objective("game:\n  objective: null\n") == ("LeastSquares", {})
    assert health.objective("") == ("", {}) and health.levels("") is None
    other = text.replace("gan.objectives.", "mine.")
    assert health.objective(other)[0] == "" and health.levels(other) is None
    assert health.levels(config("Wasserstein")) is None
    assert health.levels(config("Hinge", odd=1)) is None
    assert health.levels(config("Minimax", real=2)) is None  # no label
    assert health.levels(config("LeastSquares", real=0)) is None  # the label of generated ones


@pytest.mark.parametrize(
    ("share", "verdict"),
    [
        (0.04, "discriminator winning"),
        (0.06, "discriminator ahead"),
        (0.3, "in balance"),
        (1.0, "can't tell"),
        (1.2, "generator winning"),
    ],
)
def test_who_is_winning_is_told_from_the_discriminators_recent_loss(share, verdict):
    level = math.log(4)
    judge = [level] * 40 + [share * level] * 10  # the last fifth
    assert verdicts(judge)[0] == verdict
    assert verdicts([share / 2] * 50, objective="LeastSquares")[0] == verdict
    worry = health.assess(training(judge), config("NonSaturating"))[0].worry
    assert worry == ("winning" in verdict)


def test_a_generator_that_is_found_out_is_losing_whatever_the_discriminators_loss():
    level = [math.log(2)] * 20
    assert verdicts(level, [0.7] * 20)[0] == "in balance"
    assert verdicts(level, [4.5] * 20)[0] == "discriminator winning"
    assert verdicts([0.2] * 20, [0.95] * 20, "LeastSquares")[0] == "discriminator winning"


def test_swings_of_the_last_half_are_named():
    level = math.log(4)
    calm = [level / 2 + 0.01 * (-1) ** i for i in range(40)]
    wild = [level / 2 + 0.3 * level * (-1) ** i for i in range(40)]
    assert verdicts(calm)[1] == "steady" and verdicts(wild)[1] == "swings"
    assert verdicts(wild[:20] + calm[:20])[1] == "steady"
    assert verdicts(calm, objective="Wasserstein") == ["no level", "steady"]
    assert verdicts([(-1) ** i for i in range(40)], objective="Wasserstein")[1] == "swings"


def test_what_cannot_be_judged_is_said():
    assert verdicts([0.5] * 4) == ["too short"]
    assert [one.verdict for one in health.assess(training(None, [1.0] * 9), "")] == ["no adversary"]
    broken = training([0.5] * 9, **{"generator/l1": 70})
    first, *_ = health.assess(broken, config("NonSaturating"))
    assert (first.about, first.verdict, first.worry) == ("generator/l1", "not finite", True)
    assert "step 70" in first.text


def test_each_discriminator_of_a_cycle_is_judged():
    losses = training([0.3] * 9, name="target_adversarial").losses
    losses |= training([0.01] * 9, name="source_adversarial").losses
    found = health.assess(Training(losses, {}, 9, {}), config("LeastSquares"))
    balance = {one.about: one.verdict for one in found if one.verdict != "steady"}
    assert balance == {
        "target_adversarial": "in balance",
        "source_adversarial": "discriminator winning",
    }


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


def test_markdown_shows_text_as_it_is():
    assert markdown.escaped("a|b <c> *d* [e] `f`\ng") == r"a\|b \<c\> \*d\* \[e\] \`f\` g"
    assert markdown.escaped("segan_plus _x_ R&D &lt;") == r"segan_plus \_x\_ R&D \&lt;"


def test_only_web_addresses_become_links():
    text = str(page.linked('<i> (https://a.org/b?c=1&d), "javascript:x" http://e.org.'))
    assert text == (
        '&lt;i&gt; (<a href="https://a.org/b?c=1&amp;d">https://a.org/b?c=1&amp;d</a>), '
        '&#34;javascript:x&#34; <a href="http://e.org">http://e.org</a>.'
    )


def test_minus_signs_are_set_and_hyphens_left():
    assert signed("-0.5 ± 0.1, si-sdr -inf") == "−0.5 ± 0.1, si-sdr −inf"
