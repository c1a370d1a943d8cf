"""Where alerts are kept: revisions, the lease with its fence, all of a round or nothing, pages of history."""

from __future__ import annotations

import asyncio

import pytest

from storage.alert_documents import AckRow, RevisionConflictError, SilenceRow
from storage.alert_rounds import LeaseLostError, Round, StateRow, TransitionRow
from storage.alert_store import AlertStore
from tests.support.notifications import notification, outbox_row


async def test_a_rule_is_changed_only_at_the_revision_that_is_expected(store: AlertStore) -> None:
    """Of two who change the same revision the second is refused, and neither makes what exists."""
    rules = store.documents
    assert await rules.put_rule("slow", "{}", 0, 1) == 1
    with pytest.raises(RevisionConflictError):
        await rules.put_rule("slow", "{}", 0, 2)
    assert await rules.put_rule("slow", '{"a":1}', 1, 3) == 2
    with pytest.raises(RevisionConflictError):
        await rules.put_rule("slow", '{"a":2}', 1, 4)
    assert await rules.put_rule("slow", '{"a":3}', None, 5) == 3
    assert [tuple(row) for row in await rules.rules()] == [("slow", 3, 5, '{"a":3}')]
    with pytest.raises(RevisionConflictError):
        await rules.delete_rule("slow", 2)
    assert await rules.delete_rule("slow", 3)
    assert not await rules.delete_rule("slow", None)


async def test_two_who_change_a_rule_at_once_do_not_both_succeed(store: AlertStore) -> None:
    """Whatever the timing, one revision has one successor."""
    await store.documents.put_rule("slow", "{}", 0, 1)
    found = await asyncio.gather(
        *(store.documents.put_rule("slow", f'"{number}"', 1, number) for number in range(8)), return_exceptions=True
    )
    assert sorted(map(str, found)) == ["", "", "", "", "", "", "", "2"]


async def test_silences_and_acknowledgements_take_the_place_of_their_own(store: AlertStore) -> None:
    """The latest word counts, and what has ended is not read any more."""
    for ends_ms in (100, 300):
        await store.documents.put_silence(SilenceRow("s1", ends_ms, str(ends_ms)))
    await store.documents.put_silence(SilenceRow("s2", 200, "200"))
    assert [row.document for row in await store.documents.silences(250)] == ["300"]
    for at_ms in (1, 2):
        await store.documents.put_ack(AckRow("a1", at_ms, str(at_ms)))
    assert await store.documents.acks() == [AckRow("a1", 2, "2")]


async def test_one_of_many_takes_the_lease(store: AlertStore) -> None:
    """Of those who saw the same beat one takes over; whoever was replaced can write nothing at all."""
    seen = await store.rounds.lease()
    taken = await asyncio.gather(*(store.rounds.take(f"p{number}", seen) for number in range(6)))
    assert sorted(fence for fence in taken if fence is not None) == [1]
    holder = f"p{taken.index(1)}"
    await store.rounds.commit(holder, 1, Round("first"))
    after = await store.rounds.lease()
    assert (after.holder, after.fence, after.document) == (holder, 1, "first")
    assert await store.rounds.take("late", seen) is None, "the beat has moved since"
    assert await store.rounds.take("next", after) == 2
    row = TransitionRow(1, "a1", 1, "slow", "{}")
    with pytest.raises(LeaseLostError):
        await store.rounds.commit(
            holder, 1, Round("old", states=[StateRow("a1", "slow", "firing", "{}")], transitions=[row])
        )
    assert await store.rounds.states() == []
    assert await store.rounds.history(10) == []
    assert (await store.rounds.lease()).document == "first"


async def test_a_lease_that_was_given_up_is_not_the_next_holders_to_lose(store: AlertStore) -> None:
    """A release after another took over changes nothing."""
    assert await store.rounds.take("first", await store.rounds.lease()) == 1
    await store.rounds.release("first", 1)
    free = await store.rounds.lease()
    assert free.holder == ""
    assert await store.rounds.take("second", free) == 2
    await store.rounds.release("first", 1)
    assert (await store.rounds.lease()).holder == "second"


