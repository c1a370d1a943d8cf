"""Rules about Apdex: the score that the pages show, by the target of each service."""

from __future__ import annotations

import pytest

from alerting.backtest import Backtester
from alerting.rules import Rule, Signal
from alerting.wording import summary_of
from query.settings import QuerySettings
from storage.history import SqlHistory
from tests.support.alert_world import AlertWorld, rule
from tests.support.doubles import ManualClock

_JUDGED = {"min_requests": 10, "window_s": 60}
TARGETS = QuerySettings(history_cache_s=0, history_recheck_s=0, apdex_target_s=0.125, apdex_targets_s={"slow": 2})


def apdex_rule(**changes: object) -> Rule:
    """Return a rule that fires at once."""
    return rule(
        **({"signal": Signal.APDEX, "comparison": "below", "warning": 0.9, "critical": 0.5, **_JUDGED} | changes)
    )


async def test_a_rule_judges_by_the_score_of_the_pages(history: SqlHistory, clock: ManualClock) -> None:
    """A slow service is judged by its own target; what failed is frustrated; too few requests are not judged."""
    made, whole = apdex_rule(), apdex_rule(rule_id="whole", group_by=(), critical=None)
    world = await AlertWorld(history, clock, made, whole, below_settle_s=0).begin()
    world.query.use(TARGETS)
    await world.calls(60, duration_s=0.05)
    await world.calls(40, duration_s=0.3)
    await world.calls(100, duration_s=1.5, service_name="slow")
    await world.calls(100, errors=60, duration_s=0.01, service_name="failing")
    await world.calls(5, errors=5, service_name="few")
    await world.round(1)
    shown = {one.service: one.total.apdex for one in (await world.query.services(60)).items}
    assert shown == pytest.approx({"shop": 0.8, "slow": 1, "failing": 0.4, "few": 0}, abs=0.01)
    open_ = {"/".join(alert.labels.values()): alert.state for alert in await world.alerts()}
    assert {name: state.severity for name, state in open_.items()} == {
        "shop": "warning",
        "failing": "critical",
        "": "warning",
    }
    assert open_["shop"].value == pytest.approx(shown["shop"])
    calls = {"shop": 100, "slow": 100, "failing": 100, "few": 5}
    assert open_[""].value == pytest.approx(sum(calls[name] * (shown[name] or 0) for name in calls) / 305)
    clock.advance(20)
    found = await Backtester(world.settings, world.asking).backtest(made, clock.now_s - 60, clock.now_s)
    assert {"/".join(one.labels.values()) for one in found.episodes} == {"shop", "failing"}


@pytest.mark.parametrize("group_by", [("service",), ("environment",)])
async def test_its_evidence_names_who_made_callers_unhappy(
    history: SqlHistory, clock: ManualClock, group_by: tuple[str, ...]
) -> None:
    """Not the busiest: ten calls of a route that took too long, among hundreds that did not, by the target of each."""
    made = apdex_rule(group_by=group_by, critical=None, warning=0.995)
    world = await AlertWorld(history, clock, made, below_settle_s=0).begin()
    world.query.use(TARGETS)
    await world.calls(200, duration_s=0.05)
    await world.calls(10, duration_s=0.3, http_route="/late")
    await world.calls(400, duration_s=1.5, http_route="/long", service_name="slow")
    await world.round(1)
    (told,) = await world.told()
    evidence = told.items[0].evidence
    assert evidence is not None
    found = {one.dimension: (one.name, round(one.share, 2)) for one in evidence.contributors}
    assert found.pop("route") == ("/late", 1)
    assert found == ({} if "service" in group_by else {"service": ("shop", 1)})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"comparison": "above", "critical": 0.95}, "comparison: of Apdex, only below is bad"),
        ({"warning": 90, "critical": None}, "warning: thresholds of Apdex are scores, above 0 up to 1"),
        ({"scope": {"container": "x"}}, "scope: there is no label 'container'"),
    ],
)
def test_what_could_never_be_is_refused(changes: dict[str, object], words: str) -> None:
    """With the field that is at fault."""
    with pytest.raises(ValueError, match=words):
        apdex_rule(**changes)


def test_a_score_is_no_share() -> None:
    """It is told as the pages tell it."""
    text = summary_of(apdex_rule(), 0.81234, 0.81234, 0.9)
    assert text == "Apdex 0.812 over the last minute, below 0.9"
