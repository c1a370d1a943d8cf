"""The intake: every batch counts exactly once or is given back, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from processor.component import build
from processor.intake import Intake
from processor.settings import ProcessorSettings
from storage.component import build_in_process_live_feed, build_sqlite_history
from storage.ports import SeriesFilter, StorageUnavailableError
from storage.settings import StorageSettings
from telemetry import Batch, Counters, PermanentError, RetryableError, Signal
from telemetry.counters import CounterName
from tests.support.doubles import ManualClock
from tests.support.otlp import END_NS, resource, server_spans, span, trace_request
from tests.support.plain_red import by_series_and_second, plain_red_points
from tests.support.scripted_history import CountingFeed, ScriptedHistory
from tests.support.waiting import eventually

NOW_S = END_NS // 10**9 + 10
START_S, END_S = NOW_S - 100, NOW_S + 100


def batch(number: int = 0, count: int = 3, **fields: Any) -> Batch:
    """A batch of `count` server spans of a service of its own."""
    body = trace_request(server_spans(count, **fields), resource(f"shop-{number}")).SerializeToString()
    return Batch.of(Signal.TRACES, body, item_count=count, received_unix_nano=NOW_S * 10**9)


def poison(number: int = 0) -> Batch:
    return Batch.of(Signal.TRACES, b"\xff%d" % number, item_count=1, received_unix_nano=0)


class Bench:
    """An intake with its neighbours; `settings` as for `ProcessorSettings`."""

    def __init__(self, **settings: Any) -> None:
        self.history = ScriptedHistory()
        self.live = CountingFeed()
        self.counters = Counters()
        self.intake = self.another(**settings)

    def another(self, **settings: Any) -> Intake:
        """A further processor on the same store."""
        values = {"commit_interval_s": 0.01} | settings
        return build(ProcessorSettings(**values), self.history, self.live, self.counters, ManualClock(NOW_S))

    def consume(self, *batches: Batch) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.intake.consume(one)) for one in batches]

    def items_add_up(self) -> bool:
        """Everything received is stored, invalid, a duplicate, poison or refused."""
        names: list[CounterName] = [
            "processor_stored_items",
            "processor_invalid_items",
            "processor_duplicate_items",
            "processor_poison_items",
            "processor_refused_items",
            "processor_discarded_items",
            "processor_late_items",
        ]
        return self.counters.total("processor_received_items") == sum(self.counters.total(name) for name in names)


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Bench]:
    bench = Bench(**settings)
    await bench.intake.start()
    try:
        yield bench
    finally:
        bench.history.gate.set()
        await bench.intake.stop()
    assert bench.items_add_up(), bench.counters.snapshot()


async def outcomes(tasks: list[asyncio.Task[None]]) -> list[type[BaseException] | None]:
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [None if result is None else type(result) for result in results]


async def test_consume_returns_when_the_batch_is_committed_and_shown() -> None:
    """Success means stored; the live window has it too by then."""
    async with running() as bench:
        bench.history.gate.clear()
        [task] = bench.consume(batch())
        await eventually(lambda: bench.history.attempts)
        assert not task.done()
        bench.history.gate.set()
        await task
        assert bench.history.calls == bench.live.calls == 3


async def test_the_live_feed_starts_over_when_a_processor_starts() -> None:
    """Its predecessor may have died between commit and publish."""
    async with running() as bench:
        assert bench.live.resets == 1


async def test_many_batches_at_once_are_counted_exactly_in_few_commits(tmp_path: Path) -> None:
    """200 batches of 10 services on SQLite: each point equals the reference, in a handful of transactions."""
    clock, storage = ManualClock(NOW_S), StorageSettings()
    counters = Counters()
    history = build_sqlite_history(storage, f"sqlite:///{tmp_path}/red.db", now_ns=clock)
    live = build_in_process_live_feed(storage, counters, now_ns=clock)
    intake = build(ProcessorSettings(), history, live, counters, clock)
    batches = [
        batch(number % 10, count=1 + number % 7, status_code=[200, 404, 500][number % 3], duration_ns=number * 10**6,
              end_ns=END_NS + number * 10**7)
        for number in range(200)
    ]  # fmt: skip
    for component in (history, live, intake):
        await component.start()
    try:
        await asyncio.gather(*(intake.consume(one) for one in batches))
        stored = await history.read(START_S, END_S, SeriesFilter())
        shown = list(live.window.points(START_S, END_S))
    finally:
        for component in (intake, live, history):
            await component.stop()
    expected = plain_red_points([one.body for one in batches], latest_end_ns=END_NS + 10**12)
    assert by_series_and_second(shown) == by_series_and_second(expected)
    assert sum(point.calls for point in stored) == sum(one.item_count for one in batches)
    assert sum(point.errors for point in stored) == sum(point.errors for point in expected)
    assert counters.total("processor_stored_items") == sum(one.item_count for one in batches)


async def test_while_one_commit_runs_the_next_group_gathers() -> None:
    """However many batches arrive during a commit, they share the next one."""
    async with running() as bench:
        bench.history.gate.clear()
        first = bench.consume(batch(0))
        await eventually(lambda: bench.history.attempts)
        rest = bench.consume(*(batch(number) for number in range(1, 30)))
        await eventually(lambda: bench.counters.total("processor_received_batches") == 30)
        bench.history.gate.set()
        assert set(await outcomes(first + rest)) == {None}
        assert [len(ids) for ids in bench.history.attempts] == [1, 29]
        assert bench.history.calls == 90


async def test_a_batch_after_a_pause_does_not_wait_for_the_interval() -> None:
    """Freshness is not given away when there is nothing to gather."""
    async with running(commit_interval_s=60) as bench:
        started = time.monotonic()
        await bench.intake.consume(batch())
        assert time.monotonic() - started < 5


async def test_commits_keep_their_interval_under_steady_load() -> None:
    """Batches that trickle in are committed a few times a second, not one by one."""
    async with running(commit_interval_s=0.2) as bench:
        started = time.monotonic()
        tasks = []
        while time.monotonic() - started < 0.9:
            tasks += bench.consume(batch(len(tasks)))
            await asyncio.sleep(0.005)
        assert set(await outcomes(tasks)) == {None}
        elapsed_s = time.monotonic() - started
        assert len(bench.history.attempts) <= elapsed_s / 0.2 + 2
        assert bench.history.calls == 3 * len(tasks)


async def test_a_sender_that_waits_for_each_answer_is_not_held_to_the_interval() -> None:
    """When nothing more arrives there is nothing to wait for."""
    async with running(commit_interval_s=2) as bench:
        started = time.monotonic()
        for number in range(5):
            await bench.intake.consume(batch(number))
        assert time.monotonic() - started < 5
        assert bench.history.calls == 15


@pytest.mark.parametrize("full", [{"group_batches": 5}, {"group_items": 15}])
async def test_a_full_group_does_not_wait(full: dict[str, int]) -> None:
    """Neither by spans nor by batches does a busy stream wait for the clock."""
    async with running(commit_interval_s=60, **full) as bench:
        await bench.intake.consume(batch(0))
        started = time.monotonic()
        waiting = bench.consume(*(batch(number) for number in range(1, 5)))
        await asyncio.sleep(0.05)
        assert len(bench.history.attempts) == 1
        assert set(await outcomes(waiting + bench.consume(batch(5)))) == {None}
        assert time.monotonic() - started < 5


async def test_a_batch_twice_in_one_group_counts_once() -> None:
    """A client that was impatient is answered twice and counted once."""
    async with running() as bench:
        bench.history.gate.clear()
        first = bench.consume(batch(0))
        await eventually(lambda: bench.history.attempts)
        twins = bench.consume(batch(1), batch(1), batch(0))
        await eventually(lambda: bench.counters.total("processor_received_batches") == 4)
        bench.history.gate.set()
        assert await outcomes(first + twins) == [None] * 4
        assert bench.history.calls == bench.live.calls == 6
        assert bench.counters.total("processor_duplicate_batches") == 2


async def test_a_batch_sent_again_to_the_same_process_leaves_the_live_view_alone() -> None:
    """This process knows that it has shown the batch: there is no doubt to act upon."""
    async with running() as bench:
        for _ in range(3):
            await bench.intake.consume(batch())
        assert bench.history.calls == bench.live.calls == 3
        assert bench.live.resets == 1
        assert len(bench.history.attempts) == 1


async def test_a_batch_that_another_process_stored_counts_once_and_resets_the_live_view() -> None:
    """The rest of its group is stored; whether the other process showed its points is unknown."""
    async with running() as bench:
        other = bench.another()
        await other.start()
        await other.consume(batch(1))
        await other.stop()
        resets = bench.live.resets
        bench.history.gate.clear()
        first = bench.consume(batch(0))
        await eventually(lambda: len(bench.history.attempts) == 2)
        group = bench.consume(batch(1), batch(2), batch(3))
        await eventually(lambda: bench.counters.total("processor_received_batches") == 5)
        bench.history.gate.set()
        assert await outcomes(first + group) == [None] * 4
        assert bench.history.calls == bench.live.calls == 12
        assert bench.live.resets == resets + 1
        assert bench.counters.total("processor_duplicate_batches") == 1


async def test_poison_fails_alone() -> None:
    """A batch that cannot be read is refused for good; its neighbours in the group are stored."""
    async with running() as bench:
        bench.history.gate.clear()
        first = bench.consume(batch(0))
        await eventually(lambda: bench.history.attempts)
        group = bench.consume(batch(1), poison(), batch(2), poison(1))
        await eventually(lambda: bench.counters.total("processor_received_batches") == 5)
        bench.history.gate.set()
        assert await outcomes(first + group) == [None, None, PermanentError, None, PermanentError]
        assert bench.history.calls == 9
        assert bench.counters.total("processor_poison_batches") == 2


async def test_logs_are_taken_counted_and_not_kept() -> None:
    """Nothing is decoded or committed, and nobody waits."""
    async with running() as bench:
        await bench.intake.consume(Batch.of(Signal.LOGS, b"anything", item_count=5, received_unix_nano=0))
        assert bench.counters.total("processor_received_items") == 5
        assert bench.counters.total("processor_discarded_items") == 5
        assert not bench.history.attempts


async def test_other_spans_and_impossible_ones_are_counted_beside_the_stored() -> None:
    """Skipped spans are stored as part of their batch, impossible ones are set aside."""
    spans = [*server_spans(2), span(), *server_spans(1, end_ns=10**9)]
    mixed = Batch.of(Signal.TRACES, trace_request(spans).SerializeToString(), item_count=4, received_unix_nano=0)
    async with running() as bench:
        await bench.intake.consume(mixed)
        assert bench.history.calls == 2
        totals = [bench.counters.total(f"processor_{name}_items") for name in ("stored", "skipped", "invalid")]  # type: ignore[arg-type]
        assert totals == [3, 1, 1]


async def test_a_batch_without_points_is_stored_too() -> None:
    """Its id is kept, so that it is not decoded for nothing again."""
    async with running() as bench:
        await bench.intake.consume(batch(count=0))
        assert len(bench.history.batch_ids) == 1


async def test_an_unavailable_store_gives_everything_back_and_later_counts_exactly() -> None:
    """Every waiter of the group hears that it may try again; trying again stores each once."""
    async with running() as bench:
        bench.history.is_down = True
        batches = [batch(number) for number in range(10)]
        failed = await asyncio.gather(*bench.consume(*batches), return_exceptions=True)
        assert {type(error) for error in failed} == {RetryableError}
        assert all("does not answer" in str(error) for error in failed)
        assert bench.history.calls == bench.live.calls == 0
        assert bench.live.resets > 1
        bench.history.is_down = False
        assert await outcomes(bench.consume(*batches)) == [None] * 10
        assert bench.history.calls == bench.live.calls == 30


async def test_a_commit_of_unknown_outcome_counts_once_when_it_is_tried_again() -> None:
    """The connection broke after the commit: the second attempt finds the ids and counts nothing twice."""
    async with running() as bench:
        bench.history.late_errors = [StorageUnavailableError("lost the connection")]
        assert await outcomes(bench.consume(batch())) == [RetryableError]
        resets = bench.live.resets
        assert resets > 1
        assert await outcomes(bench.consume(batch())) == [None]
        assert bench.history.calls == 3
        assert bench.live.resets == resets + 1


async def test_an_unexpected_error_is_no_end() -> None:
    """A mistake in the store costs that group a retry, and the committer lives on."""
    async with running() as bench:
        bench.history.errors = [ValueError("bug")]
        assert await outcomes(bench.consume(batch())) == [RetryableError]
        assert await outcomes(bench.consume(batch())) == [None]
        assert bench.history.calls == 3


async def test_data_that_the_store_refuses_fails_alone() -> None:
    """The group is taken apart, so that one refused batch does not hold up the others for ever."""
    async with running() as bench:
        bench.history.refused_id, bench.history.refusal = batch(2).batch_id, PermanentError("value out of range")
        bench.history.gate.clear()
        first = bench.consume(batch(0))
        await eventually(lambda: bench.history.attempts)
        group = bench.consume(batch(1), batch(2), batch(3))
        await eventually(lambda: bench.counters.total("processor_received_batches") == 4)
        bench.history.gate.set()
        assert await outcomes(first + group) == [None, None, PermanentError, None]
        assert bench.history.calls == bench.live.calls == 9


@pytest.mark.parametrize("limit", [{"max_waiting_batches": 3}, {"max_waiting_bytes": 3 * len(batch(0).body)}])
async def test_what_waits_is_bounded(limit: dict[str, int]) -> None:
    """Over the limit a batch is refused at once as retryable, and room is made again by the commit."""
    async with running(**limit) as bench:
        bench.history.gate.clear()
        held = bench.consume(*(batch(number) for number in range(3)))
        await eventually(lambda: bench.counters.total("processor_received_batches") == 3)
        with pytest.raises(RetryableError, match="already holds 3 batches"):
            await asyncio.wait_for(bench.intake.consume(batch(9)), 1)
        bench.history.gate.set()
        assert await outcomes(held) == [None] * 3
        await bench.intake.consume(batch(9))
        assert bench.history.calls == 12


async def test_a_batch_larger_than_all_room_is_taken_when_nothing_else_waits() -> None:
    """Otherwise it would be refused for ever with a promise that it may succeed."""
    async with running(max_waiting_bytes=10) as bench:
        await bench.intake.consume(batch())
        assert bench.history.calls == 3


async def test_a_cancelled_consume_hurts_nobody() -> None:
    """A client that hangs up leaves its batch in the group; the others are answered, and sent again it counts once."""
    async with running() as bench:
        bench.history.gate.clear()
        gone, stays = bench.consume(batch(0), batch(1))
        await eventually(lambda: bench.history.attempts)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        bench.history.gate.set()
        await stays
        await bench.intake.consume(batch(0))
        assert bench.history.calls == 6


async def test_stop_commits_what_is_in_hand() -> None:
    """Nothing that waits is given back when there is time to store it."""
    bench = Bench(commit_interval_s=60)
    await bench.intake.start()
    await bench.intake.consume(batch(0))
    waiting = bench.consume(*(batch(number) for number in range(1, 10)))
    await asyncio.sleep(0)
    started = time.monotonic()
    await bench.intake.stop()
    assert await outcomes(waiting) == [None] * 9
    assert bench.history.calls == 30
    assert time.monotonic() - started < 5


async def test_stop_is_bounded_when_the_store_hangs() -> None:
    """After the timeout every waiter is told to send again, both those in the commit and those behind it."""
    bench = Bench(stop_timeout_s=0.1)
    await bench.intake.start()
    bench.history.gate.clear()
    first = bench.consume(batch(0))
    await eventually(lambda: bench.history.attempts)
    behind = bench.consume(batch(1), batch(2))
    await asyncio.sleep(0)
    await asyncio.wait_for(bench.intake.stop(), 3)
    assert await outcomes(first + behind) == [RetryableError] * 3
    assert bench.items_add_up()


async def test_it_takes_nothing_before_start_and_after_stop() -> None:
    """A batch is refused as retryable, never swallowed."""
    bench = Bench()
    for _ in range(2):
        with pytest.raises(RetryableError, match="stopping or not started"):
            await bench.intake.consume(batch())
        await bench.intake.start()
        await bench.intake.stop()
    assert bench.items_add_up()


async def test_it_starts_and_stops_twice() -> None:
    """Each start begins anew, and starting or stopping twice is harmless."""
    bench = Bench()
    for number in range(2):
        await bench.intake.start()
        await bench.intake.start()
        await bench.intake.consume(batch(number))
        await bench.intake.stop()
        await bench.intake.stop()
    assert bench.history.calls == 6


async def test_random_faults_and_duplicates_end_in_exact_counts() -> None:
    """Senders that repeat until they succeed, a store that fails before or after the commit: each batch counts once."""
    rng = random.Random(7)
    async with running(group_batches=4) as bench:
        faults: list[Exception] = [StorageUnavailableError("a fault")] * 20
        batches = [batch(number % 5, count=1 + number, duration_ns=number) for number in range(60)]

        async def send(one: Batch) -> None:
            for _ in range(rng.choice([1, 1, 2])):
                while True:
                    if faults and rng.random() < 0.2:
                        rng.choice([bench.history.errors, bench.history.late_errors]).append(faults.pop())
                    try:
                        await bench.intake.consume(one)
                        break
                    except RetryableError:
                        await asyncio.sleep(rng.random() / 100)

        await asyncio.gather(*(send(one) for one in batches))
        expected = plain_red_points([one.body for one in batches], latest_end_ns=END_NS + 10**12)
        assert bench.history.calls == sum(point.calls for point in expected)
        assert len(bench.history.batch_ids) == 60
