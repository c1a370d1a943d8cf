"""What a rule would have done is what the evaluator did."""

from __future__ import annotations

from typing import Any

import pytest

from alerting.alerts import transition_of
from alerting.backtest import Backtester
from alerting.rules import Rule, Signal
from alerting.states import Phase
from query import QuestionError
from storage.history import SqlHistory
from telemetry import SeriesKey
from tests.support.alert_world import AlertWorld, rule
from tests.support.calls import point
from tests.support.doubles import ManualClock


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


async def test_what_cannot_be_replayed_is_refused(history: SqlHistory, clock: ManualClock) -> None:
    """The pipeline's lag is not kept; an end before the start is none."""
    world = await world_with_incidents(history, clock)
    tester = Backtester(world.settings, world.asking)
    lag = rule(signal=Signal.PIPELINE_LAG, warning=10, critical=None, window_s=None)
    with pytest.raises(QuestionError, match="cannot be replayed"):
        await tester.backtest(lag, 0, 100)
    with pytest.raises(QuestionError, match="after the start"):
        await tester.backtest(rule(), 100, 100)
