"""The order of batches."""

import pickle
from itertools import chain, islice

import numpy as np
import pytest
import torch

from gan.feed import Draw, Order, feed


class Squares(torch.utils.data.Dataset):
    """Items that tell which index, in which epoch, they were asked for."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        noise = np.random.default_rng([int(index), index.epoch]).standard_normal(1)
        return {"index": np.array([int(index), index.epoch]), "noise": noise}


def test_an_epoch_goes_through_everything_once():
    batches = list(islice(Order(12, 4), 6))
    first, second = list(chain(*batches[:3])), list(chain(*batches[3:]))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second  # another permutation
    assert {draw.epoch for draw in first} == {0}
    assert {draw.epoch for draw in second} == {1}


@pytest.mark.parametrize("start", [1, 2, 3, 7])
def test_started_later_it_is_the_same_order(start):
    assert list(islice(Order(10, 3, 5), start, start + 4)) == list(
        islice(Order(10, 3, 5, start), 4)
    )


def test_seeds_differ():
    assert next(iter(Order(50, 50, seed=0))) != next(iter(Order(50, 50, seed=1)))


def test_a_batch_may_be_larger_than_the_data():
    (batch,) = islice(Order(3, 7), 1)
    assert len(batch) == 7
    assert set(batch) == {0, 1, 2}


def test_empty_data_is_refused():
    with pytest.raises(ValueError, match="empty"):
        Order(0, 4)


def test_draw_survives_pickling():
    copy = pickle.loads(pickle.dumps(Draw(3, 2)))
    assert (copy, copy.epoch) == (3, 2)


def test_workers_change_nothing():
    alone, helped = (list(islice(feed(Squares(), 3, 1, 2, workers), 6)) for workers in (0, 2))
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one["index"], other["index"])
        assert torch.equal(one["noise"], other["noise"])
