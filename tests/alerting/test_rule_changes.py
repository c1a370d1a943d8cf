"""What becomes of alerts when somebody changes, turns off or deletes their rule while they fire."""

from __future__ import annotations

from typing import Any

import pytest

from alerting.notification import Told
from alerting.notifier import Channel
from alerting.rules import MetricChoice, Rule, Signal
from storage.history import SqlHistory
from tests.support.alert_world import AlertWorld, rule
from tests.support.doubles import ManualClock
from tests.support.notifications import RecordingNotifier


async def firing(history: SqlHistory, clock: ManualClock, of: Rule, *services: str, **settings: Any) -> AlertWorld:
    """Return a world in which the rule fires for these services, and that was told."""
    world = await AlertWorld(history, clock, of, **settings).begin()
    await fail(world, *services)
    await world.round(1)
    return world


async def fail(world: AlertWorld, *services: str) -> None:
    for service in services or ("shop",):
        await world.calls(5, errors=5, service_name=service)


async def put(world: AlertWorld, of: Rule, **changes: Any) -> None:
    await world.rules.replace(Rule.model_validate(of.model_dump() | changes))


async def told(world: AlertWorld) -> list[Told]:
    return [one.state for one in await world.told()]


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_rule_that_is_turned_off_and_on_again_tells_nothing_twice(
    history: SqlHistory, clock: ManualClock, is_restarted: bool
) -> None:
    """Before anybody was told that it is over, it fires again: people know that it does, however often it is looked."""
    world = await firing(history, clock, rule(window_s=600), group_interval_s=60)
    await put(world, rule(window_s=600), is_enabled=False)
    await world.round(5)
    if is_restarted:
        world = await world.restarted()
    await put(world, rule(window_s=600), is_enabled=True)
    await world.rounds(300)
    assert await told(world) == [Told.FIRING]
    assert await world.phases() == {"shop": "firing"}
    heir = await world.restarted()
    await heir.rounds(60)
    assert await told(heir) == [Told.FIRING]


async def test_a_rule_that_is_turned_off_and_on_again_in_calm_tells_the_end(
    history: SqlHistory, clock: ManualClock
) -> None:
    """It fires no more when it is turned on again: that it is over is told, once."""
    world = await firing(history, clock, rule(), group_interval_s=120)
    await put(world, rule(), is_enabled=False)
    await world.rounds(60)
    await put(world, rule(), is_enabled=True)
    await world.rounds(300)
    assert await told(world) == [Told.FIRING, Told.RESOLVED]


async def test_another_signal_under_the_same_id_is_one_story(history: SqlHistory, clock: ManualClock) -> None:
    """The alert of the old signal ends in the history; who was told that it fires is told when the new one does not."""
    of = rule(window_s=600)
    world = await firing(history, clock, of)
    await put(world, of, signal=Signal.REQUEST_RATE, warning=0.001, critical=None)
    await world.rounds(60)
    assert await world.transitions() == ["inactive>firing", "firing>resolved", "resolved>firing"]
    assert await told(world) == [Told.FIRING]
    await put(world, of, signal=Signal.REQUEST_RATE, warning=1_000, critical=None)
    await world.rounds(60)
    assert await told(world) == [Told.FIRING, Told.RESOLVED]


async def test_a_service_that_a_rule_is_not_about_any_more_is_no_alert_without_data(
    history: SqlHistory, clock: ManualClock
) -> None:
    """A narrower scope ends the alerts outside of it at once, for the reason that it is; the others go on."""
    of = rule(window_s=600, scope={"service": "s*"})
    world = await firing(history, clock, of, "shop", "store")
    await put(world, of, scope={"service": "sho*"})
    await world.rounds(300)
    assert await world.phases() == {"shop": "firing"}
    ends = [one for one in await world.told() if one.state == Told.RESOLVED]
    assert [one.group_labels for one in ends] == [{"service": "store"}]
    assert "the rule was changed" in ends[0].items[0].reason


async def test_another_metric_is_another_alert(history: SqlHistory, clock: ManualClock) -> None:
    """What was found of one metric says nothing of another."""
    of = rule(signal=Signal.METRIC, metric=MetricChoice(name="a"))
    world = await AlertWorld(history, clock, of).begin()
    before = world.watch(of)
    after = world.watch(Rule.model_validate(of.model_dump() | {"metric": {"name": "b"}}))
    assert not before.is_of_same_thing(after)
    assert before.is_of_same_thing(world.watch(Rule.model_validate(of.model_dump() | {"warning": 0.2})))


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_the_end_of_a_rule_is_told_to_whom_it_told_and_under_its_name(
    history: SqlHistory, clock: ManualClock, is_deleted: bool
) -> None:
    """Channels that never heard of it hear nothing now, and of many services there is one notification each."""
    channels = [Channel("on-call", RecordingNotifier()), Channel("chat", RecordingNotifier())]
    of = rule(channels=("on-call",), group_by=("service", "route"), window_s=600)
    world = await AlertWorld(history, clock, of, channels=channels).begin()
    for number in range(20):
        await world.calls(5, errors=5, http_route=f"/{number}")
    await world.round(1)
    if is_deleted:
        await world.rules.delete(of.rule_id)
    else:
        await put(world, of, is_enabled=False)
    await world.rounds(60)
    rows = await world.store.outbox.latest(100)
    assert {row.channel for row in rows} == {"on-call"}
    fired, ended = await world.told()
    assert (ended.state, ended.rule_name, len(ended.items)) == (Told.RESOLVED, fired.rule_name, len(fired.items))
    assert await world.alerts() == []


async def test_the_end_of_a_rule_that_was_deleted_meanwhile_is_one_notification(
    history: SqlHistory, clock: ManualClock
) -> None:
    """A process that never knew the rule tells the end of all of its alerts at once, to all that heard of them."""
    world = await firing(history, clock, rule(window_s=600), *(f"s{number}" for number in range(30)))
    assert len(await world.told()) == 30
    await world.rules.delete("failing")
    heir = await world.restarted()
    await heir.rounds(60)
    ended = [one for one in await heir.told() if one.state == Told.RESOLVED]
    assert [len(one.items) + one.left_out for one in ended] == [30]
    assert await heir.alerts() == []


async def test_a_rule_whose_channels_are_all_gone_is_told_to_all(history: SqlHistory, clock: ManualClock) -> None:
    """A channel that was renamed takes no alert with it into silence; one that is left is enough."""
    channels = [Channel("on-call", RecordingNotifier()), Channel("chat", RecordingNotifier())]
    of = rule(channels=("pager",))
    world = await AlertWorld(
        history, clock, of, rule(rule_id="other", channels=("pager", "chat")), channels=channels
    ).begin()
    await fail(world)
    await world.round(1)
    rows = await world.store.outbox.latest(100)
    assert sorted((row.document.count('"failing"'), row.channel) for row in rows) == [
        (0, "chat"),
        (1, "chat"),
        (1, "on-call"),
    ]
