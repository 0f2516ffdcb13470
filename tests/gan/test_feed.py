"""The order of batches."""

import pickle
import tracemalloc
from itertools import chain, islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan import feed as feeding
from gan.feed import Draw, Order, feed, onto


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


chunked = st.lists(st.integers(1, 5), min_size=1, max_size=30)


@settings(max_examples=50, deadline=None)
@given(chunked, st.booleans(), st.integers(1, 9), st.integers(0, 20), st.integers(1, 3))
def test_every_item_comes_exactly_once_an_epoch(chunks, told, per_process, start, world):
    length, size = sum(chunks), per_process * world
    rest = (7, 0, 1, chunks if told else None)
    number = start + 3 * length // size + 1
    stream = list(chain(*islice(Order(length, size, *rest[:2], 0, 1, rest[3]), number)))
    for epoch in range(3):
        of_epoch = stream[epoch * length : (epoch + 1) * length]
        assert sorted(of_epoch) == list(range(length))
        assert {draw.epoch for draw in of_epoch} == {epoch}
    shares = [
        islice(Order(length, size, 7, start, rank, world, rest[3]), 3) for rank in range(world)
    ]
    for batch, parts in enumerate(zip(*shares, strict=True), start):
        whole = list(chain(*zip(*parts, strict=True)))
        assert whole[: len(stream) - batch * size] == stream[batch * size : (batch + 1) * size]


def test_chunks_are_read_some_at_a_time_in_an_order_of_each_epoch():
    order = Order(2000, 1, chunks=[50] * 40)
    first, second = (np.array(list(islice(order.draws(start), 2000))) // 50 for start in (0, 2000))
    windows = first.reshape(-1, 50 * feeding.WINDOW)  # the part of each item
    assert all(len(set(window)) == feeding.WINDOW for window in windows)
    assert any(np.ptp(window) >= feeding.WINDOW for window in windows)  # parts are permuted,
    assert len(set(windows[0, :50])) > 1  # and items over the parts,
    assert list(first) != list(second)  # anew in each epoch


def test_only_what_is_read_is_in_memory():
    order = Order(10**7, 16, chunks=[1000] * 10**4)
    next(iter(order))  # what NumPy loads once
    tracemalloc.start()
    next(iter(order))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6  # of 8e7 for the epoch


def test_chunks_that_are_not_the_data_are_refused():
    with pytest.raises(ValueError, match="chunks hold 9 items, the data set 10"):
        Order(10, 4, chunks=[4, 5])


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


def test_on_the_cpu_batches_stay_what_they_are():
    batches = [{"x": torch.arange(3)}, {"x": torch.arange(4)}]
    found = onto(torch.device("cpu"), (batch for batch in batches))
    for one, other in zip(found, batches, strict=True):
        assert one["x"] is other["x"]


def test_what_yields_the_batches_is_closed_with_them():
    source = feed(Squares(), 3)
    batches = onto(torch.device("cpu"), source)
    next(batches)
    batches.close()
    with pytest.raises(StopIteration):
        next(source)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_batches_are_copied_ahead_and_arrive_whole():
    count, device = 50, torch.device("cuda")
    batches = ({"x": torch.full((1 << 20,), float(i)).pin_memory()} for i in range(count))
    for number, batch in enumerate(onto(device, batches)):
        assert batch["x"].device.type == "cuda"
        total = sum(batch["x"] for _ in range(20))  # kept busy
        assert total.min() == total.max() == 20 * number
    assert number == count - 1
