"""Rounds on both databases, on a clock that moves when it is told to: what fires, what is told, what is kept."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from alerting.acks import Ack
from alerting.alerts import Alert, row_of, transition_of
from alerting.announcing import links_of
from alerting.channels.filtering import takes
from alerting.channels.settings import ChannelSettings
from alerting.desk import AlertDesk
from alerting.notification import Notification, Severity, Told
from alerting.notifier import Channel
from alerting.rules import MetricChoice, Signal
from alerting.settings import AlertingSettings
from alerting.silences import Silence
from alerting.states import AlertState, Phase
from storage.alert_documents import AckRow
from storage.alert_rounds import LeaseLostError, Round
from storage.history import SqlHistory
from storage.ports import StorageUnavailableError
from tests.support.alert_world import AlertWorld, rule
from tests.support.doubles import ManualClock
from tests.support.notifications import RecordingNotifier


async def world_of(history: SqlHistory, clock: ManualClock, *rules: Any, **settings: Any) -> AlertWorld:
    return await AlertWorld(history, clock, *(rules or (rule(),)), **settings).begin()


async def test_what_fails_fires_and_is_told_and_what_recovers_is_resolved(
    history: SqlHistory, clock: ManualClock
) -> None:
    """From traffic in the database to a notification with its numbers, and back."""
    world = await world_of(history, clock)
    await world.calls(20)
    assert await world.round(1) == []
    await world.calls(20, errors=20)
    (alert,) = await world.round(5)
    assert (alert.state.phase.value, alert.state.severity, dict(alert.labels)) == (
        "firing",
        Severity.WARNING,
        {"service": "shop"},
    )
    clock.advance(45)
    await world.calls(20)
    (alert,) = await world.round(1)
    assert alert.state.phase.value == "resolved"
    firing, resolved = await world.told()
    (item,) = firing.items
    assert (item.value, item.threshold, item.summary) == (0.5, 0.1, "error rate 50 % over the last 30 s, above 10 %")
    assert item.evidence is not None
    assert (item.evidence.calls, item.evidence.errors) == (40, 20)
    assert [(one.dimension, one.name, one.share) for one in item.evidence.contributors] == [("route", "/buy", 1.0)]
    assert item.links.page == f"/?range=1h&service=shop&at={round(item.started_s)}"
    assert resolved.items[0].ended_s == clock() / 1e9
    assert await world.transitions() == ["inactive>firing", "firing>resolved"]


async def test_each_group_is_an_alert_and_those_of_a_service_are_told_together(
    history: SqlHistory, clock: ManualClock
) -> None:
    """Ten routes that fail at once are ten alerts and one notification; another service has its own."""
    world = await world_of(history, clock, rule(group_by=("service", "route")), max_items=4)
    for number in range(10):
        await world.calls(5, errors=5, http_route=f"/r{number}")
    await world.calls(5, errors=1, service_name="other")
    await world.round(1)
    assert len(await world.alerts()) == 11
    assert sorted(await world.news()) == ["firing critical 4", "firing warning 1"]
    shop = next(one for one in await world.told() if one.group_labels == {"service": "shop"})
    assert (shop.left_out, shop.severity) == (6, Severity.CRITICAL)


async def test_a_channel_looks_at_all_alerts_and_not_only_at_those_that_are_named(
    history: SqlHistory, clock: ManualClock
) -> None:
    """Of ten routes, one warning among nine that are critical: the channel of that route is told of it alone."""
    of_one = ChannelSettings.model_validate({"name": "one", "url": "json://x/", "labels": {"route": "/mild"}})
    nobody = ChannelSettings.model_validate({"name": "nobody", "url": "json://x/", "labels": {"route": "/other"}})
    channels = [Channel("all", RecordingNotifier())]
    channels += [Channel(one.name, RecordingNotifier(), partial(takes, one)) for one in (of_one, nobody)]
    world = await AlertWorld(
        history, clock, rule(group_by=("service", "route")), channels=channels, max_items=4
    ).begin()
    for number in range(9):
        await world.calls(5, errors=5, http_route=f"/r{number}")
    await world.calls(5, errors=1, http_route="/mild")
    await world.round(1)
    rows = {row.channel: Notification.model_validate_json(row.document) for row in await world.store.outbox.latest(10)}
    assert set(rows) == {"all", "one"}
    assert (len(rows["all"].items), rows["all"].left_out, rows["all"].severity) == (4, 6, Severity.CRITICAL)
    (told,) = rows["one"].items
    assert (told.labels["route"], rows["one"].severity, rows["one"].left_out) == ("/mild", Severity.WARNING, 0)
    assert told.evidence is not None, "found for what is told, not for what others are told"


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"service": "shop"}, {"shop"}),
        ({"service": "s*"}, {"shop", "store"}),
        ({"service": "*", "environment": "prod"}, {"shop"}),
        ({"route": "/a*", "service": "*o*"}, {"shop"}),
        ({"version": "2"}, set()),
        ({"service": "s.op"}, set()),
    ],
)
async def test_a_scope_lets_through_what_it_names(
    history: SqlHistory, clock: ManualClock, scope: dict[str, str], expected: set[str]
) -> None:
    """Exact values and wildcards, of labels that alerts are told apart by and of others."""
    world = await world_of(history, clock, rule(scope=scope))
    await world.calls(5, errors=5, http_route="/a", deployment_environment="prod")
    await world.calls(5, errors=5, service_name="store", http_route="/b")
    await world.calls(5, errors=5, service_name="bank", http_route="/a")
    await world.round(1)
    assert set(await world.phases()) == expected


@pytest.mark.parametrize("production", ["prod", "pro*"])
@pytest.mark.parametrize("group_by", [("service",), ("route",)])
async def test_evidence_is_of_what_the_rule_is_about(
    history: SqlHistory, clock: ManualClock, production: str, group_by: tuple[str, ...]
) -> None:
    """Its figures and its contributors are those of the scope: another environment's calls are not among them."""
    scope = {"service": "shop", "environment": production}
    world = await world_of(history, clock, rule(scope=scope, group_by=group_by))
    await world.calls(10, errors=10, http_route="/*", deployment_environment="prod", service_version="1")
    await world.calls(90, http_route="/*", deployment_environment="staging", service_version="2")
    await world.calls(90, http_route="/buy", deployment_environment="staging", service_version="2")
    await world.round(1)
    (item,) = (await world.told())[0].items
    assert item.value == 1.0
    assert item.evidence is not None
    assert (item.evidence.calls, item.evidence.errors) == (10, 10)
    versions = [one.name for one in item.evidence.contributors if one.dimension == "version"]
    assert versions == ["1"]


