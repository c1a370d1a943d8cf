"""Time is cut so that every second is in exactly one block."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.blocks import covering, nice_step_s, steps


@given(
    start=st.integers(0, 10**5),
    lengths=st.lists(st.integers(1, 2_000), min_size=1, max_size=3),
    bucket_s=st.sampled_from([1, 10]),
)
def test_covering_blocks_adjoin_and_cross_no_cut(start: int, lengths: list[int], bucket_s: int) -> None:
    """Blocks follow each other from the first cut to the last and begin anew at each cut."""
    cuts = [start * bucket_s]
    for length in lengths:
        cuts.append(cuts[-1] + length)
    blocks = covering(cuts, bucket_s)
    assert (blocks[0].start_s, blocks[-1].end_s) == (cuts[0], cuts[-1])
    assert all(before.end_s == after.start_s for before, after in pairwise(blocks))
    assert all(before.start_s < before.end_s for before in blocks)
    assert set(cuts) <= {block.start_s for block in blocks} | {cuts[-1]}


def test_a_window_that_slides_shares_most_of_its_blocks() -> None:
    """An hour of seconds takes few blocks, and a second later nearly all of them are the same."""
    first, second = covering([10_007, 13_607], 1), covering([10_008, 13_608], 1)
    assert len(first) < 40
    assert len(set(second) - set(first)) <= 12


def test_two_years_take_few_blocks_in_seconds_as_in_hours() -> None:
    """So many that each can be looked at every second."""
    for bucket_s in (1, 10, 60, 3_600):
        start_s = 1_700_000_000 // bucket_s * bucket_s
        assert len(covering([start_s, start_s + 730 * 86_400], bucket_s)) < 20_000 // min(bucket_s, 10)


@given(start=st.integers(0, 10**6), length=st.integers(1, 5_000), step=st.integers(1, 700))
def test_steps_are_equal_but_for_the_last(start: int, length: int, step: int) -> None:
    """Steps adjoin, and the last one ends with the range."""
    blocks = steps(start, start + length, step)
    assert (blocks[0].start_s, blocks[-1].end_s) == (start, start + length)
    assert all(block.end_s - block.start_s == step for block in blocks[:-1])
    assert all(before.end_s == after.start_s for before, after in pairwise(blocks))


@pytest.mark.parametrize(("range_s", "step_s"), [(1, 1), (300, 1), (301, 2), (900, 5), (3_600, 20), (86_400, 300)])
def test_nice_steps_keep_an_answer_below_three_hundred_steps(range_s: int, step_s: int) -> None:
    """The smallest round step that is enough."""
    assert nice_step_s(range_s) == step_s
