"""What waits to be sent: kept while nobody takes it, within a limit, and every point accounted for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from container_stats.outbox import Outbox
from telemetry import Batch, Counters, PermanentError, RetryableError, Signal
from telemetry.counters import CounterName
from tests.support.metric_consumer import MetricConsumer
from tests.support.waiting import eventually


class Running:
    def __init__(self, max_bytes: int = 1000) -> None:
        self.consumer, self.counters = MetricConsumer(), Counters()
        self.outbox = Outbox(self.consumer, max_bytes, self.counters)

    def put(self, *names: str) -> None:
        for name in names:
            body = name.encode().ljust(300, b".")
            self.outbox.put(Batch.of(Signal.METRICS, body, item_count=10, received_unix_nano=1))

    def taken(self) -> list[str]:
        return [batch.body.rstrip(b".").decode() for batch in self.consumer.batches]

    def points(self, kind: str) -> int:
        names: dict[str, CounterName] = {
            "made": "container_stats_points",
            "sent": "container_stats_sent_points",
            "refused": "container_stats_refused_points",
            "dropped": "container_stats_dropped_points",
        }
        return self.counters.total(names[kind])


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    made = Running()
    task = asyncio.create_task(made.outbox.run())
    yield made
    task.cancel()
    await asyncio.wait([task])


async def test_batches_are_sent_in_order(running: Running) -> None:
    """What was put first is sent first."""
    running.put("a", "b", "c")
    await eventually(lambda: running.taken() == ["a", "b", "c"])
    assert (running.points("made"), running.points("sent"), running.outbox.waiting_bytes) == (30, 30, 0)
    running.outbox.check()


async def test_the_oldest_make_room_while_nobody_takes_them(running: Running) -> None:
    """Over the limit the oldest are dropped and counted; the one that is being sent is not, and all add up."""
    running.consumer.failure = RetryableError("away", retry_after_s=0.01)
    running.put("a")
    await eventually(lambda: running.counters.total("container_stats_retries") > 0)
    with pytest.raises(RetryableError, match="away"):
        running.outbox.check()
    running.put("b", "c", "d", "e")
    assert running.outbox.waiting_bytes == 900
    running.consumer.failure = None
    await eventually(lambda: running.taken() == ["a", "d", "e"])
    assert running.points("made") == running.points("sent") + running.points("dropped") == 50
    running.outbox.check()


async def test_what_is_refused_for_good_is_not_sent_again(running: Running) -> None:
    """A batch that can never be taken does not hold up those behind it."""
    running.consumer.failure = PermanentError("no such key")
    running.put("a")
    await eventually(lambda: running.points("refused") == 10)
    with pytest.raises(RetryableError, match="no such key"):
        running.outbox.check()
    running.consumer.failure = None
    running.put("b")
    await eventually(lambda: running.taken() == ["b"])


async def test_what_waits_is_sent_at_the_end() -> None:
    """A flush sends what it can and gives up where nobody takes it."""
    made = Running()
    made.put("a", "b")
    await made.outbox.flush(5)
    assert made.taken() == ["a", "b"]
    made.put("c")
    made.consumer.failure = RetryableError("away")
    await made.outbox.flush(5)
    assert made.taken() == ["a", "b"]


async def test_problems_are_said_when_they_change(running: Running, capfd: pytest.CaptureFixture[str]) -> None:
    """An endpoint that stays away is one line, and its return another."""
    running.consumer.failure = RetryableError("away", retry_after_s=0.01)
    running.put("a")
    await eventually(lambda: running.counters.total("container_stats_retries") >= 2)
    running.consumer.failure = None
    await eventually(lambda: running.taken() == ["a"])
    said = capfd.readouterr().out
    assert said.count("are not taken") == 1
    assert said.count("taken again") == 1
