"""One process evaluates among many, and another within seconds when it dies: as components, and as real processes."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from pathlib import Path

import pytest

from alerting.component import LOOKS_PER_LEASE, Alerting, build
from alerting.notifier import Channel
from alerting.settings import AlertingSettings
from examples.traffic.standstill import Stoppable, standing_still
from storage.alert_rounds import Lease
from storage.history import SqlHistory
from storage.ingest_progress import Progress
from storage.lease_keeper import LeaseKeeper
from storage.ports import StorageUnavailableError
from telemetry import Counters, RetryableError
from tests.support.alert_world import AlertWorld, rule
from tests.support.doubles import ManualClock
from tests.support.http_sink import HttpSink
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


@pytest.mark.parametrize("beat_before_death_s", [0.0, 0.4, 0.99])
async def test_by_default_another_takes_over_within_ten_seconds(beat_before_death_s: float) -> None:
    """By the clock of who waits: the lease, and the time between two looks; and not a moment before the lease."""
    lease_s, clock, leases = AlertingSettings().lease_s, ManualClock(0), _Leases(Lease("gone", 7, 1, ""))
    keeper = LeaseKeeper(lease_s, leases, "heir", lambda: clock() / 1e9, duty="evaluates the alerts")
    clock.advance(beat_before_death_s)
    while not await keeper.try_to_take():
        assert clock() / 1e9 < 20
        clock.advance(lease_s / LOOKS_PER_LEASE)
        if leases.seen.beat < 4:  # it lives for a while
            leases.seen = leases.seen._replace(beat=leases.seen.beat + 1)
            died_s = clock() / 1e9
    assert lease_s - 1e-6 <= clock() / 1e9 - died_s <= lease_s + 2 * lease_s / LOOKS_PER_LEASE < 10
    assert keeper.fence == 8


class _Leases:
    """A lease that is taken if nothing has moved."""

    def __init__(self, seen: Lease) -> None:
        self.seen = seen

    async def lease(self) -> Lease:
        return self.seen

    async def take(self, holder: str, seen: Lease) -> int | None:
        return seen.fence + 1 if seen == self.seen else None

    async def release(self, holder: str, fence: int) -> None:
        raise AssertionError("nobody gives it up")


class Pair:
    """Two real processes that evaluate alerts on one database, one webhook, and traffic that fails at first."""

    def __init__(self, url: str, folder: Path, history: SqlHistory, sink: HttpSink) -> None:
        self.folder, self.sink, self.is_bad = folder, sink, True
        self.world = AlertWorld(history, ManualClock(time.time()))
        self.processes: list[RunningProcess] = []
        self.environment = {
            "MODELWATCH_DATABASE_URL": url,
            "MODELWATCH_DATA_DIR": str(folder),
            "MODELWATCH_ALERTS__CHANNELS": f"[{{name: hook, url: 'http://127.0.0.1:{sink.port}/'}}]",
            "MODELWATCH_ALERTS__ALLOWED_NETWORKS": "127.0.0.1/32",
            "MODELWATCH_ALERTS__DEFAULT_RULES": "false",
            "MODELWATCH_ALERTS__GROUP_INTERVAL_S": "0",
            "MODELWATCH_ALERTS__LEASE_S": "2",
        }

    async def start_one(self) -> RunningProcess:
        port = free_port()
        log = self.folder / f"{len(self.processes)}.log"
        self.processes.append(
            await start_role("alerts", {**self.environment, "MODELWATCH_HEALTH__PORT": str(port)}, log, port)
        )
        return self.processes[-1]

    async def serve(self) -> None:
        """Be a processor that stores calls, and says that it is there."""
        for beat in itertools.count(1):
            self.world.clock.advance(time.time() - self.world.clock() / 1e9)
            await self.world.calls(10, errors=10 if self.is_bad else 0)
            await self.world.progress.put(Progress(1, beat, 0, 0, ""))
            await asyncio.sleep(0.5)

    def told(self) -> list[str]:
        posted = [json.loads(one.body) for one in self.sink.posted]
        return [one["state"] for body in posted for one in body["notifications"]]


def times_taken(process: RunningProcess) -> int:
    lines = process.output().splitlines()
    return sum("evaluates the alerts now" in line and "another process" not in line for line in lines)


async def test_a_process_that_hangs_or_is_killed_is_replaced_and_nothing_is_told_twice(
    database_url: str, history: SqlHistory, tmp_path: Path
) -> None:
    """The one that works is stopped by SIGSTOP: the other tells what fires. Awake again the first finds that it was
    replaced and sends nothing; when the second is killed, it knows all that this one told, and tells the end, once."""
    async with HttpSink() as sink:
        pair = Pair(database_url, tmp_path, history, sink)
        await pair.world.rules.create(rule(interval_s=1, window_s=10, keep_firing_for_s=1))
        serving: asyncio.Task[None] | None = None
        try:
            first = await pair.start_one()
            await eventually(lambda: times_taken(first) == 1, timeout_s=30)
            second = await pair.start_one()
            assert times_taken(second) == 0
            file = Path(database_url.removeprefix("sqlite:///")) if database_url.startswith("sqlite") else None
            async with standing_still(Stoppable(first.pid, file)):
                serving = asyncio.create_task(pair.serve())
                await eventually(lambda: times_taken(second) == 1, timeout_s=60)
                await eventually(lambda: pair.told() == ["firing"], timeout_s=60)
            await eventually(lambda: "another process evaluates the alerts now" in first.output(), timeout_s=60)
            second.kill()
            await eventually(lambda: times_taken(first) == 2, timeout_s=60)
            assert pair.told() == ["firing"]
            pair.is_bad = False
            await eventually(lambda: pair.told() == ["firing", "resolved"], timeout_s=60)
            assert first.stop() == 0
        finally:
            if serving is not None:
                serving.cancel()
                await asyncio.wait([serving])
            for process in pair.processes:
                process.kill()
    assert pair.told() == ["firing", "resolved"]