@pytest.mark.parametrize("group_by", [(), ("route",)])
async def test_evidence_of_a_rule_that_asks_for_no_service_names_it(
    history: SqlHistory, clock: ManualClock, group_by: tuple[str, ...]
) -> None:
    """Who contributes most among all services; which containers answered cannot be said."""
    world = await world_of(history, clock, rule(group_by=group_by))
    await world.calls(10, errors=10)
    await world.calls(10, service_name="well")
    await world.round(1)
    evidence = (await world.told())[0].items[0].evidence
    assert evidence is not None
    assert (evidence.calls, evidence.errors, evidence.cpu_cores) == (20, 10, None)
    assert [one.name for one in evidence.contributors if one.dimension == "service"] == ["shop"]


@pytest.mark.parametrize(("phase", "at_s"), [(Phase.PENDING, 500), (Phase.FIRING, 200), (Phase.NO_DATA, 200)])
def test_an_alert_links_to_the_time_that_it_is_about(phase: Phase, at_s: int) -> None:
    """To when it began to fire; while it is pending to when it became bad, not to when it fired the last time."""
    state = AlertState(first_seen_s=100, phase=phase, since_s=500, started_s=200)
    alert = Alert("id", "failing", {"service": "shop"}, state)
    assert links_of(alert, AlertingSettings()).page == f"/?range=1h&service=shop&at={at_s}"


async def test_two_errors_in_three_requests_wake_nobody(history: SqlHistory, clock: ManualClock) -> None:
    """With the rule as it comes: too few to judge by; and of a few more, the bound is what counts."""
    world = await world_of(
        history, clock, rule(confidence=0.95, min_requests=10, warning=0.1, critical=None), default_rules=True
    )
    await world.calls(3, errors=2)
    await world.round(1)
    assert await world.alerts() == []
    await world.calls(9, errors=1)  # 3 of 12 is 25 %, surely more than 8.9 % only
    await world.round(5)
    assert [alert for alert in await world.alerts() if alert.rule_id == "failing"] == []
    await world.calls(8, errors=6)
    await world.round(5)
    assert [alert.rule_id for alert in await world.alerts() if alert.state.phase.value == "firing"] == ["failing"]


async def test_a_threshold_of_nothing_is_for_any_error(history: SqlHistory, clock: ManualClock) -> None:
    """Twenty calls that are good do not exceed it; one of them that fails does."""
    world = await world_of(history, clock, rule(confidence=0.95, warning=0, critical=None))
    await world.calls(20)
    await world.round(1)
    assert await world.alerts() == []
    await world.calls(20, errors=1)
    await world.round(5)
    assert await world.phases() == {"shop": "firing"}


