"""Users, sessions and tokens are kept alike on both databases."""

from __future__ import annotations

import asyncio

import pytest

from storage.access_store import AccessStore, SessionRow, TokenRow, UserRow
from storage.component import build_access_store
from storage.history import SqlHistory

ANN = UserRow("ann", "editor", "hash of ann", 10)


def session(digest: str, created_s: int, user_name: str = "ann", seen_s: int | None = None) -> SessionRow:
    return SessionRow(digest, user_name, created_s, created_s if seen_s is None else seen_s)


@pytest.fixture
async def access(history: SqlHistory) -> AccessStore:
    """A store with one user."""
    store = build_access_store(history)
    assert await store.add_user(ANN)
    return store


async def test_a_user_is_read_as_written_and_no_name_is_given_twice(access: AccessStore) -> None:
    """A second of the name changes nothing; what concerns nobody is told."""
    assert not await access.add_user(ANN._replace(role="viewer", password="other"))
    assert (await access.rows()).users == [ANN]
    assert await access.set_role("ann", "viewer")
    assert not await access.set_role("bob", "viewer")
    assert not await access.set_password("bob", "x")
    assert not await access.remove_user("bob")
    assert (await access.rows()).users == [ANN._replace(role="viewer")]


async def test_the_first_user_is_made_once(history: SqlHistory) -> None:
    """Though several dashboards start in one moment, each with its own idea of the password."""
    store = build_access_store(history)
    rows = [UserRow("admin", "editor", f"hash {number}", number) for number in range(5)]
    done = await asyncio.gather(*(store.add_user(row, only_first=True) for row in rows))
    assert done.count(True) == 1
    assert (await store.rows()).users == [rows[done.index(True)]]
    await store.remove_user("admin")
    await store.add_user(ANN)
    assert not await store.add_user(rows[0], only_first=True)


async def test_a_session_begins_only_with_the_password_that_holds(access: AccessStore) -> None:
    """Whoever logs in while the password changes, or the user is removed, is not let in by what was."""
    assert await access.add_session(session("a", 1), ANN.password, 5)
    assert not await access.add_session(session("b", 1), "hash of before", 5)
    assert not await access.add_session(session("c", 1, "nobody"), ANN.password, 5)
    assert (await access.rows()).sessions == [session("a", 1)]


@pytest.mark.parametrize("end", ["password", "removal"])
async def test_sessions_end_with_password_and_user(access: AccessStore, end: str) -> None:
    """All of theirs, and nobody else's."""
    await access.add_user(UserRow("bob", "viewer", "hash of bob", 10))
    await access.add_session(session("a", 1), ANN.password, 5)
    await access.add_session(session("b", 1, "bob"), "hash of bob", 5)
    done = access.set_password("ann", "new") if end == "password" else access.remove_user("ann")
    assert await done
    assert (await access.rows()).sessions == [session("b", 1, "bob")]


async def test_a_further_session_ends_the_oldest(access: AccessStore) -> None:
    """Of the same user."""
    for number in range(5):
        await access.add_session(session(f"s{number}", number), ANN.password, 3)
    assert sorted(row.digest for row in (await access.rows()).sessions) == ["s2", "s3", "s4"]


async def test_what_is_over_is_deleted_and_use_is_noted(access: AccessStore) -> None:
    """The latest use of all dashboards counts, whichever writes last; what is unknown does no harm."""
    for row in (session("old", 1, seen_s=500), session("idle", 300), session("used", 300), session("new", 600)):
        await access.add_session(row, ANN.password, 9)
    await access.add_token(TokenRow("ci", "digest", "viewer", 1, 0, 0))
    await access.tidy({"used": 550, "unknown": 1}, {"digest": 70}, created_before_s=100, seen_before_s=400)
    await access.tidy({"used": 450}, {"digest": 60}, created_before_s=100, seen_before_s=400)
    rows = await access.rows()
    assert {row.digest: row.seen_s for row in rows.sessions} == {"used": 550, "new": 600}
    assert [row.seen_s for row in rows.tokens] == [70]


async def test_a_token_is_kept_until_it_is_revoked(access: AccessStore) -> None:
    """Its name is given once."""
    row = TokenRow("ci", "digest", "editor", 1, 5, 0)
    assert await access.add_token(row)
    assert not await access.add_token(row._replace(digest="other"))
    assert (await access.rows()).tokens == [row]
    assert await access.remove_token("ci")
    assert not await access.remove_token("ci")
    assert (await access.rows()).tokens == []


async def test_a_session_that_was_ended_is_gone(access: AccessStore) -> None:
    """For everybody who reads the database."""
    await access.add_session(session("a", 1), ANN.password, 5)
    assert await access.end_session("a")
    assert not await access.end_session("a")
    assert (await access.rows()).sessions == []
