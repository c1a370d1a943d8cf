"""The live window: what it holds, what it claims, and what it costs."""

from __future__ import annotations

import tracemalloc

from storage.live_window import LiveWindow
from telemetry import ExponentialHistogram, RedPoint, SeriesKey
from tests.support.red_points import random_points, red_point, totals_of

NOW_S = 1_700_000_000


def test_points_are_added_up_by_series_and_second() -> None:
    """The sums are those of a plain reference, in time order, in half-open ranges."""
    window, points = LiveWindow(900), random_points(1, 500)
    for first in range(0, 500, 50):
        window.add(points[first : first + 50], NOW_S + 30)
    found = list(window.points(NOW_S, NOW_S + 30))
    assert totals_of(found) == totals_of(points)
    assert [point.start_s for point in found] == sorted(point.start_s for point in found)
    assert window.point_count == len(found)
    assert all(point.start_s == NOW_S + 7 for point in window.points(NOW_S + 7, NOW_S + 8))


def test_what_leaves_the_window_is_forgotten() -> None:
    """Seconds older than the window go with the next addition, and are not taken any more."""
    window = LiveWindow(60)
    window.add([red_point("old", NOW_S)], NOW_S)
    window.add([red_point("new", NOW_S + 61), red_point("too late", NOW_S)], NOW_S + 61)
    assert [point.series.service_name for point in window.points(NOW_S - 100, NOW_S + 100)] == ["new"]
    assert window.newest_s == NOW_S + 61
    assert window.point_count == 1


def test_coverage_needs_completeness_and_length() -> None:
    """A range is covered when it begins neither before the window is complete nor before it begins."""
    window = LiveWindow(60)
    assert not window.covers(NOW_S, NOW_S)
    window.restart(NOW_S - 30)
    assert window.covers(NOW_S - 30, NOW_S)
    assert not window.covers(NOW_S - 31, NOW_S)
    assert not window.covers(NOW_S - 30, NOW_S + 31)
    window.restart(None)
    assert not window.covers(NOW_S, NOW_S)


def test_a_longer_window_claims_nothing_that_the_shorter_one_left_out() -> None:
    """Nor what others left out who knew of it a minute later; a shorter one claims less at once."""
    window = LiveWindow(600)
    window.restart(NOW_S - 600)
    window.resize(300, 400_000, NOW_S)
    assert window.covers(NOW_S - 300, NOW_S)
    assert not window.covers(NOW_S - 301, NOW_S)
    window.add([red_point("late", NOW_S - 400)], NOW_S)
    window.resize(600, 400_000, NOW_S)
    assert not window.covers(NOW_S - 241, NOW_S)
    assert window.covers(NOW_S - 240, NOW_S)
    assert window.covers(NOW_S - 240, NOW_S + 360)
    window.add([red_point(str(number), NOW_S) for number in range(30)], NOW_S)
    window.resize(600, 10, NOW_S)
    window.add([red_point("one more", NOW_S)], NOW_S)
    assert window.point_count <= 10


def test_revisions_change_with_the_points_and_only_with_them() -> None:
    """A reader may keep what it derived from a range as long as the range's revision stays."""
    window = LiveWindow(900)
    assert window.revision(NOW_S, NOW_S + 10) == 0
    seen = set()
    for start_s in (NOW_S, NOW_S + 3, NOW_S):
        window.add([red_point(start_s=start_s)], NOW_S)
        seen.add(window.revision(NOW_S, NOW_S + 10))
    assert len(seen) == 3
    before = window.revision(NOW_S, NOW_S + 10)
    window.add([red_point(start_s=NOW_S + 10)], NOW_S)
    assert window.revision(NOW_S, NOW_S + 10) == before
    window.clear()
    window.add([red_point(start_s=NOW_S)], NOW_S)
    assert window.revision(NOW_S, NOW_S + 10) not in seen | {before}


