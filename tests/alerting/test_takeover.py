"""One process evaluates among many, and another within seconds when it dies: as components, and as real processes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from alerting.component import Alerting, build
from alerting.notifier import Channel
from alerting.settings import AlertingSettings
from storage.history import SqlHistory
from storage.ingest_progress import Progress
from storage.ports import StorageUnavailableError
from telemetry import Counters, RetryableError
from tests.support.alert_world import AlertWorld, rule
from tests.support.doubles import ManualClock
from tests.support.notifications import RecordingNotifier
from tests.support.ports import free_port
from tests.support.processes import RunningProcess, start_role
from tests.support.waiting import eventually


class Clocked:
    """Some components on one database, each with counters of its own, and one channel that they share."""

    def __init__(self, history: SqlHistory) -> None:
        self.world = AlertWorld(history, ManualClock(time.time()))
        self.chat = RecordingNotifier()
        self.counters: list[Counters] = []

    def alerting(self, **settings: object) -> Alerting:
        self.counters.append(Counters())
        return build(
            AlertingSettings(lease_s=1, default_rules=False, **settings),  # type: ignore[arg-type]
            self.world.store,
            self.world.progress,
            self.world.asking,
            [Channel("chat", self.chat)],
            self.counters[-1],
        )

    @property
    def leaders(self) -> list[int]:
        return [
            number
            for number, counters in enumerate(self.counters)
            if counters.gauges()["alerting_is_evaluator", ()] == 1
        ]


@pytest.fixture
def clocked(history: SqlHistory) -> Clocked:
    return Clocked(history)


async def test_one_of_several_evaluates_and_the_next_takes_its_place(clocked: Clocked) -> None:
    """At once after a stop, after the lease when it dies without a word; what fired is told once in all."""
    await clocked.world.rules.create(rule(interval_s=1, window_s=600))
    clocked.world.clock.advance(time.time() - clocked.world.clock() / 1e9)
    await clocked.world.calls(20, errors=20)
    await clocked.world.progress.put(Progress(1, 1, 0, 0, ""))
    several = [clocked.alerting() for _ in range(3)]
    for one in several:
        await one.start()
    await eventually(lambda: len(clocked.leaders) == 1)
    await eventually(lambda: len(clocked.chat.told) == 1)
    (first,) = clocked.leaders
    for task in several[first]._tasks:  # dies: nothing is released
        task.cancel()
    await asyncio.wait(several[first]._tasks)
    await eventually(lambda: [one for one in clocked.leaders if one != first], timeout_s=30)
    (second,) = [one for one in clocked.leaders if one != first]
    await eventually(lambda: clocked.counters[second].total("alerting_evaluations") > 2, timeout_s=30)
    await several[second].stop()
    await eventually(lambda: [one for one in clocked.leaders if one not in (first, second)], timeout_s=30)
    for one in several:
        await one.stop()
    assert len(clocked.chat.told) == 1
    assert [counters.total("alerting_takeovers") for counters in clocked.counters] == [1, 1, 1]


async def test_it_starts_and_stops_twice(clocked: Clocked) -> None:
    """And leaves nothing behind; the lease is free in between."""
    alerting = clocked.alerting()
    for _ in range(2):
        await alerting.start()
        await eventually(lambda: clocked.leaders == [0])
        await alerting.check()
        await alerting.stop()
        assert (await clocked.world.store.rounds.lease()).holder == ""


async def test_a_database_that_goes_away_and_comes_back(clocked: Clocked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check says that alerts are not evaluated, until they are again."""
    alerting = clocked.alerting()
    await alerting.start()
    await eventually(lambda: clocked.leaders == [0])

    async def away(*_: object) -> None:
        raise StorageUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(type(clocked.world.store.rounds), "commit", away)
        await eventually(lambda: _fails(alerting))
    await eventually(lambda: _succeeds(alerting), timeout_s=20)
    await alerting.stop()


async def _fails(alerting: Alerting) -> bool:
    try:
        await alerting.check()
    except RetryableError as error:
        return "away" in str(error)
    return False


async def _succeeds(alerting: Alerting) -> bool:
    try:
        await alerting.check()
    except RetryableError:
        return False
    return True


async def test_a_process_that_is_killed_is_replaced(tmp_path: Path) -> None:
    """`modelwatch alerts` twice on one file: SIGKILL for the one that works, and the other goes on."""
    ports = [free_port(), free_port()]
    started: list[RunningProcess] = []
    try:
        for number, port in enumerate(ports):
            environment = {"MODELWATCH_HEALTH__PORT": str(port), "MODELWATCH_DATA_DIR": str(tmp_path)}
            started.append(await start_role("alerts", environment, tmp_path / f"{number}.log", port))
        words = "evaluates the alerts now"
        await eventually(lambda: words in started[0].output(), timeout_s=30)
        assert words not in started[1].output()
        started[0].kill()
        await eventually(lambda: words in started[1].output(), timeout_s=60)
        assert started[1].stop() == 0
    finally:
        for process in started:
            process.kill()
