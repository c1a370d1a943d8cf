"""How long sessions last, what an outage of the database does, how often somebody may be wrong; by injected clocks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from access.component import build
from access.directory import Directory, UnknownAccessError
from access.settings import AccessSettings
from access.throttle import BY_ADDRESS, BY_USER, MOST_BUCKETS, Throttle
from storage.access_store import AccessRows, AccessStore, SessionRow, TokenRow, UserRow
from storage.component import build_access_store, build_sqlite_history
from storage.history import SqlHistory
from storage.ports import StorageUnavailableError
from storage.settings import StorageSettings
from telemetry import Counters
from tests.support.doubles import ManualClock

IDLE_S, LIFETIME_S, GRACE_S = 600, 3_600, 30


class Times:
    """Two clocks that move together."""

    def __init__(self) -> None:
        self.wall = ManualClock()
        self.monotonic = 0.0

    def advance(self, seconds: float) -> None:
        self.wall.advance(seconds)
        self.monotonic += seconds


class CuttableStore(AccessStore):
    """A real store whose database can be out of reach."""

    def __init__(self, store: AccessStore) -> None:
        super().__init__(store._database)
        self.is_cut = False

    async def rows(self) -> AccessRows:
        if self.is_cut:
            raise StorageUnavailableError("cut")
        return await super().rows()


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[SqlHistory]:
    made = build_sqlite_history(StorageSettings(), f"sqlite:///{tmp_path / 'modelwatch.db'}")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
async def store(history: SqlHistory, times: Times) -> CuttableStore:
    """A user with a session that begins now, and a token that ends in a day."""
    made, now_s = CuttableStore(build_access_store(history)), times.wall.now_s
    await made.add_user(UserRow("ann", "editor", "hash", now_s))
    await made.add_session(SessionRow("session", "ann", now_s, now_s), "hash", 9)
    await made.add_token(TokenRow("ci", "token", "viewer", now_s, now_s + 86_400, 0))
    return made


@pytest.fixture
async def directory(store: CuttableStore, times: Times) -> Directory:
    """Not started: tests say when it reads."""
    settings = AccessSettings(
        session_idle_s=IDLE_S, session_lifetime_s=LIFETIME_S, outage_grace_s=GRACE_S, refresh_interval_s=2
    )
    made = Directory(settings, store, Counters(), times.wall, lambda: times.monotonic)
    await made.refresh()
    return made


async def test_a_session_that_is_not_used_ends(directory: Directory, times: Times) -> None:
    """After the idle time, to the second."""
    times.advance(IDLE_S - 1)
    await directory.refresh()
    assert directory.session("session") is not None
    times.advance(1)
    await directory.refresh()
    assert directory.session("session") is None


async def test_a_session_that_is_used_ends_all_the_same(directory: Directory, times: Times) -> None:
    """After its lifetime, however much it is used."""
    for _ in range(LIFETIME_S // 300 - 1):
        times.advance(300)
        await directory.refresh()
        assert directory.session("session") is not None
        directory.see_session("session")
    times.advance(300)
    await directory.refresh()
    assert directory.session("session") is None


async def test_what_was_used_is_known_to_other_dashboards(
    directory: Directory, store: CuttableStore, times: Times
) -> None:
    """It is written down with the next tidying, and what is over is gone from the database."""
    times.advance(IDLE_S - 1)
    directory.see_session("session")
    directory.see_token("token")
    await directory._tidy()
    rows = await store.rows()
    assert [row.seen_s for row in rows.sessions] == [row.seen_s for row in rows.tokens] == [times.wall.now_s]
    times.advance(IDLE_S + 1)
    await directory._tidy()
    assert (await store.rows()).sessions == []


async def test_a_token_ends(directory: Directory, times: Times) -> None:
    """At its second."""
    times.advance(86_399)
    await directory.refresh()
    assert directory.token("token") is not None
    times.advance(1)
    await directory.refresh()
    assert directory.token("token") is None


async def test_whoever_is_in_stays_in_through_a_short_outage(
    directory: Directory, store: CuttableStore, times: Times
) -> None:
    """And nobody is let in on what was known long ago: they are told to come again, not that they are strangers."""
    store.is_cut = True
    times.advance(GRACE_S)
    await directory.refresh_for_unknown()
    assert directory.session("session") is not None
    times.advance(3)
    ask: tuple[Callable[[], Any], ...] = (
        lambda: directory.session("session"),
        lambda: directory.token("token"),
        lambda: directory.user("ann"),
    )
    for question in ask:
        with pytest.raises(UnknownAccessError):
            question()
    store.is_cut = False
    await directory.refresh()
    assert directory.session("session") is not None


async def test_nobody_comes_in_by_what_was_before_a_change(directory: Directory, store: CuttableStore) -> None:
    """A password that was changed while the answer got lost ends the sessions here too."""

    def change(_: AccessStore) -> Awaitable[bool]:
        store.is_cut = True
        return store.set_password("ann", "new")

    with pytest.raises(StorageUnavailableError):
        await directory.change(change)
    assert directory.session("session") is None


async def test_strangers_make_the_database_be_asked_no_more_than_twice_a_second(
    directory: Directory, store: CuttableStore, times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many come."""
    asked = 0
    rows = AccessStore.rows

    async def counted(self: AccessStore) -> AccessRows:
        nonlocal asked
        asked += 1
        return await rows(self)

    monkeypatch.setattr(AccessStore, "rows", counted)
    for _ in range(100):
        times.advance(0.1)
        await directory.refresh_for_unknown()
    assert 15 <= asked <= 20


async def test_it_starts_and_stops_again_and_again(store: CuttableStore) -> None:
    """And stops twice; nothing is left running."""
    access = build(AccessSettings(), store, Counters(), "127.0.0.1")
    for _ in range(2):
        await access.start()
        await access.start()
        assert access.directory.user("ann") is not None
        await access.stop()
        await access.stop()


async def test_guessing_one_name_from_everywhere_is_bounded() -> None:
    """A hundred tries at once, and one more each ten seconds; others are not kept out by it."""
    now_s = 0.0
    throttle = Throttle(lambda: now_s)
    tries = sum(throttle.take("ann", f"10.0.{number // 250}.{number % 250}") == 0 for number in range(1_000))
    assert tries == BY_USER.most
    now_s = 3_600.0
    tries += sum(throttle.take("ann", f"10.1.{number // 250}.{number % 250}") == 0 for number in range(1_000))
    assert tries <= BY_USER.most + 3_600 / BY_USER.every_s
    assert throttle.take("bob", "10.9.9.9") == 0


async def test_guessing_many_names_from_one_address_is_bounded() -> None:
    """Thirty at once; the wait that is told is enough."""
    now_s = 0.0
    throttle = Throttle(lambda: now_s)
    assert sum(throttle.take(f"user{number}", "10.0.0.1") == 0 for number in range(500)) == BY_ADDRESS.most
    wait_s = throttle.take("ann", "10.0.0.1")
    assert wait_s > 0
    now_s += wait_s
    assert throttle.take("ann", "10.0.0.1") == 0


async def test_what_the_throttle_remembers_is_bounded() -> None:
    """Though somebody has as many names and addresses as they like."""
    throttle = Throttle(lambda: 0.0)
    for number in range(MOST_BUCKETS):
        throttle.take(f"user{number}", f"address{number}")
    assert len(throttle._buckets) <= MOST_BUCKETS