async def test_a_slow_service_and_a_quiet_one(history: SqlHistory, clock: ManualClock) -> None:
    """Percentiles in seconds; a request rate of nothing is a rate of zero, as long as the group was heard of."""
    slow = rule(rule_id="slow", signal=Signal.LATENCY_P95, warning=0.5, critical=1)
    quiet = rule(rule_id="quiet", signal=Signal.REQUEST_RATE, comparison="below", warning=0.1, critical=None)
    world = await world_of(history, clock, slow, quiet)
    await world.calls(30, duration_s=2)
    await world.round(11)
    assert {alert.rule_id: alert.state.severity for alert in await world.alerts()} == {"slow": Severity.CRITICAL}
    await world.rounds(60)
    phases = {alert.rule_id: (alert.state.phase.value, alert.state.value) for alert in await world.alerts()}
    assert phases["quiet"] == ("firing", 0.0)


@pytest.mark.parametrize("age_s", [5, 700, 3_000])
async def test_absence_is_told_by_how_long_nothing_came(history: SqlHistory, clock: ManualClock, age_s: int) -> None:
    """Once it is longer than the threshold, though old buckets are wide, and not before."""
    gone = rule(signal=Signal.ABSENCE, warning=700, critical=3_000, window_s=9_000)
    world = await world_of(history, clock, gone)
    await world.calls(1)
    await world.round(age_s)
    before = {5: [], 700: [], 3_000: ["warning"]}
    after = {5: [], 700: ["warning"], 3_000: ["critical"]}
    assert [alert.state.severity for alert in await world.alerts()] == before[age_s]
    await world.round(72 if age_s > 1_440 else 12)  # long windows begin on a whole minute
    assert [alert.state.severity for alert in await world.alerts()] == after[age_s]
    await world.calls(1)
    await world.round(5)
    assert set((await world.phases()).values()) <= {"resolved"}


@pytest.mark.parametrize("on_no_data", ["tell", "keep"])
async def test_what_was_never_seen_or_is_long_gone_is_not_absent(
    history: SqlHistory, clock: ManualClock, on_no_data: str
) -> None:
    """Nothing fires of a name that no call ever had; of what is gone longer than the rule looks back, it is told that
    there is no data, and at last that it is over, unless the rule says to keep it firing."""
    absence = {"signal": Signal.ABSENCE, "warning": 60, "critical": None, "window_s": 300}
    never = rule(rule_id="never", scope={"service": "never"}, **absence)
    gone = rule(rule_id="gone", on_no_data=on_no_data, no_data_after_s=20, **absence)
    world = await world_of(history, clock, never, gone)
    await world.calls(1)
    for until_s, phase in ((70, "firing"), (290, "firing"), (360, "no_data"), (1_020, "resolved")):
        await world.rounds(until_s - (clock() / 1e9 - 1_700_000_000), interval_s=10)
        expected = "firing" if on_no_data == "keep" else phase
        assert {one.rule_id: one.state.phase.value for one in await world.alerts()} == {"gone": expected}, until_s
    told = ["firing"] if on_no_data == "keep" else ["firing", "no_data", "resolved"]
    assert [one.state.value for one in await world.told()] == told


async def test_a_name_that_no_database_takes_is_matched_by_rules_and_silences(
    history: SqlHistory, clock: ManualClock
) -> None:
    """Stores keep it with a mark; whoever writes the rule may know the name only as it was sent."""
    world = await world_of(history, clock, rule(scope={"service": "a\0b"}))
    await world.calls(10, errors=10, service_name="a\0b")
    await world.round(5)
    assert await world.phases() == {"a\ufffdb": "firing"}
    silence = Silence(labels={"service": "a\0*"}, starts_s=0, ends_s=9, comment="c")
    assert silence.matches("failing", (await world.alerts())[0].labels, None)


async def test_a_restart_in_each_state_loses_nothing_and_repeats_nothing(
    history: SqlHistory, clock: ManualClock
) -> None:
    """Pending goes on where it was, firing is not told again, resolved is told once; each by a new process."""
    world = await world_of(history, clock, rule(for_s=10, keep_firing_for_s=10))
    seen = []
    for number in range(16):
        await world.calls(10, errors=10 if 2 <= number < 6 else 0)
        await world.round(5)
        seen.append(next(iter((await world.phases()).values()), "-"))
        world = await world.restarted(f"process {number}")
    assert seen == ["-", "-", "pending", "pending", *["firing"] * 9, *["resolved"] * 3]
    assert await world.news() == ["firing warning 1", "firing critical 1", "resolved critical 1"]


