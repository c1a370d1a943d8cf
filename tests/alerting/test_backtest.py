"""What a rule would have done is what the evaluator did."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from alerting.alerts import transition_of
from alerting.backtest import Backtester
from alerting.rules import Rule, Signal
from alerting.states import Phase
from query import QuestionError, SlidingTotals
from storage.history import SqlHistory
from telemetry import SeriesKey
from tests.alerting.test_resources_and_metrics import send
from tests.support.alert_world import AlertWorld, rule
from tests.support.calls import point
from tests.support.doubles import ManualClock
from tests.support.otlp_metrics import gauge, number_point


async def world_with_incidents(history: SqlHistory, clock: ManualClock, *rules: Rule) -> AlertWorld:
    return await AlertWorld(history, clock, *rules).begin()


async def test_the_replay_says_what_the_evaluator_did(history: SqlHistory, clock: ManualClock) -> None:
    """The same alerts, the same beginnings and ends, for rules with and without patience."""
    made = rule(window_s=30, for_s=20, keep_firing_for_s=20, interval_s=10)
    world = await world_with_incidents(history, clock, made)
    clock.advance(-clock.now_s % 10)
    began_s = clock.now_s
    for number in range(60):
        clock.advance(9)
        await world.calls(10, errors=5 if 10 <= number < 20 or 40 <= number < 41 else 0)
        await world.calls(10, errors=9 if number >= 50 else 0, service_name="bank")
        await world.round(0.999)
        clock.advance(0.001)
    found = await Backtester(world.settings, world.asking).backtest(made, began_s, clock.now_s)
    assert (found.step_s, found.window_s, found.groups) == (10, 30, 2)
    replayed = [
        (one.labels["service"], round(one.started_s), one.ended_s and round(one.ended_s)) for one in found.episodes
    ]
    happened: list[tuple[str, int, int | None]] = []
    for row in reversed(await world.store.rounds.history(100)):
        labels, transition = transition_of(row)
        if transition.before == Phase.PENDING and transition.after == Phase.FIRING:
            happened.append((labels["service"], round(transition.at_s), None))
        elif transition.after == Phase.RESOLVED:
            index = next(index for index, one in enumerate(happened) if one[::2] == (labels["service"], None))
            happened[index] = (*happened[index][:2], round(transition.at_s))
    assert replayed == happened
    assert [service for service, _, _ in replayed] == ["shop", "shop", "bank"]
    assert [one.ended_s is None for one in found.episodes] == [False, False, True]
    assert (found.fired, found.groups) == (3, 2)
    assert found.longest_s == max((ended_s or clock.now_s) - started_s for _, started_s, ended_s in happened)
    assert {series.labels["service"] for series in found.series} == {"shop", "bank"}
    assert all(len(series.values) == len(found.series[0].values) for series in found.series)


@pytest.mark.parametrize(
    ("changes", "fired"),
    [
        ({"signal": Signal.LATENCY_P95, "warning": 0.01, "critical": None}, 1),
        ({"signal": Signal.LATENCY_P95, "warning": 9, "critical": None}, 0),
        ({"signal": Signal.REQUEST_RATE, "comparison": "below", "warning": 0.1, "critical": None}, 1),
        ({"signal": Signal.ABSENCE, "warning": 120, "critical": None, "window_s": None}, 1),
        ({"signal": Signal.ABSENCE, "warning": 600, "critical": None, "window_s": None}, 0),
        ({"scope": {"service": "other"}}, 0),
        ({"is_enabled": False, "grace_s": 60}, 1),
    ],
)
async def test_every_signal_of_traffic_can_be_replayed(
    history: SqlHistory, clock: ManualClock, changes: dict[str, Any], fired: int
) -> None:
    """Ten minutes of calls that fail, then five of silence."""
    world = await world_with_incidents(history, clock)
    began_s = clock.now_s
    key = SeriesKey("shop")
    await world.commit(*[point(key, began_s + second, [0.05] * 3, errors=3) for second in range(0, 600, 10)])
    clock.advance(900)
    found = await Backtester(world.settings, world.asking).backtest(rule(**changes), began_s, clock.now_s)
    assert found.fired == fired


@pytest.mark.parametrize(
    ("changes", "asked_s"),
    [
        ({}, 601),
        ({"interval_s": 3_600}, 65),
        ({"signal": Signal.ABSENCE, "warning": 60, "critical": None, "window_s": None}, 607),
        ({"signal": Signal.MEMORY}, 601),
        ({"signal": Signal.METRIC, "metric": {"name": "container.memory.working_set"}, "group_by": ()}, 601),
    ],
)
async def test_every_value_has_its_time_and_none_is_in_the_future(
    history: SqlHistory, clock: ManualClock, changes: dict[str, Any], asked_s: int
) -> None:
    """A step is added to the start for each value until the end, wherever in a step the range begins and ends."""
    world = await world_with_incidents(history, clock)
    clock.advance(-clock.now_s % 60 + 37)
    began_s = clock.now_s
    await world.commit(*[point(SeriesKey("shop"), began_s + at, [0.05] * 3, errors=3) for at in range(0, asked_s, 10)])
    for _ in range(asked_s // 30):
        used, limit = gauge(number_point(97.0), name="container.memory.working_set"), gauge(number_point(100.0))
        limit.name = "container.memory.usage.limit"
        await send(world, used, limit, container__id="f" * 16, container__name="full", host__name="h1")
        clock.advance(30)
    clock.advance(asked_s % 30)
    found = await Backtester(world.settings, world.asking).backtest(rule(**changes), began_s, clock.now_s)
    assert (found.end_s, found.start_s % found.step_s) == (clock.now_s, 0)
    assert 0 <= began_s - found.start_s < found.step_s
    times = range(found.start_s + found.step_s, found.end_s + found.step_s, found.step_s)
    assert all(len(one.values) == len(times) for one in found.series)
    assert found.series
    assert all(episode.started_s <= clock.now_s for episode in found.episodes)


async def test_one_rule_is_replayed_at_a_time(
    history: SqlHistory, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait, so that figures that are live do not."""
    world = await world_with_incidents(history, clock)
    tester, ask = Backtester(world.settings, world.asking), world.query.sliding_totals
    running = most = 0

    async def counted(*asked: Any) -> SlidingTotals:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        found = await ask(*asked)
        running -= 1
        return found

    monkeypatch.setattr(world.query, "sliding_totals", counted)
    found = await asyncio.gather(*(tester.backtest(rule(), clock.now_s - 60, clock.now_s) for _ in range(3)))
    assert (len(found), most) == (3, 1)


async def test_what_cannot_be_replayed_is_refused(history: SqlHistory, clock: ManualClock) -> None:
    """The pipeline's lag is not kept; an end before the start is none."""
    world = await world_with_incidents(history, clock)
    tester = Backtester(world.settings, world.asking)
    lag = rule(signal=Signal.PIPELINE_LAG, warning=10, critical=None, window_s=None)
    with pytest.raises(QuestionError, match="cannot be replayed"):
        await tester.backtest(lag, 0, 100)
    with pytest.raises(QuestionError, match="after the start"):
        await tester.backtest(rule(), 100, 100)
