import math

import pytest
import torch

from gan.schedules import (
    Above,
    Below,
    Constant,
    Cosine,
    Decay,
    Linear,
    LinearTail,
    Steps,
    StepTail,
    Warmup,
)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Constant(0.3), {0: 0.3, 10**9: 0.3}),
        (Linear(100, 0, steps=4, begin=2), {0: 100, 2: 100, 3: 75, 6: 0, 7: 0}),
        (Linear(0, 1, steps=2), {0: 0, 1: 0.5, 2: 1, 3: 1}),
        (LinearTail(8), {0: 1, 4: 1, 5: 0.75, 8: 0, 9: 0}),
        (LinearTail(8, share=0.25), {0: 1, 6: 1, 7: 0.5, 8: 0}),
        (StepTail(8), {0: 1, 3: 1, 4: 0.1, 8: 0.1}),
        (StepTail(8, share=0.25, factor=0.5), {5: 1, 6: 0.5}),
        (Cosine(2, 0, steps=4), {0: 2, 1: 1 + math.sqrt(0.5), 2: 1, 4: 0, 5: 0}),
        (Steps(8, 0.5, at=[2, 4]), {0: 8, 1: 8, 2: 4, 3: 4, 4: 2, 99: 2}),
        (Decay(8, 0.5, every=3), {0: 8, 2: 8, 3: 4, 5: 4, 6: 2}),
        (Warmup(4, Constant(2)), {0: 0.5, 1: 1, 3: 2, 4: 2}),
        (Warmup(2, Steps(8, 0.5, at=[1])), {0: 4, 1: 4, 2: 4}),
    ],
    ids=str,
)
def test_values_by_hand(schedule, values):
    assert {step: schedule(step) for step in values} == pytest.approx(values)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(1, 0, steps=0),
        lambda: Cosine(1, 0, steps=0),
        lambda: LinearTail(0),
        lambda: StepTail(0),
        lambda: Decay(1, 0.5, every=0),
        lambda: Warmup(0, Constant()),
    ],
)
def test_no_steps_are_refused(make):
    with pytest.raises(ValueError, match="must be 1 or more, not 0"):
        make()


@pytest.mark.parametrize("share", [0, -1, 1.1])
@pytest.mark.parametrize("kind", [LinearTail, StepTail])
def test_a_tail_without_a_share_of_the_run_is_refused(kind, share):
    with pytest.raises(ValueError, match="share must be above 0 and 1 at most"):
        kind(10, share)


@pytest.mark.parametrize("value", [0.2, torch.tensor(0.2)])
def test_gates_open_on_their_side_of_the_threshold(value):
    losses = {"adversarial": value, "distance": 5.0}
    assert Above("adversarial", 0.1)(losses) is True
    assert Above("adversarial", 0.3)(losses) is False
    assert Below("adversarial", 0.3)(losses) is True
    assert Below("adversarial", 0.1)(losses) is False


def test_a_missing_loss_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"'advers' to wait for; there are: adversarial, l1"):
        Above("advers", 0.1)({"adversarial": 0.2, "l1": 0.1})