async def test_a_process_that_lost_the_lease_writes_nothing(history: SqlHistory, clock: ManualClock) -> None:
    """Frozen, replaced, and awake again: its round fails, and the heir's is the only one."""
    frozen = await world_of(history, clock)
    await frozen.round(1)
    heir = await frozen.restarted()
    await frozen.calls(10, errors=10)
    with pytest.raises(LeaseLostError):
        await frozen.round(5)
    assert await frozen.alerts() == []
    await heir.round(5)
    with pytest.raises(LeaseLostError):
        await frozen.round(5)
    assert len(await heir.told()) == 1


async def test_while_processors_are_behind_nothing_fires_and_nothing_is_resolved(
    history: SqlHistory, clock: ManualClock
) -> None:
    """States are left as they are, the time does not count, and the rule about the pipeline itself goes on."""
    behind = rule(rule_id="behind", signal=Signal.PIPELINE_LAG, warning=40, critical=None)
    world = await world_of(history, clock, rule(keep_firing_for_s=10), behind, max_lag_s=30)
    await world.calls(10, errors=10)
    await world.round(1)
    world.lag_ms = 60_000
    for _ in range(20):
        await world.round(5)
        assert (await world.phases())["shop"] == "firing"
    assert {alert.rule_id: alert.state.phase.value for alert in await world.alerts()}["behind"] == "firing"
    assert world.evaluator.report.frozen_reason == "a processor is 60 s behind"
    world = await world.restarted()
    await world.round(5)
    world.lag_ms = 0
    await world.calls(10)
    await world.round(5)
    assert world.evaluator.report.frozen_reason == ""
    assert (await world.phases())["shop"] == "firing", "it has been good for a moment only"
    await world.calls(10)
    await world.round(5)
    await world.calls(10)
    await world.round(5)
    assert (await world.phases())["shop"] == "resolved"


async def test_without_a_sign_of_any_processor_nothing_is_judged(history: SqlHistory, clock: ManualClock) -> None:
    """One that died looks like services without traffic; a living one beside it is enough."""
    world = await world_of(history, clock, rule(on_no_data="resolve", no_data_after_s=1))
    await world.calls(10, errors=10)
    await world.round(1)
    for _ in range(6):
        world.clock.advance(10)
        world.monotonic_s += 10
        await world.evaluator.round("me", world.fence)
    assert set((await world.phases()).values()) == {"firing"}
    assert "no processor has given a sign for" in world.evaluator.report.frozen_reason
    await world.rounds(20)
    assert set((await world.phases()).values()) == {"resolved"}


async def test_an_acknowledgement_ends_the_repeats_but_not_what_is_worse(
    history: SqlHistory, clock: ManualClock
) -> None:
    """Told again after the repeat interval until somebody took note; critical is news all the same."""
    world = await world_of(history, clock, rule(repeat_interval_s=60))
    for _ in range(14):
        await world.calls(10, errors=3)
        await world.round(5)
    assert await world.news() == ["firing warning 1", "firing warning 1"]
    assert [one.items[0].is_repeat for one in await world.told()] == [False, True]
    (alert,) = await world.alerts()
    ack = Ack(
        alert_id=alert.alert_id,
        started_s=alert.state.started_s,
        severity=Severity.WARNING,
        at_s=clock() / 1e9,
        by="ann",
    )
    await world.store.documents.put_ack(AckRow(alert.alert_id, 1, ack.model_dump_json()))
    for _ in range(30):
        await world.calls(10, errors=3)
        await world.round(5)
    assert len(await world.news()) == 2
    for _ in range(6):
        await world.calls(10, errors=10)
        await world.round(5)
    assert await world.news() == ["firing warning 1", "firing warning 1", "firing critical 1"]


async def test_a_silence_keeps_quiet_and_forgets_nothing(history: SqlHistory, clock: ManualClock) -> None:
    """What fires within it is told when it ends, if it still fires; what came and went is not."""
    world = await world_of(history, clock)
    now_s = clock() / 1e9
    await world.silences.add(
        Silence(labels={"service": "sh*"}, starts_s=now_s, ends_s=now_s + 60, comment="a move of the database")
    )
    for number in range(11):
        await world.calls(10, errors=10)
        await world.calls(10, errors=10 if number < 2 else 0, service_name="shelf")
        await world.round(5)
    assert await world.news() == []
    await world.calls(10, errors=10)
    await world.calls(10, service_name="shelf")
    await world.round(6)
    assert [one.group_labels for one in await world.told()] == [{"service": "shop"}]


