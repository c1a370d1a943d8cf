"""One window by a fine grouping, of which many ask by coarser ones: the same figures as asking each by itself."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

import pytest

from query import OVERFLOW, GroupBy, QuestionError
from query.blocks import Block
from query.cells import Cell, sum_of_cells
from query.totals import SlidingTotals, WindowTotals
from telemetry import ExponentialHistogram
from tests.support.calls import points_of, random_calls
from tests.support.query_world import NOW_S, World, make_world

FINE: tuple[GroupBy, ...] = ("service", "route", "version", "instance")


@pytest.mark.parametrize("group_by", [FINE, ("service",), ("service", "route"), ("version",), ()])
@pytest.mark.parametrize("complete_since_s", [NOW_S - 900, NOW_S - 5])
async def test_coarser_groups_are_those_of_the_question_itself(
    group_by: tuple[GroupBy, ...], complete_since_s: int
) -> None:
    """Calls, errors and percentiles of every group are what `red` says of it, from either source."""
    world = make_world(complete_since_s=complete_since_s)
    await world.commit(*points_of(random_calls(3, 600, NOW_S - 300, NOW_S)))
    totals = await world.query.totals(120, FINE, NOW_S)
    assert (totals.start_s, totals.end_s) == (NOW_S - 120, NOW_S)
    found = {
        tuple(item.labels.values()): (item.total.calls, item.total.errors, item.total.p95_s)
        for item in (await world.query.red(totals.start_s, totals.end_s, 10, group_by)).items
    }
    assert {
        key: (total.calls, total.errors, total.p95_s) for key, total in totals.select(group_by, totals.groups())
    } == found
    assert found


async def test_groups_are_found_by_a_value(world: World) -> None:
    """Those with a value are the same as going through all; a value that none has finds none."""
    await world.commit(*points_of(random_calls(4, 200, NOW_S - 60, NOW_S)))
    totals = await world.query.totals(60, FINE, NOW_S)
    for service in ("churn", "prices", "nobody"):
        assert list(totals.groups_with("service", service)) == [key for key in totals.groups() if key[0] == service]
    seen = totals.last_seen_s(("service",), totals.groups())
    calls = random_calls(4, 200, NOW_S - 60, NOW_S)
    for (service,), last_s in seen.items():
        assert last_s == max(call.end_s for call in calls if call.series.service_name == service)


async def test_the_smallest_groups_beyond_the_bound_are_one(world: World) -> None:
    """Totals stay exact."""
    await world.commit(*points_of(random_calls(5, 500, NOW_S - 60, NOW_S)))
    totals = await world.query.totals(60, FINE, NOW_S, max_groups=4)
    assert len(totals) == 4
    assert (OVERFLOW,) * 4 in totals.groups()
    assert sum(total.calls for _, total in totals.select((), totals.groups())) == 500


@pytest.mark.parametrize("complete_since_s", [NOW_S - 900, NOW_S - 5])
async def test_sliding_windows_are_those_of_each_moment(complete_since_s: int) -> None:
    """A window of the replay is what asking at its end would have found."""
    world = make_world(complete_since_s=complete_since_s)
    await world.commit(*points_of(random_calls(6, 900, NOW_S - 600, NOW_S)))
    sliding = await world.query.sliding_totals(NOW_S - 300, NOW_S, 10, 60, ("service",))
    windows = list(sliding.windows())
    assert [window.end_s for window in windows] == list(range(NOW_S - 300, NOW_S + 1, 10))
    for window in itertools.islice(windows, 0, None, 7):
        alone = await world.query.totals(60, ("service",), window.end_s)
        assert alone.start_s == window.start_s
        assert dict(alone.select(("service",), alone.groups())) == dict(window.select(("service",), window.groups()))


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_a_window_that_slides_holds_what_its_blocks_hold(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of groups that come and go and come back; the price of a window does not grow with its length."""
    chance = random.Random(count)
    blocks = [Block(NOW_S + 10 * number, NOW_S + 10 * number + 10) for number in range(120)]
    columns: list[dict[tuple[str, ...], Cell]] = [
        {
            (name,): _cell(block.start_s, [chance.randrange(1, 10**9) for _ in range(chance.randrange(1, 4))])
            for name, share in (("busy", 1.0), ("rare", 0.1), ("odd", 0.5))
            if chance.random() < share
        }
        for block in blocks
    ]
    summed = 0

    def counted(cells: Iterable[Cell]) -> Cell | None:
        nonlocal summed
        cells = list(cells)
        summed += len(cells) if len(cells) > 1 else 0
        return sum_of_cells(cells)

    monkeypatch.setattr("query.totals.sum_of_cells", counted)
    windows = list(SlidingTotals(("service",), blocks, columns, 10 * count).windows())
    assert summed <= 6 * sum(map(len, columns))
    assert len(windows) == len(blocks) - count + 1
    for first, window in enumerate(windows):
        alone = WindowTotals(("service",), window.start_s, window.end_s, columns[first : first + count])
        assert (window.start_s, window.end_s) == (blocks[first].start_s, blocks[first + count - 1].end_s)
        assert {key: window.durations(key) for key in window.groups()} == {
            key: alone.durations(key) for key in alone.groups()
        }
        keys = alone.groups()
        assert dict(window.select(("service",), keys)) == dict(alone.select(("service",), keys))
        assert window.last_seen_s(("service",), keys) == alone.last_seen_s(("service",), keys)


def _cell(start_s: int, durations_ns: list[int]) -> Cell:
    errors = len(durations_ns) - 1
    return Cell(start_s, start_s + errors, len(durations_ns), errors, 0, ExponentialHistogram.of(durations_ns))


async def test_what_may_not_be_asked_is_refused(world: World) -> None:
    """The bounds of other questions hold here as well."""
    with pytest.raises(QuestionError, match="window"):
        await world.query.totals(0, ("service",))
    with pytest.raises(QuestionError, match="unknown field"):
        await world.query.totals(60, ("colour",))  # type: ignore[arg-type]
    with pytest.raises(QuestionError, match="steps"):
        await world.query.sliding_totals(0, 86_400, 1, 60, ("service",))
