"""Whatever is observed, silenced, acknowledged, restarted, changed or set by the clock: no storm of notifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from alerting.acks import Ack, severities_of
from alerting.alerts import Alert, alert_of, row_of
from alerting.announcing import Spoken, announcements_of
from alerting.channels.filtering import takes
from alerting.channels.settings import ChannelSettings
from alerting.drafts import Draft
from alerting.evaluation import evaluate
from alerting.hearing import hearing_of, late_announcements_of
from alerting.notification import Severity, Told
from alerting.notifier import Channel, Subject
from alerting.observing import Group, Watch
from alerting.rules import Rule, Signal
from alerting.settings import AlertingSettings
from alerting.states import NOTHING, Observation, Phase
from alerting.telling import rank
from tests.support.notifications import RecordingNotifier

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
WITH_CHANNELS = steps_with("restart", "acknowledged", "other thresholds", "rule switched", "late", "late", "picky")
"""Also a channel that comes and goes, and one that is for another service each time."""


class Left(NamedTuple):
    """An item of a notification that left: when by a clock that nobody sets, of which alert, and what it says."""

    at_s: float
    service: str
    alert_id: str
    told: Told
    severity: Severity


def channel(name: str, **filters: Any) -> Channel:
    settings = ChannelSettings.model_validate({"name": name, "url": "json://x/", **filters})
    return Channel(name, RecordingNotifier(), partial(takes, settings), is_for_firing=Told.FIRING in settings.states)


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
        self.channels = {one.name: one for one in (channel("all"), channel("grave", min_severity="critical"))}
        self.is_a = False
        self.heard: dict[str, list[Left]] = {}
        """What each channel heard, one that went and came again from then on."""

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
        elif trouble == "late" and self.channels.pop("late", None) is None:
            self.channels["late"] = channel("late")
            self.heard["late"] = []
        elif trouble == "picky":
            self.is_a = not self.is_a
            self.channels["picky"] = channel("picky", labels={"service": "a" if self.is_a else "b"})
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
            draft.settle(list(self.channels.values()), {})
            self._tell(draft, draft.alerts["r"], is_silenced)
        draft.settle(list(self.channels.values()), {})
        self._tell(draft, draft.closing, False, is_late=False)
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

    def _tell(self, draft: Draft, alerts: Mapping[Any, Alert], is_silenced: bool, *, is_late: bool = True) -> None:
        states = {alert.alert_id: alert.state for alert in alerts.values()}
        acked = severities_of(self.acks, states)
        silenced = list(states) if is_silenced else []
        found = announcements_of(self.watch.rule, alerts, self.now_s, self.settings, silenced, acked)
        services = [announcement.labels["service"] for announcement in found]
        assert len(set(services)) == len(services), "alerts of one service are told together"
        self.left += [left for announcement in found for left in self._left(announcement.news)]
        rule, channels = self.watch.rule, list(self.channels.values())
        if is_late:
            found += late_announcements_of(rule, alerts, self.now_s, self.settings, channels, silenced, acked)
        for announcement in found:
            hearing = hearing_of(announcement, rule, channels)
            draft.announce(announcement, hearing, self.now_s, rule.labels)
            for name, spoken in hearing.items():
                self.heard.setdefault(name, []).extend(self._left(spoken))

    def _left(self, spoken: Sequence[Spoken]) -> list[Left]:
        return [
            Left(self.true_s, alert.labels["service"], alert.alert_id, news.told, news.severity)
            for alert, news in spoken
        ]


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
    of_rule = Play(rule, settings)
    for step in steps:
        of_rule.take(*step)
    makes_sense(of_rule.left)
    makes_sense(of_rule.heard.get("all", []))


def makes_sense(left: Sequence[Left]) -> None:
    heard: dict[str, tuple[Told, Severity] | None] = {}
    for _, _, alert_id, what, severity in left:
        before = heard.get(alert_id)
        if what == Told.RESOLVED:
            assert before is not None
            heard[alert_id] = None
            continue
        assert before != (what, severity), "a repeat is due after hours only"
        if before is not None and before[0] == what == Told.FIRING:
            assert severity == Severity.CRITICAL, "only worse is news"
        heard[alert_id] = (what, severity)


FIRING = [25.0] * 3
MILD = [15.0] * 3
CALM = [0.0] * 3
AT_ONCE = rule(for_s=0, keep_firing_for_s=0)
GRAVE_AGAIN = (1.0, FIRING, False, "no")


@given(RULES, WITH_CHANNELS)
@example(rule(), [(1.0, FIRING, False, what) for what in ("no", "late", "no", "late", "no", "late", "no")])
@example(AT_ONCE, [(1.0, FIRING, False, "no"), (1.0, MILD, False, "no"), (1.0, MILD, False, "late"), GRAVE_AGAIN])
@example(rule(), [(1.0, FIRING, True, "no"), (1.0, FIRING, True, "late"), (1.0, CALM, False, "no")])
def test_what_a_channel_hears_makes_sense_whenever_it_was_made(rule: Rule, steps: Sequence[Any]) -> None:
    """It hears of no end without a beginning, and nothing twice, and always of what fires and may be told."""
    of_rule = Play(rule, AlertingSettings(group_interval_s=0, flapping_window_s=300))
    for step in steps:
        of_rule.take(*step)
        for name in of_rule.channels.keys() - {"picky"}:
            makes_sense(of_rule.heard.get(name, []))
        is_silenced = step[2]
        if not is_silenced and of_rule.is_on:
            everybody_knows(of_rule)


def everybody_knows(of_rule: Play) -> None:
    """Insist that each channel that is for an alert that fires heard of it, and how grave it is."""
    acked = severities_of(of_rule.acks, {alert.alert_id: alert.state for alert in of_rule.alerts.values()})
    for alert in of_rule.alerts.values():
        severity = alert.state.severity
        if alert.state.phase != Phase.FIRING or severity is None or rank(acked.get(alert.alert_id)) >= rank(severity):
            continue
        for one in of_rule.channels.values():
            if one.takes(Subject(alert.labels, Told.FIRING, severity)):
                heard = [left for left in of_rule.heard.get(one.name, []) if left.alert_id == alert.alert_id]
                ends = [number for number, left in enumerate(heard) if left.told == Told.RESOLVED]
                since = heard[ends[-1] + 1 :] if ends else heard
                assert Told.FIRING in [left.told for left in since]
                assert rank(severity) <= max(rank(left.severity) for left in since)


@given(RULES, WITH_CHANNELS)
def test_what_a_channel_hears_of_a_group_is_bounded_in_any_time(rule: Rule, steps: Sequence[Any]) -> None:
    """Also what it hears late: of a channel that stays, however it and others are changed, six in any minute."""
    of_rule = Play(rule, AlertingSettings(group_interval_s=60, flapping_changes=4, flapping_window_s=300))
    for step in steps:
        of_rule.take(*step)
    for name in ("all", "grave", "picky"):
        for service in ("a", "b"):
            times = sorted({one.at_s for one in of_rule.heard.get(name, []) if one.service == service})
            for number in range(len(times) - 6):
                assert times[number + 6] - times[number] >= 60


def test_what_became_graver_after_it_was_heard_late_is_told_with_the_others() -> None:
    """The first of a group that is critical at once, as that is worse than all that was heard, the second in time."""
    of_rule = Play(AT_ONCE, AlertingSettings(group_interval_s=60))
    for values in (FIRING, MILD):
        of_rule.take(1.0, values, False, "no")
    of_rule.take(1.0, MILD, False, "picky")
    of_rule.take(1.0, [25.0, 15.0, 15.0], False, "no")
    for _ in range(62):
        of_rule.take(1.0, FIRING, False, "no")
    heard = [(left.at_s - START_S, left.severity) for left in of_rule.heard["picky"]]
    mild, grave = Severity.WARNING, Severity.CRITICAL
    assert heard == [(3, mild), (3, mild), (4, grave), (64, grave)]


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