async def test_a_round_is_kept_whole(store: AlertStore) -> None:
    """States, transitions and news are there together; what is forgotten takes its acknowledgement along."""
    await store.rounds.take("me", await store.rounds.lease())
    told = outbox_row(notification(), "mail", 5)
    states = [StateRow("a1", "slow", "firing", "1"), StateRow("a2", "slow", "pending", "2")]
    transitions = [TransitionRow(5, "a1", 1, "slow", "t1"), TransitionRow(5, "a2", 1, "slow", "t2")]
    await store.rounds.commit("me", 1, Round("", states, (), transitions, [told]))
    await store.documents.put_ack(AckRow("a1", 6, "seen"))
    assert [row.alert_id for row in await store.rounds.states(["firing"])] == ["a1"]
    assert await store.outbox.due(5, 10) == [told]
    assert await store.outbox.due(4, 10) == []
    assert await store.outbox.due(5, 10, ["mail"]) == []
    await store.rounds.commit("me", 1, Round("", [StateRow("a2", "slow", "firing", "3")], ["a1"]))
    assert await store.rounds.states() == [StateRow("a2", "slow", "firing", "3")]
    assert await store.documents.acks() == []


async def test_history_is_read_page_by_page_without_gaps(store: AlertStore) -> None:
    """Pages of any size, joined, are all transitions, latest first, though many happened at the same time."""
    await store.rounds.take("me", await store.rounds.lease())
    rows = [
        TransitionRow(at_ms, f"a{alert}", sequence, f"rule{alert % 2}", "{}")
        for at_ms in (1, 2)
        for alert in range(4)
        for sequence in (1, 2)
    ]
    await store.rounds.commit("me", 1, Round("", transitions=rows))
    read: list[TransitionRow] = []
    while page := await store.rounds.history(3, before=read[-1][:3] if read else None):
        read += page
    assert read == sorted(rows, reverse=True)
    assert {row.rule_id for row in await store.rounds.history(99, rule_id="rule1")} == {"rule1"}
    assert len(await store.rounds.history(99, alert_id="a0", since_ms=2)) == 2
    assert len(await store.rounds.history(99, until_ms=2)) == 8


async def test_what_is_old_is_deleted_but_nothing_that_waits(store: AlertStore) -> None:
    """Transitions, silences, and notifications that reached their end go; one that still waits stays."""
    await store.rounds.take("me", await store.rounds.lease())
    rows = [outbox_row(notification(name), "mail", 5) for name in ("sent", "waits")]
    await store.rounds.commit("me", 1, Round("", transitions=[TransitionRow(5, "a1", 1, "slow", "{}")], outbox=rows))
    await store.outbox.settle([rows[0]._replace(status="sent", finished_ms=6)])
    await store.documents.put_silence(SilenceRow("s1", 5, "{}"))
    assert await store.rounds.expire(10) == 3
    assert [row.notification_id for row in await store.outbox.latest(9)] == ["waits"]
    assert await store.rounds.history(9) == []


async def test_notifications_are_read_page_by_page_without_gaps(store: AlertStore) -> None:
    """Though all of a storm were made in one moment."""
    await store.rounds.take("me", await store.rounds.lease())
    rows = [outbox_row(notification(f"{number:02}"), channel, 5) for number in range(5) for channel in ("chat", "mail")]
    await store.rounds.commit("me", 1, Round("", outbox=rows))
    read: list[tuple[int, str, str]] = []
    while page := await store.outbox.latest(3, before=read[-1] if read else None):
        read += [(row.created_ms, row.notification_id, row.channel) for row in page]
    assert read == sorted(((5, row.notification_id, row.channel) for row in rows), reverse=True)
