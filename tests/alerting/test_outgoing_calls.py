"""Rules about what services ask of others, and about the steps of their models."""

from __future__ import annotations

from typing import Any

import pytest

from alerting.backtest import Backtester
from alerting.rules import Signal
from storage.history import SqlHistory
from tests.support.alert_world import AlertWorld, rule
from tests.support.doubles import ManualClock


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scope": {"span_kind": "CLIENT"}, "group_by": ["service", "peer"]}, {"shop/bank"}),
        ({"scope": {"span_kind": "*"}}, {"shop"}),
        ({"group_by": ["peer"]}, {"bank"}),
        ({"scope": {"peer": "ban*"}}, {"shop"}),
        ({"scope": {"peer": "bank", "span_kind": "PRODUCER"}}, set()),
        ({"scope": {"span_kind": "INTERNAL"}, "group_by": ["operation"]}, {"predict"}),
        ({"scope": {"span_kind": "SERVER"}}, set()),
        ({}, set()),
        (
            {
                "signal": Signal.REQUEST_RATE,
                "comparison": "below",
                "warning": 1000,
                "critical": None,
                "group_by": ["peer"],
            },
            {"bank"},
        ),
    ],
)
async def test_a_rule_counts_the_spans_that_it_names(
    history: SqlHistory, clock: ManualClock, changes: dict[str, Any], expected: set[str]
) -> None:
    """By kind, or by whom was asked; without either, the requests that services answer. The replay finds the same."""
    made = rule(**changes)
    world = await AlertWorld(history, clock, made).begin()
    await world.calls(100)
    await world.calls(50, errors=50, span_kind="CLIENT", http_route="", peer="bank")
    await world.calls(50, errors=50, span_kind="INTERNAL", http_route="", operation="predict")
    await world.round(1)
    assert {name for name, phase in (await world.phases()).items() if phase == "firing"} == expected
    for told in await world.told():
        (item,) = told.items
        assert item.evidence is None or item.evidence.errors >= 50
    clock.advance(20)
    found = await Backtester(world.settings, world.asking).backtest(made, clock.now_s - 60, clock.now_s)
    assert {"/".join(one.labels.values()) for one in found.episodes} == expected


def test_a_kind_that_no_span_has_is_refused() -> None:
    """Such a rule could never fire."""
    with pytest.raises(ValueError, match="scope: there is no span_kind 'client': use any of SERVER, "):
        rule(scope={"span_kind": "client"})