def for_it(name: str, **filters: Any) -> Channel:
    """Return a channel with filters, as the settings make it."""
    settings = ChannelSettings.model_validate({"name": name, "url": "json://x/", **filters})
    return Channel(name, RecordingNotifier(), partial(takes, settings), is_for_firing=Told.FIRING in settings.states)


async def told_to(world: AlertWorld) -> list[str]:
    rows = sorted(await world.store.outbox.latest(100), key=lambda row: (row.created_ms, row.channel))
    return [f"{row.channel} {Notification.model_validate_json(row.document).state.value}" for row in rows]


async def test_a_channel_that_is_made_while_something_fires_hears_of_it_and_of_its_end(
    history: SqlHistory, clock: ManualClock
) -> None:
    """What fired before there was any is told to the first, once, also over a restart; each later one hears of it too.

    One that a filter keeps from it hears of neither; one that asks for ends alone gets that.
    """
    world = await AlertWorld(history, clock, rule(window_s=600), channels=[]).begin()
    await world.calls(10, errors=10)
    await world.round(1)
    await world.rounds(10)
    assert await told_to(world) == []
    world.evaluator.use_channels([for_it("first"), for_it("other", labels={"service": "x"})])
    await world.rounds(10)
    assert await told_to(world) == ["first firing"]
    heir = await world.restarted()
    heir.evaluator.use_channels([for_it("first"), for_it("second"), for_it("other", states=["firing"])])
    await heir.rounds(10)
    assert await told_to(heir) == ["first firing", "other firing", "second firing"]
    never = for_it("never", labels={"service": "x"})
    heir.evaluator.use_channels([for_it("first"), for_it("second"), never, for_it("ends", states=["resolved"])])
    await heir.rounds(10)
    await heir.calls(200)
    await heir.rounds(20)
    assert (await told_to(heir))[3:] == ["ends resolved", "first resolved", "second resolved"]
    first, *_ = await heir.told()
    assert (first.items[0].value, first.items[0].measured_s) == (1.0, first.items[0].started_s)


async def test_what_was_told_before_it_was_kept_who_heard_was_heard_by_all(
    history: SqlHistory, clock: ManualClock
) -> None:
    """States of an earlier version: those that are there hear the end and nothing twice; one made later hears of it."""
    of = rule(window_s=600, channels=("first", "late"))
    world = await AlertWorld(history, clock, of, channels=[for_it("first"), for_it("never-named")]).begin()
    await world.calls(10, errors=10)
    await world.round(1)
    (alert,) = await world.alerts()
    row = row_of(alert._replace(state=replace(alert.state, heard=None)))
    old = row._replace(document=row.document.replace(',"heard":null', ""))
    assert "heard" not in old.document
    await world.store.rounds.commit(world.holder, world.fence, Round("", states=[old]))
    heir = await world.restarted()
    await heir.rounds(10)
    heir.evaluator.use_channels([for_it("first"), for_it("late"), for_it("never-named")])
    await heir.rounds(10)
    await heir.calls(200)
    await heir.rounds(20)
    assert await told_to(heir) == ["first firing", "late firing", "first resolved", "late resolved"]


async def test_a_channel_that_a_rule_names_while_it_fires_hears_of_it(history: SqlHistory, clock: ManualClock) -> None:
    """And who heard of it before is told that it is over, though it is not named any more."""
    of = rule(window_s=600, channels=("one",))
    world = await AlertWorld(history, clock, of, channels=[for_it("one"), for_it("two")]).begin()
    await world.calls(10, errors=10)
    await world.round(1)
    await world.rules.replace(rule(window_s=600, channels=("two",)))
    await world.rounds(10)
    await world.calls(200)
    await world.rounds(20)
    assert await told_to(world) == ["one firing", "two firing", "one resolved", "two resolved"]


async def test_what_a_scope_says_counts_for_silences_and_channels(history: SqlHistory, clock: ManualClock) -> None:
    """An alert of a rule about one environment has it, though the rule groups by service alone."""
    here = ChannelSettings.model_validate({"name": "here", "url": "x://y", "labels": {"environment": "pro*"}})
    scoped = rule(scope={"environment": "production", "service": "s*"})
    told = [Channel("here", RecordingNotifier(), partial(takes, here))]
    world = await AlertWorld(history, clock, scoped, channels=told).begin()
    now_s = clock() / 1e9
    wanted = {"environment": "production"}
    await world.silences.add(Silence(labels=wanted, starts_s=now_s, ends_s=now_s + 10, comment="a move"))
    for after_s in (5, 6):
        await world.calls(10, errors=10, deployment_environment="production")
        await world.round(after_s)
        assert await world.news() == ([] if after_s == 5 else ["firing critical 1"])
    assert (await world.told())[0].scope_labels == wanted