def test_too_many_points_shorten_the_window_and_its_claim() -> None:
    """The oldest seconds go first, and the window is complete only after them, also after a restart."""
    window = LiveWindow(900, max_points=100)
    window.restart(NOW_S - 900)
    for second in range(10):
        window.add([red_point(f"s{number}", NOW_S + second) for number in range(20)], NOW_S + 10)
    assert window.point_count == 100
    assert window.complete_since_s == NOW_S + 5
    assert not list(window.points(NOW_S, NOW_S + 5))
    window.restart(NOW_S)
    assert window.complete_since_s == NOW_S + 5
    window.clear()
    window.restart(NOW_S)
    assert window.complete_since_s == NOW_S


def test_a_clock_that_jumps_ahead_and_back_leaves_no_hole_that_counts_as_complete() -> None:
    """Both what the jump threw out and what came too late meanwhile lie before the claim afterwards."""
    window = LiveWindow(60)
    window.restart(NOW_S - 60)
    window.add([red_point("thrown out", NOW_S)], NOW_S)
    window.add([red_point("too late", NOW_S + 2)], NOW_S + 1_000)
    window.add([red_point("in time", NOW_S + 5)], NOW_S + 5)
    assert not window.covers(NOW_S, NOW_S + 5)
    assert not window.covers(NOW_S + 2, NOW_S + 5)
    assert window.covers(NOW_S + 3, NOW_S + 5)


def test_calls_are_totalled_over_all_series() -> None:
    """The totals of a range are those of the points that it holds, also after the oldest have gone."""
    window, points = LiveWindow(900, max_points=100), random_points(1, 500)
    window.add(points, NOW_S + 30)
    held = list(window.points(NOW_S + 3, NOW_S + 25))
    assert 0 < window.point_count <= 100
    assert window.call_total(NOW_S + 3, NOW_S + 25) == (
        sum(point.calls for point in held),
        sum(point.errors for point in held),
    )
    window.clear()
    assert window.call_total(NOW_S, NOW_S + 30) == (0, 0)


def test_a_reader_may_go_through_a_second_that_is_being_added_to() -> None:
    """Points that come while a reader iterates neither break it nor show up in the middle."""
    window = LiveWindow(900)
    window.add([red_point("a", NOW_S), red_point("b", NOW_S)], NOW_S)
    reading = window.points(NOW_S, NOW_S + 1)
    next(reading)
    window.add([red_point("c", NOW_S)], NOW_S)
    assert len(list(reading)) == 1


def test_equal_series_are_held_once() -> None:
    """Every point refers to the same key object, whoever made its key."""
    window = LiveWindow(900)
    for second in range(5):
        window.add([red_point("".join(["sh", "op"]), NOW_S + second)], NOW_S)
    assert len({id(point.series) for point in window.points(NOW_S, NOW_S + 5)}) == 1


def test_fifteen_minutes_at_200_points_a_second_stay_well_under_150_mb() -> None:
    """Measured on a thirtieth of it, each point with a key of its own, as from Redis: about 80 MB in all."""
    window, share = LiveWindow(900), 30
    tracemalloc.start()
    try:
        for second in range(share):
            window.add((_point_of_its_own(number, NOW_S + second) for number in range(200)), NOW_S + second)
        used_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used_bytes * 900 / share < 110e6


def _point_of_its_own(number: int, start_s: int) -> RedPoint:
    fields = [f"{name}-{number}" for name in SeriesKey._fields]
    durations = [1_000_000 * (1 + number % 50 + 7 * call) for call in range(10)]
    return RedPoint(SeriesKey(*fields), start_s, 10, 1, ExponentialHistogram.of(durations))


def test_points_of_some_series_are_those_of_all_without_the_others() -> None:
    """In time order, and from half-open ranges."""
    window = LiveWindow(900)
    window.add(random_points(2, 300), NOW_S + 30)
    known = window.series(NOW_S + 3, NOW_S + 20)
    assert known == {point.series for point in window.points(NOW_S + 3, NOW_S + 20)}
    some = sorted(known)[: len(known) // 2]
    found = list(window.points_of(some, NOW_S + 3, NOW_S + 20))
    assert totals_of(found) == totals_of(
        [point for point in window.points(NOW_S + 3, NOW_S + 20) if point.series in some]
    )
    assert [point.start_s for point in found] == sorted(point.start_s for point in found)
    assert not list(window.points_of([], NOW_S, NOW_S + 30))
