"""The limits on series: nothing is lost, what is too much is one series, and the cause is named."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.red_series_limits import RedSeriesLimits
from telemetry import ExponentialHistogram, RedPoint, SeriesKey
from tests.support.doubles import ManualClock

OVERFLOW = "otel.metric.overflow"
SECOND = 1_700_000_000


def limits(
    clock: ManualClock | None = None, *, per_service: int = 3, total: int = 100, late: int = 0
) -> RedSeriesLimits:
    return RedSeriesLimits(per_service, total, late, 60, clock or ManualClock())


def point(series: SeriesKey, calls: int = 1, errors: int = 0, start_s: int = SECOND) -> RedPoint:
    return RedPoint(series, start_s, calls, errors, ExponentialHistogram.of([1_000_000] * calls))


def key(service: str, route: object, **fields: str) -> SeriesKey:
    return SeriesKey(service, http_route=f"/{route}", **fields)


def sums(points: Iterable[RedPoint]) -> tuple[int, int, int]:
    points = list(points)
    return (
        sum(one.calls for one in points),
        sum(one.errors for one in points),
        sum(one.durations.count for one in points),
    )


def test_within_the_limits_nothing_changes() -> None:
    """The points are handed through as they are."""
    points = [point(key("a", number)) for number in range(3)]
    assert limits().bounded(points) == points


def test_a_limit_that_is_raised_or_lowered_counts_for_series_that_come() -> None:
    """Those that are kept stay kept until they are idle."""
    ours = limits()
    ours.bounded([point(key("a", number)) for number in range(3)])
    ours.allow(4, 100)
    assert ours.bounded([point(key("a", 4))]) == [point(key("a", 4))]
    ours.allow(1, 1)
    kept = [point(key("a", number)) for number in (0, 1, 2, 4)]
    assert ours.bounded([*kept, point(key("a", 5))])[:4] == kept
    assert ours.series_count == 4


def test_series_beyond_the_limit_are_one_series_of_their_service() -> None:
    """Calls, errors and durations add up, kinds and status classes stay apart, other services are not affected."""
    ours = limits()
    ours.bounded([point(key("a", number)) for number in range(3)])
    beyond = [point(key("a", number, http_status_class="2xx"), calls=2) for number in range(10, 20)]
    beyond += [point(key("a", number, http_status_class="5xx"), errors=1) for number in range(10, 20)]
    bounded = ours.bounded([*beyond, point(key("b", 1)), point(key("a", 1))])
    overflow = {one.series.http_status_class: one for one in bounded if one.series.overflow}
    assert len(bounded) == 4
    assert (overflow["2xx"].calls, overflow["5xx"].errors, overflow["2xx"].durations.count) == (20, 10, 20)
    assert overflow["2xx"].series == SeriesKey("a", http_route=OVERFLOW, http_status_class="2xx", overflow="true")


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 12), st.integers(1, 3), st.integers(0, 1), st.integers(0, 2)),
        max_size=80,
    ),
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(0, 3),
)
def test_totals_are_exact_and_the_number_of_series_bounded(
    rows: list[tuple[int, int, int, int, int]], per_service: int, total: int, late: int
) -> None:
    """Whatever comes in whatever order, in one go or several, no call is lost and no limit exceeded."""
    ours = limits(per_service=per_service, total=total, late=late)
    points = [
        point(key(f"s{service}", route), calls, errors, SECOND + later) for service, route, calls, errors, later in rows
    ]
    bounded = [one for start in range(0, len(points), 7) for one in ours.bounded(points[start : start + 7])]
    assert sums(bounded) == sums(points)
    kept = {one.series for one in bounded if not one.series.overflow}
    assert len(kept) <= total
    assert ours.series_count == len(kept)
    services = {series.service_name for series in kept}
    assert all(sum(series.service_name == name for series in kept) <= per_service for name in services)
    names = {one.series.service_name for one in bounded} - services
    assert len(names - {OVERFLOW}) <= late
    assert OVERFLOW not in names or len(names) == late + 1


def test_services_beyond_all_limits_are_one_service() -> None:
    """An id in the service's name makes one more service, not thousands."""
    ours = limits(per_service=10, total=5)
    bounded = ours.bounded([point(SeriesKey(f"job-{number}")) for number in range(1_000)])
    assert len(bounded) == 6
    assert {one.series.service_name: one.calls for one in bounded}[OVERFLOW] == 995