async def test_a_rule_that_is_turned_off_ends_its_alerts(history: SqlHistory, clock: ManualClock) -> None:
    """They are resolved with the reason, told once, and gone."""
    world = await world_of(history, clock)
    await world.calls(10, errors=10)
    await world.round(1)
    await world.rules.replace(rule(is_enabled=False))
    await world.rounds(10)
    assert await world.alerts() == []
    assert await world.news() == ["firing critical 1", "resolved critical 1"]
    assert (await world.told())[1].items[0].reason == "the rule was turned off or deleted"
    _, ended = transition_of((await world.store.rounds.history(10))[0])
    assert (ended.after, ended.value, ended.reason) == (Phase.RESOLVED, 1.0, "the rule was turned off or deleted")


async def test_a_rule_that_groups_otherwise_begins_anew(history: SqlHistory, clock: ManualClock) -> None:
    """Alerts of the old labels are over, those of the new ones fire, also when nobody saw the change."""
    world = await world_of(history, clock)
    await world.calls(10, errors=10)
    await world.round(1)
    await world.rules.replace(rule(group_by=("route",)))
    world = await world.restarted()
    await world.calls(10, errors=10)
    await world.rounds(10)
    assert await world.phases() == {"/buy": "firing"}
    assert sorted(await world.news()) == ["firing critical 1", "firing critical 1", "resolved critical 1"]


async def test_a_rule_that_cannot_be_asked_fails_alone(history: SqlHistory, clock: ManualClock) -> None:
    """Its failure is named, and the others go on."""
    odd = rule(
        rule_id="odd",
        signal=Signal.METRIC,
        metric=MetricChoice(name="queue", aggregation="p95"),
        window_s=31 * 86_400,
        warning=1,
        critical=None,
    )
    world = await world_of(history, clock, odd, rule())
    world.metrics._settings = world.metrics._settings.model_copy(update={"max_range_s": 3_600})
    await world.calls(10, errors=10)
    await world.round(1)
    assert await world.phases() == {"shop": "firing"}
    assert list(world.evaluator.report.failures) == ["odd"]
    assert world.counters.total("alerting_failed_evaluations") == 1


