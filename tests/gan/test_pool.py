import pytest
import torch
from torch import nn

from gan.pool import Pool


def numbers(start: int, count: int) -> torch.Tensor:
    return torch.arange(start, start + count, dtype=torch.float)[:, None]


def test_a_pool_of_none_changes_nothing():
    pool, batch = Pool(size=0), numbers(0, 7)
    assert torch.equal(pool(batch), batch)
    assert len(pool.samples) == 0


def test_a_filling_pool_returns_what_it_is_given():
    pool, batch = Pool(size=10), numbers(0, 10)
    assert torch.equal(pool(batch), batch)
    assert torch.equal(pool.samples, batch)


def test_what_is_returned_has_no_gradient():
    assert not Pool(size=2)(torch.ones(4, 3, requires_grad=True)).requires_grad


def test_half_are_new_and_the_places_are_uniform():
    pool, trials = Pool(size=4, seed=1), 4000
    pool(numbers(-4, 4))
    ages, places = [], torch.zeros(4)
    for step in range(trials):
        before = pool.samples.clone()
        (returned,) = pool(numbers(step, 1))
        ages.append(returned.item() == step)
        places += (pool.samples != before).any(1)
    new = sum(ages) / trials
    assert abs(new - 0.5) < 0.04  # 5 standard deviations
    assert (places / places.sum() - 0.25).abs().max() < 0.05


def test_a_sample_is_returned_once_or_is_still_there():
    pool = Pool(size=5, seed=2)
    returned = torch.cat([pool(numbers(start, 3)) for start in range(0, 300, 3)])
    once_full = torch.cat([returned[5:], pool.samples]).flatten()
    assert sorted(once_full.tolist()) == list(range(300))


def test_what_is_stored_keeps_no_hold_on_the_batch():
    pool, batch = Pool(size=3), numbers(0, 3)
    pool(batch)
    batch.zero_()
    assert torch.equal(pool.samples, numbers(0, 3))


@pytest.mark.parametrize("before", [2, 60])
def test_a_resumed_pool_goes_on_as_if_never_stopped(before, tmp_path):
    """Saved as a part of a game, half full or full."""
    game, fresh = (nn.ModuleDict({"pool": Pool(size=8, seed=seed)}) for seed in (3, 99))
    for start in range(0, before, 2):
        game["pool"](numbers(start, 2))
    torch.save(game.state_dict(), tmp_path / "game.pt")
    fresh.load_state_dict(torch.load(tmp_path / "game.pt", weights_only=True))
    for start in range(before, before + 60, 6):
        batch = numbers(start, 6)
        assert torch.equal(fresh["pool"](batch), game["pool"](batch))


def test_the_pool_draws_from_a_generator_of_its_own():
    state = torch.get_rng_state()
    pool = Pool(size=2)
    for start in range(10):
        pool(numbers(start, 3))
    assert torch.equal(torch.get_rng_state(), state)


def test_its_draws_stay_on_the_cpu():
    assert Pool().to("meta").random.device.type == "cpu"
