"""Pictures in tiles: as if they were whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from image_gan.tiles import cuts, in_tiles, ramp


def through_tiles(network, picture, tile, overlap, multiple=1, smallest=1):
    """Return ``network(picture)`` by tiles, and how many it took."""
    sides = [cuts(length, tile, overlap, multiple, smallest) for length in picture.shape[1:]]
    seen = []

    def part(rows, columns):
        seen.append((len(rows), len(columns)))
        return network(picture[:, rows[:, None], columns][None])[0]

    return torch.cat(list(in_tiles(part, *sides, overlap)), 1), seen


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 40),
    st.integers(0, 20),
    st.sampled_from([1, 4, 8]),
    st.sampled_from([1, 16]),
)
@settings(max_examples=100, deadline=None)
def test_a_network_that_changes_nothing_gives_the_very_same_values(
    height, width, tile, overlap, multiple, smallest
):
    overlap = min(overlap, tile // 2)
    picture = torch.randn(2, height, width)
    found, seen = through_tiles(lambda x: x, picture, tile, overlap, multiple, smallest)
    assert torch.equal(found, picture)
    for size in {length for pair in seen for length in pair}:
        assert size % multiple == 0
        assert smallest <= size <= max(tile + multiple, smallest)


@given(st.integers(1, 500), st.integers(1, 200), st.integers(0, 100), st.sampled_from([1, 4, 32]))
def test_cuts_cover_a_side_with_enough_overlap(length, tile, overlap, multiple):
    overlap = min(overlap, tile // 2)
    side = cuts(length, tile, overlap, multiple)
    ends = [start + side.tile for start in side.starts]
    assert side.starts[0] == 0 and ends[-1] == len(side.positions)
    assert all(start <= end - overlap for start, end in zip(side.starts[1:], ends, strict=False))
    middle = side.positions[side.first : side.first + length]
    assert middle.tolist() == list(range(length))


class Blur(torch.nn.Module):
    """Five means over 5 x 5, zeros outside: it sees 10 pixels to each side."""

    def forward(self, x):
        for _ in range(5):
            x = torch.nn.functional.avg_pool2d(x, 5, 1, 2)
        return x


@pytest.mark.parametrize(("overlap", "equal"), [(28, True), (8, False)])
def test_what_sees_less_than_three_eighths_of_the_overlap_gives_the_whole(overlap, equal):
    picture = torch.randn(1, 100, 333)
    found, seen = through_tiles(Blur(), picture, 60, overlap)
    difference = (found - Blur()(picture[None])[0]).abs().max()
    assert len(seen) > 4
    assert (difference < 1e-5) == equal


def test_tiles_fall_on_the_strides_of_the_whole():
    class Coarse(torch.nn.Module):
        def forward(self, x):  # each 8 x 8 block becomes its corner
            return x[..., ::8, ::8].repeat_interleave(8, -1).repeat_interleave(8, -2)

    picture = torch.randn(1, 99, 133)
    whole, _ = through_tiles(Coarse(), picture, 1000, 0, 8)
    found, seen = through_tiles(Coarse(), picture, 50, 20, 8)
    assert len(seen) > 4
    assert torch.equal(found, whole)


def test_one_tile_fades_into_the_next():
    values = iter([0.0, 1.0])
    picture = torch.zeros(1, 10, 100)
    found, _ = through_tiles(lambda x: torch.full_like(x, next(values)), picture, 60, 20)
    steps = found[0, 0].diff()
    assert (steps >= 0).all() and steps.max() < 0.4  # no seam
    assert found[0, 0, 0] == 0 and found[0, 0, -1] == 1
    assert torch.equal(found, found[:, :1].expand_as(found))


def test_the_ramp_is_0_then_rises_then_1():
    weights = ramp(40, 16)
    assert (weights[:18] == 0).all() and (weights[22:] == 1).all()
    assert weights + weights.flip(0) == pytest.approx(torch.ones(40))


def test_rows_come_as_they_are_done():
    picture = torch.randn(1, 400, 20)
    sides = cuts(400, 50, 10), cuts(20, 50, 10)
    asked = []

    def part(rows, columns):
        asked.append(int(rows[-1]))
        return picture[:, rows[:, None], columns]

    for rows in in_tiles(part, *sides, 10):
        assert rows.shape[1] <= 50
        assert len(asked) <= 10
    assert asked[0] == 49