async def test_a_database_that_is_away_moves_nothing(
    history: SqlHistory, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that cannot be written did not happen, and the next one tells once."""
    world = await world_of(history, clock)
    await world.calls(10, errors=10)
    commit = world.store.rounds.commit

    async def refuse(*_: Any) -> None:
        raise StorageUnavailableError("away")

    monkeypatch.setattr(type(world.store.rounds), "commit", refuse)
    with pytest.raises(StorageUnavailableError):
        await world.round(1)
    monkeypatch.undo()
    assert commit is not None
    assert await world.alerts() == []
    await world.round(5)
    await world.round(5)
    assert await world.news() == ["firing critical 1"]


async def test_the_clock_may_jump(history: SqlHistory, clock: ManualClock) -> None:
    """Back an hour or on a day: nothing fires of it, and nothing is told twice."""
    world = await world_of(history, clock, rule(for_s=20))
    for _ in range(4):
        await world.calls(10, errors=10)
        await world.round(5)
    assert set((await world.phases()).values()) == {"pending"}
    await world.calls(10, errors=10, at_s=clock.now_s - 3_600)
    await world.round(-3_600)
    assert set((await world.phases()).values()) == {"pending"}
    for _ in range(3):
        await world.calls(10, errors=10)
        await world.round(5)
    assert set((await world.phases()).values()) == {"firing"}
    clock.advance(86_400)
    await world.calls(10, errors=10)
    await world.round(0)
    await world.calls(10, errors=10)
    await world.round(5)
    assert [name for name in await world.news() if "resolved" in name] == []


async def test_a_round_that_wakes_a_moment_sooner_than_the_last_is_not_a_round_too_few(
    history: SqlHistory, clock: ManualClock
) -> None:
    """What must last for ten seconds fires after two intervals and is resolved after two, by whatever they wake late.

    Also when the time in between did not count.
    """
    world = await world_of(history, clock, rule(for_s=10, keep_firing_for_s=10, warning=0.4, window_s=1))
    clock.advance(-clock.now_s % 5)
    began_s, seen, behind = clock.now_s, [], {1, 2, 7}
    for number, late_s in enumerate([0.9, 0.5, 0.3, 0.02, 0.01, 0.03, 0.02, 0.9, 0.01, 0.003]):
        world.lag_ms = 60_000 if number in behind else 0
        clock.advance(began_s + 5 * number + late_s - clock() / 1e9)
        await world.calls(10, errors=10 if number < 5 else 0)
        await world.round()
        seen.append(next(iter((await world.phases()).values())))
    assert seen == [*["pending"] * 4, *["firing"] * 4, "firing", "resolved"]


async def test_late_data_is_judged_when_it_is_there(history: SqlHistory, clock: ManualClock) -> None:
    """Errors that arrive late, within the window, count; those beyond it change nothing."""
    world = await world_of(history, clock)
    await world.calls(10)
    await world.round(5)
    await world.calls(30, errors=30, at_s=clock.now_s - 100)
    await world.round(5)
    assert await world.alerts() == []
    await world.calls(30, errors=30, at_s=clock.now_s - 8)
    await world.round(5)
    assert set((await world.phases()).values()) == {"firing"}


async def test_no_more_alerts_are_open_than_may_be(history: SqlHistory, clock: ManualClock) -> None:
    """Beyond the bound no further one begins, and that is said."""
    world = await world_of(history, clock, rule(group_by=("route",)), max_open_alerts=3)
    for number in range(7):
        await world.calls(5, errors=5, http_route=f"/r{number}")
    await world.round(1)
    assert len(await world.alerts()) == 3
    assert world.evaluator.report.left_out == 4


async def test_what_is_over_is_forgotten_in_time(history: SqlHistory, clock: ManualClock) -> None:
    """An alert that is resolved and told leaves no row when nothing depends on it any more; its history stays."""
    world = await world_of(history, clock, flapping_window_s=60)
    await world.calls(10, errors=10)
    await world.round(1)
    clock.advance(40)
    await world.calls(10)
    await world.round(1)
    await world.rounds(80, interval_s=20)
    assert await world.alerts() == []
    assert await world.transitions() == ["inactive>firing", "firing>resolved"]
    await world.calls(10, errors=10)
    await world.round(5)
    assert await world.news() == ["firing critical 1", "resolved critical 1", "firing critical 1"]


async def test_a_new_group_has_its_grace_once(history: SqlHistory, clock: ManualClock) -> None:
    """Not judged at first, and a restart does not give it another grace."""
    world = await world_of(history, clock, rule(grace_s=20))
    for _ in range(3):
        await world.calls(10, errors=10)
        await world.round(5)
        world = await world.restarted()
    assert set((await world.phases()).values()) == {"inactive"}
    for _ in range(2):
        await world.calls(10, errors=10)
        await world.round(5)
    assert set((await world.phases()).values()) == {"firing"}


async def test_evidence_on_the_page_is_of_when_the_alert_began_to_fire(history: SqlHistory, clock: ManualClock) -> None:
    """Twenty minutes later other routes fail: who contributed then stays, with the figures of then."""
    world = await world_of(history, clock, rule())
    await world.calls(10, errors=8, http_route="/then")
    await world.round(1)
    for _ in range(20):
        clock.advance(60)
        await world.calls(50, errors=50, http_route="/now")
        await world.round(1)
    desk = AlertDesk(world.settings, world.store, world.asking, clock)
    (one,) = await desk.open_alerts()
    assert one.alert.state.value == 1.0
    found = await desk.evidence(one)
    assert found is not None
    assert (found.calls, found.errors) == (10, 8)
    assert [(contributor.dimension, contributor.name) for contributor in found.contributors] == [("route", "/then")]


async def test_news_that_were_held_back_tell_of_when_it_began(history: SqlHistory, clock: ManualClock) -> None:
    """A second route fails within the minute after the first was told: its number, contributors and time are of then,
    though by now it is better, others call, and another process tells it; what is measured now is said beside it."""
    world = await world_of(history, clock, rule(group_by=("service", "route")), group_interval_s=60)
    await world.calls(10, errors=10, http_route="/a", service_version="1")
    await world.round(9)
    clock.advance(1)
    await world.calls(10, errors=8, http_route="/b", service_version="1")
    await world.round(9)
    began_s = clock() / 1e9
    for _ in range(5):
        clock.advance(1)
        await world.calls(10, errors=10, http_route="/a", service_version="2")
        await world.calls(90, errors=18, http_route="/b", service_version="2")
        await world.round(9)
        world = await world.restarted()
    (first, second) = await world.told()
    assert [item.labels["route"] for item in first.items] == ["/a"]
    assert (first.items[0].measured_s, first.items[0].value_now) == (first.created_s, 1.0)
    (item,) = second.items
    assert (item.value, item.value_now, item.measured_s, item.started_s) == (0.8, 0.2, began_s, began_s)
    assert second.created_s == began_s + 50
    assert item.summary == "error rate 80 % over the last 30 s, above 10 %; 20 % now"
    assert item.evidence is not None
    assert (item.evidence.at_s, item.evidence.calls, item.evidence.errors) == (began_s, 10, 8)
    assert [one.name for one in item.evidence.contributors if one.dimension == "version"] == ["1"]


async def test_what_fired_during_a_silence_is_told_with_the_number_that_made_it_so(
    history: SqlHistory, clock: ManualClock
) -> None:
    """When it became critical, not when it was a warning only, nor when the silence ended."""
    world = await world_of(history, clock)
    now_s = clock() / 1e9
    await world.silences.add(Silence(labels={"service": "*"}, starts_s=now_s, ends_s=now_s + 100, comment="a move"))
    seen = []
    for errors in (2, 9, *[6] * 9):
        await world.calls(10, errors=errors)
        (alert,) = await world.round(9)
        seen.append((alert.state.severity, alert.state.value, clock() / 1e9))
        clock.advance(1)
    became_s, value = next((at_s, value) for severity, value, at_s in seen if severity == Severity.CRITICAL)
    (told,) = await world.told()
    (item,) = told.items
    assert (item.value, item.measured_s) == (value, became_s)
    assert item.started_s == seen[0][2]
    assert item.evidence is not None
    assert item.evidence.at_s == became_s
    assert item.evidence.errors == 11


async def test_a_repeat_tells_of_now_and_names_the_number_that_it_began_with(
    history: SqlHistory, clock: ManualClock
) -> None:
    """Value, evidence and their time are of the repeat; that it is over is told with the evidence of its beginning."""
    world = await world_of(history, clock, rule(repeat_interval_s=60, critical=None))
    await world.calls(10, errors=9, http_route="/then")
    await world.round(5)
    for _ in range(12):
        await world.calls(10, errors=5, http_route="/now")
        await world.round(5)
    clock.advance(60)
    await world.calls(10)
    await world.round(5)
    first, again, over = [one.items[0] for one in await world.told()]
    assert again.is_repeat
    assert (again.value, again.measured_s) == (0.5, first.started_s + 60)
    assert again.summary == "error rate 50 % over the last 30 s, above 10 %; 90 % when it began"
    found = [one.evidence for one in (first, again, over)]
    assert [one.at_s if one else None for one in found] == [first.started_s, first.started_s + 60, first.started_s]
    routes = [one.contributors[0].name if one else None for one in found]
    assert routes == ["/then", "/now", "/then"]


async def test_a_notification_that_another_version_wrote_hides_no_other(
    history: SqlHistory, clock: ManualClock
) -> None:
    """What is unknown in it is left out; where something is missing, it is told without its content."""
    world = await world_of(history, clock)
    await world.calls(10, errors=10)
    await world.round(5)
    (row,) = await world.store.outbox.latest(10)
    newer = row._replace(notification_id="newer", document=row.document.replace('"rule_id"', '"new_field":1,"rule_id"'))
    other = row._replace(notification_id="other", document="{}")
    await world.store.rounds.commit(world.holder, world.fence, Round("", outbox=[newer, other]))
    desk = AlertDesk(world.settings, world.store, world.asking, clock)
    told = {one.key[1]: one.notification.rule_name for one in await desk.deliveries(10)}
    assert told == {
        row.notification_id: "Failing",
        "newer": "Failing",
        "other": "of another version of ModelWatch",
    }


async def test_the_default_rule_about_the_pipeline_fires_and_is_resolved(
    history: SqlHistory, clock: ManualClock
) -> None:
    """Behind by more than half a minute it warns, beyond two minutes it is critical; all others wait meanwhile."""
    world = await AlertWorld(history, clock, default_rules=True).begin()
    await world.rounds(20)
    assert await world.alerts() == []
    for lag_s, severity in ((45, "warning"), (130, "critical")):
        world.lag_ms = lag_s * 1_000
        await world.rounds(20)
        (alert,) = await world.alerts()
        assert (alert.rule_id, alert.state.phase.value) == ("pipeline-behind", "firing")
        assert alert.state.severity is not None
        assert alert.state.severity.value == severity
    world.lag_ms = 0
    await world.rounds(60)
    assert [alert.state.phase.value for alert in await world.alerts()] in ([], ["resolved"])
    told = [(one.rule_id, one.state.value) for one in await world.told()]
    assert told[-1] == ("pipeline-behind", "resolved")
    assert ("pipeline-behind", "firing") in told
