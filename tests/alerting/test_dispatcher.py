"""The outbox is drained: each notification to its channel, again when it failed, and no channel waits for another."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from alerting.dispatcher import Dispatcher, jitter
from alerting.notifier import Channel
from alerting.settings import AlertingSettings
from storage.alert_rounds import OutboxRow, Round
from storage.alert_store import AlertStore
from telemetry import Counters, PermanentError, RetryableError
from tests.support.doubles import ManualClock
from tests.support.notifications import RecordingNotifier, notification, outbox_row
from tests.support.waiting import eventually


class Office:
    """A store with a leader, and a dispatcher to the channels that are added."""

    def __init__(self, store: AlertStore, clock: ManualClock, counters: Counters, **settings: Any) -> None:
        self.store, self.clock, self.counters = store, clock, counters
        self.settings = AlertingSettings(**settings)
        self.fence = 0
        self.max_per_minute = 60

    async def lead(self, name: str = "me") -> None:
        self.fence = await self.store.rounds.take(name, await self.store.rounds.lease()) or 0
        self.name = name

    async def post(self, channel: str, *names: str) -> None:
        rows = [outbox_row(notification(name), channel, self.clock() // 1_000_000) for name in names]
        await self.store.rounds.commit(self.name, self.fence, Round("", outbox=rows))

    def dispatcher(self, **notifiers: RecordingNotifier) -> Dispatcher:
        leader = (self.name, self.fence)
        channels = [Channel(name, notifier, max_per_minute=self.max_per_minute) for name, notifier in notifiers.items()]
        return Dispatcher(
            self.settings, self.store.outbox, channels, lambda: leader, self.counters, self.clock, lambda: 1.0
        )

    async def rows(self) -> dict[str, OutboxRow]:
        found = await self.store.outbox.latest(99)
        return {f"{row.channel}/{row.notification_id}": row for row in found}


@pytest.fixture
async def office(store: AlertStore, clock: ManualClock, counters: Counters) -> Office:
    made = Office(store, clock, counters, send_timeout_s=5, retry_min_s=2, give_up_after_s=60)
    await made.lead()
    return made


async def look(dispatcher: Dispatcher) -> None:
    """Send everything that is due now."""
    for _ in range(10):
        await dispatcher.look()
        await dispatcher.drained()


async def test_each_notification_is_sent_once(office: Office) -> None:
    """All that waits is sent, to its own channel, and never again."""
    mail, chat = RecordingNotifier(), RecordingNotifier()
    await office.post("mail", "n1", "n2")
    await office.post("chat", "n1")
    dispatcher = office.dispatcher(mail=mail, chat=chat)
    for _ in range(3):
        await look(dispatcher)
        office.clock.advance(600)
    assert sorted(told.notification_id for told in mail.told) == ["n1", "n2"]
    assert [told.notification_id for told in chat.told] == ["n1"]
    assert mail.told[0].items == notification().items
    assert {row.status for row in (await office.rows()).values()} == {"sent"}
    assert office.counters.total("alerting_sent_notifications") == 3


async def test_what_failed_is_tried_again_later_and_later(office: Office) -> None:
    """After a retryable error the pause doubles; the reason is there to be read meanwhile."""
    mail = RecordingNotifier(RetryableError("busy"), RetryableError("busy still"))
    await office.post("mail", "n1")
    dispatcher = office.dispatcher(mail=mail)
    await look(dispatcher)
    office.clock.advance(1.9)
    await look(dispatcher)
    assert mail.attempts == 1
    row = (await office.rows())["mail/n1"]
    assert (row.status, row.detail, row.attempts) == ("waiting", "busy", 1)
    office.clock.advance(0.2)
    await look(dispatcher)
    office.clock.advance(3.9)
    await look(dispatcher)
    assert mail.attempts == 2
    office.clock.advance(0.2)
    await look(dispatcher)
    assert len(mail.told) == 1
    assert (await office.rows())["mail/n1"].status == "sent"


async def test_a_clock_that_is_put_back_delays_nothing(office: Office) -> None:
    """What waits is sent as soon as it would have been, in its order, and holds back nothing that comes after it."""
    mail = RecordingNotifier(RetryableError("busy"))
    await office.post("mail", "n1")
    dispatcher = office.dispatcher(mail=mail)
    await look(dispatcher)
    await office.post("mail", "n2")
    office.clock.advance(-3_600)
    await office.post("mail", "n3")
    await look(dispatcher)
    assert mail.attempts == 1
    office.clock.advance(3)
    await look(dispatcher)
    assert [told.notification_id for told in mail.told] == ["n1", "n2", "n3"]


async def test_a_hint_to_wait_longer_is_honoured(office: Office) -> None:
    """A target that names a time is not asked before it."""
    mail = RecordingNotifier(RetryableError("later", retry_after_s=30))
    await office.post("mail", "n1")
    dispatcher = office.dispatcher(mail=mail)
    await look(dispatcher)
    office.clock.advance(29)
    await look(dispatcher)
    assert mail.attempts == 1
    office.clock.advance(2)
    await look(dispatcher)
    assert len(mail.told) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [(PermanentError("no such user"), "no such user"), (ValueError("secret token"), "given up after")],
)
async def test_what_can_never_be_sent_is_given_up_visibly(office: Office, error: Exception, reason: str) -> None:
    """At once after a permanent error, after a time for others; and what a mistake says is not repeated."""
    mail = RecordingNotifier(*[error] * 20)
    await office.post("mail", "n1")
    dispatcher = office.dispatcher(mail=mail)
    for _ in range(10):
        await look(dispatcher)
        office.clock.advance(30)
    row = (await office.rows())["mail/n1"]
    assert row.status == "failed"
    assert reason in row.detail
    assert "secret" not in row.detail
    assert office.counters.total("alerting_failed_notifications") == 1


async def test_a_channel_that_is_gone_or_a_text_that_cannot_be_read_ends_as_failed(office: Office) -> None:
    """Neither is tried for ever, and others go on."""
    mail = RecordingNotifier()
    await office.post("gone", "n1")
    await office.post("mail", "n2")
    broken = outbox_row(notification("n0"), "mail", 0)._replace(document="{}")
    await office.store.rounds.commit("me", office.fence, Round("", outbox=[broken]))
    await look(office.dispatcher(mail=mail))
    assert {name: row.status for name, row in (await office.rows()).items()} == {
        "gone/n1": "failed",
        "mail/n0": "failed",
        "mail/n2": "sent",
    }


async def test_a_slow_channel_keeps_no_other_waiting(office: Office) -> None:
    """While one target does not answer, another gets all that is for it."""
    slow, quick = RecordingNotifier(), RecordingNotifier()
    slow.gate.clear()
    await office.post("slow", "n1", "n2")
    await office.post("quick", "n1", "n2", "n3")
    dispatcher = office.dispatcher(slow=slow, quick=quick)
    running = asyncio.create_task(dispatcher.run())
    await eventually(lambda: len(quick.told) == 3 and slow.attempts == 1)
    slow.gate.set()
    await eventually(lambda: len(slow.told) == 2)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_target_that_never_answers_is_timed_out(store: AlertStore, clock: ManualClock) -> None:
    """The attempt ends, and is made again later."""
    office = Office(store, clock, Counters(), send_timeout_s=0.05)
    await office.lead()
    mute = RecordingNotifier()
    mute.gate.clear()
    await office.post("mute", "n1")
    await look(office.dispatcher(mute=mute))
    row = (await office.rows())["mute/n1"]
    assert (row.status, row.detail) == ("waiting", "no answer within 0.05 s")


async def test_a_crash_between_sending_and_recording_repeats_once(office: Office) -> None:
    """The next process sends what nobody knows to be sent, once, and not while the first may still be at it."""
    first, second = RecordingNotifier(), RecordingNotifier()
    await office.post("mail", "n1")
    row = (await office.store.outbox.due(office.clock() // 1_000_000, 1))[0]
    await office.store.outbox.claim("me", office.fence, [row], office.clock() // 1_000_000 + 7_000)
    await first.notify([notification("n1")])  # and here the process died
    await office.lead("heir")
    dispatcher = office.dispatcher(mail=second)
    await look(dispatcher)
    assert second.told == []
    for _ in range(5):
        office.clock.advance(10)
        await look(dispatcher)
    assert len(second.told) == 1


async def test_a_storm_is_one_message(office: Office) -> None:
    """What is due to a channel at the same time leaves together, in the order in which it was made."""
    chat = RecordingNotifier()
    names = [f"n{number:02}" for number in range(40)]
    await office.post("chat", *names)
    await look(office.dispatcher(chat=chat))
    assert chat.parcels == [names]
    assert {row.status for row in (await office.rows()).values()} == {"sent"}
    assert office.counters.total("alerting_sent_notifications") == 40
    assert office.counters.total("alerting_messages") == 1


async def test_beyond_so_many_messages_a_minute_news_wait_and_leave_together(office: Office) -> None:
    """The first go at once; the others when the minute is over, as one message; none is lost, none comes late twice."""
    office.max_per_minute = 3
    chat = RecordingNotifier()
    dispatcher = office.dispatcher(chat=chat)
    for number in range(8):
        await office.post("chat", f"n{number}")
        await look(dispatcher)
        office.clock.advance(1)
    assert chat.parcels == [["n0"], ["n1"], ["n2"]]
    office.clock.advance(52)
    await look(dispatcher)
    assert chat.parcels[3:] == [["n3", "n4", "n5", "n6", "n7"]]


async def test_a_pager_gets_no_more_at_once_than_it_can_take(office: Office) -> None:
    """Of a storm so many leave together as the channel allows, one message after the other, all of them in order."""
    pager = RecordingNotifier()
    names = [f"n{number}" for number in range(8)]
    await office.post("pager", *names)
    channels = [Channel("pager", pager, max_together=3)]
    leader = (office.name, office.fence)
    await look(
        Dispatcher(office.settings, office.store.outbox, channels, lambda: leader, office.counters, office.clock)
    )
    assert pager.parcels == [names[:3], names[3:6], names[6:]]


async def test_nothing_overtakes_what_is_tried_again(office: Office) -> None:
    """That an alert is over is not told before that there was one, however the first attempt went."""
    mail = RecordingNotifier(RetryableError("busy", retry_after_s=30))
    dispatcher = office.dispatcher(mail=mail)
    await office.post("mail", "n2-firing")
    await look(dispatcher)
    office.clock.advance(1)
    await office.post("mail", "n1-resolved")
    await look(dispatcher)
    assert mail.attempts == 1
    office.clock.advance(30)
    await look(dispatcher)
    assert mail.parcels == [["n2-firing", "n1-resolved"]]


async def test_one_that_is_refused_takes_no_other_along(office: Office) -> None:
    """When a target refuses several at once, each is tried by itself, and only those fail that are refused alone."""
    mail = RecordingNotifier(PermanentError("too large"), PermanentError("too large"))
    await office.post("mail", "n1", "n2", "n3")
    dispatcher = office.dispatcher(mail=mail)
    for _ in range(5):
        await look(dispatcher)
        office.clock.advance(10)
    assert {name: row.status for name, row in (await office.rows()).items()} == {
        "mail/n1": "failed",
        "mail/n2": "sent",
        "mail/n3": "sent",
    }
    assert mail.parcels == [["n2"], ["n3"]]


def test_a_pause_is_never_shorter_than_it_should_be() -> None:
    """Jitter makes it longer, by a quarter at most."""
    assert all(1.0 <= jitter() <= 1.25 for _ in range(1_000))


async def test_who_lost_the_lease_sends_nothing(office: Office) -> None:
    """A dispatcher that was frozen and replaced finds out before it sends."""
    old, new = RecordingNotifier(), RecordingNotifier()
    await office.post("mail", "n1")
    frozen = office.dispatcher(mail=old)
    await office.lead("heir")
    await look(frozen)
    await look(office.dispatcher(mail=new))
    assert (old.attempts, len(new.told)) == (0, 1)
