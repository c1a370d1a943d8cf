"""Whatever is observed, silenced, acknowledged, restarted, changed or set by the clock: no storm of notifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from alerting.acks import Ack, severities_of
from alerting.alerts import Alert, alert_of, row_of
from alerting.announcing import announcements_of
from alerting.drafts import Draft
from alerting.evaluation import evaluate
from alerting.notification import Severity, Told
from alerting.observing import Group, Watch
from alerting.rules import Rule, Signal
from alerting.settings import AlertingSettings
from alerting.states import NOTHING, Observation

START_S = 1_700_000_000.0
GROUPS = [("a", "/x"), ("a", "/y"), ("b", "/z")]
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
TROUBLES = ["restart", "back an hour", "on an hour", "frozen", "acknowledged", "other thresholds"]


def steps_with(*troubles: str) -> st.SearchStrategy[list[Any]]:
    """Steps of a play: the time that passed, what is observed of each group, whether it is silenced, what happens."""
    values = st.lists(VALUES, min_size=len(GROUPS), max_size=len(GROUPS))
    happens = st.just("no") | st.sampled_from(troubles)
    step = st.tuples(st.sampled_from([1.0, 1.0, 5.0, 40.0, 0.0]), values, st.booleans(), happens)
    return st.lists(step, min_size=1, max_size=120)


STEPS = steps_with(*TROUBLES)
WITH_SWITCHING = steps_with(*TROUBLES, "rule switched")
"""Also a rule that somebody turns off and on: its alerts end, and it has its say anew each time."""


class Left(NamedTuple):
    """An item of a notification that left: when by a clock that nobody sets, of which alert, and what it says."""

    at_s: float
    service: str
    alert_id: str
    told: Told
    severity: Severity


class Play:
    """A rule on a clock. A restart knows what was written and no more; while it is frozen nothing is evaluated."""

    def __init__(self, rule: Rule, settings: AlertingSettings) -> None:
        self.settings = settings
        self.watch, self.other = [
            Watch.of(one, 1, settings) for one in (rule, rule.model_copy(update={"warning": 5, "critical": 12}))
        ]
        self.alerts: dict[Any, Alert] = {}
        self.closing: dict[str, Alert] = {}
        self.acks: dict[str, Ack] = {}
        self.now_s = self.true_s = START_S
        self.last_s: float | None = None
        self.is_on, self.was_frozen = True, False
        self.left: list[Left] = []

    def take(self, passed_s: float, values: Sequence[float | None], is_silenced: bool, trouble: str) -> None:
        """Take a step."""
        self.now_s += passed_s + {"back an hour": -3_600.0, "on an hour": 3_600.0}.get(trouble, 0.0)
        self.true_s += passed_s + (3_600.0 if trouble == "on an hour" else 0.0)
        if trouble == "restart":
            self.alerts = {group: alert_of(row_of(alert)) for group, alert in self.alerts.items()}
        elif trouble == "acknowledged":
            self._acknowledge()
        elif trouble == "other thresholds":
            self.watch, self.other = self.other, self.watch
        elif trouble == "rule switched":
            self.is_on = not self.is_on
        elif trouble == "frozen":
            self.was_frozen = True
            return
        self._round(values, is_silenced)

    def _acknowledge(self) -> None:
        for alert in self.alerts.values():
            if (severity := alert.state.severity) is not None:
                started_s = alert.state.started_s
                self.acks[alert.alert_id] = Ack(
                    alert_id=alert.alert_id, started_s=started_s, severity=severity, at_s=self.now_s
                )

    def _round(self, values: Sequence[float | None], is_silenced: bool) -> None:
        watches = {"r": self.watch} if self.is_on else {}
        draft = Draft({"r": self.alerts}, self.closing)
        if not self.is_on:
            draft.close("r", list(self.alerts), self.now_s, "turned off")
            self.last_s = None
        draft.reopen(watches)
        if self.is_on:
            self._evaluate(draft, values)
            self._tell(draft, draft.alerts["r"], is_silenced)
        self._tell(draft, draft.closing, False)
        draft.forget(watches, self.now_s, self.settings)
        self.alerts, self.closing = draft.alerts.get("r", {}), draft.closing

    def _evaluate(self, draft: Draft, values: Sequence[float | None]) -> None:
        seen: dict[Group, Observation] = {
            group: NOTHING if value is None else Observation(value, value)
            for group, value in zip(GROUPS, values, strict=True)
        }
        known = draft.alerts.get("r", {})
        found = evaluate(
            self.watch, known, seen, self.now_s, self.last_s, self.settings, 100, was_frozen=self.was_frozen
        )
        draft.take("r", found)
        self.was_frozen, self.last_s = False, self.now_s

    def _tell(self, draft: Draft, alerts: Mapping[Any, Alert], is_silenced: bool) -> None:
        states = {alert.alert_id: alert.state for alert in alerts.values()}
        acked = severities_of(self.acks, states)
        silenced = list(states) if is_silenced else []
        found = announcements_of(self.watch.rule, alerts, self.now_s, self.settings, silenced, acked)
        services = [announcement.labels["service"] for announcement in found]
        assert len(set(services)) == len(services), "alerts of one service are told together"
        for announcement in found:
            for alert, news in announcement.news:
                draft.tell(alert, news, self.now_s, self.watch.rule.labels)
                service = announcement.labels["service"]
                self.left.append(Left(self.true_s, service, alert.alert_id, news.told, news.severity))


def play(rule: Rule, steps: Sequence[Any], settings: AlertingSettings) -> list[Left]:
    """Return each item of the notifications that leave."""
    of_rule = Play(rule, settings)
    for step in steps:
        of_rule.take(*step)
    return of_rule.left


@given(RULES, STEPS)
def test_notifications_of_a_group_are_bounded_in_any_time(rule: Rule, steps: Sequence[Any]) -> None:
    """In any `group_interval_s` no more than three leave for a group: an end, a new beginning, and that it is worse."""
    settings = AlertingSettings(group_interval_s=60, flapping_changes=4, flapping_window_s=300)
    left = play(rule, steps, settings)
    for service in ("a", "b"):
        times = sorted({one.at_s for one in left if one.service == service})
        for number in range(len(times) - 3):
            assert times[number + 3] - times[number] >= 60


@given(RULES, STEPS)
def test_an_alert_that_flaps_is_told_a_few_times_and_no_more(rule: Rule, steps: Sequence[Any]) -> None:
    """Even if groups were told at once: what swings for hours is told as often as it takes to see that it does."""
    settings = AlertingSettings(group_interval_s=0, flapping_changes=4, flapping_window_s=300)
    left = play(rule, steps, settings)
    for alert_id in {one.alert_id for one in left}:
        times = [one.at_s for one in left if one.alert_id == alert_id]
        for number in range(len(times)):
            within = [at_s for at_s in times[number:] if at_s - times[number] < 300]
            assert len(within) <= 4 + 4


@given(RULES, WITH_SWITCHING)
@example(rule(), [(1.0, [25.0] * 3, False, what) for what in ("no", "rule switched", "rule switched", "no", "no")])
def test_what_is_told_makes_sense_to_who_hears_it(rule: Rule, steps: Sequence[Any]) -> None:
    """Nothing is resolved that was not told, nothing is told twice, and each is followed by its end, if it ended."""
    settings = AlertingSettings(group_interval_s=0, flapping_window_s=300)
    heard: dict[str, tuple[Told, Severity] | None] = {}
    for _, _, alert_id, what, severity in play(rule, steps, settings):
        before = heard.get(alert_id)
        if what == Told.RESOLVED:
            assert before is not None
            heard[alert_id] = None
            continue
        assert before != (what, severity), "a repeat is due after hours only"
        if before is not None and before[0] == what == Told.FIRING:
            assert severity == Severity.CRITICAL, "only worse is news"
        heard[alert_id] = (what, severity)


@given(RULES, STEPS, st.booleans())
def test_what_somebody_took_note_of_is_not_told_as_long_as_it_is_the_same(
    rule: Rule, steps: Sequence[Any], is_silenced: bool
) -> None:
    """After everything that fires was acknowledged, the same is not told, however often they are repeated."""
    settings = AlertingSettings(group_interval_s=0, repeat_interval_s=60, flapping_window_s=300)
    of_rule = Play(rule, settings)
    for step in [*steps, *[(20.0, [25.0] * 3, is_silenced, "no")] * 16]:
        of_rule.take(*step)
    so_far = len(of_rule.left)
    of_rule.take(20.0, [25.0] * 3, False, "acknowledged")
    for _ in range(40):
        of_rule.take(20.0, [25.0] * 3, False, "no")
    assert of_rule.left[so_far:] == []


@given(RULES, WITH_SWITCHING)
@example(rule(), [(1.0, [25.0] * 3, False, "no"), (1.0, [25.0] * 3, True, "rule switched")])
def test_in_the_end_everybody_knows_that_it_is_over(rule: Rule, steps: Sequence[Any]) -> None:
    """After hours of calm, the last that was told of every alert is that it is resolved, silenced or not."""
    settings = AlertingSettings(group_interval_s=60, flapping_window_s=300)
    calm = [(20.0, [0.0, 0.0, 0.0], True, "no")] * 60
    last = {one.alert_id: one.told for one in play(rule, [*steps, *calm], settings)}
    assert set(last.values()) <= {Told.RESOLVED}