def test_late_services_are_seen_under_their_own_name() -> None:
    """Ten services that are at their limits fill the whole of it; those that come after them are not nameless."""
    ours = limits(per_service=10, total=100, late=5)
    ours.bounded([point(key(f"early-{number % 10}", number)) for number in range(1_000)])
    late = [
        point(key(f"late-{number % 5}", number, http_status_class="2xx"), calls=1 + number % 5, errors=number % 2)
        for number in range(500)
    ]
    bounded = ours.bounded(late)
    by_name = {one.series.service_name: (one.calls, one.errors, one.durations.count) for one in bounded}
    assert by_name == {f"late-{one}": (100 * (1 + one), 50, 100 * (1 + one)) for one in range(5)}
    assert {one.series for one in bounded} == {
        SeriesKey(f"late-{one}", http_route=OVERFLOW, http_status_class="2xx", overflow="true") for one in range(5)
    }
    assert sums(ours.bounded([point(key("too late", 1)), point(key("late-1", 1))])) == (2, 0, 2)
    reported = {overflow.service_name: overflow for overflow in ours.overflows()}
    assert (reported["late-1"].kept, reported["late-1"].cause) == (0, "http_route")
    assert reported["late-1"].estimate == pytest.approx(100, rel=0.1)
    assert OVERFLOW in reported


def test_late_services_have_series_of_their_own_when_there_is_room() -> None:
    """Idle ones go, and make room for the next in turn."""
    clock = ManualClock()
    ours = limits(clock, total=1, late=1)
    ours.bounded([point(key("early", 1))])
    names = [ours.bounded([point(key(name, 1))])[0].series.service_name for name in ("late", "later", "late")]
    assert names == ["late", OVERFLOW, "late"]
    clock.advance(61)
    assert ours.bounded([point(key("late", 1))])[0].series == key("late", 1)
    assert ours.bounded([point(key("later", 1))])[0].series.service_name == "later"
    clock.advance(61)
    ours.bounded([])
    assert ours.series_count == 0
    assert ours.overflows() == []
    bounded = ours.bounded([point(key(name, 1)) for name in ("new", "late", "even later")])
    assert [one.series.service_name for one in bounded] == ["new", "late", OVERFLOW]


def test_services_of_which_nothing_is_kept_are_reported() -> None:
    """Under the name that their figures stand under, so that whoever sees it there learns why; then the report ends."""
    clock = ManualClock()
    ours = limits(clock, per_service=10, total=5)
    ours.bounded([point(SeriesKey(f"job-{number}")) for number in range(1_000)])
    (overflow,) = ours.overflows()
    assert (overflow.service_name, overflow.kept, overflow.cause) == (OVERFLOW, 0, "service_name")
    assert overflow.estimate == pytest.approx(995, rel=0.1)
    assert ours.overflowing_count == 1
    clock.advance(61)
    ours.bounded([])
    assert ours.overflows() == []


def test_idle_series_make_room() -> None:
    """A deployment's old instances do not keep out its new ones for ever."""
    clock = ManualClock()
    ours = limits(clock)
    ours.bounded([point(key("a", number)) for number in range(3)])
    clock.advance(30)
    ours.bounded([point(key("a", 0))])
    clock.advance(40)
    assert ours.bounded([point(key("a", "new"))])[0].series == key("a", "new")
    assert ours.series_count == 2
    clock.advance(100)
    ours.bounded([])
    assert ours.series_count == 0


def test_the_cause_is_named_and_the_true_number_estimated() -> None:
    """An operator reads which attribute to mend; once it is mended the report ends."""
    clock = ManualClock()
    ours = limits(clock, per_service=50)
    for start in range(0, 20_000, 500):
        found = [
            point(SeriesKey("a", "1.0", f"i-{number % 7}", http_route=f"/{number}"))
            for number in range(start, start + 500)
        ]
        ours.bounded(found)
    (overflow,) = ours.overflows()
    assert (overflow.service_name, overflow.kept, overflow.cause) == ("a", 50, "http_route")
    assert overflow.estimate == pytest.approx(20_000, rel=0.1)
    assert overflow.distinct["http_route"] == pytest.approx(20_000, rel=0.1)
    assert overflow.distinct["service_instance_id"] == pytest.approx(7, abs=2)
    clock.advance(61)
    ours.bounded([point(SeriesKey("a", "1.0", "i-1", http_route="/1"))])
    assert ours.overflows() == []
