"""No sequence of observations, silences, restarts or jumps of the clock makes a storm of notifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from alerting.alerts import Alert, alert_of, row_of
from alerting.announcing import announcements_of
from alerting.drafts import Draft
from alerting.evaluation import evaluate
from alerting.notification import Severity, Told
from alerting.observing import Watch
from alerting.rules import Rule, Signal
from alerting.settings import AlertingSettings
from alerting.states import NOTHING, Observation

START_S = 1_700_000_000.0
GROUPS = [("a", "/x"), ("a", "/y"), ("a", "/z")]
VALUES = st.sampled_from([None, 0.0, 5.0, 10.0, 10.1, 15.0, 20.0, 25.0])


def rule(**changes: Any) -> Rule:
    fields = {"warning": 10, "critical": 20, "group_by": ("service", "route")} | changes
    return Rule(rule_id="r", name="R", signal=Signal.REQUEST_RATE, **fields)


RULES = st.builds(
    rule,
    for_s=st.sampled_from([0, 1, 10]),
    keep_firing_for_s=st.sampled_from([0, 5, 60]),
    on_no_data=st.sampled_from(["tell", "resolve", "keep"]),
    no_data_after_s=st.sampled_from([1, 30]),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([1.0, 1.0, 5.0, 40.0, 0.0]),
        st.lists(VALUES, min_size=3, max_size=3),
        st.booleans(),
        st.sampled_from([*["no"] * 6, "restart", "back an hour", "on an hour", "frozen"]),
    ),
    min_size=1,
    max_size=120,
)


def play(rule: Rule, steps: Sequence[Any], settings: AlertingSettings) -> list[tuple[float, str, Told, Severity]]:
    """Return each notification's item that leaves: when by a clock that nobody sets, of which alert, and what it says.

    A restart knows what was written and no more; while it is frozen nothing is evaluated.
    """
    watch, alerts, now_s, last_s, told = Watch.of(rule, 1, settings), {}, START_S, None, []
    true_s, was_frozen = START_S, False
    for passed_s, values, is_silenced, trouble in steps:
        now_s += passed_s + {"back an hour": -3_600.0, "on an hour": 3_600.0}.get(trouble, 0.0)
        true_s += passed_s + (3_600.0 if trouble == "on an hour" else 0.0)
        if trouble == "restart":
            alerts = {group: alert_of(row_of(alert)) for group, alert in alerts.items()}
        if trouble == "frozen":
            was_frozen = True
            continue
        seen = {
            group: NOTHING if value is None else Observation(value, value)
            for group, value in zip(GROUPS, values, strict=True)
        }
        draft = Draft({"r": alerts}, {})
        draft.take("r", evaluate(watch, alerts, seen, now_s, last_s, settings, 100, was_frozen=was_frozen))
        was_frozen = False
        found: dict[Any, Alert] = draft.alerts["r"]
        silenced = [alert.alert_id for alert in found.values()] if is_silenced else []
        for number, announcement in enumerate(announcements_of(rule, found, now_s, settings, silenced)):
            assert number == 0, "all groups are of one service, and told together"
            for alert, news in announcement.news:
                draft.tell(alert, news, now_s, rule.labels)
                told.append((true_s, alert.alert_id, news.told, news.severity))
        draft.forget({"r": watch}, now_s, settings)
        alerts, last_s = draft.alerts["r"], now_s
    return told


@given(RULES, STEPS)
def test_notifications_of_a_group_are_bounded_in_any_time(rule: Rule, steps: Sequence[Any]) -> None:
    """In any `group_interval_s` no more than two leave for a group, whatever is observed."""
    settings = AlertingSettings(group_interval_s=60, flapping_changes=4, flapping_window_s=300)
    times = sorted({at_s for at_s, *_ in play(rule, steps, settings)})
    for number in range(len(times) - 2):
        assert times[number + 2] - times[number] >= 60


@given(RULES, STEPS)
def test_an_alert_that_flaps_is_told_a_few_times_and_no_more(rule: Rule, steps: Sequence[Any]) -> None:
    """Even if groups were told at once: what swings for hours is told as often as it takes to see that it does."""
    settings = AlertingSettings(group_interval_s=0, flapping_changes=4, flapping_window_s=300)
    told = play(rule, steps, settings)
    for alert_id in {one for _, one, *_ in told}:
        times = [at_s for at_s, one, *_ in told if one == alert_id]
        for number in range(len(times)):
            within = [at_s for at_s in times[number:] if at_s - times[number] < 300]
            assert len(within) <= 4 + 4


@given(RULES, STEPS)
def test_what_is_told_makes_sense_to_who_hears_it(rule: Rule, steps: Sequence[Any]) -> None:
    """Nothing is resolved that was not told, nothing is told twice, and each is followed by its end, if it ended."""
    settings = AlertingSettings(group_interval_s=0, flapping_window_s=300)
    heard: dict[str, tuple[Told, Severity] | None] = {}
    for _, alert_id, what, severity in play(rule, steps, settings):
        before = heard.get(alert_id)
        if what == Told.RESOLVED:
            assert before is not None
            heard[alert_id] = None
            continue
        assert before != (what, severity), "a repeat is due after hours only"
        if before is not None and before[0] == what == Told.FIRING:
            assert severity == Severity.CRITICAL, "only worse is news"
        heard[alert_id] = (what, severity)


@given(RULES, STEPS)
def test_in_the_end_everybody_knows_that_it_is_over(rule: Rule, steps: Sequence[Any]) -> None:
    """After hours of calm, the last that was told of every alert is that it is resolved, silenced or not."""
    settings = AlertingSettings(group_interval_s=60, flapping_window_s=300)
    calm = [(20.0, [0.0, 0.0, 0.0], True, "no")] * 60
    told = play(rule, [*steps, *calm], settings)
    assert {what for *_, what, _ in {one: (at_s, one, what, how) for at_s, one, what, how in told}.values()} <= {
        Told.RESOLVED
    }
