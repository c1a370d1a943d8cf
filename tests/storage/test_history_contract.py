"""What every history promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from storage.history import SqlHistory
from storage.ports import AlreadyCommittedError, SeriesFilter, StorageUnavailableError, TooManyPointsError
from telemetry import RedPoint, SeriesKey
from tests.support.committing import POINTS_PER_COMMIT
from tests.support.red_points import START_S, random_points, red_point, totals_of

EVERYTHING = SeriesFilter()
WIDTH_S = 10


def new_id() -> bytes:
    return os.urandom(16)


async def read_all(history: SqlHistory, where: SeriesFilter = EVERYTHING) -> Sequence[RedPoint]:
    return await history.read(0, 2**40, where)


async def test_what_was_committed_is_read_back_in_wider_buckets(history: SqlHistory) -> None:
    """Points of one series that fall into one bucket are added up into one, and nothing is lost."""
    points = random_points(1, 300)
    await history.commit([new_id()], points)
    found = await read_all(history)
    assert totals_of(found, WIDTH_S) == totals_of(points, WIDTH_S)
    assert len(found) == len(totals_of(points, WIDTH_S))
    assert all(point.start_s % history.resolution_s == 0 for point in found)


async def test_the_order_and_grouping_of_commits_makes_no_difference(history: SqlHistory) -> None:
    """Any shuffling into any number of commits ends in the same rows."""
    points = random_points(2, 200)
    shuffled = points[:]
    random.Random(3).shuffle(shuffled)
    for first in range(0, len(shuffled), 13):
        await history.commit([new_id()], shuffled[first : first + 13])
    assert totals_of(await read_all(history)) == totals_of(points, WIDTH_S)


async def test_minimum_and_maximum_survive_merging_in_the_database(history: SqlHistory) -> None:
    """The exact extremes of a bucket are those over all commits."""
    for duration_ms in (20, 5, 900):
        await history.commit([new_id()], [red_point(duration_ms=duration_ms)])
    (point,) = await read_all(history)
    assert (point.durations.min_ns, point.durations.max_ns) == (5_000_000, 900_000_000)


async def test_late_points_land_in_their_own_bucket(history: SqlHistory) -> None:
    """A point of an hour ago is added to the bucket of an hour ago."""
    await history.commit([new_id()], [red_point(start_s=START_S)])
    await history.commit([new_id()], [red_point(start_s=START_S - 3_600)])
    await history.commit([new_id()], [red_point(start_s=START_S - 3_599, calls=2)])
    assert [(point.start_s, point.calls) for point in await read_all(history)] == [(START_S - 3_600, 3), (START_S, 1)]


async def test_a_known_batch_is_refused_with_all_that_came_along(history: SqlHistory) -> None:
    """One id that was committed before keeps the whole commit out, and the error names exactly the known ones."""
    known, fresh = new_id(), new_id()
    await history.commit([known], [red_point()])
    with pytest.raises(AlreadyCommittedError) as refusal:
        await history.commit([fresh, known], [red_point(calls=5), red_point("new service")])
    assert refusal.value.batch_ids == {known}
    assert totals_of(await read_all(history)) == totals_of([red_point()], WIDTH_S)
    await history.commit([fresh], [red_point(calls=5)])
    assert [point.calls for point in await read_all(history)] == [6]


async def test_an_id_named_twice_in_one_commit_counts_once(history: SqlHistory) -> None:
    """The same id twice in a call is no duplicate of an earlier commit."""
    batch_id = new_id()
    await history.commit([batch_id, batch_id], [red_point()])
    assert [point.calls for point in await read_all(history)] == [1]
    with pytest.raises(AlreadyCommittedError):
        await history.commit([batch_id], [])


async def test_ids_without_points_and_points_without_ids_can_be_committed(history: SqlHistory) -> None:
    """A batch without any RED span is remembered all the same; nothing at all is no error."""
    batch_id = new_id()
    await history.commit([], [])
    await history.commit([batch_id], [])
    await history.commit([], [red_point()])
    with pytest.raises(AlreadyCommittedError):
        await history.commit([batch_id], [red_point()])
    assert [point.calls for point in await read_all(history)] == [1]


async def test_of_many_commits_of_one_batch_at_once_exactly_one_succeeds(history: SqlHistory) -> None:
    """Whoever redelivers to whom, a batch counts once."""
    batch_id = new_id()
    outcomes = await asyncio.gather(
        *(history.commit([batch_id, new_id()], [red_point()]) for _ in range(8)), return_exceptions=True
    )
    assert outcomes.count(None) == 1
    refusals = [outcome for outcome in outcomes if outcome is not None]
    assert all(isinstance(refusal, AlreadyCommittedError) for refusal in refusals)
    assert [point.calls for point in await read_all(history)] == [1]


async def test_commits_from_many_tasks_on_the_same_keys_add_up_exactly(store: Any) -> None:
    """Concurrent commits to the same rows lose nothing, whatever order their points come in."""
    one, other = store.history(write_threads=4), store.history(write_threads=4)
    await asyncio.gather(one.start(), other.start())
    parts = [random_points(seed, 60, series=3, seconds=20) for seed in range(24)]
    await asyncio.gather(*((one, other)[i % 2].commit([new_id()], part) for i, part in enumerate(parts)))
    assert totals_of(await read_all(one)) == totals_of((point for part in parts for point in part), WIDTH_S)
    await asyncio.gather(one.stop(), other.stop())


async def test_commits_from_many_processes_on_the_same_keys_add_up_exactly(store: Any) -> None:
    """Processes that start at once on an empty store migrate it once and count everything exactly."""
    commits, seeds = 15, (101, 102, 103)
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.committing", store.kind, store.url, str(seed), str(commits)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        for seed in seeds
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0] * len(seeds), outputs
    points = [point for seed in seeds for point in random_points(seed, commits * POINTS_PER_COMMIT)]
    history = store.history()
    await history.start()
    assert totals_of(await read_all(history)) == totals_of(points, WIDTH_S)
    await history.stop()


async def test_reading_takes_the_half_open_range_in_time_order(history: SqlHistory) -> None:
    """Buckets that begin in [start, end) are returned, oldest first."""
    await history.commit([new_id()], [red_point(start_s=START_S + seconds) for seconds in (40, 0, 20, 30, 10)])
    found = await history.read(START_S + 10, START_S + 40, EVERYTHING)
    assert [point.start_s - START_S for point in found] == [10, 20, 30]
    assert not await history.read(START_S + 1, START_S + 10, EVERYTHING)


@pytest.mark.parametrize(
    "where",
    [
        SeriesFilter(service_name="a"),
        SeriesFilter(deployment_environment="prod"),
        SeriesFilter(service_name="a", http_route="/x", model_name="", service_version="2"),
        SeriesFilter(model_name="iris"),
        SeriesFilter(service_name="no such service"),
        SeriesFilter(service_name="a%"),
        SeriesFilter(service_name="a' OR ''='"),
        SeriesFilter(service_name=""),
    ],
)
async def test_a_filter_lets_the_same_series_through_as_in_memory(history: SqlHistory, where: SeriesFilter) -> None:
    """The history and `SeriesFilter.matches` agree, also on names that would mean something in SQL."""
    series = [
        SeriesKey("a", http_route="/x", service_version="2"),
        SeriesKey("a", http_route="/y", deployment_environment="prod"),
        SeriesKey("ab", model_name="iris"),
        SeriesKey("a%"),
        SeriesKey("a' OR ''='"),
        SeriesKey(""),
    ]
    await history.commit([new_id()], [RedPoint(key, START_S, 1, 0, red_point().durations) for key in series])
    found = {point.series for point in await read_all(history, where)}
    assert found == {key for key in series if where.matches(key)}


async def test_hostile_names_are_stored_readably_and_found_by_the_name_they_were_sent_under(
    history: SqlHistory,
) -> None:
    """NUL and lone surrogates become U+FFFD, long fields are cut off, everything else stays as it is."""
    names = {
        "nul\0in it": "nul\ufffdin it",
        "half a \ud83d pair": "half a \ufffd pair",
        "x" * 5_000: "x" * 1_024,
        "naïve — 模型 😀": "naïve — 模型 😀",
        "'; DROP TABLE series; --": "'; DROP TABLE series; --",
        "%(name)s :bind {brace}": "%(name)s :bind {brace}",
    }
    await history.commit([new_id()], [red_point(name) for name in names])
    assert {point.series.service_name for point in await read_all(history)} == set(names.values())
    for sent, kept in names.items():
        found = await read_all(history, SeriesFilter(service_name=sent))
        assert [point.series.service_name for point in found] == [kept]


async def test_series_that_become_one_by_cleaning_are_added_up(history: SqlHistory) -> None:
    """Totals stay exact when two names differ only in what cannot be stored."""
    await history.commit([new_id()], [red_point("a\0"), red_point("a\ud800", calls=2), red_point("a\ufffd", calls=4)])
    assert [(point.series.service_name, point.calls) for point in await read_all(history)] == [("a\ufffd", 7)]


async def test_the_extremes_of_time_and_size_can_be_stored(history: SqlHistory) -> None:
    """The first second of 1970, a far future, and a commit wider than one statement."""
    await history.commit([new_id()], [red_point(start_s=0), red_point(start_s=2**34)])
    wide = [red_point(f"service-{number}") for number in range(2_500)]
    await history.commit([new_id() for _ in range(1_500)], wide)
    await history.commit([new_id()], wide)
    assert sum(point.calls for point in await read_all(history)) == 2 + 2 * 2_500
    assert await history.oldest_s() == 0


async def test_an_empty_history_has_no_oldest_point(history: SqlHistory) -> None:
    """`oldest_s` is None until something is committed, then the start of its bucket."""
    assert await history.oldest_s() is None
    assert not await read_all(history)
    await history.commit([new_id()], [red_point(start_s=START_S + 7)])
    assert await history.oldest_s() == START_S
    await history.check()


async def test_calls_are_totalled_by_bucket(history: SqlHistory) -> None:
    """Over all series, in half-open ranges, and only where there were calls."""
    points = random_points(3, 200)
    await history.commit([new_id()], points)
    expected = {
        start_s: (sum(of.calls for of in inside), sum(of.errors for of in inside))
        for start_s in (START_S, START_S + WIDTH_S)
        for inside in [[of for of in points if start_s <= of.start_s < start_s + WIDTH_S]]
    }
    assert await history.call_totals(START_S - WIDTH_S, START_S + 2 * WIDTH_S) == expected
    assert await history.call_totals(START_S + 1_000, START_S + 2_000) == {}


async def test_a_question_about_too_much_is_refused_in_words(store: Any) -> None:
    """Beyond `max_read_points` the error says how many are allowed and what to do."""
    history = store.history(max_read_points=10)
    await history.start()
    await history.commit([new_id()], [red_point(start_s=START_S + 10 * number) for number in range(11)])
    assert len(await history.read(START_S, START_S + 100, EVERYTHING)) == 10
    with pytest.raises(TooManyPointsError, match=r"more than 10 points.*shorter time"):
        await read_all(history)
    await history.stop()


async def test_everything_is_still_there_after_start_stop_start_stop(store: Any) -> None:
    """A history keeps its points and its batch ids over restarts, and can be started again itself."""
    history, batch_id = store.history(), new_id()
    for _ in range(2):
        await history.start()
        await history.start()
        await history.stop()
        await history.stop()
    await history.start()
    await history.commit([batch_id], [red_point()])
    await history.stop()
    with pytest.raises(StorageUnavailableError, match="not running"):
        await read_all(history)
    for again in (history, store.history()):
        await again.start()
        assert [point.calls for point in await read_all(again)] == [1]
        with pytest.raises(AlreadyCommittedError):
            await again.commit([batch_id], [red_point()])
        await again.stop()


async def test_a_small_memory_of_series_changes_nothing_but_speed(store: Any) -> None:
    """More series than `max_cached_series` are committed and read all the same."""
    history = store.history(max_cached_series=3)
    await history.start()
    points = random_points(5, 100, series=20)
    for first in range(0, 100, 10):
        await history.commit([new_id()], points[first : first + 10])
    assert totals_of(await read_all(history)) == totals_of(points, WIDTH_S)
    await history.stop()


async def test_a_commit_that_its_caller_gave_up_is_kept_whole_or_not_at_all(history: SqlHistory) -> None:
    """Cancelling the wait leaves an outcome that the batch id tells."""
    batch_id = new_id()
    attempt = asyncio.create_task(history.commit([batch_id], random_points(7, 200)))
    await asyncio.sleep(0)
    attempt.cancel()
    await asyncio.wait([attempt])
    try:
        await history.commit([batch_id], random_points(7, 200))
    except AlreadyCommittedError:
        pass  # the first attempt had gone through after all
    assert totals_of(await read_all(history)) == totals_of(random_points(7, 200), WIDTH_S)
