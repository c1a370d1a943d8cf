"""Service instances in the history: noted with the commits of their data, bounded, forgotten when they are old."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy

from storage.component import build_upkeep
from storage.history import SqlHistory
from storage.ports import AlreadyCommittedError
from storage.settings import StorageSettings
from telemetry import Counters, SeenInstance, ServiceInstance
from tests.support.doubles import ManualClock

NOW_S = 1_700_000_400
DAY_S = 86_400
FIRST = ServiceInstance("shop", "a", "node-1", "41", "", "1.0", sdk_language="python")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_S)


@pytest.fixture
async def kept(store: Any, clock: ManualClock) -> AsyncIterator[SqlHistory]:
    """A running history of each kind, with a clock that stands still."""
    made = store.history(now_ns=clock)
    await made.start()
    yield made
    await made.stop()


async def writes_of(history: SqlHistory, *instances: ServiceInstance) -> int:
    """Return how many rows a commit of these instances wrote, by when they were last seen."""
    before = {seen.instance: seen.last_seen_s for seen in await history.instances(0)}
    await history.commit([], [], [], instances)
    return sum(before.get(seen.instance) != seen.last_seen_s for seen in await history.instances(0))


async def test_an_instance_is_kept_with_when_it_was_first_and_last_heard_of(
    kept: SqlHistory, clock: ManualClock
) -> None:
    """All of its fields come back, the latest instance first, of all services or of one."""
    other = ServiceInstance("cart", "b", "node-2", "7", "c" * 64, "2.0", "prod", "cart-1", "ns", "pod", "box")
    await kept.commit([b"1".ljust(16)], [], [], [FIRST])
    clock.advance(60)
    await kept.commit([b"2".ljust(16)], [], [], [FIRST, other])
    clock.advance(60)
    await kept.commit([b"3".ljust(16)], [], [], [other])
    last = SeenInstance(other, NOW_S + 60, NOW_S + 120)
    first = SeenInstance(FIRST, NOW_S, NOW_S + 60)
    assert list(await kept.instances(0)) == [last, first]
    assert list(await kept.instances(0, "shop")) == [first]
    assert list(await kept.instances(NOW_S + 120)) == [last]
    assert list(await kept.instances(0, "none")) == []


async def test_a_row_is_written_twice_a_minute_and_no_more(kept: SqlHistory, clock: ManualClock) -> None:
    """However many commits hear of the instance; a version that changes is written after five seconds at the latest."""
    writes = []
    for _ in range(60):
        writes.append(await writes_of(kept, FIRST))
        clock.advance(1)
    assert [second for second, wrote in enumerate(writes) if wrote] == [0, 30]
    newer = FIRST._replace(service_version="2.0")
    assert await writes_of(kept, newer)
    assert [seen.instance.service_version for seen in await kept.instances(0)] == ["2.0"]
    assert not await writes_of(kept, FIRST)
    clock.advance(5)
    assert await writes_of(kept, FIRST)


async def test_a_commit_that_is_refused_notes_nothing(kept: SqlHistory) -> None:
    """The instance is written with the next commit, in the same transaction as its data."""
    await kept.commit([b"known".ljust(16)], [])
    with pytest.raises(AlreadyCommittedError):
        await kept.commit([b"known".ljust(16)], [], [], [FIRST])
    assert not await kept.instances(0)
    await kept.commit([b"new".ljust(16)], [], [], [FIRST])
    assert len(await kept.instances(0)) == 1


async def test_processes_that_share_an_instance_id_are_rows_of_their_own(kept: SqlHistory) -> None:
    """Told apart by pid and container; texts that no database takes are cleaned, and found by the cleaned name."""
    odd = ServiceInstance("sh\0op\ud800", "a", "x" * 5_000)
    await kept.commit([], [], [], [FIRST, FIRST._replace(process_pid="42"), FIRST._replace(container_id="f00"), odd])
    assert len(await kept.instances(0, "shop")) == 3
    (found,) = await kept.instances(0, "sh\0op\ud800")
    assert (found.instance.service_name, len(found.instance.host_name)) == ("sh\ufffdop\ufffd", 1_024)


async def test_old_and_crowding_instances_are_deleted(store: Any, clock: ManualClock) -> None:
    """The latest of each service stay; a service with endless instances takes nothing from the others."""
    settings = {"max_instances_per_service": 5, "max_instances": 8, "instances_retention_s": DAY_S, "min_free_bytes": 0}
    history = store.history(now_ns=clock, **settings)
    await history.start()
    upkeep = build_upkeep(StorageSettings(**settings), history, Counters(), now_ns=clock)
    await history.commit([], [], [], [ServiceInstance("old", "a")])
    clock.advance(DAY_S - 10)
    await history.commit([], [], [], [FIRST])
    clock.advance(60)
    await history.commit([], [], [], [ServiceInstance("flood", str(number)) for number in range(200)])
    await upkeep.delete_expired()
    found = [seen.instance.service_name for seen in await history.instances(0)]
    assert sorted(found) == [*["flood"] * 5, "shop"]
    clock.advance(60)
    await history.commit([], [], [], [ServiceInstance(f"s{number}") for number in range(6)])
    await upkeep.delete_expired()
    found = [seen.instance.service_name for seen in await history.instances(0)]
    assert len(found) == 8
    assert set(found) == {f"s{number}" for number in range(6)} | {"flood"}
    await history.stop()


async def test_rows_that_a_writer_holds_are_not_waited_for(postgres_store: Any, clock: ManualClock) -> None:
    """Deleting what is too many leaves them for the next round."""
    history = postgres_store.history(now_ns=clock)
    await history.start()
    await history.commit([], [], [], [ServiceInstance("flood", str(number)) for number in range(10)])
    settings = StorageSettings(max_instances_per_service=1, lock_timeout_s=1)
    upkeep = build_upkeep(settings, history, Counters(), now_ns=clock)
    engine = sqlalchemy.create_engine(postgres_store.url)
    with engine.begin() as writer:
        writer.exec_driver_sql("UPDATE service_instances SET last_seen_s = 0 WHERE service_instance_id = '3'")
        await upkeep.delete_expired()
        left = {seen.instance.service_instance_id for seen in await history.instances(0)}
        assert len(left) <= 2
        assert "3" in left
    engine.dispose()
    await history.stop()
